//! How one of several hosts is chosen.

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    collections::BinaryHeap,
    time::Instant,
};

use tollgate_model::cluster::{Cluster, HashKey, LbPolicy, LeastRequest, SlowStart};

use super::{
    bounded_load,
    consistent_hash::{Entry, HashTable},
};

/// What a choice depends on.
pub(in crate::upstream) trait Candidate {
    /// Relative share, 1 or more.
    fn weight(&self) -> u32;
    /// Requests under way.
    fn active_requests(&self) -> usize;
    /// What it is known by where hashes decide.
    fn hash_key(&self, of: HashKey) -> String;
    /// Since when it is there, and well; `None`: it was never asked successfully.
    fn well_since(&self) -> Option<Instant>;
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
    /// The less busy of some.
    LeastRequest(LeastRequest),
    /// At random; weights are not looked at, as in Envoy.
    Random,
    /// Hosts of different weight, for round robin and least request.
    Weighted(Weighted),
    /// Some hosts take their share little by little.
    Slow { weighted: Weighted, until: Instant, then: Box<Self> },
    /// By the hash of the request.
    Hashed { table: HashTable, shares: Vec<f64>, balance_factor: Option<u32> },
}

/// Hosts of different weight.
#[derive(Debug)]
pub(in crate::upstream) struct Weighted {
    schedule: RefCell<Schedule>,
    /// Requests under way divide weights to this power.
    bias: f64,
    slow_start: Option<SlowStart>,
}

impl LoadBalancer {
    /// For candidates with these weights; those of their own count where hashes do not decide.
    pub(in crate::upstream) fn new<C: Candidate>(
        cluster: &Cluster,
        candidates: &[C],
        weights: &[f64],
    ) -> Self {
        let hashed = |key, balance_factor, table: &dyn Fn(&[Entry]) -> HashTable| {
            let sum: f64 = weights.iter().sum();
            let shares: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
            let entries = candidates.iter().zip(&shares);
            let entries: Vec<Entry> =
                entries.map(|(host, share)| Entry { key: host.hash_key(key), share: *share }).collect();
            Self::Hashed { table: table(&entries), shares, balance_factor }
        };
        let bias = match cluster.lb_policy {
            LbPolicy::Random => return Self::Random,
            LbPolicy::RingHash(ring) => {
                return hashed(ring.key, ring.balance_factor, &|entries| HashTable::ring(&ring, entries));
            }
            LbPolicy::Maglev(maglev) => {
                return hashed(maglev.key, maglev.balance_factor, &|entries| {
                    HashTable::maglev(&maglev, entries)
                });
            }
            LbPolicy::RoundRobin => 0.0,
            LbPolicy::LeastRequest(settings) => settings.active_request_bias,
        };
        let full = Self::at_full_share(cluster.lb_policy, bias, candidates);
        let Some(slow_start) = cluster.slow_start else { return full };
        let latest = candidates.iter().filter_map(Candidate::well_since).max();
        let until = latest.and_then(|latest| latest.checked_add(slow_start.window));
        match until {
            Some(until) if until > Instant::now() => {
                let weighted = Weighted::new(candidates, bias, Some(slow_start));
                Self::Slow { weighted, until, then: Box::new(full) }
            }
            _ => full,
        }
    }

    fn at_full_share<C: Candidate>(policy: LbPolicy, bias: f64, candidates: &[C]) -> Self {
        let differ = candidates.windows(2).any(|pair| pair[0].weight() != pair[1].weight());
        match policy {
            _ if differ => Self::Weighted(Weighted::new(candidates, bias, None)),
            LbPolicy::LeastRequest(settings) => Self::LeastRequest(settings),
            // Workers do not start with the same host.
            _ => Self::RoundRobin(Cell::new(fastrand::usize(..))),
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
            Self::Hashed { table, shares, balance_factor } => {
                let first = table.choose(draw.hash, draw.attempt)?;
                match balance_factor {
                    None => first,
                    Some(factor) => bounded_load::choose(candidates, shares, *factor, first, draw.hash),
                }
            }
            Self::LeastRequest(settings) => less_busy(settings, candidates),
            Self::Weighted(weighted) => weighted.next(candidates, None)?,
            Self::Slow { weighted, until, then } => {
                let now = Instant::now();
                match now < *until {
                    true => weighted.next(candidates, Some(now))?,
                    false => then.choose(candidates, draw)?,
                }
            }
        })
    }
}

/// The least busy one of all, or of some that are drawn.
fn less_busy<C: Candidate>(settings: &LeastRequest, candidates: &[C]) -> usize {
    let mut best = fastrand::usize(..candidates.len());
    if settings.full_scan {
        // From a random one on, so that among equals all have their turn.
        let places = (0..candidates.len()).map(|place| (best + place) % candidates.len());
        return places.min_by_key(|place| candidates[*place].active_requests()).unwrap_or(best);
    }
    for _ in 1..settings.choice_count {
        let other = fastrand::usize(..candidates.len());
        if candidates[other].active_requests() < candidates[best].active_requests() {
            best = other;
        }
    }
    best
}

impl Weighted {
    fn new<C: Candidate>(candidates: &[C], bias: f64, slow_start: Option<SlowStart>) -> Self {
        let weighted = Self { schedule: RefCell::default(), bias, slow_start };
        let now = slow_start.is_some().then(Instant::now);
        let schedule = Schedule::new(candidates.iter().map(|candidate| weighted.weight(candidate, now)));
        Self { schedule: RefCell::new(schedule), ..weighted }
    }

    /// `now` counts for slow starts only.
    fn weight<C: Candidate>(&self, candidate: &C, now: Option<Instant>) -> f64 {
        let mut weight = f64::from(candidate.weight());
        if self.bias > 0.0 {
            weight /= (candidate.active_requests() as f64 + 1.0).powf(self.bias);
        }
        if let Some((slow_start, now)) = self.slow_start.as_ref().zip(now)
            && let Some(since) = candidate.well_since()
        {
            weight *= slow_start.factor(now.saturating_duration_since(since));
        }
        weight
    }

    fn next<C: Candidate>(&self, candidates: &[C], now: Option<Instant>) -> Option<usize> {
        self.schedule.borrow_mut().next(|index| self.weight(&candidates[index], now))
    }
}

/// Earliest deadline first: each host is due again after the inverse of its weight.
#[derive(Debug, Default)]
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
    /// Of so many with these weights.
    pub(in crate::upstream) fn new(weights: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let mut schedule = Self { due: BinaryHeap::with_capacity(weights.len()), now: 0.0, order: 0 };
        for (index, weight) in weights.clone().enumerate() {
            schedule.add(index, weight);
        }
        // Workers do not start with the same host.
        let weights: Vec<f64> = weights.collect();
        for _ in 0..fastrand::usize(..=weights.len()) {
            schedule.next(|index| weights[index]);
        }
        schedule
    }

    fn add(&mut self, index: usize, weight: f64) {
        self.order += 1;
        let deadline = self.now + 1.0 / weight.max(f64::MIN_POSITIVE);
        self.due.push(Due { deadline, order: self.order, index });
    }

    /// The one that is due; its weight says when it is again.
    pub(in crate::upstream) fn next(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
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
    use std::time::Duration;

    use tollgate_model::cluster::{Discovery, Maglev, RingHash};

    use super::*;

    struct Host {
        weight: u32,
        active: usize,
        since: Option<Instant>,
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

        fn well_since(&self) -> Option<Instant> {
            self.since
        }
    }

    fn hosts(list: &[(u32, usize)]) -> Vec<Host> {
        list.iter().map(|&(weight, active)| Host { weight, active, since: None }).collect()
    }

    fn cluster(lb_policy: LbPolicy) -> Cluster {
        Cluster { lb_policy, ..Cluster::new("pool".to_owned(), Discovery::Static, Vec::new()) }
    }

    fn counts(policy: LbPolicy, hosts: &[Host], rounds: usize) -> Vec<usize> {
        counts_in(&cluster(policy), hosts, rounds)
    }

    fn counts_in(cluster: &Cluster, hosts: &[Host], rounds: usize) -> Vec<usize> {
        let weights: Vec<f64> = hosts.iter().map(|host| f64::from(host.weight)).collect();
        let balancer = LoadBalancer::new(cluster, hosts, &weights);
        let mut counts = vec![0; hosts.len()];
        for _ in 0..rounds {
            counts[balancer.choose(hosts, Draw { hash: 0, attempt: 0 }).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn nothing_to_choose() {
        let (ring, table) = (LbPolicy::RingHash(RingHash::default()), LbPolicy::Maglev(Maglev::default()));
        for policy in [LbPolicy::RoundRobin, LbPolicy::LEAST_REQUEST, LbPolicy::Random, ring, table] {
            let balancer = LoadBalancer::new::<Host>(&cluster(policy), &[], &[]);
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
        let counts = counts(LbPolicy::LEAST_REQUEST, &hosts(&[(1, 100), (1, 0)]), 1000);
        // The busy one is taken only when both draws hit it: one time in four.
        assert!(counts[0] < 400, "{counts:?}");
    }

    #[test]
    fn least_request_weighs_load() {
        let counts = counts(LbPolicy::LEAST_REQUEST, &hosts(&[(2, 3), (1, 0)]), 300);
        // Weights 2/4 and 1/1.
        assert!((99..=101).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn random_reaches_all() {
        let counts = counts(LbPolicy::Random, &hosts(&[(1, 0), (9, 0)]), 1000);
        assert!(counts[0] > 300, "{counts:?}");
    }

    #[test]
    fn more_draws_find_the_idle_one() {
        let busy =
            |settings| counts(LbPolicy::LeastRequest(settings), &hosts(&[(1, 9), (1, 9), (1, 0)]), 1000);
        let many = busy(LeastRequest { choice_count: 20, ..LeastRequest::default() });
        assert!(many[2] > 950, "{many:?}");
        let all = busy(LeastRequest { full_scan: true, ..LeastRequest::default() });
        assert_eq!(all, [0, 0, 1000]);
        let equal = counts(
            LbPolicy::LeastRequest(LeastRequest { full_scan: true, ..LeastRequest::default() }),
            &hosts(&[(1, 3), (1, 3)]),
            1000,
        );
        assert!(equal.iter().all(|count| *count > 300), "{equal:?}");
    }

    #[test]
    fn the_bias_says_how_much_requests_count() {
        let with = |active_request_bias| {
            let settings = LeastRequest { active_request_bias, ..LeastRequest::default() };
            counts(LbPolicy::LeastRequest(settings), &hosts(&[(2, 3), (1, 0)]), 300)
        };
        // Weights 2 and 1; 2/16 and 1.
        assert!((199..=201).contains(&with(0.0)[0]), "{:?}", with(0.0));
        assert!((32..=35).contains(&with(2.0)[0]), "{:?}", with(2.0));
    }

    #[test]
    fn who_is_new_begins_with_a_part_of_its_share() {
        let now = Instant::now();
        let slow_start =
            SlowStart { window: Duration::from_secs(3600), aggression: 1.0, min_weight_percent: 10.0 };
        let cluster = Cluster { slow_start: Some(slow_start), ..cluster(LbPolicy::RoundRobin) };
        let old = now.checked_sub(Duration::from_secs(4000)).unwrap();
        let host = |since| Host { weight: 1, active: 0, since };
        let hosts = [host(Some(old)), host(Some(now)), host(None)];
        let counts = counts_in(&cluster, &hosts, 2100);
        assert!((99..=102).contains(&counts[1]) && (999..=1001).contains(&counts[0]), "{counts:?}");
        let all_old = counts_in(&cluster, &[host(Some(old)), host(Some(old))], 10);
        assert_eq!(all_old, [5, 5]);
    }
}
