//! Replaces a text in server-sent events (`text/event-stream`) as they come, each immediately.
//!
//! Needs the body of responses in FULL_DUPLEX_STREAMED, or in STREAMED.

use std::sync::Arc;

use extproc_server::{Event, Handler, Next, Request, Response};
use http::header::CONTENT_TYPE;

/// Replaces `text` by `other`.
pub(crate) fn events(text: String, other: String) -> impl Handler {
    let texts = Arc::new((text, other));
    move |request: Request, next: Next| {
        let texts = texts.clone();
        async move {
            let response = next.run(request).await?;
            let kind = response.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
            if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
                return Ok(response);
            }
            let change = move |event: Event| {
                let data = event.data.replace(&texts.0, &texts.1);
                Some(Event { data, ..event })
            };
            Ok(Response::map(response, |body| body.map_events(change)))
        }
    }
}
