//! Clusters that have the hosts of other clusters, one cluster after the other.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
};

use tollgate_model::cluster::HealthPolicy;

use crate::stats::ClusterMetric;
use crate::upstream::cluster::{
    choice::{Choice, Tried},
    host::Host,
    manager::{ClusterCounts, ClusterManager, WorkerCluster},
    priorities::{Pick, Tier, shares, shares_without},
};

/// The clusters of an aggregate, in one worker.
#[derive(Debug)]
pub(in crate::upstream) struct AggregateHosts {
    names: Vec<String>,
    health: HealthPolicy,
    counts: Rc<ClusterCounts>,
    /// Where the clusters are: they may change while this one stays.
    manager: Rc<RefCell<Weak<ClusterManager>>>,
}

/// A priority of one of the clusters.
struct Place {
    cluster: Rc<WorkerCluster>,
    priority: u32,
    tier: Tier,
}

impl AggregateHosts {
    pub(in crate::upstream) fn new(
        names: &[String],
        health: &HealthPolicy,
        counts: &Rc<ClusterCounts>,
        manager: &Rc<RefCell<Weak<ClusterManager>>>,
    ) -> Self {
        Self {
            names: names.to_vec(),
            health: health.clone(),
            counts: counts.clone(),
            manager: manager.clone(),
        }
    }

    /// The host of a request. The priorities of all clusters are priorities of one, and the cluster that has the request
    /// chooses as it does.
    pub(in crate::upstream) fn choose(&self, choice: &Choice<'_>) -> Option<Rc<Host>> {
        let places = self.places();
        let tiers: Vec<Tier> = places.iter().map(|place| place.tier).collect();
        let factor = self.health.overprovisioning_factor;
        let without_tried = choice.tried.as_ref().and_then(|tried| {
            let left_out = left_out(tried, &places)?;
            shares_without(&tiers, factor, &left_out)
        });
        let shares =
            without_tried.unwrap_or_else(|| shares(&tiers, factor, self.health.healthy_panic_threshold));
        let drawn = fastrand::u32(..100);
        let share = shares.iter().find(|share| drawn < share.end)?;
        if share.pick == Pick::Panic {
            self.counts.metrics.increment(ClusterMetric::LbHealthyPanic);
        }
        let place = places.get(share.tier)?;
        let tried = choice.tried.map(|tried| Tried { update_frequency: None, ..tried });
        place.cluster.choose_of(&Choice { of: Some((place.priority, share.pick)), tried, ..*choice })
    }

    /// The priorities of all clusters that are there.
    fn places(&self) -> Vec<Place> {
        let Some(manager) = self.manager.borrow().upgrade() else { return Vec::new() };
        let clusters = self.names.iter().filter_map(|name| manager.get(name));
        let places = clusters.map(|cluster| {
            let tiers = cluster.tiers();
            tiers.into_iter().map(move |(priority, tier)| Place { cluster: cluster.clone(), priority, tier })
        });
        places.flatten().collect()
    }
}

/// Which priorities are left out, because hosts of them were tried. `None`: none are.
fn left_out(tried: &Tried<'_>, places: &[Place]) -> Option<Vec<bool>> {
    let hosts = tried.hosts.looked_at(tried.update_frequency?);
    if hosts.is_empty() {
        return None;
    }
    let was_tried = |place: &Place| {
        hosts
            .iter()
            .any(|host| host.priority() == place.priority && place.cluster.is_named(&host.cluster.name))
    };
    Some(places.iter().map(was_tried).collect())
}
