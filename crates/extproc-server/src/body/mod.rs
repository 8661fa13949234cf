//! Bodies of requests and responses.

mod decompress;
mod event;
mod json;
mod lines;
mod reader;
mod transform;
mod whole;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

pub(crate) use self::reader::Reader;
pub use self::{decompress::decompressed, event::Event};
use self::{
    event::Events,
    json::Values,
    lines::Lines,
    transform::{Chunks, Transform, Transformed},
    whole::Whole,
};
use crate::{BoxError, Result};

/// Bytes of a body that are collected where nothing else is said: 1 MiB.
pub const DEFAULT_LIMIT: usize = 1 << 20;

/// A body is larger than it may be. By default the client gets 413.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is larger than {limit} bytes")]
#[non_exhaustive]
pub struct TooLarge {
    /// The largest number of bytes.
    pub limit: usize,
}

/// The body of a request or a response: [`Bytes`] in pieces, then perhaps trailers.
///
/// The body of a message that the gateway shows is read from it only if somebody asks, and passes untouched if nobody does.
/// Reading it decides that the handler writes another one, and, but in FULL_DUPLEX_STREAMED, sends the head on as it was: in
/// STREAMED it cannot be changed any more then. The `map_*` methods read when the body is passed on, which goes well with a
/// changed head in every mode.
pub struct Body {
    pub(crate) kind: Kind,
    /// What becomes of the trailers.
    pub(crate) on_trailers: Vec<OnTrailers>,
}

/// Changes trailers.
pub(crate) type OnTrailers = Box<dyn FnOnce(&mut HeaderMap) + Send>;

pub(crate) enum Kind {
    /// All of it.
    Full(Bytes),
    /// That of the gateway's message.
    Reader(Reader),
    Other(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Full(bytes) => write!(formatter, "Body({} bytes)", bytes.len()),
            Kind::Reader(_) => formatter.write_str("Body(of the gateway's message)"),
            Kind::Other(_) => formatter.write_str("Body(in pieces)"),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

macro_rules! from {
    ($($type:ty)*) => { $(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Kind::Full(bytes.into()).into()
            }
        }
    )* };
}

from! { Bytes Vec<u8> String &'static str &'static [u8] }

impl From<BytesMut> for Body {
    fn from(bytes: BytesMut) -> Self {
        bytes.freeze().into()
    }
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Bytes::new().into()
    }

    /// Any other body.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Kind::Other(Box::pin(Errors(Box::pin(body)))).into()
    }

    /// The next piece, if there is one. Trailers are passed over.
    ///
    /// # Errors
    ///
    /// [`NotPossible`](crate::NotPossible) if the mode does not show the body; whatever a body of another kind says.
    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        loop {
            let frame = std::future::poll_fn(|context| Pin::new(&mut *self).poll_frame(context)).await?;
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if there are more bytes than `limit`; else as [`chunk`](Self::chunk).
    pub async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let mut collected = BytesMut::new();
        let mut only = Bytes::new();
        while let Some(data) = self.chunk().await {
            let data = data?;
            if only.len() + collected.len() + data.len() > limit {
                return Err(TooLarge { limit }.into());
            }
            if let Kind::Reader(reader) = &self.kind {
                reader.collected(data.len());
            }
            if only.is_empty() && collected.is_empty() {
                only = data;
            } else {
                collected.extend_from_slice(&std::mem::take(&mut only));
                collected.extend_from_slice(&data);
            }
        }
        Ok(if collected.is_empty() { only } else { collected.freeze() })
    }

    /// All of it, up to [`DEFAULT_LIMIT`].
    ///
    /// # Errors
    ///
    /// As [`collect`](Self::collect).
    pub async fn bytes(self) -> Result<Bytes> {
        self.collect(DEFAULT_LIMIT).await
    }

    /// All of it as text, up to [`DEFAULT_LIMIT`].
    ///
    /// # Errors
    ///
    /// As [`collect`](Self::collect), and if it is not UTF-8.
    pub async fn text(self) -> Result<String> {
        Ok(String::from_utf8(self.bytes().await?.into())?)
    }

    /// All of it as one JSON value, up to [`DEFAULT_LIMIT`].
    ///
    /// # Errors
    ///
    /// As [`collect`](Self::collect), and if it is not JSON of this type.
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T> {
        Ok(serde_json::from_slice(&self.bytes().await?)?)
    }

    /// Changes each piece. Where pieces begin and end is chance.
    #[must_use]
    pub fn map_chunks(self, change: impl FnMut(Bytes) -> Bytes + Send + 'static) -> Self {
        self.transformed(Chunks::new(change))
    }

    /// Changes each line, which is given without its end; `None` leaves it out. Lines are up to [`DEFAULT_LIMIT`] long, and
    /// UTF-8.
    #[must_use]
    pub fn map_lines(self, change: impl FnMut(String) -> Option<String> + Send + 'static) -> Self {
        self.transformed(Lines::new(change))
    }

    /// Changes each event of a stream of server-sent events (`text/event-stream`), as it comes; `None` leaves it out. What is
    /// not changed passes as it was written.
    #[must_use]
    pub fn map_events(self, change: impl FnMut(Event) -> Option<Event> + Send + 'static) -> Self {
        self.transformed(Events::new(change))
    }

    /// Changes each of several JSON values that follow each other, such as one in each line, as it comes. What is not changed
    /// passes as it was written.
    #[must_use]
    pub fn map_json_values(self, change: impl FnMut(&mut serde_json::Value) + Send + 'static) -> Self {
        self.transformed(Values::new(change))
    }

    /// Changes it as a whole, up to [`DEFAULT_LIMIT`].
    #[must_use]
    pub fn map_bytes(self, change: impl FnOnce(Bytes) -> Result<Bytes> + Send + 'static) -> Self {
        self.transformed(Whole::new(change))
    }

    /// Changes it as a whole, up to [`DEFAULT_LIMIT`]. What is not UTF-8 is an error.
    #[must_use]
    pub fn map_text(self, change: impl FnOnce(String) -> String + Send + 'static) -> Self {
        self.transformed(Whole::text(change))
    }

    /// Changes it as one JSON value, up to [`DEFAULT_LIMIT`]. What is not JSON is an error; no bytes at all pass. If nothing
    /// changes, it passes as it was written.
    #[must_use]
    pub fn map_json(self, change: impl FnOnce(&mut serde_json::Value) + Send + 'static) -> Self {
        self.transformed(Whole::json(change))
    }

    /// Changes the trailers, if the message has some and the gateway shows them. The body need not be shown for that.
    #[must_use]
    pub fn map_trailers(mut self, change: impl FnOnce(&mut HeaderMap) + Send + 'static) -> Self {
        self.on_trailers.push(Box::new(change));
        self
    }

    fn transformed(self, transform: impl Transform) -> Self {
        let Self { kind, on_trailers } = self;
        let kind = Kind::Other(Box::pin(Transformed::new(kind.into(), transform)));
        Self { kind, on_trailers }
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, on_trailers: Vec::new() }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.kind {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Reader(reader) => reader.poll_frame(context),
            Kind::Other(body) => body.as_mut().poll_frame(context),
        };
        match frame {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    self.on_trailers.drain(..).for_each(|change| change(trailers));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Reader(_) => false,
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Reader(_) => SizeHint::default(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}

/// A body whose errors are any.
struct Errors<B>(Pin<Box<B>>);

impl<B: http_body::Body<Data = Bytes, Error: Into<BoxError>>> http_body::Body for Errors<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests;
