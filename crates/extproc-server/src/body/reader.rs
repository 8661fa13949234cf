//! The body of a message of the gateway.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use extproc::{Direction, session::NotPossible};
use http_body::Frame;

use crate::{
    BoxError, Ended,
    exchange::{head, shared::Shared},
};

/// Reads the body of a message of the gateway.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    direction: Direction,
    trailers_given: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("direction", &self.direction).finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, direction: Direction) -> Self {
        Self { shared, direction, trailers_given: false }
    }

    pub(crate) fn is_of(&self, shared: &Arc<Shared>, direction: Direction) -> bool {
        self.direction == direction && Arc::ptr_eq(&self.shared, shared)
    }

    /// Bytes were put aside for the handler.
    pub(crate) fn collected(&self, bytes: usize) {
        self.shared.lock().collected += bytes;
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.shared.lock();
        if state.gone {
            return Poll::Ready(Some(Err(Ended.into())));
        }
        if let Err(error) = state.begin_reading(self.direction) {
            return Poll::Ready(Some(Err(error.into())));
        }
        let side = state.side(self.direction);
        if let Some(data) = side.queue.pop_front() {
            // There may be room for more.
            state.wake_driver();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if side.cut {
            let mode = state.session.mode(self.direction);
            let setting = "a larger buffer limit, or BUFFERED without trailers";
            let error = NotPossible { wanted: "read the whole body", mode, setting };
            return Poll::Ready(Some(Err(error.into())));
        }
        if let (Some(original), false) = (&side.trailers, self.trailers_given) {
            self.trailers_given = true;
            return Poll::Ready(Some(head::fields(original).map(Frame::trailers)));
        }
        if side.ended {
            return Poll::Ready(None);
        }
        side.waker = Some(context.waker().clone());
        // Whoever asks for more has done with what came before.
        state.session.next(self.direction);
        state.waits = true;
        state.wake_driver();
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let side = state.side(self.direction);
        if side.passed && !side.reading {
            return;
        }
        side.abandoned = true;
        side.queue.clear();
        state.wake_driver();
    }
}
