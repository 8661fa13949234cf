//! Looking at resources.

use std::path::Path;

use tollgate_model::overload::{OverloadActionKind, OverloadManager, Resource, ResourceMonitor};

use super::{connections::Connections, memory};
use crate::stats::{Metrics, OverloadActionMetric, OverloadResourceMetric, WorkerStats};

/// Where the files of the control group are.
const CGROUP: &str = "/sys/fs/cgroup";

/// The name of an action in Envoy.
pub(super) fn action_name(action: OverloadActionKind) -> &'static str {
    match action {
        OverloadActionKind::StopAcceptingRequests => "envoy.overload_actions.stop_accepting_requests",
        OverloadActionKind::StopAcceptingConnections => "envoy.overload_actions.stop_accepting_connections",
        OverloadActionKind::RejectIncomingConnections => "envoy.overload_actions.reject_incoming_connections",
        OverloadActionKind::DisableHttpKeepalive => "envoy.overload_actions.disable_http_keepalive",
        OverloadActionKind::ShrinkHeap => "envoy.overload_actions.shrink_heap",
        OverloadActionKind::ResetHighMemoryStream => "envoy.overload_actions.reset_high_memory_stream",
    }
}

/// What was seen last of each resource.
#[derive(Debug)]
pub(super) struct Monitors {
    stats: WorkerStats,
    seen: Vec<Seen>,
    actions: Vec<(OverloadActionKind, Metrics<OverloadActionMetric>)>,
}

#[derive(Debug)]
struct Seen {
    resource: Resource,
    pressure: f64,
    metrics: Metrics<OverloadResourceMetric>,
    /// It was said that it cannot be looked at.
    complained: bool,
}

impl Monitors {
    pub(super) fn new(stats: WorkerStats) -> Self {
        Self { stats, seen: Vec::new(), actions: Vec::new() }
    }

    /// The pressure of each resource, in their order. One that cannot be looked at is as it was.
    pub(super) fn look(&mut self, manager: &OverloadManager, connections: &Connections) -> Vec<f64> {
        let mut before = std::mem::take(&mut self.seen);
        for resource in &manager.resources {
            let place = before.iter().position(|seen| seen.resource == *resource);
            let mut seen = place.map(|place| before.swap_remove(place)).unwrap_or_else(|| Seen {
                resource: resource.clone(),
                pressure: 0.0,
                metrics: self.stats.overload_resource(&resource.name),
                complained: false,
            });
            match pressure(&resource.monitor, connections) {
                Some(pressure) => seen.pressure = pressure,
                None if !seen.complained => {
                    seen.complained = true;
                    tracing::error!(resource = resource.name, "a resource cannot be looked at");
                }
                None => {}
            }
            // A percentage; what is beyond all measure is cut off.
            seen.metrics.set(OverloadResourceMetric::Pressure, (seen.pressure * 100.0) as u64);
            self.seen.push(seen);
        }
        self.seen.iter().map(|seen| seen.pressure).collect()
    }

    /// Shows how much of an action is asked for, if it is configured.
    pub(super) fn report(&mut self, action: OverloadActionKind, configured: bool, value: f32) {
        if !configured {
            self.actions.retain(|(known, _)| *known != action);
            return;
        }
        let place = self.actions.iter().position(|(known, _)| *known == action);
        let place = place.unwrap_or_else(|| {
            self.actions.push((action, self.stats.overload_action(action_name(action))));
            self.actions.len() - 1
        });
        if let Some((_, metrics)) = self.actions.get(place) {
            metrics.set(OverloadActionMetric::Active, u64::from(value >= 1.0));
            metrics.set(OverloadActionMetric::ScalePercent, (value * 100.0) as u64);
        }
    }
}

fn pressure(monitor: &ResourceMonitor, connections: &Connections) -> Option<f64> {
    match monitor {
        ResourceMonitor::FixedHeap { max_heap_size_bytes } => {
            Some(memory::resident()? as f64 / *max_heap_size_bytes as f64)
        }
        ResourceMonitor::CgroupMemory { max_memory_bytes } => {
            memory::cgroup_pressure(Path::new(CGROUP), *max_memory_bytes)
        }
        ResourceMonitor::DownstreamConnections => Some(connections.pressure()),
        ResourceMonitor::Injected { filename } => {
            let number = memory::read(filename)?.trim().parse::<f64>().ok()?;
            (0.0..=1.0).contains(&number).then_some(number)
        }
    }
}
