//! What an exchange tells about itself to access logs (section 21).

use std::time::Duration;

use crate::http_message::Direction;

/// The logging object of one filter and one request (G-1). It exists even if nothing was processed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggingInfo {
    /// Steps of the request direction.
    pub request: DirectionLog,
    /// Steps of the response direction.
    pub response: DirectionLog,
    /// Wire bytes sent on the processor stream (G-7). Zero where the transport does not count them.
    pub bytes_sent: u64,
    /// Wire bytes received on the processor stream (G-7).
    pub bytes_received: u64,
    /// A failure was ignored because of `failure_mode_allow`.
    pub failed_open: bool,
    /// An immediate response arrived, even if it was not allowed (I-13). Not one in pieces.
    pub received_immediate_response: bool,
    /// gRPC status of a stream that ended while no reply was outstanding: before the first message could be sent, or
    /// between two steps (G-5); 0 = none.
    pub grpc_status_before_first_call: i32,
}

/// The steps of one direction; a step that did not happen is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectionLog {
    /// The headers step.
    pub headers: Option<CallLog>,
    /// All body steps together.
    pub body: Option<BodyCallLog>,
    /// The trailers step.
    pub trailers: Option<CallLog>,
    /// What became of header mutations (those of body replies too, G-4).
    pub header_effect: ProcessingEffect,
    /// What became of body mutations.
    pub body_effect: ProcessingEffect,
    /// What became of trailer mutations.
    pub trailer_effect: ProcessingEffect,
}

/// One message and its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLog {
    /// From sending to the reply.
    pub latency: Duration,
    /// gRPC code with which the step ended (G-5).
    pub status: i32,
}

/// Body messages and their replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyCallLog {
    /// Replies.
    pub count: u32,
    /// Sum of all latencies.
    pub total_latency: Duration,
    /// Largest latency.
    pub max_latency: Duration,
    /// gRPC code of the last reply (G-5).
    pub last_status: i32,
}

/// Which step of a direction a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Headers.
    Headers,
    /// Body.
    Body,
    /// Trailers.
    Trailers,
}

/// What became of a mutation (G-4). The numbers are those of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ProcessingEffect {
    /// No mutation, or one without effect.
    #[default]
    None = 0,
    /// Applied.
    MutationApplied = 1,
    /// Refused: invalid.
    InvalidMutationRejected = 2,
    /// Refused: too large.
    MutationRejectedSizeLimitExceeded = 3,
    /// Refused by the mutation rules as an error.
    MutationFailed = 4,
}

impl ProcessingEffect {
    /// The number in the log.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Something that belongs into a [`LoggingInfo`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A step was answered or ended otherwise.
    Call {
        /// Of which direction.
        direction: Direction,
        /// Which step.
        step: Step,
        /// From sending to now (G-6).
        latency: Duration,
        /// gRPC code with which it ended (G-5).
        status: i32,
    },
    /// What became of a mutation.
    Effect {
        /// Of which direction.
        direction: Direction,
        /// Of which step.
        step: Step,
        /// See [`ProcessingEffect`].
        effect: ProcessingEffect,
    },
    /// So many bytes as the stream has sent and received by now, if it is open (G-7): the driver knows them.
    Bytes,
    /// A failure was ignored.
    FailedOpen,
    /// An immediate response arrived.
    ImmediateResponse,
    /// The stream ended with this gRPC code while no reply was outstanding.
    StatusBeforeFirstCall(i32),
}

impl LoggingInfo {
    const fn direction_mut(&mut self, direction: Direction) -> &mut DirectionLog {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Adds what happened.
    pub fn note(&mut self, note: Note) {
        match note {
            Note::Call { direction, step, latency, status } => {
                self.record_call(direction, step, latency, status);
            }
            Note::Effect { direction, step, effect } => self.record_effect(direction, step, effect),
            // Only the driver knows how many.
            Note::Bytes => {}
            Note::FailedOpen => self.failed_open = true,
            Note::ImmediateResponse => self.received_immediate_response = true,
            Note::StatusBeforeFirstCall(code) => self.grpc_status_before_first_call = code,
        }
    }

    /// See [`Note::Call`].
    pub fn record_call(&mut self, direction: Direction, step: Step, latency: Duration, status: i32) {
        let log = self.direction_mut(direction);
        match step {
            Step::Headers => log.headers = Some(CallLog { latency, status }),
            Step::Trailers => log.trailers = Some(CallLog { latency, status }),
            Step::Body => {
                let body = log.body.get_or_insert_default();
                body.count = body.count.saturating_add(1);
                body.total_latency = body.total_latency.saturating_add(latency);
                body.max_latency = body.max_latency.max(latency);
                body.last_status = status;
            }
        }
    }

    /// See [`Note::Effect`].
    pub const fn record_effect(&mut self, direction: Direction, step: Step, effect: ProcessingEffect) {
        let log = self.direction_mut(direction);
        match step {
            Step::Headers => log.header_effect = effect,
            Step::Body => log.body_effect = effect,
            Step::Trailers => log.trailer_effect = effect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G-6: count, total and maximum over all body replies, the status of the last one.
    #[test]
    fn body_calls_add_up() {
        let mut log = LoggingInfo::default();
        for (micros, status) in [(30, 0), (50, 0), (20, 9)] {
            log.record_call(Direction::Response, Step::Body, Duration::from_micros(micros), status);
        }
        let expected = BodyCallLog {
            count: 3,
            total_latency: Duration::from_micros(100),
            max_latency: Duration::from_micros(50),
            last_status: 9,
        };
        assert_eq!(log.response.body, Some(expected));
        assert_eq!(log.request, DirectionLog::default());
    }

    /// G-4: effects are kept apart by step.
    #[test]
    fn effects_by_step() {
        let mut log = LoggingInfo::default();
        log.record_effect(Direction::Request, Step::Headers, ProcessingEffect::MutationApplied);
        log.record_effect(Direction::Request, Step::Trailers, ProcessingEffect::MutationFailed);
        assert_eq!(log.request.header_effect as u8, 1);
        assert_eq!(log.request.body_effect as u8, 0);
        assert_eq!(log.request.trailer_effect as u8, 4);
    }
}
