//! Responses: when they come from the upstream, and on their way to the client.

#[cfg(test)]
mod tests;

use std::time::Duration;

use extproc::{RequestHeaders, ResponseHeaders, mutation::Side};
use http::{
    HeaderName, HeaderValue,
    header::{DATE, SERVER, VIA},
};
use tollgate_model::http_connection_manager::{HttpConnectionManager, ServerHeaderTransformation};

use super::{
    envoy_headers::EnvoyHeaders,
    fields::{append_to_list, join_single_entries},
    hop_by_hop::strip_response,
    upgrade,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the router does to a response when its head arrives, `service_time` after the request was completely through the filters;
/// `None` if it is not yet. Seen by processors (E-3).
pub(crate) fn router_response(
    response: &mut ResponseHeaders,
    http: &HttpConnectionManager,
    service_time: Option<Duration>,
) {
    join_single_entries(&mut response.fields, Side::Response, &http.header_prefix);
    if let Some(service_time) = service_time
        && !http.suppress_envoy_headers
    {
        let names = EnvoyHeaders::of(&http.header_prefix);
        let milliseconds = u64::try_from(service_time.as_millis()).unwrap_or(u64::MAX);
        response.fields.insert(names.upstream_service_time.clone(), HeaderValue::from(milliseconds));
    }
}

/// Makes a response ready for the client; no filter sees that. `date` is the current time.
pub(crate) fn finish_response(
    response: &mut ResponseHeaders,
    request: &RequestHeaders,
    http: &HttpConnectionManager,
    date: HeaderValue,
) {
    let upgrade = upgrade::is_accepted(request, response);
    let fields = &mut response.fields;
    strip_response(fields, upgrade);
    if !fields.contains_key(DATE) {
        fields.insert(DATE, date);
    }
    let replace = match http.server_header_transformation {
        ServerHeaderTransformation::Overwrite => true,
        ServerHeaderTransformation::AppendIfAbsent => !fields.contains_key(SERVER),
        ServerHeaderTransformation::PassThrough => false,
    };
    if replace && let Ok(name) = HeaderValue::from_str(&http.server_name) {
        fields.insert(SERVER, name);
    }
    if http.always_set_request_id_in_response
        && let Some(id) = request.fields.get(&X_REQUEST_ID)
    {
        fields.insert(X_REQUEST_ID, id.clone());
    }
    if !http.via.is_empty() {
        append_to_list(fields, &VIA, ", ", http.via.as_bytes());
    }
}
