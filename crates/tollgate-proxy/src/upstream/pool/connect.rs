//! How connections to a host are made.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use rustls::{CertificateError, ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tollgate_model::{socket::TcpOptions, tls::NamesDiffer};

use crate::upstream::{
    cluster::{address::Address, dns::Addresses},
    exchange::failure::UpstreamFailure,
    pool::transport::Transport,
};
use crate::{
    incident::Incident,
    io::{Socket, keepalive},
    stats::{ClusterMetric, Metrics},
    stream_info::{ConnectTimes, UpstreamInfo},
    tls_info::TlsInfo,
};

/// Makes connections to one host.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Dialer {
    /// Where to.
    pub(in crate::upstream) target: DialTarget,
    /// TLS: configuration and server name.
    pub(in crate::upstream) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Settings of the sockets.
    pub(in crate::upstream) tcp: TcpOptions,
    /// Time for everything: a first DNS answer, TCP, TLS.
    pub(in crate::upstream) connect_timeout: Duration,
    /// Whose hosts it connects to, for the log.
    pub(in crate::upstream) cluster: Arc<str>,
    /// What is counted.
    pub(in crate::upstream) metrics: Metrics<ClusterMetric>,
}

/// Where a dialer connects to.
#[derive(Debug, Clone)]
pub(in crate::upstream) enum DialTarget {
    /// Always the same address.
    Fixed(Address),
    /// Whatever the name resolves to at that moment; waits for the first answer.
    Name(Addresses),
}

/// A connection that was made.
#[derive(Debug)]
pub(in crate::upstream) struct Dialed {
    /// The stream.
    pub(in crate::upstream) transport: Transport,
    /// What is known about it.
    pub(in crate::upstream) facts: ConnectionFacts,
}

impl Dialed {
    /// The host wants HTTP/2.
    pub(in crate::upstream) fn is_http2(&self) -> bool {
        self.facts.tls.as_ref().is_some_and(|tls| tls.http2)
    }
}

/// What is known about a connection to a host.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct ConnectionFacts {
    /// Its number, which no other connection to a host has.
    pub(in crate::upstream) id: u64,
    /// Our side; `None` on a Unix socket.
    pub(in crate::upstream) local_address: Option<SocketAddr>,
    /// The host's side, for logs.
    pub(in crate::upstream) address: Rc<str>,
    /// What the TLS handshake told.
    pub(in crate::upstream) tls: Option<Rc<TlsInfo>>,
    /// How long it took to make.
    pub(in crate::upstream) times: ConnectTimes,
}

impl ConnectionFacts {
    /// Adds them to what is known of an upstream.
    pub(in crate::upstream) fn note_in(&self, info: &mut UpstreamInfo) {
        info.address = Some(self.address.clone());
        info.local_address = self.local_address;
        info.connection_id = self.id;
        info.tls.clone_from(&self.tls);
        info.connect = Some(self.times);
    }
}

impl ConnectionFacts {
    fn new(transport: &Transport, address: &Address, tls: Option<TlsInfo>, times: ConnectTimes) -> Self {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
            local_address: transport.local_address(),
            address: address.to_string().into(),
            tls: tls.map(Rc::new),
            times,
        }
    }
}

/// An attempt under way. Dropping it gives the attempt up.
pub(in crate::upstream) type Dialing = Pin<Box<dyn Future<Output = Result<Dialed, UpstreamFailure>>>>;

impl Dialer {
    /// Starts an attempt, which ends within the connect timeout.
    pub(in crate::upstream) fn dial(&self) -> Dialing {
        let dialer = self.clone();
        Box::pin(async move {
            let limit = dialer.connect_timeout;
            timeout(limit, dialer.attempt()).await.unwrap_or(Err(UpstreamFailure::ConnectTimeout))
        })
    }

    /// As [`dial`](Self::dial), for callers that have the limit in time themselves: they drop what takes too long.
    pub(in crate::upstream) async fn attempt(self) -> Result<Dialed, UpstreamFailure> {
        let mut attempt = Attempt { dialer: self, began: Instant::now(), address: None, ended: false };
        let target = attempt.dialer.target.clone();
        let tls = attempt.dialer.tls.clone();
        let tcp = attempt.dialer.tcp;
        let outcome = connect_to(target, tls, &tcp, &mut attempt.address).await;
        attempt.ended = true;
        match outcome {
            Ok(dialed) => {
                attempt.dialer.metrics.record_connect(attempt.elapsed());
                Ok(dialed)
            }
            Err(Failed { failure, explanation }) => {
                attempt.dialer.metrics.increment(ClusterMetric::UpstreamCxConnectFail);
                attempt.tell(&failure, explanation.as_deref());
                Err(failure)
            }
        }
    }
}

/// A connection in the making. Dropped before its end it has taken too long, or nobody wants it any more.
struct Attempt {
    dialer: Dialer,
    began: Instant,
    /// The address that was tried last.
    address: Option<Address>,
    ended: bool,
}

/// Why there is no connection, and what the log says beyond that.
struct Failed {
    failure: UpstreamFailure,
    explanation: Option<String>,
}

impl From<UpstreamFailure> for Failed {
    fn from(failure: UpstreamFailure) -> Self {
        Self { failure, explanation: None }
    }
}

impl Attempt {
    fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.began)
    }

    /// Says that there is no connection, and why.
    fn tell(&self, failure: &UpstreamFailure, explanation: Option<&str>) {
        let Some(suppressed) = self.dialer.metrics.admit(Incident::Connect) else { return };
        let cluster = &*self.dialer.cluster;
        let address = self.address.as_ref().map(ToString::to_string).unwrap_or_default();
        let elapsed_ms = millis(self.elapsed());
        let connect_timeout_ms = millis(self.dialer.connect_timeout);
        tracing::warn!(
            cluster,
            address,
            reason = %failure,
            explanation,
            elapsed_ms,
            connect_timeout_ms,
            suppressed,
            "cannot connect to an upstream"
        );
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended && self.elapsed() >= self.dialer.connect_timeout {
            self.dialer.metrics.increment(ClusterMetric::UpstreamCxConnectTimeout);
            self.tell(&UpstreamFailure::ConnectTimeout, None);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn connect_to(
    target: DialTarget,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    tcp: &TcpOptions,
    tried: &mut Option<Address>,
) -> Result<Dialed, Failed> {
    let mut began = Instant::now();
    let (socket, address) = match target {
        DialTarget::Fixed(address) => {
            *tried = Some(address.clone());
            (connect(&address, tcp).await?, address)
        }
        DialTarget::Name(mut addresses) => {
            let addresses = addresses.first_answer().await;
            began = Instant::now();
            connect_first(&addresses, tcp, tried).await?
        }
    };
    let mut times = ConnectTimes { began, connected: Instant::now(), handshake: None };
    let (transport, tls) = match tls {
        None => (Transport::raw(socket), None),
        Some((config, server_name)) => {
            let sent_name = match &server_name {
                ServerName::DnsName(name) if config.enable_sni => Some(name.as_ref().to_owned()),
                _ => None,
            };
            let own = config.client_auth_cert_resolver.resolve(&[], &[]);
            let handshake = TlsConnector::from(config).connect(server_name, socket).await;
            let stream = handshake
                .map_err(|error| Failed { failure: tls_failure(&error), explanation: explanation(&error) })?;
            times.handshake = Some(Instant::now());
            let tls = TlsInfo { server_name: sent_name, ..TlsInfo::new(stream.get_ref().1, own.as_deref()) };
            (Transport::tls(stream), Some(tls))
        }
    };
    let facts = ConnectionFacts::new(&transport, &address, tls, times);
    Ok(Dialed { transport, facts })
}

/// Makes a connection that nobody counts or tells of, for checks. It has no limit in time.
pub(in crate::upstream) async fn connect_uncounted(
    address: Address,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    tcp: &TcpOptions,
) -> Result<Transport, UpstreamFailure> {
    let socket = connect(&address, tcp).await?;
    match tls {
        None => Ok(Transport::raw(socket)),
        Some((config, server_name)) => {
            let stream = TlsConnector::from(config).connect(server_name, socket).await;
            stream.map(Transport::tls).map_err(|error| tls_failure(&error))
        }
    }
}

/// Tries one address after the other.
async fn connect_first(
    addresses: &[Address],
    tcp: &TcpOptions,
    tried: &mut Option<Address>,
) -> Result<(Socket, Address), UpstreamFailure> {
    let mut outcome = Err(UpstreamFailure::NoHealthyUpstream);
    for address in addresses {
        *tried = Some(address.clone());
        outcome = connect(address, tcp).await.map(|socket| (socket, address.clone()));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn connect(address: &Address, tcp: &TcpOptions) -> Result<Socket, UpstreamFailure> {
    match address {
        Address::Socket(socket_address) => {
            let stream = connecting(address, TcpStream::connect(*socket_address)).await?;
            // Pieces are gathered before they are written; a failure would only cost latency.
            let _ = stream.set_nodelay(true);
            keepalive::apply(tcp, &stream);
            Ok(Socket::Tcp(stream))
        }
        Address::Pipe(path) => connecting(address, UnixStream::connect(path)).await.map(Socket::Unix),
    }
}

/// Tells a failure the system reports at once from one that comes later, as Envoy does in its texts.
async fn connecting<S>(
    address: &Address,
    attempt: impl Future<Output = io::Result<S>>,
) -> Result<S, UpstreamFailure> {
    let mut attempt = pin!(attempt);
    let mut immediate = true;
    let outcome = poll_fn(|cx| {
        let outcome = attempt.as_mut().poll(cx);
        if outcome.is_pending() {
            immediate = false;
        }
        match outcome {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    outcome.map_err(|error| {
        let text = system_text(&error);
        let detail = if immediate {
            format!("immediate connect error: {text}|remote address:{address}")
        } else {
            format!("delayed connect error: {text}")
        };
        UpstreamFailure::ConnectionFailure { detail }
    })
}

/// The system's text of an error without the number the standard library appends.
fn system_text(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.find(" (os error ") {
        text.truncate(end);
    }
    text
}

fn tls_failure(error: &io::Error) -> UpstreamFailure {
    let text = match names_differ(error) {
        Some(_) => "invalid peer certificate: NotValidForName".to_owned(),
        None => system_text(error),
    };
    UpstreamFailure::ConnectionFailure { detail: format!("TLS_error:|{text}:TLS_error_end") }
}

/// What the log says about a failed handshake beyond the reason: the names the certificate has.
fn explanation(error: &io::Error) -> Option<String> {
    names_differ(error).map(ToString::to_string)
}

fn names_differ(error: &io::Error) -> Option<&NamesDiffer> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return None };
    other.0.downcast_ref()
}
