//! What a processor's response head and trailers amount to (F-12).

use http::{HeaderMap, StatusCode, header::HeaderName};

use crate::status::GrpcStatus;

/// The code of an answer without any.
const UNKNOWN: i32 = 2;
/// What a `grpc-status` that is no gRPC code counts as.
const INVALID: i32 = -1;
/// The details of every status that came from the processor.
const VIA_UPSTREAM: &str = "via_upstream";
/// Most header fields in a response head or trailers; one with more is refused.
pub(crate) const MAX_FIELDS: usize = 100;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The `grpc-status` of a response head or of trailers, if there is one.
pub(crate) fn grpc_status(fields: &HeaderMap) -> Option<i32> {
    let text = joined(fields, &GRPC_STATUS)?;
    if text.is_empty() {
        return None;
    }
    let text = text.trim_ascii();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse::<u64>() {
        Ok(code) if is_number && code <= 16 => Some(code as i32),
        _ => Some(INVALID),
    }
}

/// The end that a response head without body, or trailers, declare.
pub(crate) fn end(fields: &HeaderMap) -> Result<(), GrpcStatus> {
    match grpc_status(fields) {
        Some(0) => Ok(()),
        code => Err(GrpcStatus {
            code: code.unwrap_or(UNKNOWN),
            message: joined(fields, &GRPC_MESSAGE).unwrap_or_default(),
            details: VIA_UPSTREAM.to_owned(),
        }),
    }
}

/// The status of a stream that ended without trailers.
pub(crate) fn end_without_trailers() -> GrpcStatus {
    local(UNKNOWN)
}

/// A status found by this side on a stream that was being answered.
pub(crate) fn local(code: i32) -> GrpcStatus {
    GrpcStatus { code, message: String::new(), details: VIA_UPSTREAM.to_owned() }
}

/// The status of an answer whose HTTP status is not 200 and that does not bring a gRPC status of its own.
pub(crate) fn http_status(status: StatusCode) -> GrpcStatus {
    local(match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => UNKNOWN,
    })
}

/// All values of a field, separated by commas.
fn joined(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = fields.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut text = values.next()?.into_owned();
    for value in values {
        text.push(',');
        text.push_str(&value);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// F-12, each row as observed on Envoy 1.39.3.
    #[test]
    fn codes_are_read_as_envoy_reads_them() {
        for (text, code) in [
            ("0", Some(0)),
            ("16", Some(16)),
            ("05", Some(5)),
            ("+5", Some(5)),
            ("5 ", Some(5)),
            ("17", Some(-1)),
            ("-1", Some(-1)),
            ("abc", Some(-1)),
            ("++5", Some(-1)),
            ("99999999999999999999999", Some(-1)),
            ("", None),
        ] {
            let mut map = HeaderMap::new();
            map.insert(GRPC_STATUS, http::HeaderValue::from_str(text).unwrap());
            assert_eq!(grpc_status(&map), code, "{text:?}");
        }
        assert_eq!(grpc_status(&HeaderMap::new()), None);
        assert_eq!(grpc_status(&fields(&[("grpc-status", "5"), ("grpc-status", "6")])), Some(-1));
    }

    #[test]
    fn messages_are_kept_as_they_are_on_the_wire() {
        let end = |list| end(&fields(list)).unwrap_err();
        assert_eq!(end(&[("grpc-status", "14"), ("grpc-message", "x%20y")]).message, "x%20y");
        assert_eq!(end(&[("grpc-status", "5"), ("grpc-message", "a"), ("grpc-message", "b")]).message, "a,b");
        let missing = end(&[("grpc-message", "hey")]);
        assert_eq!((missing.code, missing.message.as_str()), (2, "hey"));
        assert_eq!(missing.details, "via_upstream");
    }

    #[test]
    fn http_statuses_have_their_codes() {
        for (status, code) in [
            (302, 2),
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (429, 14),
            (500, 2),
            (502, 14),
            (503, 14),
            (504, 14),
            (204, 2),
        ] {
            assert_eq!(http_status(StatusCode::from_u16(status).unwrap()).code, code, "{status}");
        }
    }
}
