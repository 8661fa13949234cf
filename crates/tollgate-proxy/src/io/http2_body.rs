//! The body that an HTTP/2 peer sends on one stream.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;

use crate::stream::BodyEvent;

/// The library closes a connection on which too many small frames lie unread. Bodies are taken from it as they come, so this
/// is only what can arrive in one turn of a connection, many times over.
pub(crate) const DATA_FRAME_BUDGET: usize = 4 * 1024 * 1024;

/// A smaller piece that has to wait is copied, so that it does not keep the whole read buffer that it came in.
const SMALL: usize = 2 * 1024;
/// Small pieces that wait are copied together up to this size.
const MOST_GATHERED: usize = 16 * 1024;

/// Whether a connection ended because its peer had sent too much of what moves nothing.
pub(crate) fn is_flood(error: &h2::Error) -> bool {
    error.get_io().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

/// The body that an HTTP/2 peer sends on one stream.
///
/// The library keeps every frame that nobody reads for itself, whatever its size, and it closes the whole connection when
/// there are too many small ones. So frames are taken from it as they come, also while nobody wants the body:
/// [`absorb`](Self::absorb). What waits here is bounded by the stream's window, because only what was handed on is given
/// back.
#[derive(Debug)]
pub(crate) struct Http2Body {
    stream: RecvStream,
    /// Arrived before it was wanted.
    early: VecDeque<Bytes>,
    /// Small pieces behind them.
    small: BytesMut,
    /// Bytes in both.
    waiting: usize,
    /// How the data ended, if that was seen while it was not wanted.
    ended: Option<Result<(), h2::Error>>,
    /// Bytes of the last piece, whose credit the peer gets back when the next one is asked for.
    unreleased: usize,
}

impl Http2Body {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            early: VecDeque::new(),
            small: BytesMut::new(),
            waiting: 0,
            ended: None,
            unreleased: 0,
        }
    }

    /// Nothing follows what was handed out.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting == 0 && self.stream.is_end_stream()
    }

    /// Bytes that wait here.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The next piece, or the end. Not called again after the end.
    ///
    /// # Errors
    ///
    /// The stream or its connection broke.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, h2::Error>> {
        // The last piece was handed on, otherwise no other one would be asked for.
        let handed_on = std::mem::take(&mut self.unreleased);
        if handed_on > 0 {
            // Fails only if more is given back than was received.
            let _ = self.stream.flow_control().release_capacity(handed_on);
        }
        if self.waiting > 0 {
            let data = self.early.pop_front().unwrap_or_else(|| self.small.split().freeze());
            self.waiting -= data.len();
            return Poll::Ready(Ok(self.hand_out(data)));
        }
        let ended = match self.ended.take() {
            Some(ended) => ended,
            None => match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => return Poll::Ready(Ok(self.hand_out(data))),
                Some(Err(error)) => Err(error),
                None => Ok(()),
            },
        };
        ended?;
        self.ended = Some(Ok(()));
        let event = match ready!(self.stream.poll_trailers(cx))? {
            Some(trailers) => BodyEvent::Trailers(trailers),
            None => BodyEvent::Data { data: Bytes::new(), end_stream: true },
        };
        Poll::Ready(Ok(event))
    }

    /// Takes in what has arrived although nobody wants it yet. The peer gets no credit for it. The task is woken when more
    /// comes.
    pub(crate) fn absorb(&mut self, cx: &mut Context<'_>) {
        while self.ended.is_none()
            && let Poll::Ready(next) = self.stream.poll_data(cx)
        {
            match next {
                Some(Ok(data)) => self.keep(data),
                Some(Err(error)) => self.ended = Some(Err(error)),
                None => self.ended = Some(Ok(())),
            }
        }
    }

    /// As [`absorb`](Self::absorb), for a body that nobody will ask for any more.
    pub(crate) fn discard(&mut self, cx: &mut Context<'_>) {
        self.early.clear();
        self.small = BytesMut::new();
        self.waiting = 0;
        while self.ended.is_none()
            && let Poll::Ready(next) = self.stream.poll_data(cx)
        {
            if !matches!(next, Some(Ok(_))) {
                self.ended = Some(Ok(()));
            }
        }
    }

    fn hand_out(&mut self, data: Bytes) -> BodyEvent {
        self.unreleased = data.len();
        BodyEvent::Data { data, end_stream: self.is_complete() }
    }

    fn keep(&mut self, data: Bytes) {
        self.waiting += data.len();
        if data.len() >= SMALL {
            self.seal();
            self.early.push_back(data);
            return;
        }
        self.small.extend_from_slice(&data);
        if self.small.len() >= MOST_GATHERED {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.early.push_back(std::mem::take(&mut self.small).freeze());
        }
    }
}
