//! Which outcomes of a try are tried again, as Envoy decides it.

use std::{borrow::Cow, sync::Arc};

use extproc::{RequestHeaders, ResponseHeaders};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tollgate_model::{
    header::FieldName,
    matching::{HeaderMatcher, HeaderValueMatch},
    route::{RetryOn, RetryPolicy},
};

use crate::{connection_manager::EnvoyHeaders, upstream::UpstreamFailure};

/// Failures count as 5xx responses, which they become.
const ANY_FAILURE: RetryOn = RetryOn::SERVER_ERROR.or(RetryOn::GATEWAY_ERROR).or(RetryOn::RESET);

/// Whether a try without a response is followed by another one. `head_sent`: the upstream may have seen the request.
pub(crate) fn retries_failure(retry_on: RetryOn, failure: &UpstreamFailure, head_sent: bool) -> bool {
    let also = match failure {
        UpstreamFailure::NoHealthyUpstream | UpstreamFailure::Overflow => return false,
        UpstreamFailure::ConnectionFailure { .. } | UpstreamFailure::ConnectTimeout => {
            RetryOn::CONNECT_FAILURE
        }
        UpstreamFailure::RemoteRefused => RetryOn::REFUSED_STREAM,
        _ => RetryOn::default(),
    };
    retry_on.contains(ANY_FAILURE.or(also))
        || (!head_sent && retry_on.contains(RetryOn::RESET_BEFORE_REQUEST))
}

/// Whether a try that took too long is followed by another one.
pub(crate) fn retries_timeout(retry_on: RetryOn) -> bool {
    retry_on.contains(ANY_FAILURE)
}

/// Whether a response is thrown away in favour of another try.
pub(crate) fn retries_response(
    policy: &RetryPolicy,
    response: &ResponseHeaders,
    names: &EnvoyHeaders,
) -> bool {
    let on = |condition| policy.retry_on.contains(condition);
    if response.fields.contains_key(&names.rate_limited) && !on(RetryOn::ENVOY_RATE_LIMITED) {
        return false;
    }
    let status = response.status;
    (on(RetryOn::SERVER_ERROR) && status.is_server_error())
        || (on(RetryOn::GATEWAY_ERROR) && matches!(status.as_u16(), 502..=504))
        || (on(RetryOn::RETRIABLE_4XX) && status == StatusCode::CONFLICT)
        || (on(RetryOn::RETRIABLE_STATUS_CODES) && policy.retriable_status_codes.contains(&status))
        || (on(RetryOn::RETRIABLE_HEADERS)
            && policy.retriable_headers.iter().any(|matcher| matcher.matches_response(response)))
        || (on(RetryOn::GRPC) && grpc_condition(&response.fields).is_some_and(on))
}

/// What a gRPC status in a response head is called.
fn grpc_condition(fields: &HeaderMap) -> Option<RetryOn> {
    Some(match fields.get("grpc-status")?.as_bytes() {
        b"1" => RetryOn::CANCELLED,
        b"4" => RetryOn::DEADLINE_EXCEEDED,
        b"8" => RetryOn::RESOURCE_EXHAUSTED,
        b"13" => RetryOn::INTERNAL,
        b"14" => RetryOn::UNAVAILABLE,
        _ => return None,
    })
}

/// The policy of a request: the route's and what the request asks for, if it does. `None` = there is nothing to do.
pub(crate) fn policy_of_request(
    route: Option<&Arc<RetryPolicy>>,
    request: &RequestHeaders,
    asked: bool,
    names: &EnvoyHeaders,
) -> Option<Arc<RetryPolicy>> {
    let mut policy = route.map(Cow::Borrowed);
    if asked {
        let mut own = route.map_or_else(RetryPolicy::default, |route| RetryPolicy::clone(route));
        if own.add_request(&request.fields, names) || route.is_some() {
            policy = Some(Cow::Owned(Arc::new(own)));
        }
    }
    let policy = policy?.into_owned();
    let conditions = &policy.retriable_request_headers;
    if conditions.is_empty() || conditions.iter().any(|condition| condition.matches(request)) {
        return Some(policy);
    }
    Some(Arc::new(RetryPolicy { retry_on: RetryOn::default(), ..RetryPolicy::clone(&policy) }))
}

/// What requests may ask for.
trait FromRequest {
    /// Whether there is something to try again.
    fn add_request(&mut self, fields: &HeaderMap, names: &EnvoyHeaders) -> bool;
}

impl FromRequest for RetryPolicy {
    fn add_request(&mut self, fields: &HeaderMap, names: &EnvoyHeaders) -> bool {
        for (header, grpc) in [(&names.retry_on, false), (&names.retry_grpc_on, true)] {
            for name in elements(fields, header) {
                let known = RetryOn::from_name(name).filter(|on| RetryOn::GRPC.contains(*on) == grpc);
                self.retry_on = self.retry_on.or(known.unwrap_or_default());
            }
        }
        if self.retry_on.is_empty() {
            return false;
        }
        if let Some(most) = elements(fields, &names.max_retries).next().and_then(|text| text.parse().ok()) {
            self.num_retries = most;
        }
        let codes = elements(fields, &names.retriable_status_codes);
        self.retriable_status_codes
            .extend(codes.filter_map(|code| StatusCode::from_u16(code.parse().ok()?).ok()));
        let headers = elements(fields, &names.retriable_header_names).filter_map(FieldName::parse);
        self.retriable_headers.extend(headers.map(|name| HeaderMatcher {
            name,
            value: HeaderValueMatch::Present(true),
            invert_match: false,
            treat_missing_header_as_empty: false,
        }));
        true
    }
}

/// The elements of a comma-separated list.
fn elements<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let list = fields.get(name).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default();
    list.split(',').map(str::trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection_manager::testing::{request, response};

    fn names() -> std::rc::Rc<EnvoyHeaders> {
        EnvoyHeaders::of("x-envoy")
    }

    fn on(names: &str) -> RetryPolicy {
        let retry_on = names.split(',').filter_map(RetryOn::from_name).fold(RetryOn::default(), RetryOn::or);
        RetryPolicy { retry_on, ..RetryPolicy::default() }
    }

    /// As Envoy 1.39.3 decides.
    #[test]
    fn responses() {
        let status = |status, fields: &[(&str, &str)]| ResponseHeaders {
            status: StatusCode::from_u16(status).unwrap(),
            ..response(fields)
        };
        for (conditions, response, expected) in [
            ("5xx", status(503, &[]), true),
            ("5xx", status(500, &[]), true),
            ("5xx", status(404, &[]), false),
            ("5xx", status(503, &[("x-envoy-ratelimited", "true")]), false),
            ("5xx,envoy-ratelimited", status(503, &[("x-envoy-ratelimited", "true")]), true),
            ("gateway-error", status(500, &[]), false),
            ("gateway-error", status(504, &[]), true),
            ("retriable-4xx", status(409, &[]), true),
            ("retriable-4xx", status(404, &[]), false),
            ("connect-failure,reset,refused-stream", status(503, &[]), false),
            ("unavailable", status(200, &[("grpc-status", "14")]), true),
            ("unavailable", status(200, &[("grpc-status", "13")]), false),
            ("internal,cancelled", status(200, &[("grpc-status", "1")]), true),
        ] {
            assert_eq!(
                retries_response(&on(conditions), &response, &names()),
                expected,
                "{conditions} {response:?}"
            );
        }
        let mut policy = on("retriable-status-codes,retriable-headers");
        policy.retriable_status_codes = vec![StatusCode::NOT_FOUND];
        policy.add_request(&request("/", &[("x-envoy-retriable-header-names", "x-again")]).fields, &names());
        assert!(retries_response(&policy, &status(404, &[]), &names()));
        assert!(retries_response(&policy, &status(200, &[("x-again", "")]), &names()));
        assert!(!retries_response(&policy, &status(503, &[]), &names()));
    }

    #[test]
    fn failures() {
        let refused = UpstreamFailure::ConnectionFailure { detail: String::new() };
        for (conditions, failure, head_sent, expected) in [
            ("connect-failure", &refused, false, true),
            ("retriable-4xx", &refused, false, false),
            ("5xx", &refused, false, true),
            ("connect-failure", &UpstreamFailure::ConnectionTermination, true, false),
            ("reset", &UpstreamFailure::ConnectionTermination, true, true),
            ("reset-before-request", &UpstreamFailure::ConnectionTermination, true, false),
            ("reset-before-request", &refused, false, true),
            ("gateway-error", &UpstreamFailure::ProtocolError, true, true),
            ("refused-stream", &UpstreamFailure::RemoteRefused, true, true),
            ("refused-stream", &UpstreamFailure::RemoteReset, true, false),
            ("5xx,reset,connect-failure", &UpstreamFailure::Overflow, false, false),
            ("5xx", &UpstreamFailure::NoHealthyUpstream, false, false),
        ] {
            assert_eq!(
                retries_failure(on(conditions).retry_on, failure, head_sent),
                expected,
                "{conditions} {failure}"
            );
        }
    }

    #[test]
    fn what_requests_ask_for() {
        let policy = |route: Option<RetryPolicy>, fields: &[(&str, &str)]| {
            policy_of_request(route.map(Arc::new).as_ref(), &request("/", fields), true, &names())
        };
        assert!(policy(None, &[("x-envoy-max-retries", "3")]).is_none());
        let asked = policy(None, &[("x-envoy-retry-on", "5xx, reset,unavailable,unknown")]).unwrap();
        assert_eq!(asked.retry_on, RetryOn::SERVER_ERROR.or(RetryOn::RESET));
        assert_eq!(asked.num_retries, 1);
        let more = [
            ("x-envoy-retry-grpc-on", "unavailable,5xx"),
            ("x-envoy-max-retries", "4"),
            ("x-envoy-retriable-status-codes", "404,x"),
        ];
        let asked = policy(Some(on("reset")), &more).unwrap();
        assert_eq!(asked.retry_on, RetryOn::RESET.or(RetryOn::UNAVAILABLE));
        assert_eq!(asked.num_retries, 4);
        assert_eq!(asked.retriable_status_codes, [StatusCode::NOT_FOUND]);

        let condition = HeaderMatcher {
            name: FieldName::parse("x-may").unwrap(),
            value: HeaderValueMatch::Present(true),
            invert_match: false,
            treat_missing_header_as_empty: false,
        };
        let limited = RetryPolicy { retriable_request_headers: vec![condition], ..on("5xx") };
        assert!(policy(Some(limited.clone()), &[]).unwrap().retry_on.is_empty());
        assert!(!policy(Some(limited), &[("x-may", "1")]).unwrap().retry_on.is_empty());
    }
}
