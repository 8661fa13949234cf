//! Connections to processors: clusters as the client of the exchange wants to see them.

use std::{
    ops::{Deref, DerefMut},
    rc::{Rc, Weak},
    sync::Arc,
};

use extproc_client::{
    Call, Client, ClientSettings, Close, ConnectError, Connecting, Connector, Endpoint, EndpointSettings,
    Endpoints, GrpcStatus, PickError, RetryPolicy,
};
use http::Uri;
use http2_io::Flood;
use tollgate_model::{
    cluster::Cluster,
    processor::{ExtProcFilter, GrpcService, GrpcTarget},
};

use crate::upstream::{
    cluster::{circuit_breaker::RequestPermit, host::Host, manager::WorkerCluster},
    exchange::failure::UpstreamFailure,
    health::Outcome,
    pool::{
        connect::{DialTarget, Dialer},
        counts::{Counted, OpenConnection},
        http2_connection::unanswered_ping,
    },
};
use crate::{
    io::keepalive,
    stats::{ClusterMetric, Metrics, ProcessorMetric, WorkerStats},
    stream_info::Protocol,
};

/// A client for a filter's processor on a cluster.
pub(in crate::upstream) fn client(cluster: &Rc<WorkerCluster>, service: &GrpcService) -> ProcessorClient {
    let retry = service.retry_policy.as_ref().map(|policy| RetryPolicy {
        retriable_codes: policy.retriable_codes.iter().map(|code| i32::from(*code)).collect(),
        retriable_statuses: policy.retriable_statuses.clone(),
        connect_failure: policy.connect_failure,
        reset: policy.reset,
        refused_stream: policy.refused_stream,
        num_retries: policy.num_retries,
        base_interval: policy.base_interval,
        max_interval: policy.max_interval,
        ..RetryPolicy::default()
    });
    let max_receive_message_length = service.max_receive_message_length;
    let client = Client::new(
        Rc::new(ClusterEndpoints(cluster.clone())),
        ClientSettings { max_receive_message_length, retry },
    );
    ProcessorClient { client, cluster: cluster.clone() }
}

/// The connections for processors to one host.
pub(in crate::upstream) fn endpoint(cluster: &Cluster, dialer: Dialer, host: &Rc<Host>) -> Rc<Endpoint> {
    let limits = &cluster.circuit_breakers;
    let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    let defaults = EndpointSettings::default();
    let http2 = cluster.protocol.http2_options();
    let settings = EndpointSettings {
        address: host.address().as_deref().unwrap_or_default().into(),
        connect_timeout: cluster.connect_timeout,
        idle_timeout: cluster.idle_timeout,
        keepalive: Some(keepalive::processor(http2.and_then(|options| options.keepalive.as_ref()))),
        // Without settings it is spoken to with HTTP/2 nevertheless (CF-21).
        max_concurrent_streams: http2
            .map_or(defaults.max_concurrent_streams, |options| count(options.max_concurrent_streams)),
        max_connections: count(limits.max_connections),
        max_pending_requests: count(limits.max_pending_requests),
        max_requests_per_connection: cluster.max_requests_per_connection,
        frame_limits: http2.map_or(defaults.frame_limits, |options| options.frame_limits),
    };
    Endpoint::new(Rc::new(HostConnector { dialer, host: Rc::downgrade(host) }), settings)
}

/// The processor of filters with the same settings, as one worker has it.
#[derive(Debug)]
pub(crate) struct Processor {
    /// The settings.
    pub(crate) settings: Arc<ExtProcFilter>,
    /// `None`: the cluster does not exist.
    pub(crate) client: Option<ProcessorClient>,
    /// Its name in logs: that of its cluster, which is its target where it has none in the configuration.
    pub(crate) name: Box<str>,
    /// Where calls go.
    pub(crate) uri: Uri,
    /// What is counted of it.
    pub(crate) metrics: Metrics<ProcessorMetric>,
    /// What is counted of its cluster.
    pub(crate) cluster_metrics: Metrics<ClusterMetric>,
}

impl Processor {
    pub(in crate::upstream) fn new(
        settings: &Arc<ExtProcFilter>,
        client: Option<ProcessorClient>,
        stats: &WorkerStats,
    ) -> Self {
        let name = match &settings.grpc_service.target {
            GrpcTarget::EnvoyGrpc(name) => name,
            GrpcTarget::GoogleGrpc(cluster) => &cluster.name,
        };
        Self {
            settings: settings.clone(),
            client,
            name: name.as_str().into(),
            uri: uri(&settings.grpc_service),
            metrics: stats.processor(name),
            cluster_metrics: stats.cluster(name),
        }
    }
}

fn uri(service: &GrpcService) -> Uri {
    Uri::builder()
        .scheme("http")
        .authority(service.authority.as_str())
        .path_and_query("/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .build()
        .unwrap_or_default()
}

/// Begins calls to a filter's processor.
#[derive(Debug, Clone)]
pub(crate) struct ProcessorClient {
    client: Client,
    cluster: Rc<WorkerCluster>,
}

impl ProcessorClient {
    /// Begins a call, as [`Client::open`] does.
    ///
    /// # Errors
    ///
    /// As there, and when the cluster has as many requests as it may have, those of all workers together.
    pub(crate) fn open(&self, head: http::Request<()>) -> Result<ProcessorCall, GrpcStatus> {
        let Some(permit) = self.cluster.counts().requests.try_acquire() else {
            self.cluster.counts().metrics.increment(ClusterMetric::UpstreamRqPendingOverflow);
            return Err(PickError::Overflow.into());
        };
        Ok(ProcessorCall { call: self.client.open(head)?, _permit: permit })
    }
}

/// A call to a processor, which the circuit breaker of its cluster counts.
#[derive(Debug)]
pub(crate) struct ProcessorCall {
    call: Call,
    _permit: RequestPermit,
}

impl ProcessorCall {
    /// As [`Call::close`].
    pub(crate) fn close(self, close: Close) {
        self.call.close(close);
    }
}

impl Deref for ProcessorCall {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

impl DerefMut for ProcessorCall {
    fn deref_mut(&mut self) -> &mut Call {
        &mut self.call
    }
}

/// The hosts of a cluster.
struct ClusterEndpoints(Rc<WorkerCluster>);

impl Endpoints for ClusterEndpoints {
    fn pick(&self) -> Result<Rc<Endpoint>, PickError> {
        self.0.choose_processor()
    }
}

/// Makes connections to one host.
struct HostConnector {
    dialer: Dialer,
    /// Whose health it is about.
    host: Weak<Host>,
}

impl Connector for HostConnector {
    fn connect(&self) -> Connecting {
        let attempt = self.dialer.clone().attempt();
        let count = OpenConnection::new(&self.dialer.metrics);
        count.speaks(Protocol::Http2);
        let host = self.host.clone();
        Box::pin(async move {
            let outcome = attempt.await;
            if let Some(host) = host.upgrade() {
                host.note(if outcome.is_ok() { Outcome::Connected } else { Outcome::Failed });
            }
            match outcome {
                Ok(dialed) => Ok(Box::new(Counted { transport: dialed.transport, _count: count }) as _),
                Err(UpstreamFailure::ConnectTimeout) => Err(ConnectError::Timeout),
                Err(UpstreamFailure::ConnectionFailure { detail }) => Err(ConnectError::Remote(detail)),
                Err(other) => Err(ConnectError::Remote(other.to_string())),
            }
        })
    }

    fn flooded(&self, flood: Flood) {
        self.dialer.metrics.count_flood(flood);
    }

    fn ping_unanswered(&self) {
        let dialer = &self.dialer;
        let address = match &dialer.target {
            DialTarget::Fixed(address) => address.to_string(),
            DialTarget::Name(addresses) => {
                addresses.first().map(|address| address.to_string()).unwrap_or_default()
            }
        };
        unanswered_ping(&dialer.metrics, &dialer.cluster, &address);
    }
}
