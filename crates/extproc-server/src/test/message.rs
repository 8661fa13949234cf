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
    /// The host of a request, as its `:authority` says.
    pub authority: String,
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
    texts(fields, name).join(", ")
}

fn texts(fields: &HeaderMap, name: &str) -> Vec<String> {
    fields.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// A message beside the one that it was made of: `-` is before a line that is not there any more, `+` before a new one. Without an
/// original: each line is as it is.
pub(super) struct Difference<'m> {
    pub(super) original: Option<&'m Message>,
    pub(super) message: &'m Message,
}

impl Message {
    fn first_line(&self) -> String {
        match (&self.method, self.status) {
            (Some(method), _) => format!("{method} {}", self.path),
            (None, Some(status)) => status.to_string(),
            (None, None) => "nothing".to_owned(),
        }
    }

    fn host_line(&self) -> Vec<String> {
        if self.authority.is_empty() { Vec::new() } else { vec![format!("host: {}", self.authority)] }
    }

    fn body_line(&self) -> Vec<String> {
        if self.body.is_empty() { Vec::new() } else { vec![excerpt(&self.body)] }
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { original, message } = self;
        let original = original.unwrap_or(message);
        lines(formatter, &[original.first_line()], &[message.first_line()])?;
        lines(formatter, &original.host_line(), &message.host_line())?;
        fields(formatter, &original.headers, &message.headers)?;
        lines(formatter, &original.body_line(), &message.body_line())?;
        let none = HeaderMap::new();
        let trailers = |message: &Message| message.trailers.clone().unwrap_or_else(|| none.clone());
        fields(formatter, &trailers(original), &trailers(message))?;
        if message.complete { Ok(()) } else { writeln!(formatter, "  (no end)") }
    }
}

/// Those of the original in their order, then new ones.
fn fields(formatter: &mut fmt::Formatter<'_>, original: &HeaderMap, new: &HeaderMap) -> fmt::Result {
    let of = |fields: &HeaderMap, name: &str| -> Vec<_> {
        texts(fields, name).into_iter().map(|value| format!("{name}: {value}")).collect()
    };
    for name in original.keys().chain(new.keys().filter(|name| !original.contains_key(*name))) {
        lines(formatter, &of(original, name.as_str()), &of(new, name.as_str()))?;
    }
    Ok(())
}

fn lines(formatter: &mut fmt::Formatter<'_>, original: &[String], new: &[String]) -> fmt::Result {
    let mut write =
        |sign: char, lines: &[String]| lines.iter().try_for_each(|line| writeln!(formatter, "{sign} {line}"));
    if original == new {
        return write(' ', new);
    }
    write('-', original)?;
    write('+', new)
}

/// The whole message.
impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Difference { original: None, message: self }.fmt(formatter)
    }
}
