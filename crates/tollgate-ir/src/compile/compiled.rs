//! A snapshot with what it was made of.

use std::{fmt, ops::Deref, sync::Arc};

use serde::{Serialize, Serializer};
use tollgate_model::Snapshot;

use crate::Resources;

/// A snapshot with the resources that it was made of: the next one is made by comparing resources with these.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) resources: Resources,
    work: Work,
}

impl Compiled {
    /// Listeners and management servers of the snapshot are those of the resources, in their order.
    pub(super) fn new(snapshot: Snapshot, resources: Resources, work: Work) -> Self {
        Self { snapshot: Arc::new(snapshot), resources, work }
    }

    /// The snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The snapshot alone.
    #[must_use]
    pub fn into_snapshot(self) -> Arc<Snapshot> {
        self.snapshot
    }

    /// What it was made of.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// What had to be compiled for it. The rest was taken over from the configuration before.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }
}

impl Deref for Compiled {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Serialize for Compiled {
    /// As its snapshot.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot.serialize(serializer)
    }
}

/// How much was compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Clusters.
    pub clusters: usize,
    /// Listeners of which anything was.
    pub listeners: usize,
    /// Connection managers with their filters.
    pub connection_managers: usize,
    /// Virtual hosts with their routes.
    pub virtual_hosts: usize,
    /// TLS contexts, of clusters and of listeners.
    pub tls_contexts: usize,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clusters, listeners, connection_managers, virtual_hosts, tls_contexts } = self;
        write!(
            f,
            "clusters {clusters}, listeners {listeners}, connection managers {connection_managers}, virtual hosts \
             {virtual_hosts}, TLS contexts {tls_contexts}"
        )
    }
}
