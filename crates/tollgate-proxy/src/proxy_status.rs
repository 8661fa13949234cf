//! The field `proxy-status` (RFC 9209): why the gateway answers itself.

use extproc::ResponseHeaders;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tollgate_model::http_connection_manager::ProxyStatus;

use crate::{response_flags::ResponseFlags, stream_info::StreamInfo};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What went wrong, in the words of RFC 9209.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProxyError {
    name: &'static str,
    /// The status that is recommended for it.
    status: Option<u16>,
}

const DESTINATION_UNAVAILABLE: ProxyError = ProxyError { name: "destination_unavailable", status: Some(503) };
const HTTP_RESPONSE_TIMEOUT: ProxyError = ProxyError { name: "http_response_timeout", status: Some(504) };
const CONNECTION_TIMEOUT: ProxyError = ProxyError { name: "connection_timeout", status: Some(504) };
const CONNECTION_TERMINATED: ProxyError = ProxyError { name: "connection_terminated", status: Some(502) };
const CONNECTION_REFUSED: ProxyError = ProxyError { name: "connection_refused", status: Some(502) };
const CONNECTION_LIMIT_REACHED: ProxyError =
    ProxyError { name: "connection_limit_reached", status: Some(503) };
const DESTINATION_NOT_FOUND: ProxyError = ProxyError { name: "destination_not_found", status: Some(500) };
const HTTP_REQUEST_ERROR: ProxyError = ProxyError { name: "http_request_error", status: None };
const HTTP_PROTOCOL_ERROR: ProxyError = ProxyError { name: "http_protocol_error", status: Some(502) };

/// What each response flag stands for. Of several the first one counts, as in Envoy.
const ERRORS: [(&str, ProxyError); 14] = [
    ("LH", DESTINATION_UNAVAILABLE),
    ("UH", DESTINATION_UNAVAILABLE),
    ("UT", HTTP_RESPONSE_TIMEOUT),
    ("LR", CONNECTION_TIMEOUT),
    ("UR", CONNECTION_TERMINATED),
    ("UF", CONNECTION_REFUSED),
    ("UC", CONNECTION_TERMINATED),
    ("UO", CONNECTION_LIMIT_REACHED),
    ("NR", DESTINATION_NOT_FOUND),
    ("RL", CONNECTION_LIMIT_REACHED),
    ("URX", DESTINATION_UNAVAILABLE),
    ("SI", HTTP_RESPONSE_TIMEOUT),
    ("DPE", HTTP_REQUEST_ERROR),
    ("UPE", HTTP_PROTOCOL_ERROR),
];

impl ProxyError {
    fn of(flags: ResponseFlags) -> Option<Self> {
        let has = |name: &&str| flags.contains(ResponseFlags::from_short_name(name));
        let found = ERRORS.iter().find(|(name, _)| has(name)).map(|(_, error)| *error);
        found.or_else(|| flags.contains(ResponseFlags::NO_CLUSTER_FOUND).then_some(DESTINATION_UNAVAILABLE))
    }
}

/// Tells in a response why it is the gateway's own. `name` is what the gateway is called.
pub(crate) fn tell(settings: &ProxyStatus, name: &str, info: &StreamInfo, response: &mut ResponseHeaders) {
    let Some(error) = ProxyError::of(info.response_flags) else { return };
    let mut text = format!("{name}; error={}", error.name);
    if !settings.remove_details
        && let Some(details) = &info.response_code_details
    {
        text.push_str("; details=\"");
        text.push_str(details);
        if !settings.remove_response_flags {
            text.push_str("; ");
            text.push_str(&info.response_flags.short_names());
        }
        text.push('"');
    }
    append(&mut response.fields, text);
    if settings.set_recommended_response_code
        && let Some(status) = error.status.and_then(|status| StatusCode::from_u16(status).ok())
    {
        response.status = status;
    }
}

/// Behind what proxies in front of the upstream say.
fn append(fields: &mut HeaderMap, text: String) {
    let value = match fields.get(&PROXY_STATUS) {
        Some(before) => [before.as_bytes(), b", ", text.as_bytes()].concat(),
        None => text.into_bytes(),
    };
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        fields.insert(PROXY_STATUS, value);
    }
}
