//! Hosts that requests are spread over, by priority and health.

use std::rc::Rc;

use tollgate_model::cluster::Cluster;

use crate::stats::{ClusterMetric, Metrics};
use crate::upstream::{
    cluster::{
        choice::{Choice, HashedRequest, Tried},
        host::Host,
        load_balancer::Draw,
        priorities::{Pick, Share, Tier, shares, shares_without},
        spread::Spread,
    },
    health::Condition,
};

/// Hosts that requests are spread over; built anew when they, or the health of one of them, change.
#[derive(Debug)]
pub(in crate::upstream) struct Group {
    /// By priority.
    hosts: Box<[Rc<Host>]>,
    /// How many hosts of each priority are worth what.
    tiers: Vec<(u32, Tier)>,
    /// Who gets which share of the traffic. Empty: there is no host at all.
    shares: Vec<Shared>,
}

/// Hosts that have a share of the traffic together.
#[derive(Debug)]
struct Shared {
    share: Share,
    spread: Spread,
}

impl Group {
    /// A group of hosts that are sorted by priority.
    pub(in crate::upstream) fn new(cluster: &Cluster, hosts: &[Rc<Host>]) -> Self {
        let conditions: Vec<Condition> = hosts.iter().map(|host| host.condition()).collect();
        let mut tiers: Vec<(u32, Tier)> = Vec::new();
        for (host, condition) in hosts.iter().zip(&conditions) {
            let priority = host.priority();
            if tiers.last().is_none_or(|(last, _)| *last != priority) {
                tiers.push((priority, Tier::default()));
            }
            if let Some((_, tier)) = tiers.last_mut() {
                tier.add(*condition);
            }
        }
        let policy = &cluster.health;
        let hashes = cluster.lb_policy.hashes();
        let only_tiers: Vec<Tier> = tiers.iter().map(|(_, tier)| *tier).collect();
        let shares = shares(&only_tiers, policy.overprovisioning_factor, policy.healthy_panic_threshold);
        let shares = shares
            .into_iter()
            .map(|share| {
                let belongs = |host: &Rc<Host>, condition: Condition| {
                    host.priority() == tiers[share.tier].0
                        && match share.pick {
                            // Rings and tables know no degraded hosts, as in Envoy.
                            Pick::Degraded if !hashes => condition == Condition::Degraded,
                            Pick::Healthy | Pick::Degraded => condition == Condition::Healthy,
                            Pick::Panic => true,
                        }
                };
                let all = || hosts.iter().zip(&conditions);
                let members: Vec<_> = all()
                    .filter(|(host, condition)| belongs(host, **condition))
                    .map(|(host, _)| host.clone())
                    .collect();
                // In panic localities count for hashes only, as in Envoy.
                let spread = match cluster.locality_weighted && (hashes || share.pick != Pick::Panic) {
                    true => {
                        let counted: Vec<_> = all()
                            .filter(|(host, condition)| {
                                host.priority() == tiers[share.tier].0 && **condition != Condition::Excluded
                            })
                            .map(|(host, _)| host)
                            .collect();
                        Spread::by_locality(cluster, members, &counted)
                    }
                    false => Spread::anywhere(cluster, members),
                };
                Shared { share, spread }
            })
            .collect();
        Self { hosts: hosts.into(), tiers, shares }
    }

    /// How many hosts of each priority are worth what.
    pub(in crate::upstream) fn tiers(&self) -> impl Iterator<Item = &Tier> {
        self.tiers.iter().map(|(_, tier)| tier)
    }

    /// The same by priority.
    pub(in crate::upstream) fn tiers_by_priority(&self) -> &[(u32, Tier)] {
        &self.tiers
    }

    /// The host that the policy of the cluster chooses, another one than those tried before as far as it can be had.
    pub(in crate::upstream) fn choose(
        &self,
        cluster: &Cluster,
        metrics: &Metrics<ClusterMetric>,
        choice: &Choice<'_>,
    ) -> Option<&Rc<Host>> {
        let hashes = cluster.lb_policy.hashes();
        // Without a hash any host will do.
        let hash = if hashes { choice.hashed.and_then(HashedRequest::hash) } else { None };
        let hash = hash.unwrap_or_else(|| fastrand::u64(..));
        if let Some(Tried { hosts, update_frequency: Some(frequency), .. }) = choice.tried
            && !hashes
        {
            let left_out = hosts.priorities(frequency);
            let other = |_| self.of_another_priority(cluster, &left_out);
            if let Some(first) = other(0) {
                return avoiding(first, choice, other);
            }
        }
        let once = |attempt| match choice.of {
            Some((priority, pick)) => self.choose_of(cluster, priority, pick, Draw { hash, attempt }),
            None => self.choose_once(hashes, metrics, Draw { hash, attempt }),
        };
        avoiding(once(0)?, choice, once)
    }

    /// One of a priority that is not among these. `None`: there is no reason to look for one, or nobody else can take anything.
    fn of_another_priority(&self, cluster: &Cluster, tried: &[u32]) -> Option<&Rc<Host>> {
        if tried.is_empty() {
            return None;
        }
        let tiers: Vec<Tier> = self.tiers().copied().collect();
        let left_out: Vec<bool> = self.tiers.iter().map(|(priority, _)| tried.contains(priority)).collect();
        let shares = shares_without(&tiers, cluster.health.overprovisioning_factor, &left_out)?;
        let drawn = fastrand::u32(..100);
        let share = shares.iter().find(|share| drawn < share.end)?;
        self.drawn_of(cluster, share, Draw { hash: 0, attempt: 0 })
    }

    /// One of these hosts of a priority, whatever share of the traffic they have.
    fn choose_of(&self, cluster: &Cluster, priority: u32, pick: Pick, draw: Draw) -> Option<&Rc<Host>> {
        let is_of = |tier: usize| self.tiers.get(tier).is_some_and(|(own, _)| *own == priority);
        let is_same = |own: Pick| own == pick || own == Pick::Panic;
        let known = self.shares.iter().find(|shared| is_of(shared.share.tier) && is_same(shared.share.pick));
        if let Some(known) = known {
            return known.spread.choose(draw);
        }
        let tier = self.tiers.iter().position(|(own, _)| *own == priority)?;
        self.drawn_of(cluster, &Share { end: 100, tier, pick }, draw)
    }

    fn drawn_of(&self, cluster: &Cluster, share: &Share, draw: Draw) -> Option<&Rc<Host>> {
        let members: Vec<&Rc<Host>> = self.hosts.iter().filter(|host| self.has_share(share, host)).collect();
        let spread = Spread::anywhere(cluster, members.iter().map(|host| Rc::clone(host)).collect());
        let chosen = spread.choose(draw)?.id;
        members.into_iter().find(|host| host.id == chosen)
    }

    /// Whether a host has a part in a share.
    fn has_share(&self, share: &Share, host: &Host) -> bool {
        let condition = host.condition();
        self.tiers.get(share.tier).is_some_and(|(priority, _)| *priority == host.priority())
            && match share.pick {
                Pick::Healthy => condition == Condition::Healthy,
                Pick::Degraded => condition == Condition::Degraded,
                Pick::Panic => true,
            }
    }

    fn choose_once(&self, hashes: bool, metrics: &Metrics<ClusterMetric>, draw: Draw) -> Option<&Rc<Host>> {
        let shared = match self.shares.as_slice() {
            [only] => only,
            shares => {
                // The hash decides about the priority, too.
                let drawn = if hashes { draw.hash % 100 } else { fastrand::u64(..100) };
                shares.iter().find(|shared| drawn < u64::from(shared.share.end))?
            }
        };
        if shared.share.pick == Pick::Panic {
            metrics.increment(ClusterMetric::LbHealthyPanic);
        }
        shared.spread.choose(draw)
    }
}

/// Another host than those that retries avoid, as far as it can be had in so many further attempts.
fn avoiding<'a>(
    mut host: &'a Rc<Host>,
    choice: &Choice<'_>,
    again: impl Fn(u32) -> Option<&'a Rc<Host>>,
) -> Option<&'a Rc<Host>> {
    if let Some(tried) = &choice.tried {
        for attempt in 1..=tried.attempts() {
            if !tried.avoids(host) {
                break;
            }
            host = again(attempt)?;
        }
    }
    Some(host)
}
