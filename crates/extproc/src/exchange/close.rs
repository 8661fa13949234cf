//! When and how the stream to the processor ends from our side (L-5, L-6).

use super::{
    Action, Close, Exchange, Stream, StreamedReply,
    side::{Awaiting, Head},
};
use crate::http_message::Direction;

/// Why the stream is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseKind {
    /// Everything that was needed has arrived.
    Orderly,
    /// Something failed: always a reset (L-5).
    Failed,
}

impl Exchange {
    /// Closes the stream if it is open.
    pub(super) fn finish_stream(&mut self, kind: CloseKind) {
        if self.stream != Stream::Open {
            return;
        }
        self.stream = Stream::Closed;
        self.counters.streams_closed += 1;
        let close = match kind {
            CloseKind::Orderly if self.plan.graceful_grpc_close => Close::Graceful,
            CloseKind::Orderly | CloseKind::Failed => Close::Reset,
        };
        self.actions.push_back(Action::Close(close));
    }

    /// The HTTP exchange is over: answered completely, or either peer is gone (L-6.5, F-16). Nothing more is handed in.
    pub fn handle_end(&mut self) {
        self.request.stop_timer();
        self.response.stop_timer();
        self.complete = true;
        if self.streamed_reply == StreamedReply::Started {
            self.streamed_reply = StreamedReply::Ended;
        }
        if self.stream != Stream::Open {
            return;
        }
        if self.plan.observability_mode {
            // V-6
            self.stream = Stream::Closed;
            self.counters.streams_closed += 1;
            self.actions.push_back(Action::Close(Close::Deferred(self.plan.deferred_close_timeout)));
        } else {
            self.finish_stream(CloseKind::Orderly);
        }
    }

    /// After a reply was carried out: closes the stream if neither direction can need another one (L-6.1).
    pub(super) fn close_if_settled(&mut self, replied: Direction) {
        let side = self.side_mut(replied);
        side.answered |= side.needs_no_more();
        if !self.complete && self.request.is_settled() && self.response.is_settled() {
            self.finish_stream(CloseKind::Orderly);
            self.complete = true;
            self.release_unanswered();
        }
    }

    /// The exchange is complete: what either direction still holds goes on unmodified.
    pub(super) fn release_unanswered(&mut self) {
        for direction in [Direction::Request, Direction::Response] {
            let side = self.side_mut(direction);
            side.stop_timer();
            side.awaiting = Awaiting::Idle;
            if side.head != Head::Expected {
                self.release(direction);
            }
        }
    }
}
