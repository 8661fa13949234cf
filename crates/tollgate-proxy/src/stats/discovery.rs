//! What is counted of management servers and of what they deliver.

use super::{ControlPlaneMetric, DiscoveryMetric, Metrics, WorkerStats};
use crate::incident::Limit;

/// A type of resources, by the name of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiscoveryType {
    /// Clusters.
    Cds,
    /// Endpoints of clusters.
    Eds,
    /// Secrets.
    Sds,
    /// Listeners.
    Lds,
    /// Route tables.
    Rds,
}

impl DiscoveryType {
    const ALL: [Self; 5] = [Self::Cds, Self::Eds, Self::Sds, Self::Lds, Self::Rds];

    /// What precedes the names of its metrics in Envoy's text form. Where Envoy has numbers for each resource, these are those
    /// of all.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Cds => "cluster_manager.cds.",
            Self::Eds => "eds.",
            Self::Sds => "sds.",
            Self::Lds => "listener_manager.lds.",
            Self::Rds => "rds.",
        }
    }

    /// Its name as a label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Cds => "cds",
            Self::Eds => "eds",
            Self::Sds => "sds",
            Self::Lds => "lds",
            Self::Rds => "rds",
        }
    }
}

/// What has become of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A request or an answer was sent.
    Attempt,
    /// What came was taken.
    Success,
    /// Something of it was refused.
    Rejected,
    /// The stream was lost before an answer.
    Failure,
    /// The first answer was waited for too long.
    InitFetchTimeout,
}

/// Counts what management servers deliver.
#[derive(Debug)]
pub struct DiscoveryStats {
    control_plane: Metrics<ControlPlaneMetric>,
    types: [Metrics<DiscoveryMetric>; 5],
    lines: [Limit; 2],
}

impl DiscoveryStats {
    pub(crate) fn new(stats: &WorkerStats) -> Self {
        Self {
            control_plane: stats.control_plane(),
            types: DiscoveryType::ALL.map(|kind| stats.discovery(kind)),
            lines: Default::default(),
        }
    }

    fn of(&self, kind: DiscoveryType) -> Option<&Metrics<DiscoveryMetric>> {
        self.types.get(kind as usize)
    }

    /// Counts what has become of an update.
    pub fn count(&self, kind: DiscoveryType, outcome: Outcome) {
        let metric = match outcome {
            Outcome::Attempt => DiscoveryMetric::UpdateAttempt,
            Outcome::Success => DiscoveryMetric::UpdateSuccess,
            Outcome::Rejected => DiscoveryMetric::UpdateRejected,
            Outcome::Failure => DiscoveryMetric::UpdateFailure,
            Outcome::InitFetchTimeout => DiscoveryMetric::InitFetchTimeout,
        };
        self.of(kind).iter().for_each(|metrics| metrics.increment(metric));
    }

    /// How many resources of a type work, and how many wait for what they need.
    pub fn set_resources(&self, kind: DiscoveryType, active: usize, warming: usize) {
        if let Some(metrics) = self.of(kind) {
            metrics.set(DiscoveryMetric::ResourcesActive, active as u64);
            metrics.set(DiscoveryMetric::ResourcesWarming, warming as u64);
        }
    }

    /// Whether every stream is open.
    pub fn set_connected(&self, connected: bool) {
        self.control_plane.set(ControlPlaneMetric::ConnectedState, u64::from(connected));
    }

    /// A stream was lost, or could not be opened. Gives how many lines were left out if the log may tell of this one.
    #[must_use]
    pub fn stream_lost(&self) -> Option<u64> {
        self.control_plane.increment(ControlPlaneMetric::StreamsLost);
        self.lines[0].admit_now()
    }

    /// Something was refused. Gives how many lines were left out if the log may tell of this one.
    #[must_use]
    pub fn refusal_to_tell(&self) -> Option<u64> {
        self.lines[1].admit_now()
    }
}

const _: () = assert!(DiscoveryType::Rds as usize + 1 == DiscoveryType::ALL.len());

impl WorkerStats {
    /// Of the management servers: `control_plane.`
    fn control_plane(&self) -> Metrics<ControlPlaneMetric> {
        self.metrics(super::Scope::ControlPlane)
    }

    /// Of a type of resources: `cluster_manager.cds.` and so on.
    fn discovery(&self, kind: DiscoveryType) -> Metrics<DiscoveryMetric> {
        self.metrics(super::Scope::Discovery { kind })
    }
}
