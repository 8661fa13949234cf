//! Passing parts of a message on.

use super::{
    Action, Exchange,
    side::{End, Head},
};
use crate::{http_message::Direction, slices::Slices};

impl Exchange {
    /// Passes the head on unless it has gone already.
    pub(super) fn forward_head(&mut self, direction: Direction, end_stream: bool) {
        let side = self.side_mut(direction);
        if side.head != Head::Held {
            return;
        }
        side.head = Head::Passed;
        side.end_forwarded |= end_stream;
        self.actions.push_back(Action::ForwardHeaders { direction, end_stream });
    }

    /// Passes a piece on. That may be an empty one that ends nothing: another filter shows it to its processor (Y-2).
    pub(super) fn forward_data(&mut self, direction: Direction, data: Slices, end_stream: bool) {
        let side = self.side_mut(direction);
        if side.end_forwarded {
            return;
        }
        side.end_forwarded |= end_stream;
        self.actions.push_back(Action::ForwardData { direction, data, end_stream });
    }

    pub(super) fn forward_trailers(&mut self, direction: Direction) {
        let side = self.side_mut(direction);
        if side.end_forwarded {
            return;
        }
        side.end_forwarded = true;
        self.actions.push_back(Action::ForwardTrailers { direction });
    }

    /// Passes on everything of a direction that was held, unmodified: what was sent and not answered, in one piece with
    /// what was not sent (X-2, L-8), and the end if it has arrived.
    pub(super) fn release(&mut self, direction: Direction) {
        let side = self.side_mut(direction);
        if side.too_large {
            return;
        }
        let end = side.end;
        side.paused = false;
        let chunks = (!side.chunks.is_empty()).then(|| side.take_chunks());
        let held = (!side.held.is_empty()).then(|| side.held.take());
        let discard = side.discard;
        self.forward_head(direction, end == End::Headers);
        if !discard {
            let ends = end == End::Data;
            if let Some(chunks) = chunks {
                self.forward_data(direction, chunks, ends && held.is_none());
            }
            if held.is_some() || ends {
                self.forward_data(direction, held.unwrap_or_default(), ends);
            }
        }
        if end == End::Trailers {
            self.forward_trailers(direction);
        }
    }
}
