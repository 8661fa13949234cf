//! Hides members of JSON bodies of responses, wherever they are. Compressed bodies are decompressed.
//!
//! Needs the body of responses, in any mode that shows all of it.

use std::sync::Arc;

use extproc_server::{Handler, Next, Request, Response, decompressed};
use http::header::CONTENT_TYPE;
use serde_json::Value;

/// What stands in their place.
const HIDDEN: &str = "***";

/// Hides members with these names.
pub(crate) fn redact(names: Vec<String>) -> impl Handler {
    let names = Arc::new(names);
    move |request: Request, next: Next| {
        let names = names.clone();
        async move {
            let (mut head, body) = next.run(request).await?.into_parts();
            let kind = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
            if !kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
                return Ok(Response::from_parts(head, body));
            }
            let body = decompressed(&mut head.headers, body)?;
            let body = body.map_json(move |value| hide(value, &names));
            Ok(Response::from_parts(head, body))
        }
    }
}

fn hide(value: &mut Value, names: &[String]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, names)),
        Value::Object(members) => {
            for (name, value) in members {
                if names.contains(name) {
                    *value = HIDDEN.into();
                } else {
                    hide(value, names);
                }
            }
        }
        _ => {}
    }
}
