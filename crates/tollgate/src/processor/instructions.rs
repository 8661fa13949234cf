//! Does what the header `instructions` of a request or of a response asks for.
//!
//! The value is a JSON object; names are matched without regard to case, unknown ones are ignored, all are optional:
//!
//! ```json
//! {
//!   "addHeaders": {"x-name": "value"},
//!   "removeHeaders": ["user-agent"],
//!   "setBody": "another body",
//!   "setTrailers": {"x-name": "value"}
//! }
//! ```
//!
//! A value that is not such an object ends the exchange with an error, so that the failure mode decides. Body messages
//! are answered with a piece that echoes them, which is right in the body mode FULL_DUPLEX_STREAMED only. Trailers go
//! on as they are.

use std::collections::BTreeMap;

use extproc_server::{
    Processor, Status, continue_with,
    messages::{
        BodyMutation, CommonResponse, HeaderMap, HeaderMutation, HeaderValue, HeaderValueOption, HttpBody,
        HttpHeaders, ProcessingRequest, ProcessingResponse, StreamedBodyResponse, body_mutation::Mutation,
        common_response, processing_request::Request,
    },
};
use serde_json::Value;

/// The header that is looked for.
const INSTRUCTIONS: &str = "instructions";

/// The processor; it keeps nothing between messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instructions;

/// What a header asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes {
    add_headers: BTreeMap<String, String>,
    remove_headers: Vec<String>,
    set_body: Option<String>,
    set_trailers: BTreeMap<String, String>,
}

impl Processor for Instructions {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let response = match &request.request {
            Some(Request::RequestHeaders(headers) | Request::ResponseHeaders(headers)) => {
                on_headers(headers)?
            }
            Some(Request::RequestBody(body) | Request::ResponseBody(body)) => on_body(body),
            _ => CommonResponse::default(),
        };
        continue_with(&request, response)
    }
}

fn on_headers(headers: &HttpHeaders) -> Result<CommonResponse, Status> {
    let mut fields = headers.headers.iter().flat_map(|map| &map.headers);
    let Some(field) = fields.find(|field| field.key == INSTRUCTIONS) else {
        return Ok(CommonResponse::default());
    };
    let wishes = Wishes::parse(&field.raw_value)
        .map_err(|problem| Status::invalid_argument(format!("header `{INSTRUCTIONS}`: {problem}")))?;
    Ok(wishes.into_response())
}

fn on_body(body: &HttpBody) -> CommonResponse {
    let piece = StreamedBodyResponse {
        body: body.body.clone(),
        end_of_stream: body.end_of_stream,
        ..Default::default()
    };
    CommonResponse { body_mutation: Some(mutation(Mutation::StreamedResponse(piece))), ..Default::default() }
}

impl Wishes {
    fn parse(json: &[u8]) -> Result<Self, String> {
        let members = match serde_json::from_slice(json) {
            Ok(Value::Object(members)) => members,
            Ok(Value::Null) => return Ok(Self::default()),
            Ok(_) => return Err("not a JSON object".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let mut wishes = Self::default();
        for (name, value) in members {
            match (name.to_ascii_lowercase().as_str(), value) {
                (_, Value::Null) => {}
                ("addheaders", value) => wishes.add_headers.extend(pairs(&name, value)?),
                ("removeheaders", value) => wishes.remove_headers = list(&name, value)?,
                ("setbody", value) => wishes.set_body = Some(string(&name, value)?),
                ("settrailers", value) => wishes.set_trailers.extend(pairs(&name, value)?),
                _ => {}
            }
        }
        Ok(wishes)
    }

    fn into_response(self) -> CommonResponse {
        let mut mutation_of_headers = HeaderMutation {
            set_headers: self.add_headers.into_iter().map(|(key, value)| set(key, value)).collect(),
            remove_headers: self.remove_headers,
        };
        let mut response = CommonResponse::default();
        if let Some(body) = self.set_body {
            // A body in a reply to headers counts only with this status (R-8); the length is the gateway's (B-7.5).
            response.status = common_response::CONTINUE_AND_REPLACE;
            response.body_mutation = Some(mutation(Mutation::Body(body.into())));
            mutation_of_headers.set_headers.push(set("content-type".into(), "text/plain".into()));
        }
        if mutation_of_headers != HeaderMutation::default() {
            response.header_mutation = Some(mutation_of_headers);
        }
        if !self.set_trailers.is_empty() {
            let headers = self.set_trailers.into_iter().map(|(key, value)| header(key, value)).collect();
            response.trailers = Some(HeaderMap { headers });
        }
        response
    }
}

fn pairs(name: &str, value: Value) -> Result<BTreeMap<String, String>, String> {
    let Value::Object(members) = value else { return Err(format!("`{name}` is not an object")) };
    members
        .into_iter()
        .map(|(key, value)| {
            let value = string(&format!("{name}.{key}"), value)?;
            Ok((key, value))
        })
        .collect()
}

fn list(name: &str, value: Value) -> Result<Vec<String>, String> {
    let Value::Array(elements) = value else { return Err(format!("`{name}` is not a list")) };
    elements.into_iter().map(|element| string(name, element)).collect()
}

fn string(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("`{name}` is not a string")),
    }
}

/// Without `append`: replaces the header.
fn set(key: String, value: String) -> HeaderValueOption {
    HeaderValueOption { header: Some(header(key, value)), ..Default::default() }
}

fn header(key: String, value: String) -> HeaderValue {
    HeaderValue { key, raw_value: value.into(), ..Default::default() }
}

fn mutation(mutation: Mutation) -> BodyMutation {
    BodyMutation { mutation: Some(mutation) }
}

#[cfg(test)]
mod tests;
