//! A log-linear histogram: constant time and memory, values within 0.8 %.

use std::time::Duration;

/// Each power of two is divided into so many steps.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Durations, counted by size.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; index(u64::MAX) + 1], total: 0, max: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[index(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The value, in microseconds, that a share of the recorded ones does not exceed. NaN if nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound(index).min(self.max) as f64 / 1000.0;
            }
        }
        f64::NAN
    }
}

fn index(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let exponent = value.ilog2() - STEP_BITS;
    (u64::from(exponent + 1) * STEPS + (value >> exponent) - STEPS) as usize
}

fn upper_bound(index: usize) -> u64 {
    let (exponent, step) = (index as u64 / STEPS, index as u64 % STEPS);
    if exponent == 0 {
        return step;
    }
    (STEPS + step + 1).checked_shl(exponent as u32 - 1).map_or(u64::MAX, |bound| bound.wrapping_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_step() {
        for value in [0, 1, 127, 128, 129, 255, 256, 257, 1000, 65_535, 1_000_000, 123_456_789, u64::MAX] {
            let index = index(value);
            assert!(value <= upper_bound(index), "{value}");
            assert!(index == 0 || value > upper_bound(index - 1), "{value}");
        }
    }

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::default();
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, expected) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = histogram.quantile(share);
            assert!((found - expected).abs() / expected < 0.01, "{found} for {expected}");
        }
    }
}
