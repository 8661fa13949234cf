//! How an endpoint is chosen.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Maglev, RingHash};

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LbPolicy {
    /// Weighted round robin.
    RoundRobin,
    /// A less busy one.
    LeastRequest(LeastRequest),
    /// At random.
    Random,
    /// By a hash of the request, on a ring.
    RingHash(RingHash),
    /// By a hash of the request, from a table.
    Maglev(Maglev),
}

impl LbPolicy {
    /// The less busy of two random ones.
    pub const LEAST_REQUEST: Self = Self::LeastRequest(LeastRequest::USUAL);

    /// Whether the hash of a request decides.
    #[must_use]
    pub fn hashes(self) -> bool {
        matches!(self, Self::RingHash(_) | Self::Maglev(_))
    }
}

/// How the less busy endpoint is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LeastRequest {
    /// Among so many random ones. Default 2.
    pub choice_count: u32,
    /// Where weights differ: requests in progress divide the weight of an endpoint to this power. Default 1; 0 = they do not
    /// count.
    pub active_request_bias: f64,
    /// Among all of them instead. Default false.
    pub full_scan: bool,
}

impl LeastRequest {
    const USUAL: Self = Self { choice_count: 2, active_request_bias: 1.0, full_scan: false };
}

/// Writes a policy; one with nothing but defaults by its name alone.
///
/// # Errors
/// Those of the serializer.
pub(super) fn serialize<S: Serializer>(policy: &LbPolicy, serializer: S) -> Result<S::Ok, S::Error> {
    if *policy == LbPolicy::LEAST_REQUEST {
        return serializer.serialize_str("LEAST_REQUEST");
    }
    policy.serialize(serializer)
}

impl Default for LeastRequest {
    fn default() -> Self {
        Self::USUAL
    }
}

/// An endpoint that is new, or well again, takes its share little by little.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SlowStart {
    /// For so long.
    pub window: Duration,
    /// The share grows with the time to the power of the inverse of this. Default 1: evenly.
    pub aggression: f64,
    /// Of its weight it has so much at least, in percent. Default 10.
    pub min_weight_percent: f64,
}

impl SlowStart {
    /// What an endpoint has of its weight when it has been well for so long.
    #[must_use]
    pub fn factor(&self, well_for: Duration) -> f64 {
        if well_for >= self.window {
            return 1.0;
        }
        let time = well_for.max(Duration::from_millis(1)).as_secs_f64() / self.window.as_secs_f64();
        let grown = if self.aggression > 0.0 { time.powf(1.0 / self.aggression) } else { time };
        grown.max(self.min_weight_percent / 100.0).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_grows() {
        let evenly = SlowStart { window: Duration::from_secs(10), aggression: 1.0, min_weight_percent: 10.0 };
        let at = |start: &SlowStart, seconds: f64| start.factor(Duration::from_secs_f64(seconds));
        assert!((at(&evenly, 0.0) - 0.1).abs() < 1e-9);
        assert!((at(&evenly, 5.0) - 0.5).abs() < 1e-9);
        assert!((at(&evenly, 20.0) - 1.0).abs() < 1e-9);
        let fast = SlowStart { aggression: 2.0, ..evenly };
        assert!((at(&fast, 2.5) - 0.5).abs() < 1e-9);
    }
}
