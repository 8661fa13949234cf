//! Reopening of streams that failed before the processor answered.

use std::time::Duration;

/// When and how a stream that failed before any response headers is opened again (N-5). Everything sent so far is
/// replayed on the new stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// gRPC codes of a headers-only answer that are tried again.
    pub retriable_codes: Vec<i32>,
    /// Tries again when no connection could be established (`connect-failure`).
    pub connect_failure: bool,
    /// Tries again when the stream was reset or its connection broke (`reset`).
    pub reset: bool,
    /// Tries again when the processor refused the stream (`refused-stream`).
    pub refused_stream: bool,
    /// Tries after the first. Default 1.
    pub num_retries: u32,
    /// First back-off; each further one may be twice as long. Default 25 ms.
    pub base_interval: Duration,
    /// Longest back-off. Default ten times the first.
    pub max_interval: Duration,
    /// Bytes kept for replay; an exchange that has sent more is not tried again. Default 64 KiB.
    pub buffer_limit: usize,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retriable_codes: Vec::new(),
            connect_failure: false,
            reset: false,
            refused_stream: false,
            num_retries: 1,
            base_interval: Duration::from_millis(25),
            max_interval: Duration::from_millis(250),
            buffer_limit: 64 * 1024,
        }
    }
}
