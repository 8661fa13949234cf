//! Reason phrases.

use http::StatusCode;

/// The phrase Envoy writes for a status: `Unknown` for those it does not know.
pub(crate) fn reason_phrase(status: StatusCode) -> &'static str {
    match status.as_u16() {
        102 | 103 | 418 | 451 => "Unknown",
        599 => "Last Unassigned Server Error Code",
        _ => status.canonical_reason().unwrap_or("Unknown"),
    }
}
