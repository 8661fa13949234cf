//! What the router does to requests behind the filter chain; processors do not see it (E-3).

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use extproc::{RequestHeaders, has_any, remove_fields};
use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_model::{
    http_connection_manager::HttpConnectionManager,
    route::{RetryPolicy, RouteAction, is_grpc},
};

use super::{
    envoy_headers::EnvoyHeaders,
    fields::{append_to_forwarded_for, append_to_list},
    grpc_timeout::{asked_grpc_timeout, tell_grpc_timeout},
};
use crate::retry::policy_of_request;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How long a request may take, and what of it is tried again.
#[derive(Debug)]
pub(crate) struct Limits {
    /// From its end to the end of the response.
    pub(crate) timeout: Option<Duration>,
    /// The same for one try.
    pub(crate) per_try_timeout: Option<Duration>,
    /// `None` = it is tried once, and as long as the timeout says.
    pub(crate) retry_policy: Option<Arc<RetryPolicy>>,
}

/// Marks a request as one of the proxy's own: it comes from inside, and from this machine.
pub(crate) fn tell_internal(fields: &mut HeaderMap, http: &HttpConnectionManager, own_address: &HeaderValue) {
    let names = EnvoyHeaders::of(&http.header_prefix);
    fields.insert(names.internal.clone(), HeaderValue::from_static("true"));
    append_to_forwarded_for(fields, own_address);
}

/// Takes the headers that control the router from a request, and tells the upstream how long it has. Gives the limits
/// in force: `x-envoy-upstream-rq-timeout-ms` (0 = none), else the route's, and so on.
pub(crate) fn router_request(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    route: &RouteAction,
) -> Limits {
    let names = EnvoyHeaders::of(&http.header_prefix);
    let asks = has_any(&request.fields, &names.router);
    let policy = route.retry_policy.as_ref();
    let mut limits = Limits {
        // With a limit of the stream there is none, as in Envoy.
        timeout: match grpc_maximum(route, request) {
            Some(maximum) => grpc_timeout(request, maximum),
            None => route.timeout.filter(|_| route.max_stream_duration.is_none()),
        },
        per_try_timeout: policy.and_then(|policy| policy.per_try_timeout),
        retry_policy: None,
    };
    if asks || policy.is_some() {
        limits.retry_policy = policy_of_request(policy, request, asks, &names);
    }
    if asks {
        let fields = &mut request.fields;
        limits.timeout = asked(fields, &names.upstream_rq_timeout_ms).unwrap_or(limits.timeout);
        limits.per_try_timeout =
            asked(fields, &names.upstream_rq_per_try_timeout_ms).unwrap_or(limits.per_try_timeout);
        if limits.per_try_timeout.is_some() {
            limits.retry_policy.get_or_insert_default();
        }
        remove_fields(fields, &names.router);
    }
    limits.per_try_timeout =
        limits.per_try_timeout.filter(|per_try| limits.timeout.is_none_or(|timeout| *per_try < timeout));
    tell_timeout(request, http, route, (limits.timeout, limits.per_try_timeout), Duration::ZERO);
    limits
}

/// The route's `max_grpc_timeout`, where it is in force for this request.
fn grpc_maximum(route: &RouteAction, request: &RequestHeaders) -> Option<Duration> {
    route.max_grpc_timeout.filter(|_| route.max_stream_duration.is_none() && is_grpc(request))
}

/// What a gRPC request asks for, up to `maximum` (zero: whatever it asks for). `None` = no limit.
fn grpc_timeout(request: &RequestHeaders, maximum: Duration) -> Option<Duration> {
    let limit = |time: Duration| Some(time).filter(|time| !time.is_zero());
    match (asked_grpc_timeout(&request.fields).and_then(limit), limit(maximum)) {
        (Some(asked), Some(maximum)) => Some(asked.min(maximum)),
        (asked, maximum) => asked.or(maximum),
    }
}

/// Milliseconds that a request asks for; 0 = none.
fn asked(fields: &HeaderMap, name: &HeaderName) -> Option<Option<Duration>> {
    let milliseconds: u64 = fields.get(name)?.to_str().ok()?.parse().ok()?;
    Some(Some(Duration::from_millis(milliseconds)).filter(|timeout| !timeout.is_zero()))
}

/// Tells the upstream how long this try may take, when so much of the request's time is over. The limits are those of the request
/// and of a try.
pub(crate) fn tell_timeout(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    route: &RouteAction,
    (timeout, per_try_timeout): (Option<Duration>, Option<Duration>),
    elapsed: Duration,
) {
    let tell_grpc = grpc_maximum(route, request).is_some();
    if http.suppress_envoy_headers && !tell_grpc {
        return;
    }
    let rest = timeout.map(|timeout| timeout.saturating_sub(elapsed).max(Duration::from_millis(1)));
    let Some(expected) = [per_try_timeout, rest].into_iter().flatten().min() else { return };
    if tell_grpc {
        tell_grpc_timeout(&mut request.fields, expected);
    }
    if http.suppress_envoy_headers {
        return;
    }
    let milliseconds = u64::try_from(expected.as_millis()).unwrap_or(u64::MAX);
    let name = EnvoyHeaders::of(&http.header_prefix).expected_rq_timeout_ms.clone();
    request.fields.insert(name, HeaderValue::from(milliseconds));
}

/// Tells the upstream which try of the request it sees.
pub(crate) fn tell_attempt(request: &mut RequestHeaders, http: &HttpConnectionManager, count: u32) {
    let name = EnvoyHeaders::of(&http.header_prefix).attempt_count.clone();
    request.fields.insert(name, HeaderValue::from(count));
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
