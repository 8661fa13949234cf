//! Trying an exchange again before the processor has answered (N-5).

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::{payload::Payload, reset::ResetReason, retry::RetryPolicy};

/// Everything an exchange has sent, as long as it may have to be sent again.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Tries after the first.
    retries: u32,
}

impl Replay {
    /// Keeps what is sent. False if it is more than the policy allows.
    pub(crate) fn keep(&mut self, piece: &Bytes, policy: &RetryPolicy) -> bool {
        self.bytes += piece.len();
        if self.bytes <= policy.buffer_limit {
            self.pieces.push(piece.clone());
        }
        self.bytes <= policy.buffer_limit
    }

    /// Everything again.
    pub(crate) fn fill(&self, payload: &mut Payload) {
        for piece in &self.pieces {
            payload.push(piece.clone());
        }
    }

    /// How long to wait before the next try, or `None` if there is none.
    pub(crate) fn next(&mut self, policy: &RetryPolicy) -> Option<Duration> {
        if self.retries >= policy.num_retries {
            return None;
        }
        let interval =
            policy.base_interval.saturating_mul(1 << self.retries.min(20)).min(policy.max_interval);
        self.retries += 1;
        Some(interval.mul_f64(fastrand::f64()))
    }
}

impl RetryPolicy {
    /// Whether a stream that broke before the response head is tried again.
    pub(crate) fn covers_reset(&self, reason: &ResetReason) -> bool {
        match reason {
            ResetReason::Overflow => false,
            _ if self.reset => true,
            ResetReason::RemoteRefusedStream => self.refused_stream,
            reason => self.connect_failure && reason.is_connect_failure(),
        }
    }

    /// Whether an exchange with this response head is tried again.
    pub(crate) fn covers_answer(&self, status: StatusCode, grpc_status: Option<i32>) -> bool {
        grpc_status.is_some_and(|code| self.retriable_codes.contains(&code))
            || self.retriable_statuses.iter().any(|range| range.contains(&status.as_u16()))
    }
}
