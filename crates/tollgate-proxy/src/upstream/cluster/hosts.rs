//! The hosts of a cluster, wherever they come from.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    sync::Arc,
    time::Instant,
};

use tollgate_model::cluster::Discovery;

use crate::upstream::{
    cluster::{
        aggregate::AggregateHosts,
        choice::Choice,
        forwarded::{ForwardedHosts, Lookup},
        host::Host,
        host_set::HostSet,
        manager::{ClusterCounts, ClusterManager},
        original_dst::OriginalDestinations,
        priorities::Tier,
        shared_cluster::SharedCluster,
    },
    health::Condition,
};

/// The hosts of a cluster in one worker.
#[derive(Debug)]
pub(in crate::upstream) enum Hosts {
    /// Those of the configuration, or of the names in it.
    Configured(HostSet),
    /// Those that requests name.
    Named(OriginalDestinations),
    /// Those of other clusters.
    Aggregate(AggregateHosts),
    /// Those that requests are for.
    Forwarded(ForwardedHosts),
}

impl Hosts {
    /// The hosts as far as they are known. Those of the cluster before, which this one comes in the place of, stay the same
    /// if they did not change.
    pub(in crate::upstream) fn new(
        before: Option<&Self>,
        cluster: &Arc<SharedCluster>,
        counts: &Rc<ClusterCounts>,
        manager: &Rc<RefCell<Weak<ClusterManager>>>,
    ) -> Self {
        match (&cluster.cluster.discovery, before) {
            (Discovery::OriginalDst(settings), _) => {
                Self::Named(OriginalDestinations::new(cluster, settings, counts))
            }
            (Discovery::Aggregate(names), _) => {
                Self::Aggregate(AggregateHosts::new(names, &cluster.cluster.health, counts, manager))
            }
            (Discovery::DynamicForwardProxy(_), _) => match &cluster.names {
                Some(names) => Self::Forwarded(ForwardedHosts::new(cluster, names, counts)),
                None => Self::Configured(HostSet::new(cluster, counts)),
            },
            (_, Some(Self::Configured(before))) => {
                Self::Configured(HostSet::succeeding(before, cluster, counts))
            }
            (_, Some(Self::Named(_) | Self::Aggregate(_) | Self::Forwarded(_)) | None) => {
                Self::Configured(HostSet::new(cluster, counts))
            }
        }
    }

    /// The host of a request; `None` if there is none for it.
    pub(in crate::upstream) fn choose(&mut self, choice: &Choice<'_>) -> Option<Rc<Host>> {
        match self {
            Self::Configured(hosts) => hosts.choose(choice).cloned(),
            Self::Named(hosts) => hosts.choose(choice).cloned(),
            Self::Aggregate(hosts) => hosts.choose(choice),
            Self::Forwarded(hosts) => hosts.choose(choice).cloned(),
        }
    }

    /// How many hosts of each priority are worth what, for an aggregate. An aggregate of aggregates has none, as in Envoy.
    pub(in crate::upstream) fn tiers(&mut self) -> Vec<(u32, Tier)> {
        match self {
            Self::Configured(hosts) => hosts.tiers(),
            Self::Named(_) | Self::Aggregate(_) | Self::Forwarded(_) => Vec::new(),
        }
    }

    /// The host at an address, as logs name it.
    pub(in crate::upstream) fn find(&mut self, address: &str) -> Option<&Rc<Host>> {
        match self {
            Self::Configured(hosts) => hosts.find(address),
            Self::Named(hosts) => hosts.find(address),
            Self::Aggregate(_) => None,
            Self::Forwarded(hosts) => hosts.find(address),
        }
    }

    /// How many hosts there are, and how many of them are used before there is a panic.
    pub(in crate::upstream) fn membership(&mut self) -> (usize, usize) {
        let is_used = |host: &Rc<Host>| matches!(host.condition(), Condition::Healthy | Condition::Degraded);
        match self {
            Self::Configured(hosts) => {
                hosts.keep_up();
                let hosts = hosts.hosts();
                (hosts.len(), hosts.iter().filter(|host| is_used(host)).count())
            }
            Self::Named(hosts) => {
                let used = hosts.hosts().filter(|host| is_used(host)).count();
                (hosts.hosts().count(), used)
            }
            Self::Aggregate(_) => (0, 0),
            Self::Forwarded(hosts) => {
                let count = hosts.hosts().count();
                (count, count)
            }
        }
    }

    /// Looks after hosts and connections that are not used any more.
    pub(in crate::upstream) fn tidy(&mut self, now: Instant) {
        match self {
            Self::Configured(hosts) => {
                hosts.keep_up();
                hosts.hosts().iter().for_each(|host| host.close_expired(now));
            }
            Self::Named(hosts) => {
                hosts.clean_up(now);
                hosts.hosts().for_each(|host| host.close_expired(now));
            }
            Self::Aggregate(_) => {}
            Self::Forwarded(hosts) => {
                hosts.clean_up(now);
                hosts.hosts().for_each(|host| host.close_expired(now));
            }
        }
    }

    /// What is known of the host of a request; `None`: that is not how this cluster finds hosts.
    pub(in crate::upstream) fn look_up(&mut self, authority: &[u8]) -> Option<Lookup> {
        match self {
            Self::Forwarded(hosts) => Some(hosts.look_up(authority)),
            _ => None,
        }
    }

    /// Takes all hosts out of service.
    pub(in crate::upstream) fn retire(&self) {
        match self {
            Self::Configured(hosts) => hosts.retire(),
            Self::Named(hosts) => hosts.retire(),
            Self::Aggregate(_) => {}
            Self::Forwarded(hosts) => hosts.retire(),
        }
    }
}
