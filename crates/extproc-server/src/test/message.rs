//! A message as a peer sees it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

/// A request as the upstream sees it, or a response as the client does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Of a request.
    pub method: Option<Method>,
    /// Of a request.
    pub path: String,
    /// Of a response.
    pub status: Option<StatusCode>,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: Option<HeaderMap>,
    /// It has come to its end. A response that has not was reset.
    pub complete: bool,
}

impl Message {
    /// Its body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The status of a response; 0 of a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.map_or(0, |status| status.as_u16())
    }

    /// The values of a field, joined by commas; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        joined(&self.headers, name)
    }

    /// As [`header`](Self::header), of a trailer.
    #[must_use]
    pub fn trailer(&self, name: &str) -> String {
        self.trailers.as_ref().map(|trailers| joined(trailers, name)).unwrap_or_default()
    }
}

/// Bytes that are shown of a body.
const SHOWN: usize = 400;

/// The beginning of a body as text in quotes.
pub(super) fn excerpt(body: &[u8]) -> String {
    match body.get(..SHOWN) {
        Some(beginning) if body.len() > SHOWN => {
            format!("{:?}... ({} bytes)", String::from_utf8_lossy(beginning), body.len())
        }
        _ => format!("{:?}", String::from_utf8_lossy(body)),
    }
}

fn joined(fields: &HeaderMap, name: &str) -> String {
    let values: Vec<_> =
        fields.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(", ")
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.method, self.status) {
            (Some(method), _) => writeln!(formatter, "  {method} {}", self.path)?,
            (None, Some(status)) => writeln!(formatter, "  {status}")?,
            (None, None) => writeln!(formatter, "  nothing")?,
        }
        let fields = |formatter: &mut fmt::Formatter<'_>, fields: &HeaderMap| {
            fields.iter().try_for_each(|(name, value)| {
                writeln!(formatter, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))
            })
        };
        fields(formatter, &self.headers)?;
        if !self.body.is_empty() {
            writeln!(formatter, "  {}", excerpt(&self.body))?;
        }
        if let Some(trailers) = &self.trailers {
            fields(formatter, trailers)?;
        }
        if self.complete { Ok(()) } else { writeln!(formatter, "  (no end)") }
    }
}
