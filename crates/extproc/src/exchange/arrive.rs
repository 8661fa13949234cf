//! Parts of the HTTP messages as they arrive.

use std::time::Instant;

use super::{
    Action, Exchange, Host, StreamedReply,
    failure::Failure,
    reply_headers::is_upgrade,
    side::{Awaiting, End, Head},
};
use crate::{http_message::Direction, mode::BodySendMode, slices::Slices};

impl Exchange {
    /// The head of a message arrived; it is in the host.
    pub fn handle_headers(
        &mut self,
        direction: Direction,
        end_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let side = self.side_mut(direction);
        // A local reply may take the place of a response that had begun (F-5).
        side.head = Head::Held;
        side.end = if end_stream { End::Headers } else { End::Open };
        side.end_forwarded = false;
        side.discard = false;
        side.too_large = false;
        if self.complete {
            self.forward_head(direction, end_stream);
            return;
        }
        if self.plan.observability_mode {
            self.observe_headers(direction, end_stream, host);
            return;
        }
        if self.side(direction).wants_headers() {
            self.send_headers(direction, end_stream, now, host);
            self.remove_content_length(direction, host);
        } else if !end_stream && self.side(direction).collects() && is_upgrade(direction, host) {
            self.fail(&Failure::UpgradeCannotBeBuffered, now);
        } else {
            self.remove_content_length(direction, host);
            self.forward_head(direction, end_stream);
        }
    }

    /// A piece of a body arrived. HTTP/1 ends a body with an empty piece (B-6.5). An empty piece that ends nothing is nobody's
    /// business (B-4.11).
    pub fn handle_data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        if data.is_empty() && !end_stream && !self.plan.send_empty_data {
            return;
        }
        let side = self.side_mut(direction);
        if end_stream {
            side.end = End::Data;
        }
        if self.streamed_reply != StreamedReply::None && direction == Direction::Request {
            self.data_behind_streamed_reply(data, end_stream, now, host);
            return;
        }
        if self.is_past_end(direction) {
            self.send_past_end(direction, data, end_stream, now, host);
            return;
        }
        if self.side(direction).too_large {
            return;
        }
        if self.side(direction).discard {
            // only the end of the original is of interest.
            self.forward_data(direction, Slices::new(), end_stream);
            return;
        }
        if self.complete {
            self.forward_data(direction, data, end_stream);
            return;
        }
        if self.plan.observability_mode {
            self.observe_data(direction, data, end_stream, host);
            return;
        }
        let waits_for_headers =
            self.side(direction).awaiting == Awaiting::Headers && !self.sends_body_early(direction);
        if waits_for_headers || self.side(direction).next_mode.is_some() {
            self.side_mut(direction).held.push(data);
            self.check_limit(direction, host);
            return;
        }
        match self.side(direction).body_mode {
            BodySendMode::None | BodySendMode::Grpc => self.forward_data(direction, data, end_stream),
            BodySendMode::Buffered => {
                self.side_mut(direction).held.push(data);
                if !self.check_limit(direction, host) && end_stream {
                    self.send_buffered(direction, now, host);
                }
            }
            BodySendMode::Streamed => self.send_piece(direction, data, end_stream, now, host),
            BodySendMode::BufferedPartial => self.partial_data(direction, data, end_stream, now, host),
            BodySendMode::FullDuplexStreamed => self.send_duplex(direction, data, end_stream, now, host),
        }
    }

    /// Trailers arrived; they are in the host.
    pub fn handle_trailers(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let side = self.side_mut(direction);
        side.end = End::Trailers;
        if self.streamed_reply != StreamedReply::None && direction == Direction::Request {
            if self.streamed_reply == StreamedReply::Started && self.request.is_duplex() {
                self.send_trailers(direction, now, host);
            }
            return;
        }
        if self.side(direction).too_large {
            return;
        }
        if self.complete {
            self.forward_trailers(direction);
            return;
        }
        if self.plan.observability_mode {
            self.observe_trailers(direction, host);
            return;
        }
        let side = self.side(direction);
        if side.is_duplex() {
            if side.send_trailers {
                self.send_trailers(direction, now, host);
            } else if side.awaiting != Awaiting::Headers {
                self.end_by_unwanted_trailers(direction);
            }
            return;
        }
        if side.awaiting != Awaiting::Idle {
            // T-2, T-5, T-6: earlier steps come first.
            return;
        }
        self.body_ended_by_trailers(direction, now, host);
    }

    /// Trailers end a FULL_DUPLEX_STREAMED body without the processor being told: they go on at once, and what it still
    /// gives is dropped (O-7).
    pub(super) fn end_by_unwanted_trailers(&mut self, direction: Direction) {
        let side = self.side_mut(direction);
        side.awaiting = Awaiting::Idle;
        side.duplex_owed = false;
        side.discard = true;
        self.forward_head(direction, false);
        self.forward_trailers(direction);
    }

    /// The direction is idle and its trailers are here: what is collected goes first (B-3.2, B-5.5), then they.
    pub(super) fn body_ended_by_trailers(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let side = self.side(direction);
        let collected = side.held.has_bytes() && !side.discard;
        match side.body_mode {
            BodySendMode::Buffered if collected => self.send_buffered(direction, now, host),
            BodySendMode::BufferedPartial if collected && !side.partial_done => {
                self.send_partial(direction, now, host);
            }
            _ => self.trailers_step(direction, now, host),
        }
    }

    /// Everything before the trailers is done: send them, or pass them on.
    pub(super) fn trailers_step(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        if self.side(direction).send_trailers {
            self.send_trailers(direction, now, host);
        } else {
            self.release(direction);
        }
    }

    /// The processor has ended the message, and more of the original comes. It goes nowhere, but the processor is told
    /// (B-6.7).
    fn is_past_end(&self, direction: Direction) -> bool {
        let side = self.side(direction);
        side.is_duplex() && side.discard && !self.complete
    }

    /// The body goes to the processor while the header reply is outstanding (B-0).
    pub(super) fn sends_body_early(&self, direction: Direction) -> bool {
        match self.side(direction).body_mode {
            BodySendMode::FullDuplexStreamed => true,
            BodySendMode::Streamed => self.plan.send_body_without_waiting_for_header_response,
            _ => false,
        }
    }

    fn partial_data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let side = self.side_mut(direction);
        if side.partial_done {
            self.forward_data(direction, data, end_stream);
            return;
        }
        side.held.push(data);
        let limit = host.buffer_limit(direction);
        if side.awaiting == Awaiting::PartialBody {
            side.update_paused(limit);
        } else if end_stream || side.held.len() > limit {
            self.send_partial(direction, now, host);
        }
    }

    /// Applies the limit to what is held: BUFFERED fails above it (B-3.6), the other modes pause the source. True if it
    /// failed.
    pub(super) fn check_limit(&mut self, direction: Direction, host: &mut dyn Host) -> bool {
        let limit = host.buffer_limit(direction);
        let side = self.side_mut(direction);
        if side.body_mode != BodySendMode::Buffered {
            side.update_paused(limit);
            return false;
        }
        if side.held.len() <= limit {
            return false;
        }
        // A reply to the headers that is still due is taken when it comes, and waited for as long as before.
        if side.awaiting != Awaiting::Headers {
            side.stop_timer();
            side.awaiting = Awaiting::Idle;
        }
        side.held.take();
        side.too_large = true;
        side.discard = true;
        self.actions.push_back(Action::PayloadTooLarge(direction));
        true
    }
}
