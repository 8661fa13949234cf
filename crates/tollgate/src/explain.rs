//! What happens to a request, according to the code that serves it: the choice of the filter chain, what is done to a request on
//! arrival, the routes and the settings in the snapshot are those of the data plane.

mod access;
mod action;
mod cluster;
mod failure;
mod headers;
mod problems;
mod processor;
mod question;
mod routing;
mod settings;
mod steps;
mod text;
mod words;

use serde_json::{Value, json};
use tollgate_config::{Diagnostic, Explanations, ObjectReport, Origin, Place};
use tollgate_model::{Snapshot, http_connection_manager::CodecType};
use tollgate_proxy::{Refusal, try_request};

use self::{access::access, routing::Routing};
pub(crate) use self::{question::Question, text::text};
use crate::cli::Reading;

/// The answer, for machines; [`text()`] makes it one for people. `route` is `null` when no route applies.
pub(crate) fn explain(
    snapshot: &Snapshot,
    explanations: &Explanations,
    question: &Question,
    reading: &Reading,
) -> Value {
    let shifted = (reading.shift_privileged_ports && question.port < 1024).then(|| question.port + 10_000);
    let ports: Vec<u16> = shifted.into_iter().chain([question.port]).collect();
    let mut answer = json!({ "request": question.describe(), "port": ports[0] });
    let access = match access(&mut answer, snapshot, explanations, question, &ports) {
        Ok(access) => access,
        Err(reason) => {
            answer["why_not"] = json!([reason]);
            return answer;
        }
    };
    let mut request = question.head.clone();
    let arrival = try_request(&mut request, access.chain, &access.facts);
    if request.authority != question.head.authority || request.path != question.head.path {
        let seen = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        answer["becomes"] = json!({ "host": seen(&request.authority), "path": seen(&request.path) });
    }
    let codec = access.chain.http.codec_type;
    let http2 = codec == CodecType::Http2 || question.tls && codec == CodecType::Auto;
    let routing = Routing { snapshot, explanations, access: &access, request: &request, http2 };
    match (&arrival.refused, &arrival.route) {
        (Some(refusal), _) => refuse(&mut answer, refusal),
        (None, Some(found)) => routing.found(&mut answer, found),
        (None, None) => routing.not_found(&mut answer),
    }
    answer
}

/// Adds the problems of the configuration that concern what the answer names.
pub(crate) fn add_problems(answer: &mut Value, diagnostics: &[Diagnostic], objects: &[ObjectReport]) {
    let problems = problems::concerning(answer, diagnostics, objects);
    if !problems.is_empty() {
        answer["problems"] = problems.into();
    }
}

/// The connection manager answers itself.
fn refuse(answer: &mut Value, refusal: &Refusal) {
    let why = match refusal.details.as_str() {
        "misdirected_request" => "the host belongs to another listener than the name of the TLS handshake",
        "upgrade_failed" => "the upgrade is not allowed here",
        "absolute_path_rejected" => "the path does not begin with a slash",
        "path_normalization_failed" if refusal.location.is_some() => "the path is not in its normal form",
        "path_normalization_failed" => "the path has no normal form, or has what is not allowed in it",
        "query_missing_content_type" => "a QUERY needs a content-type",
        "http1.unexpected_underscore" => "the name of a header has an underscore",
        "http1.connection_header_rejected" | "missing_host_header" => {
            "its connection header names what it must not"
        }
        other => other,
    };
    answer["why_not"] = json!([format!("the request is refused: {why}")]);
    answer["status"] = json!(refusal.status.as_u16());
    answer["details"] = json!(refusal.details);
    if let Some(location) = &refusal.location {
        answer["location"] = json!(String::from_utf8_lossy(location.as_bytes()));
    }
}

fn origin(origin: &Origin) -> Value {
    json!({ "name": origin.name, "place": place(&origin.place) })
}

fn place(place: &Place) -> Value {
    json!(place.to_string())
}
