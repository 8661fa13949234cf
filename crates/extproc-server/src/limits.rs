//! How many exchanges there may be, and how much of them may lie in memory.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::{
    counters::{Counters, count},
    throttle::Throttle,
};

/// The limits of a server, which all its connections share.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) max_exchanges: usize,
    pub(crate) max_buffered: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) warnings: Throttle,
}

/// The place of one exchange, and the bytes that lie in memory for it.
#[derive(Debug)]
pub(crate) struct Place {
    limits: Arc<Limits>,
    /// All bytes that were taken from the budget.
    held: AtomicUsize,
    /// Those of the message that was read last.
    message: AtomicUsize,
}

impl Limits {
    /// A place for another exchange.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if there is none.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place, Status> {
        let active = self.counters.active_exchanges.fetch_add(1, Relaxed);
        let place = Place { limits: self.clone(), held: AtomicUsize::new(0), message: AtomicUsize::new(0) };
        if active < self.max_exchanges {
            count(&self.counters.exchanges);
            return Ok(place);
        }
        count(&self.counters.refused_exchanges);
        if let Some(suppressed) = self.warnings.pass() {
            tracing::warn!(limit = self.max_exchanges, suppressed, "refused an exchange: there are too many");
        }
        Err(Status::resource_exhausted(format!("there are {} exchanges already", self.max_exchanges)))
    }
}

impl Place {
    /// Takes bytes from the budget of the server.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if that is more than there is. The bytes are taken nevertheless, until the place is left.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Status> {
        self.held.fetch_add(bytes, Relaxed);
        let buffered = self.limits.counters.buffered_bytes.fetch_add(bytes, Relaxed) + bytes;
        if buffered <= self.limits.max_buffered {
            return Ok(());
        }
        count(&self.limits.counters.exhausted_exchanges);
        if let Some(suppressed) = self.limits.warnings.pass() {
            let limit = self.limits.max_buffered;
            tracing::warn!(limit, suppressed, "ended an exchange: too much is buffered in all");
        }
        Err(Status::resource_exhausted(format!("more than {} bytes are buffered", self.limits.max_buffered)))
    }

    /// Gives bytes back to the budget.
    fn release(&self, bytes: usize) {
        // More than is held cannot be given back, whatever the framing of the messages was.
        let before = self.held.fetch_update(Relaxed, Relaxed, |held| Some(held.saturating_sub(bytes)));
        let held = before.unwrap_or_default();
        self.limits.counters.buffered_bytes.fetch_sub(bytes.min(held), Relaxed);
    }

    /// A message of so many bytes was read, framing included. It is in memory until [`done`](Self::done).
    pub(crate) fn read(&self, bytes: usize) {
        self.message.store(bytes, Relaxed);
    }

    /// The last message and its answer are no longer in memory.
    pub(crate) fn done(&self) {
        self.release(self.message.swap(0, Relaxed));
    }

    /// The answer takes the place of the message.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` if there is no room for it.
    pub(crate) fn answered(&self, bytes: usize) -> Result<(), Status> {
        self.done();
        self.message.store(bytes, Relaxed);
        self.hold(bytes)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counters = &self.limits.counters;
        counters.buffered_bytes.fetch_sub(*self.held.get_mut(), Relaxed);
        counters.active_exchanges.fetch_sub(1, Relaxed);
    }
}

/// A body of which every byte that arrives is taken from the budget.
#[derive(Debug)]
pub(crate) struct Metered<B> {
    body: B,
    place: Arc<Place>,
}

impl<B> Metered<B> {
    pub(crate) fn new(body: B, place: Arc<Place>) -> Self {
        Self { body, place }
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.place.hold(data.remaining())
        {
            return Poll::Ready(Some(Err(Box::new(status))));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn limits(max_exchanges: usize, max_buffered: usize) -> Arc<Limits> {
        let (counters, warnings) = (Arc::default(), Throttle::default());
        Arc::new(Limits { max_exchanges, max_buffered, counters, warnings })
    }

    #[test]
    fn places_are_given_back() {
        let limits = limits(2, 0);
        let first = limits.enter().unwrap();
        let second = limits.enter().unwrap();
        assert_eq!(limits.enter().unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(limits.counters.active_exchanges(), 2);
        drop(first);
        drop(limits.enter().unwrap());
        drop(second);
        assert_eq!(limits.counters.active_exchanges(), 0);
        assert_eq!((limits.counters.exchanges(), limits.counters.refused_exchanges()), (3, 1));
    }

    #[test]
    fn bytes_are_held_until_the_answer_is_gone() {
        let limits = limits(2, 100);
        let place = limits.enter().unwrap();
        place.hold(70).unwrap();
        place.read(60);
        place.answered(20).unwrap();
        // The answer, and ten bytes of the message behind.
        assert_eq!(limits.counters.buffered_bytes(), 30);
        place.done();
        place.done();
        assert_eq!(limits.counters.buffered_bytes(), 10);
        let other = limits.enter().unwrap();
        assert_eq!(other.hold(91).unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(limits.counters.exhausted_exchanges(), 1);
        drop(other);
        assert_eq!(limits.counters.buffered_bytes(), 10);
        drop(place);
        assert_eq!(limits.counters.buffered_bytes(), 0);
    }
}
