//! The logging object of an ext_proc filter in its three forms (G-2, G-3).

use std::fmt::Write;

use extproc::log::{BodyCallLog, CallLog, DirectionLog, LoggingInfo};
use tollgate_model::format::FilterStateForm;

use super::Value;

/// A form of the object. `None` for a field it does not have.
pub(super) fn evaluate(info: &LoggingInfo, form: &FilterStateForm) -> Option<Value<'static>> {
    match form {
        FilterStateForm::Plain => Some(Value::owned(plain(info))),
        FilterStateForm::Typed => Some(Value::Json(typed(info))),
        FilterStateForm::Field(name) => {
            let field = fields(info).into_iter().find(|(field, _)| field == name)?.1;
            Some(Value::owned(match field {
                Field::Number(number) => number.to_string(),
                Field::Flag(flag) => u8::from(flag).to_string(),
            }))
        }
    }
}

/// `rh:1179:0,rb:1:1067:0,…,bs:295,br:80,os:0`: what did not happen is left out.
fn plain(info: &LoggingInfo) -> String {
    let mut text = String::new();
    for (letter, direction) in [('r', &info.request), ('s', &info.response)] {
        // Writing to a string cannot fail.
        if let Some(call) = direction.headers {
            let _ = write!(text, "{letter}h:{}:{},", call.latency.as_micros(), call.status);
        }
        if let Some(body) = direction.body {
            let micros = body.total_latency.as_micros();
            let _ = write!(text, "{letter}b:{}:{micros}:{},", body.count, body.last_status);
        }
        if let Some(call) = direction.trailers {
            let _ = write!(text, "{letter}t:{}:{},", call.latency.as_micros(), call.status);
        }
    }
    let LoggingInfo { bytes_sent, bytes_received, grpc_status_before_first_call: status, .. } = info;
    let _ = write!(text, "bs:{bytes_sent},br:{bytes_received},os:{status}");
    text
}

/// An object, members sorted by name.
fn typed(info: &LoggingInfo) -> String {
    let mut fields = fields(info);
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    let members: Vec<_> = fields
        .into_iter()
        .map(|(name, field)| match field {
            Field::Number(number) => format!("\"{name}\":{number}"),
            Field::Flag(flag) => format!("\"{name}\":{flag}"),
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

enum Field {
    Number(i128),
    Flag(bool),
}

fn fields(info: &LoggingInfo) -> Vec<(String, Field)> {
    let mut fields = vec![
        ("bytes_sent".to_owned(), Field::Number(info.bytes_sent.into())),
        ("bytes_received".to_owned(), Field::Number(info.bytes_received.into())),
        ("failed_open".to_owned(), Field::Flag(info.failed_open)),
        ("received_immediate_response".to_owned(), Field::Flag(info.received_immediate_response)),
        (
            "grpc_status_before_first_call".to_owned(),
            Field::Number(info.grpc_status_before_first_call.into()),
        ),
    ];
    push_direction("request", &info.request, &mut fields);
    push_direction("response", &info.response, &mut fields);
    fields
}

fn push_direction(side: &str, log: &DirectionLog, fields: &mut Vec<(String, Field)>) {
    let mut push = |name: &str, number: i128| fields.push((format!("{side}_{name}"), Field::Number(number)));
    let micros = |latency: std::time::Duration| i128::try_from(latency.as_micros()).unwrap_or(i128::MAX);
    push("header_processing_effect", log.header_effect.code().into());
    push("body_processing_effect", log.body_effect.code().into());
    push("trailer_processing_effect", log.trailer_effect.code().into());
    for (step, call) in [("header", log.headers), ("trailer", log.trailers)] {
        if let Some(CallLog { latency, status }) = call {
            push(&format!("{step}_latency_us"), micros(latency));
            push(&format!("{step}_call_status"), status.into());
        }
    }
    if let Some(BodyCallLog { count, total_latency, max_latency, last_status }) = log.body {
        push("body_call_count", count.into());
        push("body_total_latency_us", micros(total_latency));
        push("body_max_latency_us", micros(max_latency));
        push("body_last_call_status", last_status.into());
    }
}
