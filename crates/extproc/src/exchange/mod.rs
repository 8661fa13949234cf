//! The state machine of one HTTP request with one processor.
//!
//! An [`Exchange`] does no I/O and reads no clock. Its driver feeds it with what happens (`handle_*`), after each of
//! which it carries out every [`Action`] that [`poll_action`](Exchange::poll_action) gives, and calls
//! [`handle_timeout`](Exchange::handle_timeout) when [`poll_timeout`](Exchange::poll_timeout) is due. Heads and
//! trailers stay with the driver, in the [`Host`]; body pieces travel through the exchange.
//!
//! ```text
//!                 +------- one direction -------+
//!  head, data --> | Headers -> Buffered/Partial | --> ForwardHeaders, ForwardData, ForwardTrailers
//!  trailers       |         -> Streamed         |
//!                 |         -> Trailers -> Idle | --> Send ... and Reply, Close when it fails or is done
//!  reply -------> +-----------------------------+
//! ```
//!
//! The names of rules in the comments (`M-4.3`) are those of `docs/protocol.md`.

mod action;
mod arrive;
mod close;
mod counters;
mod failure;
mod forward;
mod held;
mod host;
mod immediate;
mod mode_override;
mod observe;
mod reply;
mod reply_body;
mod reply_headers;
mod report;
mod send;
mod side;
#[cfg(test)]
mod tests;
mod timer;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use self::side::{Awaiting, Side};
pub use self::{
    action::{Action, Close, LocalReply},
    counters::Counters,
    failure::StreamEnd,
    host::{HeaderLimits, Host},
    report::{Failed, FailedReason, IgnoredMutation, Outcome},
};
use crate::{http_message::Direction, log::Note, plan::Plan};

/// One HTTP request with one processor.
#[derive(Debug)]
pub struct Exchange {
    plan: Arc<Plan>,
    /// The filter stands behind the router, which has made its choice (K-2).
    upstream: bool,
    stream: Stream,
    /// "Processing complete" (L-7): nothing is sent any more, replies are ignored, parts pass through.
    complete: bool,
    streamed_reply: StreamedReply,
    /// The first message of the stream, which carries the protocol configuration, was sent (L-3).
    first_sent: bool,
    /// The kind of the last message of the processor.
    received: Option<&'static str>,
    request: Side,
    response: Side,
    actions: VecDeque<Action>,
    counters: Counters,
}

/// The stream to the processor as the exchange knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stream {
    Unopened,
    Open,
    Closed,
}

/// A response made by the processor piece by piece (13.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum StreamedReply {
    None,
    Started,
    Ended,
}

impl Exchange {
    /// A new exchange under `plan`. Opens nothing before something must be sent (L-1).
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            request: Side::new(Direction::Request, &plan.processing_mode),
            response: Side::new(Direction::Response, &plan.processing_mode),
            plan,
            upstream: false,
            stream: Stream::Unopened,
            complete: false,
            streamed_reply: StreamedReply::None,
            first_sent: false,
            received: None,
            actions: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// A new exchange of a filter behind the router: the route is chosen and stays as it is (K-2).
    #[must_use]
    pub fn upstream(plan: Arc<Plan>) -> Self {
        Self { upstream: true, ..Self::new(plan) }
    }

    /// The next thing to do, in order. `None` means everything was given out.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.request.deadline, self.response.deadline) {
            (Some(request), Some(response)) => Some(request.min(response)),
            (request, response) => request.or(response),
        }
    }

    /// Whether more of the body of `direction` may be handed in. False while too much of it is held; the driver then
    /// stops reading its source.
    #[must_use]
    pub fn wants(&self, direction: Direction) -> bool {
        !self.side(direction).paused
    }

    /// Bytes of the body of `direction` that it holds until a reply comes which is due.
    #[must_use]
    pub fn unanswered_bytes(&self, direction: Direction) -> usize {
        let side = self.side(direction);
        let behind_headers = if side.awaiting == Awaiting::Headers { side.held.len() } else { 0 };
        side.chunk_bytes + behind_headers
    }

    /// Bytes of bodies that it holds, with what their pieces cost beside them.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.request.memory() + self.response.memory()
    }

    /// Whether the exchange is over: everything else passes by untouched.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete && self.streamed_reply != StreamedReply::Started
    }

    /// Whether the processor is giving the response itself, piece by piece (13.3).
    #[must_use]
    pub fn is_replying(&self) -> bool {
        self.streamed_reply == StreamedReply::Started
    }

    /// Whether a reply of the processor is outstanding.
    #[must_use]
    pub fn awaits_processor(&self) -> bool {
        !self.complete
            && [&self.request, &self.response].iter().any(|side| {
                side.awaiting == Awaiting::Headers || side.has_outstanding() || side.awaits_duplex_trailers()
            })
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What it counted since the last call.
    pub fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.counters)
    }

    fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}
