//! How long to wait before the next stream.

use std::time::Duration;

/// Waiting times that double, each cut by chance, so that gateways which lost a server together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    /// The longest that the next one may be.
    next: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    pub(crate) fn new(base: Duration, max: Duration, seed: u64) -> Self {
        Self { base, max, next: base, random: fastrand::Rng::with_seed(seed) }
    }

    /// The next waiting time, from nothing to the longest one.
    pub(crate) fn next(&mut self) -> Duration {
        let time = self.next.mul_f64(self.random.f64());
        self.next = self.next.saturating_mul(2).min(self.max);
        time
    }

    /// The server has answered: the next waiting time is short again.
    pub(crate) fn reset(&mut self) {
        self.next = self.base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_double_up_to_the_longest_and_begin_again() {
        let (base, max) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut sums = [Duration::ZERO; 9];
        for seed in 0..200 {
            let mut backoff = Backoff::new(base, max, seed);
            let mut bound = base;
            for sum in &mut sums {
                let time = backoff.next();
                assert!(time <= bound, "{time:?}");
                *sum += time;
                bound = (bound * 2).min(max);
            }
            backoff.reset();
            assert!(backoff.next() <= base);
        }
        // On average they are half of the longest.
        assert!((40..60).contains(&(sums[0].as_millis() / 1000)), "{sums:?}");
        assert!((2_700..3_300).contains(&sums[8].as_secs()), "{sums:?}");
    }
}
