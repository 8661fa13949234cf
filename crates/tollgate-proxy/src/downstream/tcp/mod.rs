//! Connections whose bytes are passed on as they are (`tcp_proxy`).

mod pipe;

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use tokio::time::Instant;
use tollgate_model::tcp_proxy::TcpProxy;

use self::pipe::{Broken, Pipe};
use super::{
    client_stream::ClientStream,
    record::{ConnectionRecord, LoggedConnection},
};
use crate::{
    configuration::ChainConfiguration,
    io::read_buffer::{ReadBuffer, read_limit},
    response_flags::ResponseFlags,
    stats::{ClusterMetric, Metrics, TcpMetric},
    stream_info::{ConnectionInfo, UpstreamInfo},
    timer::LazyTimer,
    upstream::{Choice, HashedRequest, TcpAttempt, TcpUpstream, UpstreamFailure, xx_hash},
    worker::Worker,
};

/// A connection of a client, and what becomes of it.
pub(super) struct Proxied {
    proxy: Arc<TcpProxy>,
    stats: Metrics<TcpMetric>,
    connection: Rc<ConnectionInfo>,
    stream: ClientStream,
    /// Bytes that were read while looking at them.
    first: ReadBuffer,
    /// What logs will show; `None` = there are none.
    record: Option<Rc<ConnectionRecord>>,
    /// Its bytes are counted here, not by the stream.
    counts_bytes: bool,
}

impl Proxied {
    /// A connection that a filter chain passes on; `None`: it does not do so any more. `logged` is what is logged of it.
    pub(super) fn new(
        configuration: &ChainConfiguration,
        connection: Rc<ConnectionInfo>,
        stream: ClientStream,
        first: ReadBuffer,
        worker: &Rc<Worker>,
        logged: &mut Option<LoggedConnection>,
    ) -> Option<Self> {
        let proxy = configuration.chain.filter_chain().tcp_proxy.clone()?;
        let stats = configuration.stats.tcp.clone()?;
        let counts_bytes = logged.is_none();
        match logged {
            Some(logged) => {
                logged.established(&connection);
                logged.is_proxied(&proxy);
            }
            None => *logged = LoggedConnection::proxied(worker, configuration, &proxy, &connection),
        }
        let record = logged.as_ref().map(|logged| logged.record().clone());
        Some(Self { proxy, stats, connection, stream, first, record, counts_bytes })
    }
}

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Both sides have said everything.
    Complete,
    /// A side has given up.
    Broken,
    /// Nothing has moved for too long.
    Idle,
    /// It was there for too long.
    TooOld,
}

/// Serves a connection to its end.
pub(super) async fn serve(configuration: Rc<ChainConfiguration>, mut proxied: Proxied) {
    let stats = proxied.stats.clone();
    let limit = read_limit(configuration.chain.listener.per_connection_buffer_limit_bytes);
    stats.increment(TcpMetric::DownstreamCxTotal);
    let began = Instant::now();
    let longest = proxied.proxy.max_downstream_connection_duration.map(|longest| began + longest);
    let connecting = Box::pin(connect(&configuration, &stats, &proxied)).await;
    // A connection may live for long, and needs nothing more of the configuration.
    drop(configuration);
    let Some(mut upstream) = connecting else { return };
    let ended = proxied.relay(&mut upstream, &stats, limit, longest).await;
    let reason = match ended {
        Ended::Complete | Ended::Broken => return,
        Ended::Idle => {
            stats.increment(TcpMetric::IdleTimeout);
            IDLE
        }
        Ended::TooOld => {
            stats.increment(TcpMetric::MaxDownstreamConnectionDuration);
            if let Some(record) = &proxied.record {
                record.flag(ResponseFlags::from_short_name("DT"));
            }
            TOO_OLD
        }
    };
    if let Some(record) = &proxied.record {
        record.closed(reason);
    }
}

const IDLE: &str = "tcp_session_idle_timeout";
const TOO_OLD: &str = "max_connection_duration_reached";

/// A connection to a host of the cluster; `None`: the reason is noted, and the client has to go.
async fn connect(
    configuration: &ChainConfiguration,
    stats: &Metrics<TcpMetric>,
    proxied: &Proxied,
) -> Option<TcpUpstream> {
    let flag = |flag| proxied.record.iter().for_each(|record| record.flag(flag));
    let name = proxied.proxy.choose(fastrand::u64(..));
    let Some(cluster) = name.and_then(|name| configuration.clusters.get(name)) else {
        stats.increment(TcpMetric::DownstreamCxNoRoute);
        flag(ResponseFlags::NO_CLUSTER_FOUND);
        return None;
    };
    let source = Source(&proxied.connection);
    let choice = Choice {
        original_destination: proxied.connection.original_destination,
        hashed: proxied.proxy.hash_source_ip.then_some(&source as &dyn HashedRequest),
        ..Choice::default()
    };
    let of = |failure: &UpstreamFailure| ResponseFlags::from_short_name(failure.response_flag());
    for attempt in 1..=proxied.proxy.max_connect_attempts {
        let (info, outcome) = match TcpAttempt::begin(&cluster, &choice, attempt) {
            Ok(attempt) => attempt.connect().await,
            Err(failure) => {
                flag(of(&failure));
                if let Some(record) = &proxied.record {
                    let counts = cluster.counts();
                    let (name, stat_name) = (Some(counts.name.clone()), counts.stat_name.clone());
                    record.upstream(UpstreamInfo { cluster: name, stat_name, ..UpstreamInfo::default() });
                }
                return None;
            }
        };
        if let Some(record) = &proxied.record {
            record.upstream(info);
        }
        match outcome {
            Ok(upstream) => return Some(upstream),
            Err(failure) => flag(of(&failure)),
        }
    }
    cluster.counts().metrics.increment(ClusterMetric::UpstreamCxConnectAttemptsExceeded);
    flag(ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED);
    None
}

/// What is hashed of a connection: where it comes from.
#[derive(Debug)]
struct Source<'a>(&'a ConnectionInfo);

impl HashedRequest for Source<'_> {
    fn hash(&self) -> Option<u64> {
        self.0.remote_address.map(|address| xx_hash(address.ip().to_canonical().to_string().as_bytes(), 0))
    }
}

impl Proxied {
    /// Passes bytes on in both directions until both have ended.
    async fn relay(
        &mut self,
        upstream: &mut TcpUpstream,
        stats: &Metrics<TcpMetric>,
        limit: usize,
        longest: Option<Instant>,
    ) -> Ended {
        let upstream = upstream.bytes();
        let mut first = std::mem::take(&mut self.first);
        first.limit = limit;
        stats.add(TcpMetric::DownstreamCxRxBytesTotal, first.bytes.len() as u64);
        if self.counts_bytes
            && let Some(record) = &self.record
        {
            record.received(first.bytes.len());
        }
        let mut to_upstream = Pipe::new(first);
        let mut from_upstream = ReadBuffer::default();
        from_upstream.limit = limit;
        let mut to_client = Pipe::new(from_upstream);
        let (mut last, mut timer, mut life) = (Instant::now(), LazyTimer::default(), LazyTimer::default());
        poll_fn(|cx| {
            let outgoing = to_upstream.poll(cx, &mut self.stream, upstream);
            let incoming = to_client.poll(cx, upstream, &mut self.stream);
            let (received, sent) = (to_upstream.take_read(), to_client.take_written());
            let moved = received + sent + to_upstream.take_written() + to_client.take_read();
            if moved > 0 {
                last = Instant::now();
                stats.add(TcpMetric::DownstreamCxRxBytesTotal, received as u64);
                stats.add(TcpMetric::DownstreamCxTxBytesTotal, sent as u64);
                if self.counts_bytes
                    && let Some(record) = &self.record
                {
                    record.received(received);
                    record.sent(sent);
                }
            }
            match (outgoing, incoming) {
                (Poll::Ready(Err(Broken)), _) | (_, Poll::Ready(Err(Broken))) => {
                    return Poll::Ready(Ended::Broken);
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ended::Complete),
                _ => {}
            }
            let idle = self.proxy.idle_timeout.map(|idle| last + idle);
            if timer.poll(idle, cx).is_ready() {
                return Poll::Ready(Ended::Idle);
            }
            life.poll(longest, cx).map(|()| Ended::TooOld)
        })
        .await
    }
}
