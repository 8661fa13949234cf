//! From a socket to an HTTP connection: filter chain, TLS, protocol.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use rustls::sign::CertifiedKey;
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tollgate_model::{http_connection_manager::CodecType, overload::ClientTimeout};

use super::{
    PREFACE_LIMIT,
    client_stream::{ClientStream, Transport},
    filter_chain::{self, ConnectionFacts},
    fingerprint::{ClientHello, SESSION_ID_END, session_id},
    noted::Noted,
    proxy_protocol::{self, Named, ProxyProtocolError},
    record::{ConnectionRecord, DRAINED, IDLE},
};
use crate::{
    configuration::{ChainConfiguration, ServedChain, ServedListener},
    incident::Incident,
    io::read_buffer::ReadBuffer,
    io::{Rewind, Socket},
    overload,
    stats::ListenerMetric,
    stream_info::{ConnectionInfo, TlsInfo},
    timer::LazyTimer,
    worker::Worker,
};

/// First byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What an HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection on which HTTP can be spoken.
pub(super) struct Established {
    pub(super) stream: ClientStream,
    /// Bytes that were read while looking at them.
    pub(super) first: ReadBuffer,
    pub(super) connection: Rc<ConnectionInfo>,
    pub(super) chain: Rc<ServedChain>,
    /// `None`: the bytes are passed on as they are.
    pub(super) version: Option<HttpVersion>,
}

/// What is known of a connection as soon as it is accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    id: u64,
    remote_address: Option<SocketAddr>,
    local_address: Option<SocketAddr>,
    original_destination: Option<SocketAddr>,
    /// The peer itself, whoever it speaks for.
    direct_remote_address: Option<SocketAddr>,
    at: std::time::Instant,
}

impl Accepted {
    /// `restore` looks for the address that the client wanted to connect to, before it was redirected here.
    pub(super) fn new(id: u64, socket: &Socket, restore: bool) -> Self {
        let (remote_address, local_address) = socket.addresses();
        let original_destination = if restore { socket.original_destination() } else { None };
        Self {
            id,
            remote_address,
            local_address: original_destination.or(local_address),
            original_destination,
            direct_remote_address: remote_address,
            at: std::time::Instant::now(),
        }
    }

    /// The facts of a connection without TLS.
    pub(super) fn info(&self) -> ConnectionInfo {
        ConnectionInfo {
            id: self.id,
            remote_address: self.remote_address,
            local_address: self.local_address,
            original_destination: self.original_destination,
            direct_remote_address: self.direct_remote_address,
            tls: None,
            accepted: self.at,
            handshake: None,
        }
    }
}

impl Accepted {
    /// The peer speaks for somebody else.
    fn named(&mut self, named: Named) {
        self.remote_address = Some(named.remote);
        self.local_address = Some(named.local);
    }
}

/// Which HTTP a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpVersion {
    Http1,
    Http2,
}

/// Why a connection was given up before HTTP was spoken.
#[derive(Debug, thiserror::Error)]
enum EstablishError {
    #[error("no filter chain matches (server name {server_name:?}, TLS {tls})")]
    NoFilterChain { server_name: Option<String>, tls: bool },
    #[error("the client sent nothing within the time for listener filters")]
    ListenerFiltersTimeout,
    #[error("the TLS handshake took too long")]
    HandshakeTimeout,
    #[error("the preface of HTTP/2 took too long")]
    PrefaceTimeout,
    #[error("TLS was expected or not expected, and the filter chain is the other kind")]
    TransportMismatch,
    #[error("the TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
    #[error("the PROXY protocol: {0}")]
    ProxyProtocol(#[from] ProxyProtocolError),
    #[error("the client sent nothing for too long")]
    IdleTimeout,
    #[error("the client went away")]
    Closed,
    #[error("the worker is draining")]
    Draining,
}

impl EstablishError {
    /// Counts it and, once in a while, logs it. A client that goes away while it shakes hands, as health checks of
    /// load balancers do, is counted only.
    fn report(&self, listener: &ServedListener, name: &str, client: Option<SocketAddr>) {
        let metrics = &listener.metrics;
        let (metric, incident) = match self {
            Self::NoFilterChain { .. } => (ListenerMetric::NoFilterChainMatch, Incident::NoFilterChain),
            Self::Tls(_) | Self::HandshakeTimeout | Self::TransportMismatch => {
                (ListenerMetric::SslConnectionError, Incident::DownstreamTls)
            }
            Self::ProxyProtocol(ProxyProtocolError::Wrong(_)) => {
                (ListenerMetric::DownstreamCxProxyProtoError, Incident::DownstreamProxyProtocol)
            }
            _ => return,
        };
        metrics.increment(metric);
        if let Self::Tls(error) = self
            && error.get_ref().is_none_or(|error| !error.is::<rustls::Error>())
        {
            return;
        }
        if let Some(suppressed) = metrics.admit(incident) {
            let client = client.map(tracing::field::display);
            tracing::warn!(listener = name, client, reason = %self, suppressed, "a connection of a client was closed");
        }
    }
}

impl EstablishError {
    /// What the logs of the listener say of it.
    fn note(&self, record: &ConnectionRecord) {
        match self {
            Self::NoFilterChain { .. } => record.no_filter_chain(),
            Self::TransportMismatch => record.tls_failed(&"the client did not begin a TLS handshake"),
            Self::Tls(error) => match error.get_ref() {
                Some(error) if error.is::<rustls::Error>() => record.tls_failed(error),
                // The client went away.
                _ if error.kind() == io::ErrorKind::ConnectionReset => record.reset(),
                _ => {}
            },
            Self::HandshakeTimeout => record.handshake_timed_out(),
            Self::PrefaceTimeout | Self::IdleTimeout => record.closed(IDLE),
            Self::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => record.reset(),
            Self::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                record.codec_failed(&"neither HTTP/1 nor HTTP/2");
            }
            Self::ListenerFiltersTimeout | Self::ProxyProtocol(_) | Self::Io(_) | Self::Closed => {}
            Self::Draining => record.closed(DRAINED),
        }
    }
}

/// Makes an HTTP connection of a socket. `None`: the reason was logged and the socket is closed.
pub(super) async fn establish(
    worker: &Worker,
    listener: &ServedListener,
    socket: Socket,
    accepted: Accepted,
    record: Option<Rc<ConnectionRecord>>,
) -> Option<Established> {
    match try_establish(worker, listener, socket, accepted, record.as_ref()).await {
        Ok(established) => Some(established),
        Err(error) => {
            let name = &listener.current().listener.name;
            tracing::debug!(listener = name, connection = accepted.id, %error, "connection given up");
            error.report(listener, name, accepted.remote_address);
            record.iter().for_each(|record| error.note(record));
            None
        }
    }
}

async fn try_establish(
    worker: &Worker,
    served: &ServedListener,
    mut socket: Socket,
    mut accepted: Accepted,
    record: Option<&Rc<ConnectionRecord>>,
) -> Result<Established, EstablishError> {
    let mut first = ReadBuffer::default();
    let proxy_protocol = served.current().listener.proxy_protocol;
    if let Some(settings) = proxy_protocol {
        let limit = served.current().listener.listener_filters_timeout;
        let read = proxy_protocol::read(&mut socket, &mut first, settings);
        let read = within(limit, EstablishError::ListenerFiltersTimeout, read);
        if let Some(named) = until_drain(worker, read).await?? {
            accepted.named(named);
        }
    }
    let Accepted { remote_address, local_address, .. } = accepted;
    let addresses = ConnectionFacts { local_address, remote_address, ..ConnectionFacts::default() };

    let listener_filters_timeout = served.current().listener.listener_filters_timeout;
    let inspect = filter_chain::needs_first_bytes(&served.current().listener);
    if inspect && first.bytes.is_empty() {
        let filled = poll_fn(|cx| first.poll_fill(&mut socket, cx));
        let filled = within(listener_filters_timeout, EstablishError::ListenerFiltersTimeout, filled);
        if until_drain(worker, filled).await?.map_err(EstablishError::Io)? == 0 {
            return Err(EstablishError::Closed);
        }
    }
    let is_tls = first.bytes.first() == Some(&TLS_HANDSHAKE);
    let chosen_before_hello =
        if inspect && is_tls { None } else { Some(choose(served, &addresses, record)?) };
    if let Some(chain) = chosen_before_hello.as_ref().filter(|chain| chain.tls().is_none()) {
        let stream = ClientStream::new(Transport::Plain(socket), record.cloned());
        return finish(worker, stream, first, accepted.info(), chain.clone(), None).await;
    }
    if inspect && !is_tls {
        return Err(EstablishError::TransportMismatch);
    }

    let handshake_began = std::time::Instant::now();
    let mut rewound = Noted::new(Rewind::new(first.bytes.freeze(), socket));
    let fingerprints = served.current().listener.tls_fingerprints;
    // What is read is given again where TLS is passed on as it is.
    let may_pass_on = inspect && filter_chain::may_pass_tls_on(&served.current().listener);
    if fingerprints.any() || may_pass_on {
        rewound.note_read();
    }
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), rewound);
    let hello = within(listener_filters_timeout, EstablishError::ListenerFiltersTimeout, hello);
    let mut start = until_drain(worker, hello).await?.map_err(EstablishError::Tls)?;
    let records = start.io.take_read();
    let noted = records.as_deref().filter(|_| fingerprints.any()).and_then(ClientHello::parse);
    let chain = match chosen_before_hello {
        Some(chain) => chain,
        None => {
            let hello = start.client_hello();
            let server_name = hello.server_name().map(str::to_ascii_lowercase);
            if let Some(record) = record {
                record.asked_for(server_name.as_deref());
            }
            let protocols: Vec<&str> = hello
                .alpn()
                .into_iter()
                .flatten()
                .filter_map(|name| std::str::from_utf8(name).ok())
                .collect();
            let facts = ConnectionFacts {
                server_name: server_name.as_deref(),
                tls: true,
                application_protocols: &protocols,
                ..addresses
            };
            choose(served, &facts, record)?
        }
    };
    let Some((tls, limit)) = chain.tls() else {
        let (Some(records), true) = (records, chain.passes_bytes_on()) else {
            return Err(EstablishError::TransportMismatch);
        };
        let (unread, socket) = start.io.into_inner().into_parts();
        let mut first = BytesMut::from(&*records);
        first.extend_from_slice(&unread);
        let stream = ClientStream::new(Transport::Plain(socket), record.cloned());
        return finish(worker, stream, first.into(), accepted.info(), chain, None).await;
    };
    let downstream = tls.clone();
    let trust = tls.client_trust().cloned();
    let config = tls.config_for(&start.client_hello()).clone();
    let own = config.cert_resolver.resolve(start.client_hello());
    if chain.with(|configuration| configuration.shows.tls_session_id) {
        start.io.note_written(SESSION_ID_END);
    }
    let handshake = start.into_stream(config);
    let limits = served.current().listener.limits;
    let overload = (!limits.bypass_overload_manager).then(|| &*worker.overload);
    let limit = limit.map(|limit| overload::limit(overload, ClientTimeout::TransportSocketConnect, limit));
    let handshake = within(limit, EstablishError::HandshakeTimeout, handshake);
    let mut stream = until_drain(worker, handshake).await?.map_err(EstablishError::Tls)?;
    served.metrics.increment(ListenerMetric::SslHandshake);
    let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let mut tls = tls_info(stream.get_ref().1, own.as_deref()).with_issuer(trust.as_ref());
    tls.peer_certificate_verified =
        downstream.is_verified(stream.get_ref().1.peer_certificates().unwrap_or_default());
    tls.ja3 = noted.as_ref().filter(|_| fingerprints.ja3).map(ClientHello::ja3);
    tls.ja4 = noted.as_ref().filter(|_| fingerprints.ja4).map(ClientHello::ja4);
    // With TLS 1.3 the id in the ServerHello is the client's own and means nothing.
    let sent = stream.get_mut().0.take_written().filter(|_| tls.version == "TLSv1.2");
    tls.session_id = sent.and_then(|sent| session_id(&sent));
    let tls = Some(tls);
    let handshake = Some((handshake_began, std::time::Instant::now()));
    let connection = ConnectionInfo { tls, handshake, ..accepted.info() };
    let stream = ClientStream::new(Transport::Tls(Box::new(stream)), record.cloned());
    finish(worker, stream, ReadBuffer::default(), connection, chain, alpn).await
}

/// The filter chain of a connection, as the listener is configured at this moment.
fn choose(
    listener: &ServedListener,
    facts: &ConnectionFacts<'_>,
    record: Option<&Rc<ConnectionRecord>>,
) -> Result<Rc<ServedChain>, EstablishError> {
    let chains = listener.current();
    let chosen = filter_chain::choose(&chains.listener, facts);
    let chosen = chosen.and_then(|index| chains.get(index).cloned()).ok_or_else(|| {
        EstablishError::NoFilterChain { server_name: facts.server_name.map(str::to_owned), tls: facts.tls }
    })?;
    if let Some(record) = record {
        chosen.with(|configuration| record.served_by(&configuration.chain));
    }
    Ok(chosen)
}

/// Chooses the protocol.
async fn finish(
    worker: &Worker,
    mut stream: ClientStream,
    mut first: ReadBuffer,
    connection: ConnectionInfo,
    chain: Rc<ServedChain>,
    alpn: Option<Vec<u8>>,
) -> Result<Established, EstablishError> {
    if chain.passes_bytes_on() {
        return Ok(Established { stream, first, connection: Rc::new(connection), chain, version: None });
    }
    // A connection that waits keeps no configuration alive.
    let codec_type = chain.with(|configuration| configuration.http().codec_type);
    let version = match (codec_type, alpn.as_deref()) {
        (CodecType::Http1, _) => HttpVersion::Http1,
        (CodecType::Http2, _) | (CodecType::Auto, Some(b"h2")) => HttpVersion::Http2,
        (CodecType::Auto, Some(_)) => HttpVersion::Http1,
        (CodecType::Auto, None) => {
            // A connection may be made ahead of need, but not stop in the middle of a preface.
            if first.bytes.is_empty() {
                let (since, mut timer) = (Instant::now(), LazyTimer::default());
                let filled = poll_fn(|cx| match first.poll_fill(&mut stream, cx) {
                    Poll::Ready(filled) => Poll::Ready(Ok(filled)),
                    Poll::Pending => {
                        let deadline =
                            chain.with(|configuration| first_byte_deadline(worker, configuration, since));
                        timer.poll(deadline, cx).map(|()| Err(EstablishError::IdleTimeout))
                    }
                });
                if until_drain(worker, filled).await?.map_err(EstablishError::Io)? == 0 {
                    return Err(EstablishError::Closed);
                }
            }
            let limit = Some(PREFACE_LIMIT);
            let sniffed = within(limit, EstablishError::PrefaceTimeout, sniff(&mut stream, &mut first));
            until_drain(worker, sniffed).await?.map_err(EstablishError::Io)?
        }
    };
    Ok(Established { stream, first, connection: Rc::new(connection), chain, version: Some(version) })
}

/// When a connection closes on which nothing has arrived, as things are at the moment.
fn first_byte_deadline(
    worker: &Worker,
    configuration: &ChainConfiguration,
    since: Instant,
) -> Option<Instant> {
    let http = configuration.http();
    let bypassed = configuration.chain.listener.limits.bypass_overload_manager;
    let overload = (!bypassed).then(|| &*worker.overload);
    let idle = overload::deadline(overload, ClientTimeout::ConnectionIdle, since, http.idle_timeout);
    let longest = http.max_connection_duration;
    let life =
        overload::deadline(overload, ClientTimeout::ConnectionMax, since + http.drain_timeout, longest);
    [idle, life].into_iter().flatten().min()
}

/// Reads until the bytes are, or cannot become, the start of HTTP/2's preface.
async fn sniff(stream: &mut ClientStream, first: &mut ReadBuffer) -> io::Result<HttpVersion> {
    loop {
        let known = first.bytes.len().min(PREFACE.len());
        if first.bytes[..known] != PREFACE[..known] {
            return if speaks_neither(&first.bytes) {
                Err(io::ErrorKind::InvalidData.into())
            } else {
                Ok(HttpVersion::Http1)
            };
        }
        if known == PREFACE.len() {
            return Ok(HttpVersion::Http2);
        }
        if poll_fn(|cx| first.poll_fill(stream, cx)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A first line that ends in something other than a version of HTTP: whoever sends it expects no answer of HTTP/1.
fn speaks_neither(bytes: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return false };
    let mut words = bytes[..end].trim_ascii_end().split(|byte| *byte == b' ');
    let version = words.by_ref().nth(2);
    version.is_some_and(|version| !version.is_empty() && !version.contains(&b'/')) && words.next().is_none()
}

fn tls_info(session: &rustls::ServerConnection, own: Option<&CertifiedKey>) -> TlsInfo {
    TlsInfo { server_name: session.server_name().map(str::to_owned), ..TlsInfo::new(session, own) }
}

async fn within<T>(
    limit: Option<Duration>,
    too_late: EstablishError,
    future: impl Future<Output = T>,
) -> Result<T, EstablishError> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| too_late),
        None => Ok(future.await),
    }
}

async fn until_drain<T>(
    worker: &Worker,
    future: impl Future<Output = Result<T, EstablishError>>,
) -> Result<T, EstablishError> {
    let started = worker.drain.started();
    if worker.drain.is_draining() {
        return future.await;
    }
    tokio::select! {
        outcome = future => outcome,
        () = started => Err(EstablishError::Draining),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_without_a_version_of_http_is_neither() {
        assert!(speaks_neither(b"INVALID CONNECTION PREFACE\r\n\r\n"));
        for line in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"GET / HTTP/3\r\n",
            b"GET /\r\n",
            b"GET / \r\n",
            b"GET / a b\r\n",
            b"\r\n",
            b"INVALID CONNECTION PREFACE",
        ] {
            assert!(!speaks_neither(line), "{}", String::from_utf8_lossy(line));
        }
    }
}
