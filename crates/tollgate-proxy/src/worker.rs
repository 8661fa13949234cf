//! One worker: a thread with its own runtime, listeners, pools and processor connections.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv4Addr, UdpSocket},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use tollgate_lua::Machines;
use tollgate_model::{filter::LuaScript, overload::OverloadActionKind};

use crate::{
    access_log::AccessLogger,
    configuration::{AddressId, Adoption, ChainConfiguration, Served, ServedListener},
    date::DateCache,
    drain::{Drain, Haste, OpenConnections},
    incident::Incident,
    memory::{Memory, SharedMemory},
    overload::{Admission, Overload, Refused},
    recording::Recorder,
    stats::{Http2Metric, ListenerMetric, Metrics, ServerMetric, Stats, WorkerStats},
    upstream::ClusterManager,
};

/// What the tasks of one worker share. Nothing in it is shared with other threads on the request path.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    workers: usize,
    served: RefCell<Served>,
    connections: Cell<u64>,
    stats: WorkerStats,
    server_metrics: Metrics<ServerMetric>,
    /// HTTP/2 with clients.
    pub(crate) http2_metrics: Metrics<Http2Metric>,
    /// What protects the process when resources run short.
    pub(crate) overload: Arc<Overload>,
    /// Where access log lines go.
    pub(crate) access_log: AccessLogger,
    /// The machine's own address, for `x-forwarded-for` (N-2).
    pub(crate) own_address: IpAddr,
    /// The same as a header has it.
    pub(crate) own_address_value: HeaderValue,
    /// The `date` header.
    pub(crate) date: DateCache,
    /// Whether the worker is about to stop.
    pub(crate) drain: Drain,
    /// Whether health checks of the gateway are failed.
    fails_health_checks: Cell<bool>,
    /// Connections that are open.
    pub(crate) open_connections: OpenConnections,
    /// What requests hold.
    pub(crate) memory: Rc<Memory>,
    /// Who wants to see exchanges with processors.
    pub(crate) recorder: Recorder,
    /// The machines of scripts.
    pub(crate) scripts: Machines<LuaScript>,
}

impl Worker {
    /// The worker of that index of `workers`. Must be called inside its runtime.
    pub(crate) fn new(
        index: usize,
        workers: usize,
        adoption: &Adoption,
        stats: Arc<Stats>,
        access_log: AccessLogger,
        memory: Arc<SharedMemory>,
        recorder: Recorder,
    ) -> Rc<Self> {
        let stats = WorkerStats::new(stats, index);
        let own_address = own_address();
        Rc::new(Self {
            memory: Memory::new(memory, index, stats.server()),
            recorder,
            scripts: Machines::default(),
            served: RefCell::new(Served::new(adoption, &stats)),
            server_metrics: stats.server(),
            http2_metrics: stats.http2(),
            stats,
            overload: adoption.overload.clone(),
            access_log,
            index,
            workers,
            connections: Cell::new(0),
            own_address,
            own_address_value: address_value(own_address),
            date: DateCache::default(),
            drain: Drain::default(),
            fails_health_checks: Cell::new(false),
            open_connections: OpenConnections::default(),
        })
    }

    /// Serves requests that begin from now on by another configuration.
    pub(crate) fn adopt(&self, adoption: &Adoption) {
        self.served.borrow_mut().adopt(adoption, &self.stats);
        self.access_log.keep_only(&adoption.sinks);
    }

    /// Lets a connection of a listener in. `None`: there are too many, and this one is to be closed.
    pub(crate) fn admit(&self, listener: &ServedListener) -> Option<Admission> {
        let limits = listener.current().listener.limits;
        let admitted = self.overload.connections.admit(&listener.connections, limits);
        let (metric, reason) = match admitted {
            Ok(admission) => {
                let refused = || {
                    self.overload.applies(OverloadActionKind::RejectIncomingConnections)
                        || self.overload.sheds(OverloadActionKind::TcpListenerAccept)
                };
                if limits.bypass_overload_manager || !refused() {
                    return Some(admission);
                }
                (ListenerMetric::DownstreamCxOverloadReject, "an overload action asks for it")
            }
            Err(Refused::GlobalLimit) => {
                (ListenerMetric::DownstreamGlobalCxOverflow, "the process has as many as it may have")
            }
            Err(Refused::ListenerLimit) => {
                (ListenerMetric::DownstreamCxOverflow, "the listener has as many as it may have")
            }
        };
        listener.metrics.increment(metric);
        if let Some(suppressed) = listener.metrics.admit(Incident::ConnectionLimit) {
            let name = &listener.current().listener.name;
            tracing::warn!(listener = name, suppressed, "a connection was refused: {reason}");
        }
        None
    }

    /// The configurations of every filter chain that is served.
    pub(crate) fn chain_configurations(&self) -> Vec<Rc<ChainConfiguration>> {
        self.served.borrow().chain_configurations()
    }

    /// The clusters of the configuration in force.
    pub(crate) fn clusters(&self) -> Rc<ClusterManager> {
        self.served.borrow().clusters()
    }

    /// Whether it is the one that does what one worker does for all.
    pub(crate) fn is_first(&self) -> bool {
        self.index == 0
    }

    /// The listener of an address.
    pub(crate) fn listener_at(&self, address: AddressId) -> Option<Rc<ServedListener>> {
        self.served.borrow().at(address)
    }

    /// No connection is accepted at these addresses any more, by any worker.
    pub(crate) fn forget(&self, addresses: &[AddressId]) {
        self.served.borrow_mut().forget(addresses);
    }

    /// Whether there may be connections of filter chains that are gone.
    pub(crate) fn has_retired(&self) -> bool {
        self.served.borrow().has_retired()
    }

    /// Ends the connections of filter chains that have been gone for so long.
    pub(crate) fn end_overdue(&self, drain_time: Duration) {
        self.served.borrow_mut().end_overdue(drain_time);
    }

    /// Whether health checks of the gateway are failed, so that clients go elsewhere.
    pub(crate) fn fails_health_checks(&self) -> bool {
        self.fails_health_checks.get()
    }

    /// Fails health checks or not, and has connections end with their next request or not.
    pub(crate) fn set_leaving(&self, fails_health_checks: bool, leaving: bool) {
        self.fails_health_checks.set(fails_health_checks);
        self.served.borrow_mut().set_leaving(leaving);
    }

    /// Asks every connection to end.
    pub(crate) fn stop(&self) {
        self.drain.start(Haste::WhenIdle);
        self.served.borrow_mut().stop();
    }

    /// Access log lines had no room.
    pub(crate) fn count_dropped_log_lines(&self, dropped: u64) {
        if dropped > 0 {
            self.server_metrics.add(ServerMetric::AccessLogDropped, dropped);
        }
    }

    /// A connection number that no other connection of the process has.
    pub(crate) fn next_connection_id(&self) -> u64 {
        let count = self.connections.get();
        self.connections.set(count + 1);
        count * self.workers as u64 + self.index as u64
    }
}

fn address_value(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).expect("an address is visible ASCII")
}

/// The address this machine uses towards others; the loopback address if it is alone. Nothing is sent to find out:
/// connecting a UDP socket only chooses a route (to an address reserved for documentation, RFC 5737).
pub(crate) fn own_address() -> IpAddr {
    let chosen = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    chosen.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}
