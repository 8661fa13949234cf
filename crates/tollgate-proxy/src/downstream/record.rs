//! What the logs of a listener show of a connection.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tollgate_model::{listener::Listener, tcp_proxy::TcpProxy};

use crate::{
    configuration::ChainConfiguration,
    format::{CloseType, ConnectionEnd},
    stream_info::{ConnectionInfo, FilterChainInfo, Protocol, ResponseFlags, UpstreamInfo},
    worker::Worker,
};

/// A connection was idle for too long.
pub(super) const IDLE: &str = "on_idle_timeout";
/// A response was the last one, and the client has seen its end.
pub(super) const DRAINED: &str = "deferred_close_on_drained_connection";
/// The same, but the client kept the connection open.
pub(super) const DELAYED: &str = "triggered_delayed_close_timeout";
/// An overload action ends connections.
pub(super) const SHED: &str = "overload";
/// The gateway stops.
const STOPPING: &str = "purging_socket_that_have_not_progressed_to_connections";

/// What becomes known of a connection while it lives, for the logs of its listener.
#[derive(Debug)]
pub(crate) struct ConnectionRecord {
    listener: Arc<Listener>,
    start_time: SystemTime,
    received: Cell<u64>,
    sent: Cell<u64>,
    protocol: Cell<Option<Protocol>>,
    flags: Cell<ResponseFlags>,
    close_type: Cell<CloseType>,
    details: Cell<Option<&'static str>>,
    termination_details: Cell<Option<&'static str>>,
    texts: RefCell<Texts>,
    /// Where it was passed on to.
    upstream: RefCell<Option<Box<UpstreamInfo>>>,
    chain: RefCell<Option<Rc<FilterChainInfo>>>,
    /// It has ended otherwise than by being given up.
    over: Cell<bool>,
}

#[derive(Debug, Default)]
struct Texts {
    server_name: Option<String>,
    local_close_reason: Option<String>,
    transport_failure: Option<String>,
}

impl ConnectionRecord {
    fn new(listener: Arc<Listener>) -> Self {
        Self {
            listener,
            start_time: SystemTime::now(),
            received: Cell::default(),
            sent: Cell::default(),
            protocol: Cell::default(),
            flags: Cell::default(),
            close_type: Cell::default(),
            details: Cell::default(),
            termination_details: Cell::default(),
            texts: RefCell::default(),
            upstream: RefCell::default(),
            chain: RefCell::default(),
            over: Cell::default(),
        }
    }

    /// Bytes came from the client.
    pub(super) fn received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    /// Bytes went to the client.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// The client has reset the connection.
    pub(super) fn reset(&self) {
        self.close_type.set(CloseType::RemoteReset);
    }

    /// What the client speaks, as far as it could be read.
    pub(super) fn speaks(&self, protocol: Protocol) {
        self.protocol.set(Some(protocol));
    }

    /// Which filter chain serves it.
    pub(super) fn served_by(&self, chain: &Rc<FilterChainInfo>) {
        *self.chain.borrow_mut() = Some(chain.clone());
    }

    /// The client asked for this server.
    pub(super) fn asked_for(&self, server_name: Option<&str>) {
        self.texts.borrow_mut().server_name = server_name.map(str::to_owned);
    }

    /// No filter chain serves it.
    pub(super) fn no_filter_chain(&self) {
        self.details.set(Some("filter_chain_not_found"));
        self.flag(ResponseFlags::NO_ROUTE_FOUND);
    }

    /// TLS failed.
    pub(super) fn tls_failed(&self, reason: &dyn std::fmt::Display) {
        self.texts.borrow_mut().transport_failure = Some(format!("TLS_error:|{reason}:TLS_error_end"));
    }

    /// The TLS handshake took too long.
    pub(super) fn handshake_timed_out(&self) {
        self.termination_details.set(Some("transport socket timeout was reached"));
        self.closed("transport_socket_timeout");
    }

    /// The client broke the protocol.
    pub(super) fn codec_failed(&self, reason: &dyn std::fmt::Display) {
        self.flag(ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR);
        self.closed(&format!("codec_error:{reason}"));
    }

    /// The gateway closes it. The first reason counts.
    pub(super) fn closed(&self, reason: &str) {
        self.texts.borrow_mut().local_close_reason.get_or_insert_with(|| reason.to_owned());
    }

    /// It goes to a host, or should.
    pub(super) fn upstream(&self, upstream: UpstreamInfo) {
        *self.upstream.borrow_mut() = Some(Box::new(upstream));
    }

    /// Something went wrong with it.
    pub(super) fn flag(&self, flag: ResponseFlags) {
        let mut flags = self.flags.get();
        flags.insert(flag);
        self.flags.set(flags);
    }
}

/// Writes the lines of a connection when it is dropped: its task may be given up at any moment.
pub(super) struct LoggedConnection {
    worker: Rc<Worker>,
    record: Rc<ConnectionRecord>,
    /// What is known of it; at first what its socket says.
    connection: Rc<ConnectionInfo>,
    /// What passes it on, with logs of its own.
    proxy: Option<Arc<TcpProxy>>,
}

impl LoggedConnection {
    /// `None` when the listener has no logs.
    pub(super) fn new(
        worker: &Rc<Worker>,
        listener: &Arc<Listener>,
        connection: impl FnOnce() -> ConnectionInfo,
    ) -> Option<Self> {
        (!listener.access_log.is_empty()).then(|| Self {
            worker: worker.clone(),
            record: Rc::new(ConnectionRecord::new(listener.clone())),
            connection: Rc::new(connection()),
            proxy: None,
        })
    }

    /// A connection that is logged by what passes it on, whatever its listener does.
    pub(super) fn proxied(
        worker: &Rc<Worker>,
        configuration: &ChainConfiguration,
        proxy: &Arc<TcpProxy>,
        connection: &Rc<ConnectionInfo>,
    ) -> Option<Self> {
        (!proxy.access_log.is_empty()).then(|| {
            let mut record = ConnectionRecord::new(configuration.chain.listener.clone());
            let age = Instant::now().saturating_duration_since(connection.accepted);
            record.start_time = SystemTime::now().checked_sub(age).unwrap_or(record.start_time);
            record.served_by(&configuration.chain);
            Self {
                worker: worker.clone(),
                record: Rc::new(record),
                connection: connection.clone(),
                proxy: Some(proxy.clone()),
            }
        })
    }

    /// It is passed on as it is.
    pub(super) fn is_proxied(&mut self, proxy: &Arc<TcpProxy>) {
        self.proxy = Some(proxy.clone());
    }

    /// What becomes known is noted here.
    pub(super) fn record(&self) -> &Rc<ConnectionRecord> {
        &self.record
    }

    /// HTTP is spoken on it.
    pub(super) fn established(&mut self, connection: &Rc<ConnectionInfo>) {
        self.connection = connection.clone();
    }

    /// It has come to its end.
    pub(super) fn over(&self) {
        self.record.over.set(true);
    }
}

impl Drop for LoggedConnection {
    fn drop(&mut self) {
        let record = &*self.record;
        if !record.over.get() {
            record.closed(STOPPING);
        }
        let texts = record.texts.borrow();
        let chain = record.chain.borrow();
        let upstream = record.upstream.borrow();
        let tls = self.connection.tls.as_ref();
        let end = ConnectionEnd {
            connection: &self.connection,
            server_name: texts.server_name.as_deref().or_else(|| tls?.server_name.as_deref()),
            listener: &record.listener,
            filter_chain: chain.as_ref().map(|chain| chain.filter_chain()),
            start_time: record.start_time,
            end: Instant::now(),
            bytes_received: record.received.get(),
            bytes_sent: record.sent.get(),
            protocol: record.protocol.get(),
            flags: record.flags.get(),
            details: record.details.get(),
            close_type: record.close_type.get(),
            local_close_reason: texts.local_close_reason.as_deref(),
            termination_details: record.termination_details.get(),
            transport_failure: texts.transport_failure.as_deref(),
            upstream: upstream.as_deref(),
            by_proxy: false,
        };
        let mut dropped = self.worker.access_log.log(&record.listener.access_log, &end);
        if let Some(proxy) = &self.proxy {
            let end = ConnectionEnd { by_proxy: true, ..end };
            dropped += self.worker.access_log.log(&proxy.access_log, &end);
        }
        self.worker.count_dropped_log_lines(dropped);
    }
}
