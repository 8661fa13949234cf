//! How connections to a host are made.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tollgate_model::socket::TcpOptions;

use super::{
    address::Address,
    dns::Addresses,
    failure::UpstreamFailure,
    transport::{Socket, Transport},
};
use crate::{keepalive, tls_info::TlsInfo};

/// Makes connections to one host.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    /// Where to.
    pub(super) target: DialTarget,
    /// TLS: configuration and server name.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Settings of the sockets.
    pub(super) tcp: TcpOptions,
    /// Time for everything: a first DNS answer, TCP, TLS.
    pub(super) connect_timeout: Duration,
}

/// Where a dialer connects to.
#[derive(Debug, Clone)]
pub(super) enum DialTarget {
    /// Always the same address.
    Fixed(Address),
    /// Whatever the name resolves to at that moment; waits for the first answer.
    Name(Addresses),
}

/// A connection that was made.
#[derive(Debug)]
pub(super) struct Dialed {
    /// The stream.
    pub(super) transport: Transport,
    /// What is known about it.
    pub(super) facts: ConnectionFacts,
}

/// What is known about a connection to a host.
#[derive(Debug, Clone)]
pub(super) struct ConnectionFacts {
    /// Its number, which no other connection to a host has.
    pub(super) id: u64,
    /// Our side; `None` on a Unix socket.
    pub(super) local_address: Option<SocketAddr>,
    /// The host's side, for logs.
    pub(super) address: Arc<str>,
    /// What the TLS handshake told.
    pub(super) tls: Option<Arc<TlsInfo>>,
}

impl ConnectionFacts {
    fn new(transport: &Transport, address: &Address, tls: Option<TlsInfo>) -> Self {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
            local_address: transport.local_address(),
            address: address.to_string().into(),
            tls: tls.map(Arc::new),
        }
    }
}

/// An attempt under way. Dropping it gives the attempt up.
pub(super) type Dialing = Pin<Box<dyn Future<Output = Result<Dialed, UpstreamFailure>>>>;

impl Dialer {
    /// Starts an attempt, which ends within the connect timeout.
    pub(super) fn dial(&self) -> Dialing {
        let dialer = self.clone();
        Box::pin(async move {
            let limit = dialer.connect_timeout;
            timeout(limit, dialer.attempt()).await.unwrap_or(Err(UpstreamFailure::ConnectTimeout))
        })
    }

    /// As [`dial`](Self::dial), without a limit in time.
    pub(super) async fn attempt(self) -> Result<Dialed, UpstreamFailure> {
        let (socket, address) = match self.target {
            DialTarget::Fixed(address) => (connect(&address, &self.tcp).await?, address),
            DialTarget::Name(mut addresses) => {
                let addresses = addresses.first_answer().await;
                connect_first(&addresses, &self.tcp).await?
            }
        };
        let (transport, tls) = match self.tls {
            None => (Transport::Raw(socket), None),
            Some((config, server_name)) => {
                let own = config.client_auth_cert_resolver.resolve(&[], &[]);
                let handshake = TlsConnector::from(config).connect(server_name, socket).await;
                let stream = handshake.map_err(|error| tls_failure(&error))?;
                let tls = TlsInfo::new(stream.get_ref().1, own.as_deref());
                (Transport::Tls(Box::new(stream)), Some(tls))
            }
        };
        let facts = ConnectionFacts::new(&transport, &address, tls);
        Ok(Dialed { transport, facts })
    }
}

/// Tries one address after the other.
async fn connect_first(
    addresses: &[Address],
    tcp: &TcpOptions,
) -> Result<(Socket, Address), UpstreamFailure> {
    let mut outcome = Err(UpstreamFailure::NoHealthyUpstream);
    for address in addresses {
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
    UpstreamFailure::ConnectionFailure { detail: format!("TLS_error:|{}:TLS_error_end", system_text(error)) }
}
