//! Does what the header `instructions` of a request or of a response asks for.
//!
//! The value is a JSON object; names are matched without regard to case, unknown ones are ignored, all are optional:
//! `{"addHeaders": {"x-name": "value"}, "removeHeaders": ["user-agent"], "setBody": "another body"}`. A value that is not such
//! an object ends the exchange with an error, so that the failure mode decides.

use std::collections::BTreeMap;

use extproc_server::{Body, Code, Next, Request, Response, Result, Status};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Map, Value, from_value};

/// The header that is looked for.
const INSTRUCTIONS: &str = "instructions";

pub(crate) async fn instructions(request: Request, next: Next) -> Result<Response> {
    let (mut head, body) = request.into_parts();
    let body = follow(&mut head.headers, body)?;
    let (mut head, body) = next.run(Request::from_parts(head, body)).await?.into_parts();
    let body = follow(&mut head.headers, body)?;
    Ok(Response::from_parts(head, body))
}

fn follow(headers: &mut HeaderMap, body: Body) -> Result<Body> {
    let Some(value) = headers.get(INSTRUCTIONS).cloned() else { return Ok(body) };
    carry_out(value.as_bytes(), headers, body).map_err(|problem| {
        Status::new(Code::InvalidArgument, format!("header `{INSTRUCTIONS}`: {problem}")).into()
    })
}

fn carry_out(json: &[u8], headers: &mut HeaderMap, mut body: Body) -> Result<Body> {
    let members: Option<Map<String, Value>> = serde_json::from_slice(json)?;
    let members = members.unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null());
    let members: BTreeMap<_, _> = members.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    if let Some(names) = members.get("removeheaders") {
        for name in from_value::<Vec<String>>(names.clone())? {
            headers.remove(HeaderName::try_from(name)?);
        }
    }
    if let Some(fields) = members.get("addheaders") {
        for (name, value) in from_value::<BTreeMap<String, String>>(fields.clone())? {
            headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
    }
    if let Some(text) = members.get("setbody") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        body = from_value::<String>(text.clone())?.into();
    }
    Ok(body)
}
