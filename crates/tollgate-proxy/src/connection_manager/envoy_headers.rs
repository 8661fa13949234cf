//! Names of the proxy's own headers. They begin with `x-envoy` unless the bootstrap says otherwise (`header_prefix`).

use std::{cell::RefCell, rc::Rc};

use http::HeaderName;

/// The proxy's own headers.
#[derive(Debug)]
pub(crate) struct EnvoyHeaders {
    prefix: String,
    /// `-external-address`: the client at the edge.
    pub(crate) external_address: HeaderName,
    /// `-original-path`: before it was rewritten.
    pub(crate) original_path: HeaderName,
    /// `-original-host`: before it was rewritten.
    pub(crate) original_host: HeaderName,
    /// `-expected-rq-timeout-ms`: for the upstream.
    pub(crate) expected_rq_timeout_ms: HeaderName,
    /// `-upstream-rq-timeout-ms`: replaces the route's timeout.
    pub(crate) upstream_rq_timeout_ms: HeaderName,
    /// `-upstream-rq-per-try-timeout-ms`: replaces the retry policy's timeout of one try.
    pub(crate) upstream_rq_per_try_timeout_ms: HeaderName,
    /// `-attempt-count`: which try the upstream sees, or how many there were.
    pub(crate) attempt_count: HeaderName,
    /// `x-envoy-internal`.
    pub(crate) internal: HeaderName,
    /// `-retry-on`: adds to the conditions of retries.
    pub(crate) retry_on: HeaderName,
    /// `-retry-grpc-on`: the same for gRPC statuses.
    pub(crate) retry_grpc_on: HeaderName,
    /// `-max-retries`: replaces the number of retries.
    pub(crate) max_retries: HeaderName,
    /// `-retriable-status-codes`: adds to the statuses that are tried again.
    pub(crate) retriable_status_codes: HeaderName,
    /// `-retriable-header-names`: adds to the response headers that are tried again.
    pub(crate) retriable_header_names: HeaderName,
    /// `-ratelimited`: the response tells that the upstream is limited.
    pub(crate) rate_limited: HeaderName,
    /// `-upstream-service-time`: of the response.
    pub(crate) upstream_service_time: HeaderName,
    /// Removed from what clients send: only trusted clients may control the proxy, and nobody is trusted by default.
    pub(super) control: Box<[HeaderName]>,
    /// Removed from what clients send at the edge, beyond [`control`](Self::control).
    pub(super) edge: Box<[HeaderName]>,
    /// Read by the router and not passed on; processors that may change the proxy's headers can set them.
    pub(super) router: Box<[HeaderName]>,
}

/// Control headers that the router removes too.
const ROUTER: [&str; 11] = [
    "hedge-on-per-try-timeout",
    "max-retries",
    "retriable-header-names",
    "retriable-status-codes",
    "retry-grpc-on",
    "retry-on",
    "upstream-alt-stat-name",
    "upstream-rq-per-try-timeout-ms",
    "upstream-rq-timeout-alt-response",
    "upstream-rq-timeout-ms",
    "expected-rq-timeout-ms",
];

impl EnvoyHeaders {
    /// The headers with this prefix; the last prefix is remembered.
    pub(crate) fn of(prefix: &str) -> Rc<Self> {
        thread_local! {
            static LAST: RefCell<Option<Rc<EnvoyHeaders>>> = const { RefCell::new(None) };
        }
        LAST.with_borrow_mut(|last| match last {
            Some(known) if known.prefix == prefix => known.clone(),
            _ => last.insert(Rc::new(Self::new(prefix))).clone(),
        })
    }

    fn new(prefix: &str) -> Self {
        // A prefix that makes no header name was refused with the configuration.
        let name = |name: &str| {
            let whole = format!("{prefix}-{name}");
            HeaderName::try_from(whole).unwrap_or_else(|_| HeaderName::from_static("x-envoy-invalid"))
        };
        let names = |lists: &[&[&str]]| lists.iter().copied().flatten().map(|own| name(own)).collect();
        Self {
            prefix: prefix.to_owned(),
            external_address: name("external-address"),
            original_path: name("original-path"),
            original_host: name("original-host"),
            expected_rq_timeout_ms: name("expected-rq-timeout-ms"),
            upstream_rq_timeout_ms: name("upstream-rq-timeout-ms"),
            upstream_rq_per_try_timeout_ms: name("upstream-rq-per-try-timeout-ms"),
            attempt_count: name("attempt-count"),
            internal: name("internal"),
            retry_on: name("retry-on"),
            retry_grpc_on: name("retry-grpc-on"),
            max_retries: name("max-retries"),
            retriable_status_codes: name("retriable-status-codes"),
            retriable_header_names: name("retriable-header-names"),
            rate_limited: name("ratelimited"),
            upstream_service_time: name("upstream-service-time"),
            control: names(&[&ROUTER, &["force-trace", "internal", "ip-tags"]]),
            edge: names(&[&[
                "decorator-operation",
                "downstream-service-cluster",
                "downstream-service-node",
                "original-host",
                "original-path",
                "original-url",
                "upstream-stream-duration-ms",
            ]]),
            router: names(&[&ROUTER, &["upstream-stream-duration-ms"]]),
        }
    }
}
