//! What protects the process when connections or memory run short: limits of connections, and overload actions.
//!
//! The control thread looks at the resources now and then ([`watch`]) and sets how much of each action is asked for.
//! Workers read that when they accept a connection or begin a request. Nothing else is shared.

mod connections;
mod cpu;
mod memory;
mod monitor;
mod timeouts;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use tollgate_model::{
    Snapshot,
    overload::{OverloadActionKind, OverloadManager},
};

use self::{connections::Connections, monitor::Monitors, timeouts::Timeouts};
pub(crate) use self::{
    connections::{Admission, ConnectionCount, Refused},
    timeouts::{deadline, limit},
};
use crate::stats::WorkerStats;

/// Every action and load shed point.
const ACTIONS: [OverloadActionKind; 14] = OverloadActionKind::ALL;

/// How much of each overload action is asked for, and the counts of connections: for all workers.
#[derive(Debug)]
pub(crate) struct Overload {
    /// 0 to 1 each, as the bits of an `f32`.
    values: [AtomicU32; ACTIONS.len()],
    /// How often each load shed point has turned something away.
    shed: [AtomicU64; ACTIONS.len()],
    timeouts: Timeouts,
    /// Whether connections are left in the queues of the kernel.
    stop_accepting: watch::Sender<bool>,
    /// Changes as often as requests that hold much are to be ended.
    relief: watch::Sender<u64>,
    pub(crate) connections: Connections,
    configuration: Mutex<Arc<Snapshot>>,
    changed: Notify,
    /// Limit of connections where none is configured.
    most_connections: Option<u64>,
}

impl Overload {
    /// Of a configuration. Nothing is asked for until [`watch`](Self::watch) has looked.
    pub(crate) fn new(snapshot: Arc<Snapshot>, most_connections: Option<u64>) -> Arc<Self> {
        let connections = Connections::default();
        connections.set_limit(snapshot.overload.max_downstream_connections.or(most_connections));
        let timeouts = Timeouts::default();
        timeouts.configure(&snapshot.overload);
        Arc::new(Self {
            values: [const { AtomicU32::new(0) }; ACTIONS.len()],
            shed: [const { AtomicU64::new(0) }; ACTIONS.len()],
            timeouts,
            stop_accepting: watch::channel(false).0,
            relief: watch::channel(0).0,
            connections,
            configuration: Mutex::new(snapshot),
            changed: Notify::new(),
            most_connections,
        })
    }

    /// Another configuration is in force.
    pub(crate) fn configure(&self, snapshot: Arc<Snapshot>) {
        self.connections.set_limit(snapshot.overload.max_downstream_connections.or(self.most_connections));
        self.connections.forget_all_but(&snapshot);
        self.timeouts.configure(&snapshot.overload);
        *self.configuration.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        self.changed.notify_one();
    }

    fn manager(&self) -> OverloadManager {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner).overload.clone()
    }

    /// How much of an action is asked for, 0 to 1.
    pub(crate) fn value(&self, action: OverloadActionKind) -> f32 {
        f32::from_bits(self.values[action as usize].load(Relaxed))
    }

    /// Whether an action is done this time: always, never, or as often as is asked for.
    pub(crate) fn applies(&self, action: OverloadActionKind) -> bool {
        let value = self.value(action);
        value >= 1.0 || (value > 0.0 && fastrand::f32() < value)
    }

    /// Whether a load shed point turns this one away, which is counted.
    pub(crate) fn sheds(&self, point: OverloadActionKind) -> bool {
        let sheds = self.applies(point);
        if sheds {
            self.shed[point as usize].fetch_add(1, Relaxed);
        }
        sheds
    }

    /// Whether connections are left in the queues of the kernel, and when that changes.
    pub(crate) fn stop_accepting(&self) -> watch::Receiver<bool> {
        self.stop_accepting.subscribe()
    }

    /// Changes as often as requests that hold much are to be ended; the value of the action is the share of what they hold.
    pub(crate) fn relief(&self) -> watch::Receiver<u64> {
        self.relief.subscribe()
    }

    fn set(&self, action: OverloadActionKind, value: f32) {
        let before = f32::from_bits(self.values[action as usize].swap(value.to_bits(), Relaxed));
        if action == OverloadActionKind::StopAcceptingConnections {
            let stop = value >= 1.0;
            self.stop_accepting.send_if_modified(|current| std::mem::replace(current, stop) != stop);
        }
        if action == OverloadActionKind::ResetHighMemoryStream && value > 0.0 {
            self.relief.send_modify(|times| *times = times.wrapping_add(1));
        }
        if (before > 0.0) != (value > 0.0) {
            let name = action.name();
            if value > 0.0 {
                tracing::warn!(action = name, "a resource runs short");
            } else {
                tracing::info!(action = name, "the resource is sufficient again");
            }
        }
    }

    /// Looks at the resources for ever, on the control thread.
    pub(crate) fn watch(self: Arc<Self>, stats: WorkerStats, control: &Handle) {
        control.spawn(async move {
            let mut monitors = Monitors::new(stats);
            loop {
                let manager = self.manager();
                let pause = manager.refresh_interval.max(LEAST_PAUSE);
                // The first look is one interval after the start, as in Envoy.
                tokio::select! {
                    () = tokio::time::sleep(pause), if !manager.resources.is_empty() => {}
                    () = self.changed.notified() => {}
                }
                let manager = self.manager();
                let pressures = monitors.look(&manager, &self.connections);
                for action in ACTIONS {
                    let asked = manager.actions.iter().filter(|asked| asked.kind == action);
                    let values = asked.flat_map(|asked| &asked.triggers).map(|trigger| {
                        trigger.threshold.value(pressures.get(trigger.resource).copied().unwrap_or(0.0))
                    });
                    // Between 0 and 1, so nothing is lost that matters.
                    let value = values.fold(0.0, f64::max) as f32;
                    self.set(action, value);
                    let configured = manager.actions.iter().any(|asked| asked.kind == action);
                    let shed = self.shed[action as usize].load(Relaxed);
                    monitors.report(action, configured, value, shed);
                }
            }
        });
    }
}

/// Looking more often would cost more than it is worth.
const LEAST_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
