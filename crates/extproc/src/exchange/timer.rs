//! Deadlines of replies (section 11).

use std::time::{Duration, Instant};

use super::{Exchange, failure::Failure};
use crate::{http_message::Direction, messages};

impl Exchange {
    /// Arms the deadline of a message that was just sent. None in FULL_DUPLEX_STREAMED (B-6.10).
    pub(super) fn arm_timer(&mut self, direction: Direction, now: Instant) {
        let timeout = self.plan.message_timeout;
        let side = self.side_mut(direction);
        side.sent_at = Some(now);
        side.deadline_overridden = false;
        side.deadline = if side.is_duplex() { None } else { now.checked_add(timeout) };
    }

    /// A deadline that [`poll_timeout`](Self::poll_timeout) named has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if !due(self.request.deadline) && !due(self.response.deadline) {
            return;
        }
        self.counters.message_timeouts += 1;
        self.fail(&Failure::MessageTimeout, now);
    }

    /// `override_message_timeout`. The rest of the message that carries it is ignored (P-4).
    pub(super) fn override_timeout(&mut self, timeout: &messages::Duration, now: Instant) {
        let milliseconds = u64::try_from(timeout.whole_milliseconds()).unwrap_or(0);
        let max = u64::try_from(self.plan.max_message_timeout.as_millis()).unwrap_or(u64::MAX);
        let allowed = (1..=max).contains(&milliseconds);
        let mut accepted = false;
        if allowed {
            let deadline = now.checked_add(Duration::from_millis(milliseconds));
            for side in [&mut self.request, &mut self.response] {
                if side.deadline.is_some() && !side.deadline_overridden {
                    side.deadline = deadline;
                    side.deadline_overridden = true;
                    accepted = true;
                }
            }
        }
        if accepted {
            self.counters.override_message_timeout_received += 1;
        } else {
            self.counters.override_message_timeout_ignored += 1;
        }
    }
}
