//! The hosts of a cluster, kept in step with name resolution.

use std::{rc::Rc, sync::Arc};

use crate::stats::ClusterMetric;
use crate::upstream::{
    cluster::{
        choice::Choice,
        group::Group,
        host::{Host, Place},
        manager::ClusterCounts,
        priorities::Tier,
        shared_cluster::{SharedCluster, Source},
        subsets::{Chooser, SubsetGroups},
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
    /// What of the health of the hosts the groups below were made of.
    health_version: u64,
    /// All of them.
    all: Group,
    /// Which of them requests may have, if they may not have all.
    subsets: Option<SubsetGroups>,
    rebuilt: bool,
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
            all: Group::new(&cluster.cluster, &[]),
            subsets: None,
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
        let named = || choice.named.and_then(|named| self.index_of(&named.address.to_string()));
        match wanted.or_else(named).or_else(|| self.picked(choice)) {
            Some(index) => self.hosts.get(index),
            None if choice.named.is_some_and(|named| named.strict) => None,
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

    /// The one that the policy chooses.
    fn balanced(&self, choice: &Choice<'_>) -> Option<&Rc<Host>> {
        let (cluster, metrics) = (&*self.cluster.cluster, &self.counts.metrics);
        match (&self.subsets, &cluster.subsets) {
            (Some(groups), Some(subsets)) => {
                groups.choose(Chooser { cluster, subsets, all: &self.all, metrics }, choice)
            }
            _ => self.all.choose(cluster, metrics, choice),
        }
    }

    fn index_of(&self, address: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.address().as_deref() == Some(address))
    }

    /// How many hosts of each priority are worth what.
    pub(in crate::upstream) fn tiers(&mut self) -> Vec<(u32, Tier)> {
        self.refresh();
        self.all.tiers_by_priority().to_vec()
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
        self.all = Group::new(&self.cluster.cluster, &self.hosts);
        self.subsets.iter_mut().for_each(SubsetGroups::forget_health);
        self.count_members();
    }

    /// One worker counts for all: they have the same hosts.
    fn count_members(&self) {
        if self.counts.stats.worker() != 0 {
            return;
        }
        let sum = |of: fn(&Tier) -> u32| u64::from(self.all.tiers().map(of).sum::<u32>());
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
        let subsets = self.cluster.cluster.subsets.as_ref();
        self.subsets = subsets.map(|subsets| SubsetGroups::new(subsets, &self.hosts));
        self.share_out();
    }
}

impl Drop for HostSet {
    fn drop(&mut self) {
        self.retire();
    }
}
