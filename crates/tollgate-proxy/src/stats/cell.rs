//! Numbers that one thread writes and any thread reads.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A counter or gauge. Only one thread may change it: a change is a load and a store, not one atomic operation.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds, modulo 2^64: subtracting is adding the complement.
    pub(super) fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Buckets per power of two: the error of a bucket is at most an eighth of its values.
const LINEAR: u64 = 8;
/// Powers of two with buckets of their own, from 8 µs on; the last bucket has everything from 76 hours on.
const POWERS: usize = 35;
const BUCKETS: usize = LINEAR as usize * (POWERS + 1);

/// A histogram of durations with log-linear buckets of microseconds. Takes memory when the first one is recorded.
#[derive(Debug, Default)]
pub(super) struct Histogram(OnceLock<Box<Buckets>>);

#[derive(Debug)]
struct Buckets {
    counts: [Counter; BUCKETS],
    /// Of all microseconds.
    sum: Counter,
}

impl Histogram {
    pub(super) fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let buckets = self.0.get_or_init(|| {
            Box::new(Buckets { counts: std::array::from_fn(|_| Counter::default()), sum: Counter::default() })
        });
        buckets.counts[bucket_of(micros)].add(1);
        buckets.sum.add(micros);
    }

    /// Adds what it holds to `summary`.
    pub(super) fn add_to(&self, summary: &mut Summary) {
        let Some(buckets) = self.0.get() else { return };
        if summary.counts.is_empty() {
            summary.counts = vec![0; BUCKETS];
        }
        for (total, count) in summary.counts.iter_mut().zip(&buckets.counts) {
            *total += count.get();
        }
        summary.sum_micros = summary.sum_micros.wrapping_add(buckets.sum.get());
    }
}

fn bucket_of(micros: u64) -> usize {
    if micros < LINEAR {
        return micros as usize;
    }
    let power = micros.ilog2() - LINEAR.ilog2();
    let within = (micros >> power) - LINEAR;
    (LINEAR as usize * (power as usize + 1) + within as usize).min(BUCKETS - 1)
}

/// The first microsecond of a bucket.
fn start_of(bucket: usize) -> u64 {
    let (power, within) = (bucket as u64 / LINEAR, bucket as u64 % LINEAR);
    if power == 0 { within } else { (LINEAR + within) << (power - 1) }
}

/// The sum of histograms of several workers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Summary {
    /// By bucket; empty = nothing was recorded.
    counts: Vec<u64>,
    sum_micros: u64,
}

impl Summary {
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all values, milliseconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum_micros as f64 / 1000.0
    }

    /// How many values are at most `limit` milliseconds; values are taken as spread evenly over their bucket.
    pub(super) fn count_up_to(&self, limit: f64) -> u64 {
        let limit = limit * 1000.0;
        let mut total = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (start, end) = (start_of(bucket) as f64, start_of(bucket + 1) as f64);
            total += *count as f64 * ((limit + 1.0 - start) / (end - start)).clamp(0.0, 1.0);
        }
        total as u64
    }

    /// The value below which `quantile` (0 to 1) of all values are, milliseconds. `None` when there are none.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        let rank = quantile * self.count() as f64;
        let mut below = 0.0;
        let mut value = None;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (start, end) = (start_of(bucket) as f64, start_of(bucket + 1) as f64);
            let share = ((rank - below) / *count as f64).clamp(0.0, 1.0);
            value = Some((start + share * (end - start)) / 1000.0);
            below += *count as f64;
            if below >= rank {
                break;
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_fine() {
        for bucket in 0..BUCKETS - 1 {
            let (start, end) = (start_of(bucket), start_of(bucket + 1));
            assert_eq!(bucket_of(start), bucket);
            assert_eq!(bucket_of(end - 1), bucket);
            assert!(end - start <= 1 || (end - start) * LINEAR <= start, "{bucket}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert!(start_of(BUCKETS - 1) > 3600 * 1_000_000);
    }

    #[test]
    fn summaries() {
        let histogram = Histogram::default();
        let mut summary = Summary::default();
        histogram.add_to(&mut summary);
        assert_eq!((summary.count(), summary.quantile(0.5)), (0, None));
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        histogram.add_to(&mut summary);
        assert_eq!(summary.count(), 1000);
        assert!((summary.sum() - 500_500.0).abs() < 0.001);
        for (quantile, expected) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let value = summary.quantile(quantile).unwrap();
            assert!((value / expected - 1.0).abs() < 0.13, "{quantile}: {value}");
        }
        for (limit, expected) in [(0.5, 0.0), (100.0, 100.0), (500.0, 500.0), (10_000.0, 1000.0)] {
            let count = summary.count_up_to(limit) as f64;
            assert!((count - expected).abs() <= expected / 8.0, "{limit}: {count}");
        }
    }

    /// Values on either side of a bound that is also a bound of buckets are distinguished.
    #[test]
    fn small_values_are_exact() {
        let histogram = Histogram::default();
        for micros in 0..8 {
            histogram.record(Duration::from_micros(micros));
        }
        let mut summary = Summary::default();
        histogram.add_to(&mut summary);
        assert_eq!(summary.count_up_to(0.003), 4);
        assert_eq!(summary.count_up_to(0.007), 8);
    }
}
