//! The messages of a call.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use extproc::{
    Slices,
    codec::{DecodeError, Decoder},
};
use http::HeaderMap;
use http_body::{Body, Frame};
use prost::Message;

use crate::{BoxError, Code, Status};

type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// Takes messages out of the body of a request.
pub(crate) struct Inbound {
    body: BoxBody,
    decoder: Decoder,
    ended: bool,
    /// What came behind the messages.
    pub(crate) trailers: Option<HeaderMap>,
}

impl fmt::Debug for Inbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inbound").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Inbound {
    pub(crate) fn new<B>(body: B, max_message_size: usize) -> Self
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        Self {
            body: Box::pin(Plain(Box::pin(body))),
            decoder: Decoder::new(max_message_size),
            ended: false,
            trailers: None,
        }
    }

    /// Bytes that arrived and are no whole message.
    pub(crate) fn buffered(&self) -> usize {
        self.decoder.buffered()
    }

    /// Takes what has arrived. `None` at the end.
    pub(crate) fn poll_arrived(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<()>, Status>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        match ready!(self.body.as_mut().poll_frame(context)) {
            Some(Ok(frame)) => {
                match frame.into_data() {
                    Ok(data) => self.decoder.push(data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                }
                Poll::Ready(Ok(Some(())))
            }
            Some(Err(error)) => {
                self.ended = true;
                Poll::Ready(Err(Status::new(Code::Cancelled, error.to_string())))
            }
            None => {
                self.ended = true;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// The next message that has arrived whole.
    pub(crate) fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        self.next_encoded()?.map(decoded).transpose()
    }

    /// As [`next`](Self::next), not decoded.
    #[inline]
    pub(crate) fn next_encoded(&mut self) -> Result<Option<Bytes>, Status> {
        // A message that is complete was given when it became so.
        if self.decoder.is_exhausted() {
            return Ok(None);
        }
        Ok(self.decoder.next().map_err(unreadable)?.map(Slices::into_bytes))
    }
}

/// Decodes a message.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is none of its kind.
pub(crate) fn decoded<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| Status::invalid_argument(format!("message does not decode: {error}")))
}

fn unreadable(error: DecodeError) -> Status {
    let code = match error {
        DecodeError::TooLarge { .. } => Code::OutOfRange,
        DecodeError::Compressed => Code::Unimplemented,
        DecodeError::UnknownFlag(_) | DecodeError::Truncated { .. } => Code::InvalidArgument,
    };
    Status::new(code, error.to_string())
}

/// A body of `Bytes` whose errors are any.
struct Plain<B>(Pin<Box<B>>);

impl<B: Body<Error: Into<BoxError>>> Body for Plain<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.0.as_mut().poll_frame(context));
        let bytes = |frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        Poll::Ready(frame.map(|frame| frame.map(bytes).map_err(Into::into)))
    }
}
