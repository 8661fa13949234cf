//! The gRPC status a response stands for.

use http::{HeaderMap, StatusCode};

use crate::http_message::ResponseHeaders;

/// The gRPC status of a response: `grpc-status` of the trailers, else of the headers, else what the HTTP status stands
/// for (I-6).
pub(super) fn grpc_status(response: &ResponseHeaders, trailers: Option<&HeaderMap>) -> i64 {
    let declared = |fields: &HeaderMap| fields.get("grpc-status")?.to_str().ok()?.parse::<u8>().ok();
    let declared = trailers.and_then(declared).or_else(|| declared(&response.fields));
    declared.map_or_else(|| of_http(response.status), i64::from)
}

fn of_http(status: StatusCode) -> i64 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
