//! Looking at resources.

use std::{path::Path, time::Instant};

use tollgate_model::overload::{OverloadActionKind, OverloadManager, Resource, ResourceMonitor};

use super::{connections::Connections, cpu::Cpu, memory};
use crate::stats::{LoadShedPointMetric, Metrics, OverloadActionMetric, OverloadResourceMetric, WorkerStats};

/// Where the files of the control group are.
const CGROUP: &str = "/sys/fs/cgroup";

/// What was seen last of each resource.
#[derive(Debug)]
pub(super) struct Monitors {
    stats: WorkerStats,
    seen: Vec<Seen>,
    actions: Vec<(OverloadActionKind, Shown)>,
    began: Instant,
}

/// Where the state of an action is shown.
#[derive(Debug)]
enum Shown {
    Action(Metrics<OverloadActionMetric>),
    Point(Metrics<LoadShedPointMetric>),
}

#[derive(Debug)]
struct Seen {
    resource: Resource,
    pressure: f64,
    cpu: Cpu,
    metrics: Metrics<OverloadResourceMetric>,
    /// A failure to measure it was logged.
    complained: bool,
}

impl Monitors {
    pub(super) fn new(stats: WorkerStats) -> Self {
        Self { stats, seen: Vec::new(), actions: Vec::new(), began: Instant::now() }
    }

    /// The pressure of each resource, in their order. One that cannot be measured keeps its value.
    pub(super) fn look(&mut self, manager: &OverloadManager, connections: &Connections) -> Vec<f64> {
        let mut before = std::mem::take(&mut self.seen);
        for resource in &manager.resources {
            let place = before.iter().position(|seen| seen.resource == *resource);
            let mut seen = place.map(|place| before.swap_remove(place)).unwrap_or_else(|| Seen {
                resource: resource.clone(),
                pressure: 0.0,
                cpu: Cpu::default(),
                metrics: self.stats.overload_resource(&resource.name),
                complained: false,
            });
            match pressure(&resource.monitor, connections, &mut seen.cpu, self.began) {
                Some(pressure) => seen.pressure = pressure,
                None if !seen.complained => {
                    seen.complained = true;
                    tracing::error!(resource = resource.name, "cannot measure a resource");
                }
                None => {}
            }
            // A percentage; what is beyond all measure is cut off.
            seen.metrics.set(OverloadResourceMetric::Pressure, (seen.pressure * 100.0) as u64);
            self.seen.push(seen);
        }
        self.seen.iter().map(|seen| seen.pressure).collect()
    }

    /// Shows how much of an action is asked for, and how often a point has turned something away, if it is configured.
    pub(super) fn report(&mut self, action: OverloadActionKind, configured: bool, value: f32, shed: u64) {
        if !configured {
            self.actions.retain(|(known, _)| *known != action);
            return;
        }
        let place = self.actions.iter().position(|(known, _)| *known == action);
        let place = place.unwrap_or_else(|| {
            let shown = if action.is_load_shed_point() {
                Shown::Point(self.stats.load_shed_point(action.name()))
            } else {
                Shown::Action(self.stats.overload_action(action.name()))
            };
            self.actions.push((action, shown));
            self.actions.len() - 1
        });
        let percent = (value * 100.0) as u64;
        match self.actions.get(place) {
            Some((_, Shown::Action(metrics))) => {
                metrics.set(OverloadActionMetric::Active, u64::from(value >= 1.0));
                metrics.set(OverloadActionMetric::ScalePercent, percent);
            }
            Some((_, Shown::Point(metrics))) => {
                metrics.set(LoadShedPointMetric::ScalePercent, percent);
                metrics.set(LoadShedPointMetric::ShedLoadCount, shed);
            }
            None => {}
        }
    }
}

fn pressure(
    monitor: &ResourceMonitor,
    connections: &Connections,
    cpu: &mut Cpu,
    began: Instant,
) -> Option<f64> {
    match monitor {
        ResourceMonitor::FixedHeap { max_heap_size_bytes } => {
            Some(memory::resident()? as f64 / *max_heap_size_bytes as f64)
        }
        ResourceMonitor::CgroupMemory { max_memory_bytes } => {
            memory::cgroup_pressure(Path::new(CGROUP), *max_memory_bytes)
        }
        ResourceMonitor::CpuUtilization { container } => {
            cpu.pressure(Path::new("/proc"), container.then(|| Path::new(CGROUP)), began)
        }
        ResourceMonitor::DownstreamConnections => Some(connections.pressure()),
        ResourceMonitor::Injected { filename } => {
            let number = memory::read(filename)?.trim().parse::<f64>().ok()?;
            (0.0..=1.0).contains(&number).then_some(number)
        }
    }
}
