//! The hosts of a cluster, kept in step with name resolution.

use std::{rc::Rc, sync::Arc};

use crate::upstream::cluster::{
    choice::{Choice, Tried},
    host::{Host, Place},
    load_balancer::LoadBalancer,
    manager::ClusterCounts,
    shared_cluster::{SharedCluster, Source},
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
    /// How many of them, from the first on, have the priority that is used: the first one that has hosts at all.
    used: usize,
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
            used: 0,
            balancer: LoadBalancer::new::<Rc<Host>>(cluster.cluster.lb_policy, &[]),
        };
        set.rebuild(before);
        set
    }

    /// The host of a request; `None` if there is none. That of the client's session comes first, then those that filters
    /// have picked, then the policy.
    pub(in crate::upstream) fn choose(&mut self, choice: &Choice<'_>) -> Option<&Rc<Host>> {
        self.refresh();
        let index = choice.session.and_then(|address| self.index_of(address));
        let index = index.or_else(|| self.picked(choice)).or_else(|| self.balanced(choice))?;
        self.hosts.get(index)
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
    fn balanced(&self, choice: &Choice<'_>) -> Option<usize> {
        let used = &self.hosts[..self.used];
        let mut index = self.balancer.choose(used)?;
        if let Some(Tried { hosts, most }) = choice.tried {
            for _ in 0..most {
                if !hosts.contain(&used[index]) {
                    break;
                }
                index = self.balancer.choose(used)?;
            }
        }
        Some(index)
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
        }
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
        let first = places.first().map(|(endpoint, _)| priority(*endpoint));
        let used = places.iter().filter(|(endpoint, _)| Some(priority(*endpoint)) == first).count();
        let same = places.len() == self.hosts.len()
            && places
                .iter()
                .all(|(endpoint, place)| self.hosts.iter().any(|host| host.is_at(*endpoint, place)));
        if same {
            return;
        }
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
        self.used = used;
        self.balancer = LoadBalancer::new(self.cluster.cluster.lb_policy, &self.hosts[..used]);
    }
}

impl Drop for HostSet {
    fn drop(&mut self) {
        self.retire();
    }
}
