//! Operators that count the bytes of a request and its response.

use crate::format::{ByteCount, ByteKind};

/// `DOWNSTREAM_WIRE_BYTES_SENT` and the like.
pub(super) fn read(name: &str) -> Option<ByteCount> {
    let (upstream, rest) = match name.strip_prefix("UPSTREAM_") {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix("DOWNSTREAM_")?),
    };
    let (sent, rest) = match rest.strip_suffix("_SENT") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_suffix("_RECEIVED")?),
    };
    let kind = match rest {
        "WIRE_BYTES" => ByteKind::Wire,
        "HEADER_BYTES" => ByteKind::Headers,
        "DECOMPRESSED_HEADER_BYTES" => ByteKind::DecompressedHeaders,
        _ => return None,
    };
    Some(ByteCount { upstream, sent, kind })
}
