//! The logging information of ext_proc filters in its three forms (section 21).

use std::fmt::Write;

use extproc::log::{BodyCallLog, CallLog, DirectionLog, LoggingInfo};
use serde_json::{Map, Value};
use tollgate_model::format::FilterStateForm;

/// The information in the wanted form.
pub(super) fn value(log: &LoggingInfo, form: &FilterStateForm) -> Option<Value> {
    match form {
        FilterStateForm::Plain => Some(Value::String(plain(log))),
        FilterStateForm::Typed => Some(Value::Object(typed(log))),
        FilterStateForm::Field(name) => match typed(log).remove(name)? {
            // G-3: bools print as numbers here.
            Value::Bool(flag) => Some(Value::String(u8::from(flag).to_string())),
            value => Some(Value::String(value.to_string())),
        },
    }
}

/// `rh:1179:0,rb:1:1067:0,bs:295,br:80,os:0` (G-2).
fn plain(log: &LoggingInfo) -> String {
    let mut text = String::new();
    for (direction, letter) in [(&log.request, 'r'), (&log.response, 's')] {
        if let Some(CallLog { latency, status }) = direction.headers {
            // Writing to a string cannot fail, here and below.
            _ = write!(text, "{letter}h:{}:{status},", latency.as_micros());
        }
        if let Some(BodyCallLog { count, total_latency, last_status, .. }) = direction.body {
            _ = write!(text, "{letter}b:{count}:{}:{last_status},", total_latency.as_micros());
        }
        if let Some(CallLog { latency, status }) = direction.trailers {
            _ = write!(text, "{letter}t:{}:{status},", latency.as_micros());
        }
    }
    _ = write!(
        text,
        "bs:{},br:{},os:{}",
        log.bytes_sent, log.bytes_received, log.grpc_status_before_first_call
    );
    text
}

fn typed(log: &LoggingInfo) -> Map<String, Value> {
    let mut fields = Map::new();
    for (direction, name) in [(&log.request, "request"), (&log.response, "response")] {
        add_direction(direction, name, &mut fields);
    }
    fields.insert("bytes_sent".into(), log.bytes_sent.into());
    fields.insert("bytes_received".into(), log.bytes_received.into());
    fields.insert("failed_open".into(), log.failed_open.into());
    fields.insert("received_immediate_response".into(), log.received_immediate_response.into());
    fields.insert("grpc_status_before_first_call".into(), log.grpc_status_before_first_call.into());
    fields
}

fn add_direction(log: &DirectionLog, name: &str, fields: &mut Map<String, Value>) {
    let mut add = |field: &str, value: Value| fields.insert(format!("{name}_{field}"), value);
    let micros = |latency: std::time::Duration| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    if let Some(call) = log.headers {
        add("header_latency_us", micros(call.latency).into());
        add("header_call_status", call.status.into());
    }
    if let Some(body) = log.body {
        add("body_call_count", body.count.into());
        add("body_total_latency_us", micros(body.total_latency).into());
        add("body_max_latency_us", micros(body.max_latency).into());
        add("body_last_call_status", body.last_status.into());
    }
    if let Some(call) = log.trailers {
        add("trailer_latency_us", micros(call.latency).into());
        add("trailer_call_status", call.status.into());
    }
    add("header_processing_effect", log.header_effect.code().into());
    add("body_processing_effect", log.body_effect.code().into());
    add("trailer_processing_effect", log.trailer_effect.code().into());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn log() -> LoggingInfo {
        let call = CallLog { latency: Duration::from_micros(1179), status: 0 };
        let body = BodyCallLog {
            count: 2,
            total_latency: Duration::from_micros(30),
            max_latency: Duration::from_micros(20),
            last_status: 4,
        };
        LoggingInfo {
            request: DirectionLog { headers: Some(call), body: Some(body), ..Default::default() },
            response: DirectionLog { trailers: Some(call), ..Default::default() },
            bytes_sent: 295,
            failed_open: true,
            ..Default::default()
        }
    }

    /// G-2.
    #[test]
    fn plain_form() {
        assert_eq!(plain(&log()), "rh:1179:0,rb:2:30:4,st:1179:0,bs:295,br:0,os:0");
    }

    /// G-3.
    #[test]
    fn fields() {
        let field = |name: &str| value(&log(), &FilterStateForm::Field(name.into()));
        assert_eq!(field("request_body_max_latency_us"), Some("20".into()));
        assert_eq!(field("failed_open"), Some("1".into()));
        assert_eq!(field("response_header_latency_us"), None);
        assert_eq!(field("response_header_processing_effect"), Some("0".into()));
    }
}
