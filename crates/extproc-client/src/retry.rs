//! When streams that failed before the processor answered are opened again.

use std::{ops::RangeInclusive, time::Duration};

/// When and how a stream that failed before any answer is opened again (N-5). Everything sent so far is replayed on the
/// new stream. The conditions are those of Envoy's `retry_on`; by default there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// gRPC codes in a response head that are tried again, e.g. 14 for `unavailable`. Codes in trailers are not.
    pub retriable_codes: Vec<i32>,
    /// HTTP statuses that are tried again: 500–599 for `5xx`, 502–504 for `gateway-error`, 409 for `retriable-4xx`.
    pub retriable_statuses: Vec<RangeInclusive<u16>>,
    /// Tries again when no connection could be established (`connect-failure`, `reset-before-request`).
    pub connect_failure: bool,
    /// Tries again when the stream broke for whatever reason (`reset`, `5xx`, `gateway-error`).
    pub reset: bool,
    /// Tries again when the processor refused the stream (`refused-stream`).
    pub refused_stream: bool,
    /// Tries after the first. Default 1.
    pub num_retries: u32,
    /// The first pause is random up to this; for each further one the limit is doubled. Default 25 ms.
    pub base_interval: Duration,
    /// Largest limit of a pause. Default 250 ms.
    pub max_interval: Duration,
    /// Bytes kept for replay; an exchange that has sent more is not tried again. Default 64 KiB.
    pub buffer_limit: usize,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retriable_codes: Vec::new(),
            retriable_statuses: Vec::new(),
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
