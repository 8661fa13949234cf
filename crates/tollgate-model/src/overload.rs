//! What protects the process when memory or connections run short.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

/// Limits of the whole process, and what happens when a resource runs short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverloadManager {
    /// How often resources are looked at. Default 1 s.
    pub refresh_interval: Duration,
    /// Most connections of clients, all listeners and workers together. Further ones are closed as soon as they are
    /// accepted. `None` = no limit.
    pub max_downstream_connections: Option<u64>,
    /// What is looked at.
    pub resources: Vec<Resource>,
    /// What is done.
    pub actions: Vec<OverloadAction>,
}

impl Default for OverloadManager {
    fn default() -> Self {
        Self {
            refresh_interval: Duration::from_secs(1),
            max_downstream_connections: None,
            resources: Vec::new(),
            actions: Vec::new(),
        }
    }
}

/// Something that can run short. Its pressure is the share that is used, 1 when nothing is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Its name in Envoy, unique.
    pub name: String,
    /// What it is.
    pub monitor: ResourceMonitor,
}

/// How the pressure of a resource is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceMonitor {
    /// Resident memory of the process.
    FixedHeap {
        /// What counts as all, bytes; more than 0.
        max_heap_size_bytes: u64,
    },
    /// Memory of the control group that the process runs in.
    CgroupMemory {
        /// What counts as all, bytes, if it is less than the limit of the group.
        max_memory_bytes: Option<u64>,
    },
    /// Connections of clients, as far as `max_downstream_connections` counts them.
    DownstreamConnections,
    /// A file with a number from 0 to 1.
    Injected {
        /// The file.
        filename: PathBuf,
    },
}

/// Something that is done while resources run short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverloadAction {
    /// What.
    pub kind: OverloadActionKind,
    /// When; the one that asks for most decides.
    pub triggers: Vec<OverloadTrigger>,
}

/// What is done while resources run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverloadActionKind {
    /// New requests are answered with 503.
    StopAcceptingRequests,
    /// Connections stay in the queues of the kernel.
    StopAcceptingConnections,
    /// Connections are accepted and closed at once.
    RejectIncomingConnections,
    /// Connections end with the response that is under way.
    DisableHttpKeepalive,
    /// The allocator gives free memory back to the system.
    ShrinkHeap,
    /// Requests that hold much memory are ended.
    ResetHighMemoryStream,
}

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OverloadTrigger {
    /// The resource, by its place in [`OverloadManager::resources`].
    pub resource: usize,
    /// From which pressure.
    pub threshold: OverloadThreshold,
}

/// From which pressure something is done, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverloadThreshold {
    /// Fully from this pressure on.
    Fixed(f64),
    /// From `scaling` on, growing to fully at `saturation`, which is more.
    Scaled {
        /// Nothing is done up to here.
        scaling: f64,
        /// Fully from here on.
        saturation: f64,
    },
}

impl OverloadThreshold {
    /// How much is done at this pressure, 0 to 1.
    #[must_use]
    pub fn value(self, pressure: f64) -> f64 {
        match self {
            Self::Fixed(threshold) => f64::from(u8::from(pressure >= threshold)),
            Self::Scaled { scaling, saturation } => {
                if pressure <= scaling {
                    0.0
                } else if pressure >= saturation {
                    1.0
                } else {
                    (pressure - scaling) / (saturation - scaling)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let fixed = OverloadThreshold::Fixed(0.9);
        assert_eq!([0.0, 0.89, 0.9, 1.5].map(|pressure| fixed.value(pressure)), [0.0, 0.0, 1.0, 1.0]);
        let scaled = OverloadThreshold::Scaled { scaling: 0.5, saturation: 1.0 };
        assert_eq!([0.5, 0.75, 1.0, 2.0].map(|pressure| scaled.value(pressure)), [0.0, 0.5, 1.0, 1.0]);
    }
}
