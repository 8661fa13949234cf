//! A connection to a host that carries the bytes of one client as they are.

use std::{rc::Rc, time::Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    stats::ClusterMetric,
    stream_info::UpstreamInfo,
    upstream::{
        cluster::{choice::Choice, circuit_breaker::Permit, host::ActiveRequest, manager::WorkerCluster},
        exchange::failure::UpstreamFailure,
        health::Outcome,
        pool::{counts::OpenConnection, transport::Transport},
    },
};

/// A host that was chosen, to which a connection may be made.
pub(crate) struct TcpAttempt {
    active: ActiveRequest,
    permit: Permit,
    info: UpstreamInfo,
}

/// A connection to a host. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct TcpUpstream {
    transport: Transport,
    _guards: Guards,
}

/// What is counted while the connection lives.
#[derive(Debug)]
struct Guards {
    active: ActiveRequest,
    _count: OpenConnection,
    _permit: Permit,
}

impl Drop for Guards {
    fn drop(&mut self) {
        self.active.host().metrics.decrement(ClusterMetric::UpstreamRqActive);
    }
}

impl TcpAttempt {
    /// Chooses a host, for the attempt of that number, 1 for the first.
    ///
    /// # Errors
    ///
    /// There is no host, or the cluster has as many connections as it may have.
    pub(crate) fn begin(
        cluster: &Rc<WorkerCluster>,
        choice: &Choice<'_>,
        attempt_count: u32,
    ) -> Result<Self, UpstreamFailure> {
        let host = cluster.choose(choice)?;
        let counts = cluster.counts();
        let Some(permit) = host.cluster.counts.connections.try_acquire() else {
            counts.metrics.increment(ClusterMetric::UpstreamCxOverflow);
            return Err(UpstreamFailure::Overflow);
        };
        let info = host.upstream_info(counts, attempt_count);
        Ok(Self { active: host.begin_request(), permit, info })
    }

    /// Makes the connection, within the connect timeout of the cluster, and says what is known of it.
    pub(crate) async fn connect(self) -> (UpstreamInfo, Result<TcpUpstream, UpstreamFailure>) {
        let Self { active, permit, mut info } = self;
        let began = Instant::now();
        let host = active.host().clone();
        let count = OpenConnection::new(&host.metrics);
        let dialed = host.tcp_dialer().dial().await;
        info.pool_ready_duration = Some(Instant::now().saturating_duration_since(began));
        let dialed = match dialed {
            Ok(dialed) => dialed,
            Err(failure) => {
                host.note(Outcome::Failed);
                host.metrics.increment(ClusterMetric::UpstreamRqPendingFailureEject);
                info.transport_failure_reason = failure.transport_failure_reason().map(str::to_owned);
                return (info, Err(failure));
            }
        };
        host.note(Outcome::Connected);
        dialed.facts.note_in(&mut info);
        host.metrics.increment(ClusterMetric::UpstreamRqTotal);
        host.metrics.increment(ClusterMetric::UpstreamRqActive);
        let guards = Guards { active, _count: count, _permit: permit };
        (info, Ok(TcpUpstream { transport: dialed.transport, _guards: guards }))
    }
}

impl TcpUpstream {
    /// Its bytes, in both directions.
    pub(crate) fn bytes(&mut self) -> &mut (impl AsyncRead + AsyncWrite + Unpin + use<>) {
        &mut self.transport
    }
}
