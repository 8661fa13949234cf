//! Bodies that are made of others, piece by piece.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use extproc::Queue;
use http::HeaderMap;
use http_body::Frame;

use super::Body;
use crate::{BoxError, Result};

/// Makes pieces of pieces.
pub(super) trait Transform: Send + Unpin + 'static {
    /// Takes a piece.
    fn push(&mut self, data: Bytes, out: &mut Queue<Bytes>) -> Result<()>;

    /// The body has ended.
    fn end(&mut self, _out: &mut Queue<Bytes>) -> Result<()> {
        Ok(())
    }
}

/// A body and what is made of it.
pub(super) struct Transformed<T> {
    body: Body,
    transform: T,
    out: Queue<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl<T: Transform> Transformed<T> {
    pub(super) fn new(body: Body, transform: T) -> Self {
        Self { body, transform, out: Queue::new(), trailers: None, ended: false }
    }
}

impl<T: Transform> http_body::Body for Transformed<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(data) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if this.ended {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match ready!(http_body::Body::poll_frame(Pin::new(&mut this.body), context)).transpose()? {
                None => {
                    this.ended = true;
                    this.transform.end(&mut this.out)?;
                }
                Some(frame) => match frame.into_data() {
                    Ok(data) => this.transform.push(data, &mut this.out)?,
                    Err(frame) => {
                        this.trailers = frame.into_trailers().ok();
                    }
                },
            }
        }
    }
}

/// Each piece for itself.
pub(super) struct Chunks(Box<dyn FnMut(Bytes) -> Bytes + Send>);

impl Chunks {
    pub(super) fn new(change: impl FnMut(Bytes) -> Bytes + Send + 'static) -> Self {
        Self(Box::new(change))
    }
}

impl Transform for Chunks {
    fn push(&mut self, data: Bytes, out: &mut Queue<Bytes>) -> Result<()> {
        out.push_back((self.0)(data));
        Ok(())
    }
}
