//! The filter chain: an onion that requests pass inwards and responses outwards, with the router as its inner ring but
//! for filters of single attempts.

use std::time::Instant;

use extproc::{Direction, exchange::Action};
use tollgate_model::processor::FilterOverride;

use super::{Part, Transaction, cors::Cors, failure::ProcessorCounts, processor::Filter};
use crate::stream::Downstream;

/// A place in the chain.
#[derive(Debug)]
pub(super) enum Slot {
    /// No head has come by yet, so no route has decided what it does.
    Untouched,
    /// Not there on this route.
    Disabled,
    /// There, but off on this route.
    Idle,
    /// At work.
    Active(Box<Filter>),
    /// Looks at the heads of a request and its response.
    Cors(Box<Cors>),
}

impl Slot {
    pub(super) fn filter(&self) -> Option<&Filter> {
        match self {
            Self::Active(filter) => Some(filter),
            Self::Untouched | Self::Disabled | Self::Idle | Self::Cors(_) => None,
        }
    }

    /// Whether more of a body may be handed in; less while memory is short.
    pub(super) fn has_room(&self, direction: Direction, pressed: bool) -> bool {
        self.filter().is_none_or(|filter| filter.has_room(direction, pressed))
    }
}

impl<D: Downstream> Transaction<'_, D> {
    /// Hands a part of the request to the first filter from `index` on that stands before the router, or to the router.
    pub(super) fn request_part(&mut self, index: usize, part: Part, now: Instant) {
        for index in index..self.downstream_slots {
            if self.touch(index) {
                self.feed(index, Direction::Request, part, now);
                return;
            }
            if let (Slot::Cors(cors), Part::Headers { .. }) = (&mut self.slots[index], &part)
                && let Some(reply) = cors.request(&self.core.messages.request)
            {
                return self.local_reply(reply, now);
            }
        }
        self.router_part(part, now);
    }

    /// Hands a part of the request to the first filter from `index` on that stands behind the router, or to the
    /// upstream.
    pub(super) fn upstream_request_part(&mut self, index: usize, part: Part, now: Instant) {
        for index in index..self.slots.len() {
            if self.touch(index) {
                self.feed(index, Direction::Request, part, now);
                return;
            }
        }
        self.upstream_part(part, now);
    }

    /// Hands a part of the upstream's response to the next filter before `index` that stands behind the router, or to
    /// the router.
    pub(super) fn upstream_response_part(&mut self, index: usize, part: Part, now: Instant) {
        for index in (self.downstream_slots..index).rev() {
            if self.touch(index) {
                self.feed(index, Direction::Response, part, now);
                return;
            }
        }
        self.router_response_part(part, now);
    }

    /// Hands a part of the response to the next filter before `index`, or to the client.
    pub(super) fn response_part(&mut self, index: usize, part: Part, now: Instant) {
        for index in (0..index).rev() {
            if self.touch(index) {
                self.feed(index, Direction::Response, part, now);
                return;
            }
            if let (Slot::Cors(cors), Part::Headers { .. }) = (&self.slots[index], &part)
                && let Some(response) = &mut self.core.messages.response
            {
                cors.response(&mut response.fields);
            }
        }
        self.client_part(part, now);
    }

    /// Whether the filter is at work; decides it by the route in force when the first head comes by (Q-9, L-12).
    fn touch(&mut self, index: usize) -> bool {
        if matches!(self.slots[index], Slot::Untouched) {
            self.slots[index] = match self.core.filter_override(index) {
                FilterOverride::Disabled => Slot::Disabled,
                FilterOverride::Idle => Slot::Idle,
                FilterOverride::Cors(policy) => Slot::Cors(Box::new(Cors::new(policy.clone()))),
                FilterOverride::ExtProc(ext_proc) => {
                    let upstream = index >= self.downstream_slots;
                    let counts = ProcessorCounts::of(&self.core.worker, ext_proc);
                    Slot::Active(Box::new(Filter::new(ext_proc.clone(), upstream, counts)))
                }
            };
        }
        matches!(self.slots[index], Slot::Active(_))
    }

    fn feed(&mut self, index: usize, direction: Direction, part: Part, now: Instant) {
        let Slot::Active(filter) = &mut self.slots[index] else {
            return;
        };
        let exchange = &mut filter.exchange;
        match part {
            Part::Headers { end_stream } => {
                exchange.handle_headers(direction, end_stream, now, &mut self.core);
            }
            Part::Data { data, end_stream } => {
                exchange.handle_data(direction, data, end_stream, now, &mut self.core);
            }
            Part::Trailers => exchange.handle_trailers(direction, now, &mut self.core),
        }
        self.run_actions(index, now);
    }

    /// Carries out everything the exchange of a filter asks for.
    pub(super) fn run_actions(&mut self, index: usize, now: Instant) {
        loop {
            let Slot::Active(filter) = &mut self.slots[index] else {
                return;
            };
            let Some(action) = filter.exchange.poll_action() else {
                self.core.count_exchange(index, filter);
                return;
            };
            match action {
                Action::Open => self.open_call(index, now),
                Action::Send { message, payload } => filter.send(message, payload),
                Action::Close(close) => filter.close(close),
                Action::Note(note) => filter.note(note),
                Action::Failed(failed) => {
                    let address = filter.address();
                    self.core.report_failure(index, &filter.counts, address, &failed);
                }
                Action::Ignored(ignored) => {
                    self.core.report_ignored(index, &filter.counts, &ignored);
                }
                Action::ForwardHeaders { direction, end_stream } => {
                    self.pass_on(index, direction, Part::Headers { end_stream }, now);
                }
                Action::ForwardData { direction, data, end_stream } => {
                    self.pass_on(index, direction, Part::Data { data, end_stream }, now);
                }
                Action::ForwardTrailers { direction } => self.pass_on(index, direction, Part::Trailers, now),
                Action::ClearRouteCache => self.core.refresh_route(),
                Action::Reply(reply) => self.filter_reply(*reply, now),
                Action::PayloadTooLarge(direction) => self.payload_too_large(direction, now),
                Action::ReplyHeaders { head, end_stream } => {
                    self.streamed_reply(index, *head, end_stream, now);
                }
                Action::ReplyData { data, end_stream } => {
                    self.reply_part(index, Part::Data { data, end_stream }, now);
                }
                Action::ReplyTrailers(trailers) => {
                    self.core.messages.response_trailers = Some(*trailers);
                    self.reply_part(index, Part::Trailers, now);
                }
            }
        }
    }

    fn pass_on(&mut self, index: usize, direction: Direction, part: Part, now: Instant) {
        let upstream = index >= self.downstream_slots;
        match direction {
            Direction::Request if upstream => self.upstream_request_part(index + 1, part, now),
            Direction::Request => self.request_part(index + 1, part, now),
            Direction::Response if upstream => self.upstream_response_part(index, part, now),
            Direction::Response => self.response_part(index, part, now),
        }
    }

    /// A part of a response that the filter at `index` gives piece by piece: it passes every filter on its side of the
    /// router, its own too, as if it came from there.
    pub(super) fn reply_part(&mut self, index: usize, part: Part, now: Instant) {
        if index >= self.downstream_slots {
            self.upstream_response_part(self.slots.len(), part, now);
        } else {
            self.response_part(self.downstream_slots, part, now);
        }
    }
}
