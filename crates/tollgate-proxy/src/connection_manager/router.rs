//! What the router does to requests behind the filter chain; processors do not see it (E-3).

#[cfg(test)]
mod tests;

use std::time::Duration;

use extproc::RequestHeaders;
use http::{HeaderName, HeaderValue};
use tollgate_model::http_connection_manager::HttpConnectionManager;

use super::{
    envoy_headers::EnvoyHeaders,
    fields::{append_to_list, remove_all},
};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Takes the headers that control the router from a request, and tells the upstream how long it has. Gives the timeout
/// in force: `x-envoy-upstream-rq-timeout-ms` (0 = none), else the route's.
pub(crate) fn router_request(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    route_timeout: Option<Duration>,
) -> Option<Duration> {
    let names = EnvoyHeaders::of(&http.header_prefix);
    let fields = &mut request.fields;
    let asked = fields.get(&names.upstream_rq_timeout_ms).and_then(|value| value.to_str().ok()?.parse().ok());
    let timeout = match asked {
        Some(0) => None,
        Some(milliseconds) => Some(Duration::from_millis(milliseconds)),
        None => route_timeout,
    };
    remove_all(fields, &names.router);
    if let Some(timeout) = timeout
        && !http.suppress_envoy_headers
    {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        fields.insert(names.expected_rq_timeout_ms.clone(), HeaderValue::from(milliseconds));
    }
    timeout
}

/// Replaces the authority as a route asks for; the old one is told in headers.
pub(crate) fn replace_host(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    host: HeaderValue,
    append_x_forwarded_host: bool,
) {
    let original = std::mem::replace(&mut request.authority, host);
    let fields = &mut request.fields;
    if append_x_forwarded_host {
        let last = fields
            .get(&X_FORWARDED_HOST)
            .and_then(|list| list.as_bytes().rsplit(|byte| *byte == b',').next());
        if last != Some(original.as_bytes()) {
            append_to_list(fields, &X_FORWARDED_HOST, ",", original.as_bytes());
        }
    }
    if !http.suppress_envoy_headers {
        fields.insert(EnvoyHeaders::of(&http.header_prefix).original_host.clone(), original);
    }
}

/// Replaces the path as a route asks for; the old one is told in a header.
pub(crate) fn replace_path(request: &mut RequestHeaders, http: &HttpConnectionManager, path: HeaderValue) {
    let original = std::mem::replace(&mut request.path, path);
    if !http.suppress_envoy_headers {
        request.fields.insert(EnvoyHeaders::of(&http.header_prefix).original_path.clone(), original);
    }
}
