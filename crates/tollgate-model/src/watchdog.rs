//! What is done about a worker that hangs.

use std::time::Duration;

use serde::Serialize;

/// When a worker counts as hanging, and what is done then. A worker that is merely idle does not hang.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Watchdog {
    /// A worker that has made no progress for so long is counted. Default 200 ms.
    pub miss: Duration,
    /// A worker that has made no progress for so long is counted and logged. Default 1 s.
    pub megamiss: Duration,
    /// The process ends when a worker has made no progress for so long. Default `None`: never.
    pub kill: Option<Duration>,
    /// Up to so much is added to `kill` by chance, so that not all processes end at once. Default none.
    pub max_kill_jitter: Duration,
    /// The process ends when several workers have made no progress for so long. Default `None`: never.
    pub multikill: Option<Duration>,
    /// The share of the workers that makes several, 0 to 1; two at least. Default 0.
    pub multikill_share: f64,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            miss: Duration::from_millis(200),
            megamiss: Duration::from_secs(1),
            kill: None,
            max_kill_jitter: Duration::ZERO,
            multikill: None,
            multikill_share: 0.0,
        }
    }
}
