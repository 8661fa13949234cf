//! Which priorities requests go to, and to which of their hosts.

use crate::upstream::health::Condition;

/// How many hosts of a priority are worth what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::upstream) struct Tier {
    pub(in crate::upstream) total: u32,
    pub(in crate::upstream) healthy: u32,
    pub(in crate::upstream) degraded: u32,
    pub(in crate::upstream) excluded: u32,
}

impl Tier {
    /// Counts a host.
    pub(in crate::upstream) fn add(&mut self, condition: Condition) {
        self.total += 1;
        match condition {
            Condition::Healthy => self.healthy += 1,
            Condition::Degraded => self.degraded += 1,
            Condition::Excluded => self.excluded += 1,
            Condition::Unhealthy => {}
        }
    }

    fn counted(self) -> u32 {
        self.total - self.excluded
    }

    /// The share of the traffic that so many of its hosts can take, in percent.
    fn availability(self, hosts: u32, overprovisioning_factor: u32) -> u32 {
        let share = u64::from(overprovisioning_factor) * u64::from(hosts);
        let share = share.checked_div(u64::from(self.counted())).unwrap_or(0);
        u32::try_from(share.min(100)).unwrap_or(100)
    }

    fn is_in_panic(self, threshold: f64) -> bool {
        let percent = match self.counted() {
            0 => 0.0,
            counted => 100.0 * f64::from(self.healthy + self.degraded) / f64::from(counted),
        };
        percent < threshold
    }
}

/// Which hosts of a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Pick {
    /// Those that are well.
    Healthy,
    /// Those that are degraded.
    Degraded,
    /// All of them: too few are well.
    Panic,
}

/// A share of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) struct Share {
    /// The first of 100 that does not belong to it any more.
    pub(in crate::upstream) end: u32,
    /// Which priority, counted from the first.
    pub(in crate::upstream) tier: usize,
    pub(in crate::upstream) pick: Pick,
}

/// The shares of the traffic, as Envoy's priority load balancing has them. `panic_threshold` is in percent. Empty: there is
/// no host at all.
pub(in crate::upstream) fn shares(
    tiers: &[Tier],
    overprovisioning_factor: u32,
    panic_threshold: f64,
) -> Vec<Share> {
    let of = |hosts: fn(&Tier) -> u32| -> Vec<u32> {
        tiers.iter().map(|tier| tier.availability(hosts(tier), overprovisioning_factor)).collect()
    };
    let (healthy, degraded) = (of(|tier| tier.healthy), of(|tier| tier.degraded));
    let total = healthy.iter().chain(&degraded).sum::<u32>().min(100);
    let threshold = panic_threshold.round().clamp(0.0, 100.0);
    let panics: Vec<bool> = match total {
        100 => vec![false; tiers.len()],
        _ => tiers.iter().map(|tier| tier.is_in_panic(threshold)).collect(),
    };
    if tiers.iter().all(|tier| tier.total == 0) {
        return Vec::new();
    }
    let loads = if total < 100 && panics.iter().all(|panic| *panic) {
        in_total_panic(tiers)
    } else if total == 0 {
        // Nobody can take anything: it fails at the first priority.
        vec![(0, Pick::Healthy, 100)]
    } else {
        by_availability(&healthy, &degraded, total)
    };
    let mut end = 0;
    loads
        .into_iter()
        .filter(|(.., load)| *load > 0)
        .map(|(tier, pick, load)| {
            end += load;
            Share { end, tier, pick: if panics[tier] { Pick::Panic } else { pick } }
        })
        .collect()
}

/// As [`shares`], without the priorities that are left out; those count again where nobody else can take anything. `None`:
/// nobody can, so that nothing is changed.
pub(in crate::upstream) fn shares_without(
    tiers: &[Tier],
    overprovisioning_factor: u32,
    left_out: &[bool],
) -> Option<Vec<Share>> {
    let availabilities = |everybody: bool| -> [Vec<u32>; 2] {
        let of = |hosts: fn(&Tier) -> u32| -> Vec<u32> {
            let tiers = tiers.iter().zip(left_out);
            tiers
                .map(|(tier, out)| match *out && !everybody {
                    true => 0,
                    false => tier.availability(hosts(tier), overprovisioning_factor),
                })
                .collect()
        };
        [of(|tier| tier.healthy), of(|tier| tier.degraded)]
    };
    [false, true].into_iter().map(availabilities).find_map(|[healthy, degraded]| {
        let total = healthy.iter().chain(&degraded).sum::<u32>().min(100);
        let loads = (total > 0).then(|| by_availability(&healthy, &degraded, total))?;
        let mut end = 0;
        let shares = loads.into_iter().filter(|(.., load)| *load > 0).map(|(tier, pick, load)| {
            end += load;
            Share { end, tier, pick }
        });
        Some(shares.collect())
    })
}

/// All priorities take traffic, by the number of their hosts.
fn in_total_panic(tiers: &[Tier]) -> Vec<(usize, Pick, u32)> {
    let total: u32 = tiers.iter().map(|tier| tier.total).sum();
    let mut loads: Vec<_> = tiers
        .iter()
        .enumerate()
        .map(|(index, tier)| (index, Pick::Healthy, 100 * tier.total / total))
        .collect();
    let rest = 100 - loads.iter().map(|(.., load)| load).sum::<u32>();
    if let Some((.., load)) = loads.iter_mut().find(|(.., load)| *load > 0) {
        *load += rest;
    }
    loads
}

/// The first priorities take what they can, first with their healthy hosts, then with those that are degraded.
fn by_availability(healthy: &[u32], degraded: &[u32], total: u32) -> Vec<(usize, Pick, u32)> {
    let mut remaining = 100;
    let mut loads = Vec::new();
    for (pick, availabilities) in [(Pick::Healthy, healthy), (Pick::Degraded, degraded)] {
        for (tier, availability) in availabilities.iter().enumerate() {
            let load = (availability * 100 / total).min(remaining);
            remaining -= load;
            loads.push((tier, pick, load));
        }
    }
    // What rounding left over.
    if let Some((.., load)) = loads.iter_mut().find(|(.., load)| *load > 0) {
        *load += remaining;
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(healthy: u32, degraded: u32, total: u32) -> Tier {
        Tier { healthy, degraded, total, excluded: 0 }
    }

    fn loads(tiers: &[Tier], threshold: f64) -> Vec<(usize, Pick, u32)> {
        let mut start = 0;
        shares(tiers, 140, threshold)
            .into_iter()
            .map(|share| (share.tier, share.pick, share.end - std::mem::replace(&mut start, share.end)))
            .collect()
    }

    use Pick::{Degraded, Healthy, Panic};

    #[test]
    fn the_first_priority_takes_everything_while_it_can() {
        assert_eq!(loads(&[tier(3, 0, 4), tier(4, 0, 4)], 50.0), [(0, Healthy, 100)]);
    }

    /// The table of Envoy's documentation.
    #[test]
    fn what_the_first_cannot_take_goes_to_the_next() {
        let two = |first, second| loads(&[tier(first, 0, 100), tier(second, 0, 100)], 50.0);
        assert_eq!(two(71, 100), [(0, Healthy, 99), (1, Healthy, 1)]);
        assert_eq!(two(50, 100), [(0, Healthy, 70), (1, Healthy, 30)]);
        assert_eq!(two(25, 100), [(0, Healthy, 35), (1, Healthy, 65)]);
        assert_eq!(two(0, 100), [(1, Healthy, 100)]);
        assert_eq!(two(25, 25), [(0, Panic, 50), (1, Panic, 50)]);
    }

    #[test]
    fn a_priority_without_hosts_takes_nothing() {
        assert_eq!(loads(&[tier(0, 0, 0), tier(2, 0, 2)], 50.0), [(1, Healthy, 100)]);
        assert_eq!(loads(&[tier(0, 0, 0)], 50.0), []);
        assert_eq!(loads(&[], 50.0), []);
    }

    #[test]
    fn degraded_hosts_take_what_the_others_cannot() {
        assert_eq!(loads(&[tier(1, 1, 2)], 50.0), [(0, Healthy, 70), (0, Degraded, 30)]);
        assert_eq!(loads(&[tier(0, 2, 2)], 50.0), [(0, Degraded, 100)]);
    }

    #[test]
    fn few_healthy_hosts_are_panic_unless_that_is_switched_off() {
        assert_eq!(loads(&[tier(1, 0, 4)], 50.0), [(0, Panic, 100)]);
        assert_eq!(loads(&[tier(1, 0, 4)], 0.0), [(0, Healthy, 100)]);
        assert_eq!(loads(&[tier(0, 0, 4)], 50.0), [(0, Panic, 100)]);
        assert_eq!(loads(&[tier(0, 0, 4)], 0.0), [(0, Healthy, 100)], "where nobody is");
    }

    #[test]
    fn priorities_that_were_tried_are_left_out() {
        let tiers = [tier(2, 0, 2), tier(2, 0, 2), tier(0, 0, 2)];
        let without = |left_out: [bool; 3]| {
            let shares = shares_without(&tiers, 140, &left_out);
            shares.map(|shares| shares.into_iter().map(|share| share.tier).collect::<Vec<_>>())
        };
        assert_eq!(without([false, false, false]), Some(vec![0]));
        assert_eq!(without([true, false, false]), Some(vec![1]));
        assert_eq!(without([true, true, false]), Some(vec![0]), "all that can take anything were tried");
        assert_eq!(shares_without(&[tier(0, 0, 2)], 140, &[false]), None);
    }

    #[test]
    fn excluded_hosts_do_not_count() {
        let tier = Tier { total: 10, healthy: 2, degraded: 0, excluded: 8 };
        assert_eq!(loads(&[tier], 50.0), [(0, Healthy, 100)]);
    }
}
