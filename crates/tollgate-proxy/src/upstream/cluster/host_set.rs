//! The hosts of a cluster, kept in step with name resolution.

use std::{rc::Rc, sync::Arc};

use crate::stats::ClusterMetric;
use crate::upstream::{
    cluster::{
        choice::{Choice, HashedRequest, Tried},
        host::{Host, Place},
        load_balancer::{Draw, LoadBalancer},
        manager::ClusterCounts,
        priorities::{Pick, Share, Tier, shares, shares_without},
        shared_cluster::{SharedCluster, Source},
    },
    health::Condition,
};

/// The hosts of a cluster in one worker.
#[derive(Debug)]
pub(in crate::upstream) struct HostSet {
    cluster: Arc<SharedCluster>,
    /// This worker's view of where endpoints are, by endpoint.
    sources: Vec<Source>,
    counts: Rc<ClusterCounts>,
    is_static: bool,
    /// By priority.
    hosts: Vec<Rc<Host>>,
    /// What of the health of the hosts the shares below were made of.
    health_version: u64,
    /// How many hosts of each priority are worth what.
    tiers: Vec<(u32, Tier)>,
    /// Who gets which share of the traffic. Empty: there is no host at all.
    shares: Vec<Shared>,
    rebuilt: bool,
}

/// Hosts that have a share of the traffic together.
#[derive(Debug)]
struct Shared {
    share: Share,
    hosts: Vec<Rc<Host>>,
    balancer: LoadBalancer,
}

impl HostSet {
    /// The hosts as far as they are known.
    pub(in crate::upstream) fn new(cluster: &Arc<SharedCluster>, counts: &Rc<ClusterCounts>) -> Self {
        Self::build(cluster, Vec::new(), counts)
    }

    /// The hosts of a cluster that comes in the place of another one; those that did not change are the same.
    pub(in crate::upstream) fn succeeding(
        before: &Self,
        cluster: &Arc<SharedCluster>,
        counts: &Rc<ClusterCounts>,
    ) -> Self {
        let keeps = cluster.can_keep_hosts_of(&before.cluster);
        Self::build(cluster, if keeps { before.hosts.clone() } else { Vec::new() }, counts)
    }

    fn build(cluster: &Arc<SharedCluster>, before: Vec<Rc<Host>>, counts: &Rc<ClusterCounts>) -> Self {
        let sources: Vec<_> = cluster.endpoints.iter().map(|endpoint| endpoint.source.clone()).collect();
        let mut set = Self {
            cluster: cluster.clone(),
            is_static: sources.iter().all(|source| matches!(source, Source::Fixed(_))),
            sources,
            counts: counts.clone(),
            hosts: Vec::new(),
            health_version: 0,
            tiers: Vec::new(),
            shares: Vec::new(),
            rebuilt: false,
        };
        set.rebuild(before);
        set
    }

    /// The host of a request; `None` if there is none. That of the client's session comes first, then those that filters
    /// have picked, then the policy.
    pub(in crate::upstream) fn choose(&mut self, choice: &Choice<'_>) -> Option<&Rc<Host>> {
        self.refresh();
        let wanted = choice.session.and_then(|address| self.index_of(address));
        // A session does not keep a client at a host that is not well.
        let wanted = wanted.filter(|index| {
            matches!(self.hosts[*index].condition(), Condition::Healthy | Condition::Degraded)
        });
        match wanted.or_else(|| self.picked(choice)) {
            Some(index) => self.hosts.get(index),
            None => self.balanced(choice),
        }
    }

    /// The next one that filters have picked.
    fn picked(&self, choice: &Choice<'_>) -> Option<usize> {
        let policy = self.cluster.cluster.override_host.as_ref()?;
        let picked = choice.picked?;
        while let Some(address) = picked.take(policy, choice) {
            if let Some(index) = self.index_of(address) {
                return Some(index);
            }
        }
        None
    }

    /// The one that the policy chooses, another one than those tried before as far as it can be had.
    fn balanced(&self, choice: &Choice<'_>) -> Option<&Rc<Host>> {
        let hashes = self.hashes();
        // Without a hash any host will do.
        let hash = if hashes { choice.hashed.and_then(HashedRequest::hash) } else { None };
        let hash = hash.unwrap_or_else(|| fastrand::u64(..));
        if let Some(Tried { hosts, update_frequency: Some(frequency), .. }) = choice.tried
            && !hashes
            && let Some(host) = self.of_another_priority(&hosts.priorities(frequency))
        {
            return Some(host);
        }
        let mut host = self.balanced_once(Draw { hash, attempt: 0 })?;
        if let Some(Tried { hosts, most, .. }) = choice.tried {
            for attempt in 1..=most {
                if !hosts.contain(host) {
                    break;
                }
                host = self.balanced_once(Draw { hash, attempt })?;
            }
        }
        Some(host)
    }

    /// Whether the hash of a request decides.
    fn hashes(&self) -> bool {
        self.cluster.cluster.lb_policy.hashes()
    }

    /// One of a priority that is not among these. `None`: there is no reason to look for one, or nobody else can take anything.
    fn of_another_priority(&self, tried: &[u32]) -> Option<&Rc<Host>> {
        if tried.is_empty() {
            return None;
        }
        let tiers: Vec<Tier> = self.tiers.iter().map(|(_, tier)| *tier).collect();
        let left_out: Vec<bool> = self.tiers.iter().map(|(priority, _)| tried.contains(priority)).collect();
        let factor = self.cluster.cluster.health.overprovisioning_factor;
        let shares = shares_without(&tiers, factor, &left_out)?;
        let drawn = fastrand::u32(..100);
        let share = shares.iter().find(|share| drawn < share.end)?;
        let members: Vec<&Rc<Host>> = self.hosts.iter().filter(|host| self.has_share(share, host)).collect();
        let owned: Vec<Rc<Host>> = members.iter().map(|host| Rc::clone(host)).collect();
        let balancer = LoadBalancer::new(self.cluster.cluster.lb_policy, &owned);
        balancer.choose(&owned, Draw { hash: 0, attempt: 0 }).map(|index| members[index])
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

    fn balanced_once(&self, draw: Draw) -> Option<&Rc<Host>> {
        let shared = match self.shares.as_slice() {
            [only] => only,
            shares => {
                // The hash decides about the priority, too.
                let drawn = if self.hashes() { draw.hash % 100 } else { fastrand::u64(..100) };
                shares.iter().find(|shared| drawn < u64::from(shared.share.end))?
            }
        };
        if shared.share.pick == Pick::Panic {
            self.counts.metrics.increment(ClusterMetric::LbHealthyPanic);
        }
        shared.balancer.choose(&shared.hosts, draw).map(|index| &shared.hosts[index])
    }

    fn index_of(&self, address: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.address().as_deref() == Some(address))
    }

    /// The host at an address, as logs name it.
    pub(in crate::upstream) fn find(&mut self, address: &str) -> Option<&Rc<Host>> {
        self.refresh();
        self.index_of(address).map(|index| &self.hosts[index])
    }

    fn refresh(&mut self) {
        if !self.is_static && self.has_changed() {
            self.rebuild(Vec::new());
        } else if let Some(health) = &self.cluster.health
            && health.version() != self.health_version
        {
            self.share_out();
        }
    }

    /// Looks whether anything is different.
    pub(in crate::upstream) fn keep_up(&mut self) {
        self.refresh();
    }

    /// Decides who gets which share of the traffic.
    fn share_out(&mut self) {
        if let Some(health) = &self.cluster.health {
            // Before the flags are read: a change meanwhile is seen the next time.
            self.health_version = health.version();
        }
        let conditions: Vec<Condition> = self.hosts.iter().map(|host| host.condition()).collect();
        let mut tiers: Vec<(u32, Tier)> = Vec::new();
        for (host, condition) in self.hosts.iter().zip(&conditions) {
            let priority = host.priority();
            if tiers.last().is_none_or(|(last, _)| *last != priority) {
                tiers.push((priority, Tier::default()));
            }
            if let Some((_, tier)) = tiers.last_mut() {
                tier.add(*condition);
            }
        }
        let policy = &self.cluster.cluster.health;
        let hashes = self.hashes();
        let only_tiers: Vec<Tier> = tiers.iter().map(|(_, tier)| *tier).collect();
        let shares = shares(&only_tiers, policy.overprovisioning_factor, policy.healthy_panic_threshold);
        self.shares = shares
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
                let all = self.hosts.iter().zip(&conditions);
                let hosts: Vec<_> = all
                    .filter(|(host, condition)| belongs(host, **condition))
                    .map(|(host, _)| host.clone())
                    .collect();
                let balancer = LoadBalancer::new(self.cluster.cluster.lb_policy, &hosts);
                Shared { share, hosts, balancer }
            })
            .collect();
        self.tiers = tiers;
        self.count_members(&only_tiers);
    }

    /// One worker counts for all: they have the same hosts.
    fn count_members(&self, tiers: &[Tier]) {
        if self.counts.stats.worker() != 0 {
            return;
        }
        let sum = |of: fn(&Tier) -> u32| u64::from(tiers.iter().map(of).sum::<u32>());
        let metrics = &self.counts.metrics;
        metrics.set(ClusterMetric::MembershipTotal, sum(|tier| tier.total));
        metrics.set(ClusterMetric::MembershipHealthy, sum(|tier| tier.healthy));
        metrics.set(ClusterMetric::MembershipDegraded, sum(|tier| tier.degraded));
        metrics.set(ClusterMetric::MembershipExcluded, sum(|tier| tier.excluded));
    }

    /// All hosts.
    pub(in crate::upstream) fn hosts(&self) -> &[Rc<Host>] {
        &self.hosts
    }

    fn has_changed(&self) -> bool {
        self.sources.iter().any(|source| match source {
            Source::Fixed(_) => false,
            Source::EachOf(addresses) | Source::OneOf(addresses) => addresses.has_changed(),
        })
    }

    /// Takes all hosts out of service.
    pub(in crate::upstream) fn retire(&self) {
        for host in &self.hosts {
            host.remove(&self.cluster);
        }
    }

    /// `before` are hosts of another set that may be taken over.
    fn rebuild(&mut self, mut before: Vec<Rc<Host>>) {
        let mut places = Vec::new();
        for (endpoint, source) in self.sources.iter_mut().enumerate() {
            match source {
                Source::Fixed(address) => places.push((endpoint, Place::Address(address.clone()))),
                Source::EachOf(addresses) => match addresses.read() {
                    // Requests wait for the first answer, on a host that is replaced when there is one.
                    None => places.push((endpoint, Place::Name(addresses.clone()))),
                    Some(known) => {
                        places
                            .extend(known.iter().map(|address| (endpoint, Place::Address(address.clone()))));
                    }
                },
                Source::OneOf(addresses) => {
                    let has_none = addresses.read().is_some_and(|known| known.is_empty());
                    if !has_none {
                        places.push((endpoint, Place::Name(addresses.clone())));
                    }
                }
            }
        }
        let priority = |endpoint: usize| self.cluster.endpoints[endpoint].priority;
        places.sort_by_key(|(endpoint, _)| priority(*endpoint));
        let same = places.len() == self.hosts.len()
            && places
                .iter()
                .all(|(endpoint, place)| self.hosts.iter().any(|host| host.is_at(*endpoint, place)));
        if same && self.rebuilt {
            return;
        }
        self.rebuilt = true;
        let mut old = std::mem::take(&mut self.hosts);
        for (endpoint, place) in places {
            let known = old.iter().position(|host| host.is_at(endpoint, &place));
            self.hosts.push(match known {
                Some(index) => old.swap_remove(index),
                None => {
                    match before.iter().position(|host| host.can_serve(&self.cluster, endpoint, &place)) {
                        Some(index) => before.swap_remove(index).taken_over_by(&self.cluster),
                        None => Host::new(&self.cluster, endpoint, place, &self.counts),
                    }
                }
            });
        }
        for host in old {
            host.remove(&self.cluster);
        }
        if self.counts.stats.worker() == 0 {
            self.counts.metrics.increment(ClusterMetric::MembershipChange);
        }
        self.share_out();
    }
}

impl Drop for HostSet {
    fn drop(&mut self) {
        self.retire();
    }
}
