//! Headers that Envoy keeps as a single entry: further values are joined to it with a comma (M-6).

use super::target::Side;

/// Whether Envoy keeps the header with the lower-case `name` as one comma-joined entry on this side of an exchange.
/// `header_prefix` is the prefix of the proxy's own headers, normally `x-envoy`.
#[must_use]
pub fn is_single_entry(side: Side, name: &str, header_prefix: &str) -> bool {
    let own = name.strip_prefix(header_prefix).filter(|_| !header_prefix.is_empty());
    match (side, own) {
        (Side::Request, Some(own)) => is_own_request_header(own),
        (Side::Response, Some(own)) => is_own_response_header(own),
        (Side::Request, None) => is_request_header(name),
        (Side::Response, None) => is_response_header(name),
        (Side::Trailers, _) => matches!(name, "grpc-message" | "grpc-status"),
    }
}

fn is_request_header(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-encoding"
            | "access-control-request-headers"
            | "access-control-request-method"
            | "access-control-request-private-network"
            | "authorization"
            | "cache-control"
            | "cdn-loop"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-type"
            | "expect"
            | "grpc-accept-encoding"
            | "grpc-timeout"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "keep-alive"
            | "origin"
            | "pragma"
            | "proxy-connection"
            | "proxy-status"
            | "referer"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "user-agent"
            | "via"
            | "x-client-trace-id"
            | "x-forwarded-client-cert"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-request-id"
    )
}

fn is_response_header(name: &str) -> bool {
    matches!(
        name,
        "access-control-allow-credentials"
            | "access-control-allow-headers"
            | "access-control-allow-methods"
            | "access-control-allow-origin"
            | "access-control-allow-private-network"
            | "access-control-expose-headers"
            | "access-control-max-age"
            | "age"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-type"
            | "date"
            | "etag"
            | "expires"
            | "grpc-message"
            | "grpc-status"
            | "keep-alive"
            | "last-modified"
            | "location"
            | "proxy-connection"
            | "proxy-status"
            | "server"
            | "transfer-encoding"
            | "upgrade"
            | "vary"
            | "via"
            | "x-request-id"
    )
}

fn is_own_request_header(name_behind_prefix: &str) -> bool {
    matches!(
        name_behind_prefix,
        "-attempt-count"
            | "-decorator-operation"
            | "-downstream-service-cluster"
            | "-downstream-service-node"
            | "-expected-rq-timeout-ms"
            | "-external-address"
            | "-force-trace"
            | "-hedge-on-per-try-timeout"
            | "-internal"
            | "-ip-tags"
            | "-is-timeout-retry"
            | "-max-retries"
            | "-original-host"
            | "-original-path"
            | "-original-url"
            | "-retriable-header-names"
            | "-retriable-status-codes"
            | "-retry-grpc-on"
            | "-retry-on"
            | "-upstream-alt-stat-name"
            | "-upstream-rq-per-try-timeout-ms"
            | "-upstream-rq-timeout-alt-response"
            | "-upstream-rq-timeout-ms"
            | "-upstream-stream-duration-ms"
    )
}

fn is_own_response_header(name_behind_prefix: &str) -> bool {
    matches!(
        name_behind_prefix,
        "-attempt-count"
            | "-decorator-operation"
            | "-degraded"
            | "-immediate-health-check-fail"
            | "-ratelimited"
            | "-upstream-canary"
            | "-upstream-healthchecked-cluster"
            | "-upstream-service-time"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M-6.
    #[test]
    fn each_side_has_its_own() {
        assert!(is_single_entry(Side::Request, "user-agent", "x-envoy"));
        assert!(!is_single_entry(Side::Response, "user-agent", "x-envoy"));
        assert!(is_single_entry(Side::Response, "vary", "x-envoy"));
        assert!(!is_single_entry(Side::Request, "cookie", "x-envoy"));
        assert!(!is_single_entry(Side::Response, "set-cookie", "x-envoy"));
        assert!(is_single_entry(Side::Request, "x-envoy-original-path", "x-envoy"));
        assert!(is_single_entry(Side::Request, "x-other-original-path", "x-other"));
        assert!(!is_single_entry(Side::Request, "x-envoy-original-path", "x-other"));
        assert!(is_single_entry(Side::Trailers, "grpc-status", "x-envoy"));
    }
}
