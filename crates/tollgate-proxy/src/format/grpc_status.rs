//! The gRPC status of a response.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tollgate_model::{format::GrpcStatusForm, route::is_grpc};

use super::{FormatContext, Value};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Names of the codes 0 to 16.
const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// The status of the response to a gRPC request: of its trailers, of its head, or what its HTTP status stands for.
/// A value that is no number is -1.
pub(super) fn evaluate<'a>(context: &FormatContext<'a>, form: GrpcStatusForm) -> Option<Value<'a>> {
    if !is_grpc(&context.messages.request) {
        return None;
    }
    let messages = context.messages;
    let head = messages.response.as_ref().map(|response| &response.fields);
    let code = messages
        .response_trailers
        .as_ref()
        .and_then(of_fields)
        .or_else(|| head.and_then(of_fields))
        .or_else(|| context.info.response_code.map(of_http_status))?;
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    Some(match (form, name) {
        (GrpcStatusForm::CamelString, Some((name, _))) | (GrpcStatusForm::SnakeString, Some((_, name))) => {
            Value::text(name)
        }
        (GrpcStatusForm::CamelString | GrpcStatusForm::SnakeString, None) => Value::owned(code.to_string()),
        (GrpcStatusForm::Number, _) => match u64::try_from(code) {
            Ok(code) => Value::Number(code),
            Err(_) => Value::Json(code.to_string()),
        },
    })
}

fn of_fields(fields: &HeaderMap) -> Option<i64> {
    let value = fields.get(GRPC_STATUS).filter(|value| !HeaderValue::is_empty(value))?;
    Some(value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).map_or(-1, i64::from))
}

fn of_http_status(status: StatusCode) -> i64 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
