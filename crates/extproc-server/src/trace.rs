//! Spans that belong to the traces of the requests.

use std::fmt;

use http::request;
use tracing::Span;

/// Makes the span of an exchange.
pub(crate) struct MakeSpan(Box<Make>);

type Make = dyn Fn(&request::Parts) -> Span + Send + Sync;

impl MakeSpan {
    pub(crate) fn new(make: impl Fn(&request::Parts) -> Span + Send + Sync + 'static) -> Self {
        Self(Box::new(make))
    }

    pub(crate) fn of(&self, head: &request::Parts) -> Span {
        (self.0)(head)
    }
}

impl Default for MakeSpan {
    fn default() -> Self {
        Self::new(span)
    }
}

impl fmt::Debug for MakeSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MakeSpan")
    }
}

/// A span for an exchange, with the ids of the trace that the request belongs to (W3C `traceparent`).
fn span(head: &request::Parts) -> Span {
    if !tracing::enabled!(tracing::Level::INFO) {
        return Span::none();
    }
    let (trace, parent) = head.headers.get("traceparent").and_then(|value| ids(value.to_str().ok()?)).unzip();
    tracing::info_span!(
        "exchange",
        method = head.method.as_str(),
        path = head.uri.path(),
        trace_id = trace,
        parent_id = parent,
    )
}

/// Trace and parent of `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.
fn ids(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split('-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(version, 2) && hex(trace, 32) && hex(parent, 16)).then_some((trace, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_traceparent_is_taken() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(ids(text), Some(("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")));
        for text in ["", "00", "00-1-2-3", "00-0af7651916cd43dd8448eb211c80319x-b7ad6b7169203331-01"] {
            assert_eq!(ids(text), None);
        }
    }
}
