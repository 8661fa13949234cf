//! The body that is sent on one HTTP/2 stream.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use extproc::Slices;
use h2::SendStream;
use http::HeaderMap;

use crate::memory::SLICE;

/// Body and trailers that wait for the peer's window.
#[derive(Debug, Default)]
pub(crate) struct Http2Send {
    queue: VecDeque<Bytes>,
    queued: usize,
    end: Option<End>,
}

/// What follows the queued data.
#[derive(Debug)]
enum End {
    Data,
    Trailers(HeaderMap),
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything that was queued was handed over; the end is not known yet.
    SoFar,
    /// Everything was handed over, the end included. Nothing is sent any more.
    Whole,
}

/// The stream takes nothing more. Its reset or its connection's end says why, if not this error.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Option<h2::Error>);

impl Http2Send {
    /// Queues a piece. Without effect behind the end.
    pub(crate) fn push(&mut self, data: Slices, end_stream: bool) {
        if self.is_ended() {
            return;
        }
        self.queued += data.len();
        self.queue.extend(data);
        if end_stream {
            self.end = Some(End::Data);
        }
    }

    /// Queues trailers, which are the end.
    pub(crate) fn push_trailers(&mut self, trailers: HeaderMap) {
        if !self.is_ended() {
            self.end = Some(End::Trailers(trailers));
        }
    }

    /// Whether the end is queued.
    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// What the queue costs: the memory of its slices, too.
    pub(crate) fn memory(&self) -> usize {
        self.queued + SLICE * self.queue.len()
    }

    /// Forgets what is queued.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    /// Hands as much to the connection as it takes. Pending: it takes no more for now.
    ///
    /// # Errors
    ///
    /// The stream takes nothing more.
    pub(crate) fn poll(
        &mut self,
        stream: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sent, Refused>> {
        let takes_nothing = |_| Refused(None);
        while let Some(front) = self.queue.front_mut() {
            stream.reserve_capacity(self.queued);
            while stream.capacity() == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(Refused(Some(error)))),
                    None => return Poll::Ready(Err(Refused(None))),
                }
            }
            let piece = front.split_to(front.len().min(stream.capacity()));
            if front.is_empty() {
                self.queue.pop_front();
            }
            self.queued -= piece.len();
            let last = self.queue.is_empty() && matches!(self.end, Some(End::Data));
            stream.send_data(piece, last).map_err(takes_nothing)?;
            if last {
                return Poll::Ready(Ok(Sent::Whole));
            }
        }
        match &mut self.end {
            None => return Poll::Ready(Ok(Sent::SoFar)),
            Some(End::Data) => stream.send_data(Bytes::new(), true),
            Some(End::Trailers(trailers)) => stream.send_trailers(std::mem::take(trailers)),
        }
        .map_err(takes_nothing)?;
        Poll::Ready(Ok(Sent::Whole))
    }
}
