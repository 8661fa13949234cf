//! What both directions of an exchange share: the plan, the stream to the processor, and what is to be done.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::{Action, Close, Counters, IgnoredMutation};
use crate::{
    http_message::Direction,
    log::{Note, ProcessingEffect, Step},
    plan::Plan,
};

/// The stream to the processor as the exchange knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stream {
    Unopened,
    Open,
    Closed,
}

/// Why the stream is closed by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseKind {
    /// Everything that was needed has arrived.
    Orderly,
    /// Something failed: always a reset (L-5).
    Failed,
    /// The HTTP exchange that was observed is over (V-6).
    Observed,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) plan: Arc<Plan>,
    /// The filter is behind the router, which has made its choice (K-2).
    pub(super) upstream: bool,
    pub(super) stream: Stream,
    /// Attributes go with the first message of a direction.
    pub(super) attributes_sent: [bool; 2],
    /// The head of the response went to the processor.
    pub(super) response_headers_shown: bool,
    /// The kind of the last message of the processor.
    pub(super) received: Option<&'static str>,
    pub(super) actions: VecDeque<Action>,
    pub(super) counters: Counters,
}

impl Link {
    pub(super) fn new(plan: Arc<Plan>, upstream: bool) -> Self {
        Self {
            plan,
            upstream,
            stream: Stream::Unopened,
            attributes_sent: [false; 2],
            response_headers_shown: false,
            received: None,
            actions: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn note(&mut self, note: Note) {
        self.push(Action::Note(note));
    }

    pub(super) fn note_effect(&mut self, direction: Direction, step: Step, effect: ProcessingEffect) {
        self.note(Note::Effect { direction, step, effect });
    }

    /// Counts operations of a mutation that were ignored, and reports them.
    pub(super) fn ignored(&mut self, direction: Direction, step: Step, count: u32, header: Option<Box<str>>) {
        self.counters.rejected_header_mutations += count;
        if count > 0 {
            let ignored = IgnoredMutation { direction, step, count, header };
            self.push(Action::Ignored(Box::new(ignored)));
        }
    }

    /// The deadline of a reply that is due from now on.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.plan.message_timeout)
    }

    /// Closes the stream if it is open (L-5).
    pub(super) fn close(&mut self, kind: CloseKind) {
        if self.stream != Stream::Open {
            return;
        }
        self.stream = Stream::Closed;
        self.counters.streams_closed += 1;
        self.push(Action::Close(match kind {
            CloseKind::Observed => Close::Deferred(self.plan.deferred_close_timeout),
            CloseKind::Orderly if self.plan.graceful_grpc_close => Close::Graceful,
            CloseKind::Orderly | CloseKind::Failed => Close::Reset,
        }));
    }
}
