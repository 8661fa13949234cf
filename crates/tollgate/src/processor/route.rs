//! Writes a member of a JSON request body into a header, and has the route chosen again: routing by body, as gateways for models
//! do it with `model`.
//!
//! Needs the body of requests in BUFFERED, or in FULL_DUPLEX_STREAMED where the routes are chosen by something that comes later.

use std::sync::Arc;

use extproc_server::{Handler, Next, Request};
use http::{HeaderName, HeaderValue, header::CONTENT_TYPE};
use serde_json::Value;

/// Writes `member` into `header`.
pub(crate) fn route(member: String, header: HeaderName) -> impl Handler {
    let settings = Arc::new((member, header));
    move |request: Request, next: Next| {
        let settings = settings.clone();
        async move {
            let (member, header) = &*settings;
            let (mut head, body) = request.into_parts();
            // What a client says itself does not count.
            head.headers.remove(header);
            let kind = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
            if !kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
                return next.run(Request::from_parts(head, body)).await;
            }
            let bytes = body.bytes().await?;
            // What is no JSON has no member; the upstream will say so.
            let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if let Some(text) = value.get(member).and_then(Value::as_str) {
                head.headers.insert(header, HeaderValue::try_from(text)?);
                next.exchange().reroute();
            }
            next.run(Request::from_parts(head, bytes.into())).await
        }
    }
}
