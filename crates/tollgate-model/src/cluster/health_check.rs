//! Active health checks.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde::Serialize;

/// How endpoints are asked whether they are well.
///
/// An endpoint is unhealthy until its first check, which decides alone; later it takes some successes or failures in a
/// row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthCheck {
    /// How long an answer may take; after that the check has failed.
    pub timeout: Duration,
    /// Time between two checks.
    pub interval: Duration,
    /// Failures in a row that make an endpoint unhealthy. (A status of an HTTP check that is neither expected nor
    /// retriable does so at once.)
    pub unhealthy_threshold: u32,
    /// Successes in a row that make an endpoint healthy.
    pub healthy_threshold: u32,
    /// Longest random delay of the first check. Default 0.
    pub initial_jitter: Duration,
    /// Longest random addition to each interval. Default 0.
    pub interval_jitter: Duration,
    /// The same in percent of the interval. Default 0.
    pub interval_jitter_percent: u32,
    /// Time between checks while the cluster has had no request yet. Default 60 s.
    pub no_traffic_interval: Duration,
    /// The same for endpoints that are healthy; `None` = as `no_traffic_interval`.
    pub no_traffic_healthy_interval: Option<Duration>,
    /// Time between checks of unhealthy endpoints; `None` = `interval`.
    pub unhealthy_interval: Option<Duration>,
    /// Time to the next check after the first failure of a healthy endpoint; `None` = `unhealthy_interval`.
    pub unhealthy_edge_interval: Option<Duration>,
    /// Time to the next check after the first success of an unhealthy endpoint; `None` = `interval`.
    pub healthy_edge_interval: Option<Duration>,
    /// Keep the connection for the next check. Default true.
    pub reuse_connection: bool,
    /// What is asked.
    pub checker: HealthChecker,
}

impl HealthCheck {
    /// A check with nothing but defaults beside what every check has to say.
    #[must_use]
    pub fn new(
        checker: HealthChecker,
        timeout: Duration,
        interval: Duration,
        unhealthy_threshold: u32,
        healthy_threshold: u32,
    ) -> Self {
        Self {
            timeout,
            interval,
            unhealthy_threshold,
            healthy_threshold,
            initial_jitter: Duration::ZERO,
            interval_jitter: Duration::ZERO,
            interval_jitter_percent: 0,
            no_traffic_interval: Duration::from_secs(60),
            no_traffic_healthy_interval: None,
            unhealthy_interval: None,
            unhealthy_edge_interval: None,
            healthy_edge_interval: None,
            reuse_connection: true,
            checker,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum HealthChecker {
    /// A request, and its status.
    Http(HttpHealthCheck),
    /// A connection, and perhaps some bytes.
    Tcp(TcpHealthCheck),
    /// The gRPC health checking protocol.
    Grpc(GrpcHealthCheck),
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpHealthCheck {
    /// Authority; empty = the cluster's name.
    pub host: String,
    /// Path.
    pub path: String,
    /// Method. Default GET.
    #[serde(serialize_with = "method")]
    pub method: Method,
    /// Header fields that are added to what every check carries, in order.
    #[serde(serialize_with = "fields")]
    pub request_headers_to_add: Vec<(HeaderName, HeaderValue)>,
    /// Header fields that are left out.
    #[serde(serialize_with = "names")]
    pub request_headers_to_remove: Vec<HeaderName>,
    /// Statuses that are a success. Default 200.
    pub expected_statuses: Vec<Range<u16>>,
    /// Other statuses that count as one failure only, up to the threshold. Default none.
    pub retriable_statuses: Vec<Range<u16>>,
    /// Speak HTTP/2. Default false.
    pub http2: bool,
}

impl HttpHealthCheck {
    /// A `GET` with nothing but defaults.
    #[must_use]
    pub fn new(path: String) -> Self {
        Self {
            host: String::new(),
            path,
            method: Method::GET,
            request_headers_to_add: Vec::new(),
            request_headers_to_remove: Vec::new(),
            expected_statuses: std::iter::once(200..201).collect(),
            retriable_statuses: Vec::new(),
            http2: false,
        }
    }
}

/// A connection. Without anything to send or to receive it is enough that it can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TcpHealthCheck {
    /// Sent once connected.
    pub send: Bytes,
    /// Must appear in this order in what is received.
    pub receive: Vec<Bytes>,
}

/// `grpc.health.v1.Health/Check`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GrpcHealthCheck {
    /// The service that is asked about; empty = the server as a whole.
    pub service_name: String,
    /// Authority; empty = the cluster's name.
    pub authority: String,
    /// Metadata of the call, in order.
    #[serde(serialize_with = "fields")]
    pub initial_metadata: Vec<(HeaderName, HeaderValue)>,
}

fn method<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

fn fields<S: serde::Serializer>(
    fields: &[(HeaderName, HeaderValue)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    serializer.collect_seq(fields.iter().map(|(name, value)| (name.as_str(), text(value))))
}

fn names<S: serde::Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}
