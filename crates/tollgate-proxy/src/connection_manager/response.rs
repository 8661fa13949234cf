//! Responses: when they come from the upstream, and on their way to the client.

use std::time::Duration;

use extproc::{RequestHeaders, ResponseHeaders};
use http::{
    HeaderName, HeaderValue,
    header::{DATE, SERVER},
};
use tollgate_model::http_connection_manager::{HttpConnectionManager, ServerHeaderTransformation};

use super::{hop_by_hop::strip_response, request::append_via, upgrade::is_upgrade_response};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_ENVOY_UPSTREAM_SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// What the router adds to a response when its head arrives, `service_time` after the request was sent.
pub(crate) fn router_response(
    response: &mut ResponseHeaders,
    http: &HttpConnectionManager,
    service_time: Duration,
) {
    if !http.suppress_envoy_headers && !is_upgrade_response(response) {
        let milliseconds = u64::try_from(service_time.as_millis()).unwrap_or(u64::MAX);
        response.fields.insert(X_ENVOY_UPSTREAM_SERVICE_TIME, HeaderValue::from(milliseconds));
    }
}

/// Makes a response ready for the client. `date` is the current time.
pub(crate) fn finish_response(
    response: &mut ResponseHeaders,
    request: &RequestHeaders,
    http: &HttpConnectionManager,
    date: HeaderValue,
) {
    let upgrade = is_upgrade_response(response);
    let fields = &mut response.fields;
    strip_response(fields, upgrade);
    if !fields.contains_key(DATE) {
        fields.insert(DATE, date);
    }
    let name =
        || HeaderValue::from_str(&http.server_name).unwrap_or_else(|_| HeaderValue::from_static("envoy"));
    match http.server_header_transformation {
        ServerHeaderTransformation::Overwrite => {
            fields.insert(SERVER, name());
        }
        ServerHeaderTransformation::AppendIfAbsent if !fields.contains_key(SERVER) => {
            fields.insert(SERVER, name());
        }
        ServerHeaderTransformation::AppendIfAbsent | ServerHeaderTransformation::PassThrough => {}
    }
    if http.always_set_request_id_in_response
        && let Some(id) = request.fields.get(&X_REQUEST_ID)
    {
        fields.insert(X_REQUEST_ID, id.clone());
    }
    if !http.via.is_empty() {
        append_via(fields, &http.via);
    }
}
