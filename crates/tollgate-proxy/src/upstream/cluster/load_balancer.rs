//! How one of several hosts is chosen.

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    collections::BinaryHeap,
};

use tollgate_model::cluster::{HashKey, LbPolicy};

use super::consistent_hash::{Entry, HashTable};

/// What a choice depends on.
pub(in crate::upstream) trait Candidate {
    /// Relative share, 1 or more.
    fn weight(&self) -> u32;
    /// Requests under way.
    fn active_requests(&self) -> usize;
    /// What it is known by where hashes decide.
    fn hash_key(&self, of: HashKey) -> String;
}

/// What is drawn, or not, for one choice.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Draw {
    /// The request's hash, or a number that was drawn instead. Of no interest where hashes do not decide.
    pub(in crate::upstream) hash: u64,
    /// How often another one was chosen before that would not do.
    pub(in crate::upstream) attempt: u32,
}

/// Chooses among a fixed list of hosts; built anew when the list changes.
#[derive(Debug)]
pub(in crate::upstream) enum LoadBalancer {
    /// One after the other.
    RoundRobin(Cell<usize>),
    /// The less busy of two.
    LeastRequest,
    /// At random; weights are not looked at, as in Envoy.
    Random,
    /// Hosts of different weight, for round robin and least request.
    Weighted { schedule: RefCell<Schedule>, by_load: bool },
    /// By the hash of the request.
    Hashed(HashTable),
}

impl LoadBalancer {
    pub(in crate::upstream) fn new<C: Candidate>(policy: LbPolicy, candidates: &[C]) -> Self {
        let entries = |key| -> Vec<Entry> {
            let entry = |host: &C| Entry { key: host.hash_key(key), weight: host.weight() };
            candidates.iter().map(entry).collect()
        };
        let weighted = candidates.windows(2).any(|pair| pair[0].weight() != pair[1].weight());
        match policy {
            LbPolicy::Random => Self::Random,
            LbPolicy::RingHash(ring) => Self::Hashed(HashTable::ring(&ring, &entries(ring.key))),
            LbPolicy::Maglev(table) => Self::Hashed(HashTable::maglev(&table, &entries(table.key))),
            LbPolicy::RoundRobin | LbPolicy::LeastRequest if weighted => Self::Weighted {
                schedule: RefCell::new(Schedule::new(candidates)),
                by_load: policy == LbPolicy::LeastRequest,
            },
            // Workers do not start with the same host.
            LbPolicy::RoundRobin => Self::RoundRobin(Cell::new(fastrand::usize(..))),
            LbPolicy::LeastRequest => Self::LeastRequest,
        }
    }

    /// The index of the chosen one; `None` when there are none.
    pub(in crate::upstream) fn choose<C: Candidate>(&self, candidates: &[C], draw: Draw) -> Option<usize> {
        match candidates.len() {
            0 => return None,
            1 => return Some(0),
            _ => {}
        }
        Some(match self {
            Self::RoundRobin(next) => {
                let index = next.get();
                next.set(index.wrapping_add(1));
                index % candidates.len()
            }
            Self::Random => fastrand::usize(..candidates.len()),
            Self::Hashed(table) => table.choose(draw.hash, draw.attempt)?,
            Self::LeastRequest => {
                let first = fastrand::usize(..candidates.len());
                let second = fastrand::usize(..candidates.len());
                if candidates[second].active_requests() < candidates[first].active_requests() {
                    second
                } else {
                    first
                }
            }
            Self::Weighted { schedule, by_load } => schedule.borrow_mut().next(|index| {
                let candidate = &candidates[index];
                let load = if *by_load { candidate.active_requests() as f64 + 1.0 } else { 1.0 };
                f64::from(candidate.weight()) / load
            })?,
        })
    }
}

/// Earliest deadline first: each host is due again after the inverse of its weight.
#[derive(Debug)]
pub(in crate::upstream) struct Schedule {
    due: BinaryHeap<Due>,
    now: f64,
    order: u64,
}

#[derive(Debug)]
struct Due {
    deadline: f64,
    order: u64,
    index: usize,
}

impl Schedule {
    fn new<C: Candidate>(candidates: &[C]) -> Self {
        let mut schedule = Self { due: BinaryHeap::with_capacity(candidates.len()), now: 0.0, order: 0 };
        for (index, candidate) in candidates.iter().enumerate() {
            schedule.add(index, f64::from(candidate.weight()));
        }
        // Workers do not start with the same host.
        for _ in 0..fastrand::usize(..=candidates.len()) {
            schedule.next(|index| f64::from(candidates[index].weight()));
        }
        schedule
    }

    fn add(&mut self, index: usize, weight: f64) {
        self.order += 1;
        let deadline = self.now + 1.0 / weight.max(f64::MIN_POSITIVE);
        self.due.push(Due { deadline, order: self.order, index });
    }

    fn next(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let due = self.due.pop()?;
        self.now = due.deadline;
        self.add(due.index, weight(due.index));
        Some(due.index)
    }
}

impl Ord for Due {
    /// The heap gives the greatest, which is the one due first; at the same time, the one that waited longest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then_with(|| other.order.cmp(&self.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use tollgate_model::cluster::{Maglev, RingHash};

    use super::*;

    struct Host {
        weight: u32,
        active: usize,
    }

    impl Candidate for Host {
        fn weight(&self) -> u32 {
            self.weight
        }

        fn active_requests(&self) -> usize {
            self.active
        }

        fn hash_key(&self, _of: HashKey) -> String {
            self.active.to_string()
        }
    }

    fn hosts(list: &[(u32, usize)]) -> Vec<Host> {
        list.iter().map(|&(weight, active)| Host { weight, active }).collect()
    }

    fn counts(policy: LbPolicy, hosts: &[Host], rounds: usize) -> Vec<usize> {
        let balancer = LoadBalancer::new(policy, hosts);
        let mut counts = vec![0; hosts.len()];
        for _ in 0..rounds {
            counts[balancer.choose(hosts, Draw { hash: 0, attempt: 0 }).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn nothing_to_choose() {
        let (ring, table) = (LbPolicy::RingHash(RingHash::default()), LbPolicy::Maglev(Maglev::default()));
        for policy in [LbPolicy::RoundRobin, LbPolicy::LeastRequest, LbPolicy::Random, ring, table] {
            let balancer = LoadBalancer::new::<Host>(policy, &[]);
            assert_eq!(balancer.choose::<Host>(&[], Draw { hash: 0, attempt: 0 }), None);
        }
    }

    #[test]
    fn round_robin_takes_turns() {
        assert_eq!(counts(LbPolicy::RoundRobin, &hosts(&[(1, 0), (1, 0), (1, 0)]), 9), [3, 3, 3]);
    }

    #[test]
    fn round_robin_obeys_weights() {
        assert_eq!(counts(LbPolicy::RoundRobin, &hosts(&[(1, 0), (3, 0)]), 400), [100, 300]);
    }

    #[test]
    fn least_request_avoids_the_busy_one() {
        let counts = counts(LbPolicy::LeastRequest, &hosts(&[(1, 100), (1, 0)]), 1000);
        // The busy one is taken only when both draws hit it: one time in four.
        assert!(counts[0] < 400, "{counts:?}");
    }

    #[test]
    fn least_request_weighs_load() {
        let counts = counts(LbPolicy::LeastRequest, &hosts(&[(2, 3), (1, 0)]), 300);
        // Weights 2/4 and 1/1.
        assert!((99..=101).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn random_reaches_all() {
        let counts = counts(LbPolicy::Random, &hosts(&[(1, 0), (9, 0)]), 1000);
        assert!(counts[0] > 300, "{counts:?}");
    }
}
