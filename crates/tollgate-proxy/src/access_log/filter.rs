//! Which requests a log is about.

use tollgate_model::{
    access_log::LogFilter,
    format::{GrpcStatusForm, Operator},
};

use crate::{
    format::{FormatContext, evaluate_number},
    stream_info::ResponseFlags,
};

/// Whether a request that is over is logged.
pub(super) fn admits(filter: &LogFilter, context: &FormatContext<'_>) -> bool {
    let info = context.info;
    match filter {
        LogFilter::StatusCode(comparison) => {
            comparison.holds(info.response_code.map_or(0, |code| code.as_u16().into()))
        }
        LogFilter::Duration(comparison) => {
            evaluate_number(&Operator::Duration, context).is_some_and(|took| comparison.holds(took))
        }
        LogFilter::Share(fraction) => fraction.includes(fastrand::u64(..)),
        LogFilter::And(filters) => filters.iter().all(|filter| admits(filter, context)),
        LogFilter::Or(filters) => filters.iter().any(|filter| admits(filter, context)),
        LogFilter::Header(matcher) => matcher.matches(&context.messages.request),
        LogFilter::ResponseFlags(names) if names.is_empty() => {
            info.response_flags != ResponseFlags::default()
        }
        LogFilter::ResponseFlags(names) => {
            names.iter().any(|name| info.response_flags.contains(ResponseFlags::from_short_name(name)))
        }
        LogFilter::GrpcStatus { statuses, exclude } => {
            let operator = Operator::GrpcStatus(GrpcStatusForm::Number);
            let status = evaluate_number(&operator, context).and_then(|status| u32::try_from(status).ok());
            let status =
                status.unwrap_or_else(|| grpc_status_of(info.response_code.map_or(0, |code| code.as_u16())));
            statuses.contains(&status) != *exclude
        }
        LogFilter::Always(admits) => *admits,
    }
}

/// A response without a gRPC status has that of its HTTP status, as in Envoy.
fn grpc_status_of(status: u16) -> u32 {
    match status {
        200 => 0,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
