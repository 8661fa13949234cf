//! `grpc-timeout`: how long a gRPC request may take.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_model::route::{read_grpc_timeout, write_grpc_timeout};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What a request asks for.
pub(crate) fn asked_grpc_timeout(fields: &HeaderMap) -> Option<Duration> {
    read_grpc_timeout(fields.get(GRPC_TIMEOUT)?.as_bytes())
}

/// Tells the upstream how long it has.
pub(crate) fn tell_grpc_timeout(fields: &mut HeaderMap, limit: Duration) {
    if let Ok(told) = HeaderValue::from_str(&write_grpc_timeout(limit)) {
        fields.insert(GRPC_TIMEOUT, told);
    }
}
