//! How a host is asked whether it is well.

mod grpc;
mod http1;
mod http2;
mod tcp;

use std::{fmt, future::pending, net::SocketAddr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::USER_AGENT};
use tollgate_model::{
    cluster::{EndpointHealthCheck, HealthCheck, HealthChecker, HttpHealthCheck},
    socket::TcpOptions,
};

use self::{http1::Http1, http2::Http2};
use super::supervisor::{Tls, WatchedEndpoint, Whereabouts};
use crate::upstream::{
    cluster::{address::Address, dns::Addresses, shared_cluster::Source},
    exchange::failure::UpstreamFailure,
    pool::{connect::connect_uncounted, transport::Transport},
};

/// What Envoy's checks call themselves; hosts look for it to leave checks out of their logs.
const AGENT: HeaderValue = HeaderValue::from_static("Envoy/HC");
const DEGRADED: HeaderName = HeaderName::from_static("x-envoy-degraded");

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// The host is well, or well enough.
    Well { degraded: bool },
    /// It says that it is not.
    Unwell(String),
    /// It says something that may pass.
    Busy(StatusCode),
    /// It did not answer.
    Unreachable(String),
    /// It did not answer in time.
    TimedOut,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well { .. } => f.write_str("ok"),
            Self::Unwell(why) | Self::Unreachable(why) => f.write_str(why),
            Self::Busy(status) => write!(f, "status {}", status.as_u16()),
            Self::TimedOut => f.write_str("timeout"),
        }
    }
}

impl From<UpstreamFailure> for Finding {
    fn from(failure: UpstreamFailure) -> Self {
        Self::Unreachable(failure.to_string())
    }
}

/// Asks one host. Its connection is kept for the next time.
#[derive(Debug)]
pub(super) struct Probe {
    checker: HealthChecker,
    label: String,
    /// `:authority` of requests.
    authority: String,
    /// How long an answer may take.
    timeout: Duration,
    dialer: ProbeDialer,
    connection: Option<Connection>,
}

#[derive(Debug)]
enum Connection {
    Http1(Http1),
    Http2(Http2),
    Tcp(Transport),
}

impl Probe {
    /// A probe of a host of an endpoint, not connected yet.
    pub(super) fn new(
        settings: &HealthCheck,
        label: &str,
        whereabouts: &Whereabouts,
        endpoint: &WatchedEndpoint,
        cluster: &str,
        tcp: TcpOptions,
    ) -> Self {
        let (own, http2) = match &settings.checker {
            HealthChecker::Http(http) => (http.host.as_str(), http.http2),
            HealthChecker::Grpc(grpc) => (grpc.authority.as_str(), true),
            HealthChecker::Tcp(_) => ("", false),
        };
        let names = [endpoint.check.hostname.as_str(), own, cluster];
        let authority = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let place = match (whereabouts, &endpoint.source) {
            (Whereabouts::Fixed(address), _) => ProbePlace::Fixed(address.clone()),
            (Whereabouts::Named, Source::EachOf(addresses) | Source::OneOf(addresses)) => {
                ProbePlace::Named(addresses.clone())
            }
            (Whereabouts::Named, Source::Fixed(address)) => ProbePlace::Fixed(address.clone()),
        };
        let tls = endpoint.tls.clone().map(|[own, for_http2]| if http2 { for_http2 } else { own });
        Self {
            checker: settings.checker.clone(),
            label: label.to_owned(),
            authority: authority.to_owned(),
            timeout: settings.timeout,
            dialer: ProbeDialer { place, check: endpoint.check.clone(), tls, tcp },
            connection: None,
        }
    }

    /// The host, as logs name it.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Asks. Nobody waits for longer than the check's timeout: then this is dropped.
    pub(super) async fn ask(&mut self) -> Finding {
        match self.try_ask().await {
            Ok(finding) | Err(finding) => finding,
        }
    }

    async fn try_ask(&mut self) -> Result<Finding, Finding> {
        // What is given up in the middle is not used again.
        let connection = self.connection.take();
        let (finding, kept) = match &self.checker {
            HealthChecker::Tcp(check) => {
                let mut transport = match connection {
                    Some(Connection::Tcp(transport)) => transport,
                    _ => self.dialer.connect().await?,
                };
                let finding = tcp::ask(&mut transport, check).await;
                // A check that only connects has to connect.
                let kept = (!check.receive.is_empty()).then_some(Connection::Tcp(transport));
                (finding, kept)
            }
            HealthChecker::Http(check) if !check.http2 => {
                let mut connection = match connection {
                    Some(Connection::Http1(connection)) => connection,
                    _ => Http1::new(self.dialer.connect().await?),
                };
                let head = http1::head(check, &self.authority, self.fields(check))?;
                let answer = connection.exchange(&head).await?;
                let finding = judge(check, answer.status, &answer.fields);
                (finding, answer.keep_alive.then_some(Connection::Http1(connection)))
            }
            HealthChecker::Http(check) => {
                let mut connection = self.http2(connection).await?;
                let request = http2::request(check, &self.authority, self.scheme(), self.fields(check))?;
                let (status, fields) = connection.exchange(request).await?;
                (judge(check, status, &fields), Some(Connection::Http2(connection)))
            }
            HealthChecker::Grpc(check) => {
                let mut connection = self.http2(connection).await?;
                let finding =
                    grpc::ask(&mut connection, check, &self.authority, self.scheme(), self.timeout).await;
                (finding, Some(Connection::Http2(connection)))
            }
        };
        self.connection = kept;
        Ok(finding)
    }

    async fn http2(&self, known: Option<Connection>) -> Result<Http2, Finding> {
        match known {
            Some(Connection::Http2(connection)) if connection.is_open() => Ok(connection),
            _ => Http2::new(self.dialer.connect().await?).await,
        }
    }

    fn scheme(&self) -> &'static str {
        if self.dialer.tls.is_some() { "https" } else { "http" }
    }

    /// What every request carries, and what is configured.
    fn fields(&self, check: &HttpHealthCheck) -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.insert(USER_AGENT, AGENT);
        for name in &check.request_headers_to_remove {
            fields.remove(name);
        }
        for (name, value) in &check.request_headers_to_add {
            fields.append(name, value.clone());
        }
        fields
    }

    /// Closes the connection.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Waits until the host closes the connection, or sends what nobody has asked for.
    pub(super) async fn until_closed(&mut self) {
        match &mut self.connection {
            Some(Connection::Http1(connection)) => connection.until_closed().await,
            Some(Connection::Http2(connection)) => connection.until_closed().await,
            Some(Connection::Tcp(transport)) => tcp::until_closed(transport).await,
            None => pending().await,
        }
    }
}

/// What a status says.
fn judge(check: &HttpHealthCheck, status: StatusCode, fields: &HeaderMap) -> Finding {
    let is_in = |ranges: &[std::ops::Range<u16>]| ranges.iter().any(|range| range.contains(&status.as_u16()));
    if is_in(&check.expected_statuses) {
        Finding::Well { degraded: fields.contains_key(DEGRADED) }
    } else if is_in(&check.retriable_statuses) {
        Finding::Busy(status)
    } else {
        Finding::Unwell(format!("status {}", status.as_u16()))
    }
}

/// Makes connections for checks.
#[derive(Debug)]
struct ProbeDialer {
    place: ProbePlace,
    check: EndpointHealthCheck,
    tls: Option<Tls>,
    tcp: TcpOptions,
}

#[derive(Debug)]
enum ProbePlace {
    Fixed(Address),
    Named(Addresses),
}

impl ProbeDialer {
    async fn connect(&self) -> Result<Transport, Finding> {
        let address = match &self.place {
            ProbePlace::Fixed(address) => address.clone(),
            ProbePlace::Named(addresses) => {
                addresses.first().ok_or_else(|| Finding::Unreachable("the name has no address".to_owned()))?
            }
        };
        Ok(connect_uncounted(elsewhere(&self.check, address), self.tls.clone(), &self.tcp).await?)
    }
}

/// Where the check of an endpoint at this address goes.
fn elsewhere(check: &EndpointHealthCheck, address: Address) -> Address {
    let mut address = check.address.map_or(address, Address::Socket);
    if let (Some(port), Address::Socket(socket)) = (check.port, &mut address) {
        *socket = SocketAddr::new(socket.ip(), port);
    }
    address
}
