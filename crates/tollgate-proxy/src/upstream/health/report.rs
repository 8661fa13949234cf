//! What is known of the hosts' health, for the administration.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::{HealthFlags, state::ClusterHealth};

/// The health of the endpoints of the clusters in force.
#[derive(Debug, Clone, Default)]
pub struct HealthReports(Arc<Mutex<HashMap<String, Arc<ClusterHealth>>>>);

impl HealthReports {
    /// What is known of the endpoints of a cluster, by address. Empty: nobody asks for their health.
    #[must_use]
    pub fn of_cluster(&self, name: &str) -> BTreeMap<String, HealthFlags> {
        let clusters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.get(name).map(|health| health.flags()).unwrap_or_default()
    }

    /// Other clusters are in force.
    pub(in crate::upstream) fn replace(&self, clusters: impl Iterator<Item = (String, Arc<ClusterHealth>)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = clusters.collect();
    }
}
