//! The state machine of one HTTP request with one processor.
//!
//! An [`Exchange`] does no I/O and reads no clock. Its driver feeds it with what happens (`handle_*`), after each of
//! which it carries out every [`Action`] that [`poll_action`](Exchange::poll_action) gives, and calls
//! [`handle_timeout`](Exchange::handle_timeout) when [`poll_timeout`](Exchange::poll_timeout) is due. Heads and
//! trailers stay with the driver, in the [`Host`]; body pieces travel through the exchange.
//!
//! Each direction is a `Side`: a line, which is what is known in every phase (what arrived, what was passed on,
//! when a reply is late), and a `Phase`, which owns what it holds:
//!
//! ```text
//!  Expected --> Headers --> Passing                        NONE, or no more of the body is for the processor
//!                       --> Buffered --> Whole             BUFFERED: collected, then with the processor
//!                       --> Partial                        BUFFERED_PARTIAL: the first part, collected or sent
//!                       --> Streamed                       STREAMED: pieces that were sent and not answered
//!                       --> Duplex                         FULL_DUPLEX_STREAMED: what the processor owes
//!                       --> Trailers                       the trailers are with the processor
//!                       --> Discarding, TooLarge           replaced, or answered with 413
//! ```
//!
//! A mode override chooses the next phase; leaving a phase takes along what it holds or passes it on. A step that fails
//! returns a failure and leaves the phase as it is, so that the failure policy can still let everything go on.
//!
//! The names of rules in the comments (`M-4.3`) are those of `docs/protocol.md`.

mod action;
mod arrive;
mod body;
mod counters;
mod cx;
mod failure;
mod host;
mod immediate;
mod link;
mod message;
mod mode_override;
mod observe;
mod report;
mod side;
#[cfg(test)]
mod tests;
mod timer;

use std::{sync::Arc, time::Instant};

pub use self::{
    action::{Action, Close, LocalReply},
    counters::Counters,
    failure::StreamEnd,
    host::{HeaderLimits, Host},
    report::{Failed, FailedReason, IgnoredMutation, Outcome},
};
use self::{cx::Cx, link::Link, side::Side};
use crate::{http_message::Direction, plan::Plan};

/// One HTTP request with one processor.
#[derive(Debug)]
pub struct Exchange {
    link: Link,
    state: State,
    request: Side,
    response: Side,
}

/// Who decides about the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// The processor.
    Processing,
    /// The processor, which gives the response itself, piece by piece (13.3).
    Replying,
    /// Nobody any more: the processor has given the response. The request goes nowhere.
    Replied,
    /// Nobody any more ("processing complete", L-7): nothing is sent, replies are ignored, parts pass through.
    Over,
}

impl State {
    /// When the processor decides no longer.
    const fn ended(self) -> Self {
        match self {
            Self::Processing | Self::Over => Self::Over,
            Self::Replying | Self::Replied => Self::Replied,
        }
    }
}

impl Exchange {
    /// A new exchange under `plan`. Opens nothing before something must be sent (L-1).
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self::of(plan, false)
    }

    /// A new exchange of a filter behind the router: the route is chosen and stays as it is (K-2).
    #[must_use]
    pub fn upstream(plan: Arc<Plan>) -> Self {
        Self::of(plan, true)
    }

    fn of(plan: Arc<Plan>, upstream: bool) -> Self {
        Self {
            request: Side::new(Direction::Request, &plan.processing_mode),
            response: Side::new(Direction::Response, &plan.processing_mode),
            link: Link::new(plan, upstream),
            state: State::Processing,
        }
    }

    /// The next thing to do, in order. `None` means everything was given out.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.link.actions.pop_front()
    }

    /// Whether more of the body of `direction` may be handed in. False while too much of it is held; the driver then
    /// stops reading its source.
    #[must_use]
    pub fn wants(&self, direction: Direction) -> bool {
        !self.side(direction).phase.is_full()
    }

    /// Bytes of the body of `direction` that it holds until a reply comes which is due.
    #[must_use]
    pub fn unanswered_bytes(&self, direction: Direction) -> usize {
        self.side(direction).phase.unanswered()
    }

    /// Bytes of bodies that it holds, with what their pieces cost beside them.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.request.phase.memory() + self.response.phase.memory()
    }

    /// Whether the exchange is over: everything else passes by untouched.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Replied | State::Over)
    }

    /// Whether the processor is giving the response itself, piece by piece (13.3).
    #[must_use]
    pub fn is_replying(&self) -> bool {
        self.state == State::Replying
    }

    /// Whether a reply of the processor is outstanding.
    #[must_use]
    pub fn awaits_processor(&self) -> bool {
        self.state == State::Processing && self.sides().iter().any(|side| side.awaits_reply())
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.link.plan
    }

    /// What it counted since the last call.
    pub fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.link.counters)
    }

    fn sides(&self) -> [&Side; 2] {
        [&self.request, &self.response]
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    /// A direction, and what a step of it works with.
    fn at<'a>(
        &'a mut self,
        direction: Direction,
        now: Instant,
        host: &'a mut dyn Host,
    ) -> (&'a mut Side, Cx<'a>) {
        let side = match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        (side, Cx { now, host, link: &mut self.link })
    }
}
