//! Deadlines of replies (section 11).

use std::time::{Duration, Instant};

use super::{Exchange, failure::Failure};
use crate::messages;

/// The clock of the replies of one direction.
#[derive(Debug, Default)]
pub(super) struct Timer {
    /// When the last message was sent (G-6).
    sent_at: Option<Instant>,
    due: Option<Due>,
}

#[derive(Debug)]
struct Due {
    at: Instant,
    /// An override was accepted since the last message.
    overridden: bool,
}

impl Timer {
    /// A message was sent, whose reply is due at `deadline`.
    pub(super) fn sent(&mut self, now: Instant, deadline: Option<Instant>) {
        self.sent_at = Some(now);
        self.restart(deadline);
    }

    /// Another reply is due at `deadline`.
    pub(super) fn restart(&mut self, deadline: Option<Instant>) {
        self.due = deadline.map(|at| Due { at, overridden: false });
    }

    pub(super) fn stop(&mut self) {
        self.due = None;
    }

    /// Nothing was sent after all (F-9).
    pub(super) fn unsend(&mut self) {
        self.sent_at = None;
    }

    pub(super) fn sent_at(&self) -> Option<Instant> {
        self.sent_at
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.as_ref().map(|due| due.at)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Puts the deadline off, once for each message. False if there is none.
    fn extend(&mut self, deadline: Option<Instant>) -> bool {
        if self.due.as_ref().is_none_or(|due| due.overridden) {
            return false;
        }
        self.due = deadline.map(|at| Due { at, overridden: true });
        true
    }
}

impl Exchange {
    /// When [`handle_timeout`](Self::handle_timeout) must be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.request.line.timer.deadline(), self.response.line.timer.deadline()) {
            (Some(request), Some(response)) => Some(request.min(response)),
            (request, response) => request.or(response),
        }
    }

    /// A deadline that [`poll_timeout`](Self::poll_timeout) named has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.sides().iter().any(|side| side.line.timer.is_due(now)) {
            self.link.counters.message_timeouts += 1;
            self.fail(&Failure::MessageTimeout, now);
        }
    }

    /// `override_message_timeout`. The rest of the message that carries it is ignored (P-4).
    pub(super) fn override_timeout(&mut self, timeout: &messages::Duration, now: Instant) {
        let milliseconds = u64::try_from(timeout.whole_milliseconds()).unwrap_or(0);
        let max = u64::try_from(self.link.plan.max_message_timeout.as_millis()).unwrap_or(u64::MAX);
        let mut accepted = false;
        if (1..=max).contains(&milliseconds) {
            let deadline = now.checked_add(Duration::from_millis(milliseconds));
            for side in [&mut self.request, &mut self.response] {
                accepted |= side.line.timer.extend(deadline);
            }
        }
        if accepted {
            self.link.counters.override_message_timeout_received += 1;
        } else {
            self.link.counters.override_message_timeout_ignored += 1;
        }
    }
}
