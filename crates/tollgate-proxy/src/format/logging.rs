//! The logging object of an ext_proc filter in its three forms (G-2, G-3).

use std::fmt::Write;

use extproc::log::{BodyCallLog, CallLog, DirectionLog};
use tollgate_model::format::FilterStateForm;

use super::{FilterLog, Value};

/// A form of the object. `None` for a field it does not have.
pub(super) fn evaluate(log: &FilterLog<'_>, form: &FilterStateForm) -> Option<Value<'static>> {
    match form {
        FilterStateForm::Plain => Some(Value::owned(plain(log))),
        FilterStateForm::Typed => Some(Value::Json(typed(log))),
        FilterStateForm::Field(name) => {
            let field = fields(log).into_iter().find(|(field, _)| field == name)?.1;
            Some(Value::owned(match field {
                Field::Number(number) => number.to_string(),
                Field::Flag(flag) => u8::from(flag).to_string(),
                Field::Text(text) => text.to_owned(),
            }))
        }
    }
}

/// `rh:1179:0,rb:1:1067:0,…,bs:295,br:80,os:0,ds:processor`: what did not happen is left out.
fn plain(log: &FilterLog<'_>) -> String {
    let FilterLog { info, destination, .. } = log;
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
    let (sent, received) = (info.bytes_sent, info.bytes_received);
    let status = info.grpc_status_before_first_call;
    let _ = write!(text, "bs:{sent},br:{received},os:{status},ds:{destination}");
    text
}

/// An object, members sorted by name.
fn typed(log: &FilterLog<'_>) -> String {
    let mut fields = fields(log);
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    let members: Vec<_> = fields
        .into_iter()
        .map(|(name, field)| match field {
            Field::Number(number) => format!("\"{name}\":{number}"),
            Field::Flag(flag) => format!("\"{name}\":{flag}"),
            Field::Text(text) => format!("\"{name}\":{}", serde_json::Value::from(text)),
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

enum Field<'a> {
    Number(i128),
    Flag(bool),
    Text(&'a str),
}

fn fields<'a>(log: &FilterLog<'a>) -> Vec<(String, Field<'a>)> {
    let FilterLog { info, destination, .. } = *log;
    let mut fields = vec![
        ("bytes_sent".to_owned(), Field::Number(info.bytes_sent.into())),
        ("bytes_received".to_owned(), Field::Number(info.bytes_received.into())),
        ("destination".to_owned(), Field::Text(destination)),
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

fn push_direction(side: &str, log: &DirectionLog, fields: &mut Vec<(String, Field<'_>)>) {
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
