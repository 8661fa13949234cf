//! The overload manager.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_model::overload::{
    OverloadAction, OverloadActionKind, OverloadManager, OverloadThreshold, ReducedTimeout, Resource,
    ResourceMonitor, TimeoutMinimum,
};

use super::out::{Out, duration, extension, wide};
use crate::envoy::{
    overload::{
        CGROUP_MEMORY, CPU_MODE, CPU_UTILIZATION, DOWNSTREAM_CONNECTIONS, FIXED_HEAP, INJECTED_RESOURCE,
        LOAD_SHED_POINT, OVERLOAD_ACTION, OVERLOAD_MANAGER, RESOURCE_MONITOR, SCALE_TIMER, SCALE_TIMERS,
        SCALED_TRIGGER, THRESHOLD_TRIGGER, TIMER, TRIGGER,
    },
    protocol_options::PERCENT,
};

/// `None` when nothing is looked at.
pub(super) fn overload(manager: &OverloadManager) -> Option<Value> {
    let usual = manager.refresh_interval == Duration::from_secs(1);
    if usual && manager.resources.is_empty() && manager.actions.is_empty() {
        return None;
    }
    let mut out = Out::new(&OVERLOAD_MANAGER);
    if !usual {
        out.set("refresh_interval", duration(manager.refresh_interval));
    }
    let resources = manager.resources.iter();
    out.list("resource_monitors", resources.map(|one| monitor(one, manager)).collect());
    let (points, actions): (Vec<&OverloadAction>, Vec<&OverloadAction>) =
        manager.actions.iter().partition(|one| one.kind.is_load_shed_point());
    let written = actions.iter().map(|one| {
        let mut out = triggered(Out::new(&OVERLOAD_ACTION), one, manager);
        if one.kind == OverloadActionKind::ReduceTimeouts {
            let mut timers = Out::new(&SCALE_TIMERS);
            timers.list("timer_scale_factors", manager.reduced_timeouts.iter().map(reduced).collect());
            out.set("typed_config", timers.any());
        }
        out.done()
    });
    out.list("actions", written.collect());
    let points = points.iter().map(|one| triggered(Out::new(&LOAD_SHED_POINT), one, manager).done());
    out.list("loadshed_points", points.collect());
    let resets = manager.actions.iter().any(|one| one.kind == OverloadActionKind::ResetHighMemoryStream);
    if resets {
        // Envoy wants to know from how much on it counts what streams hold: 2^20 bytes, the least that it takes.
        out.set("buffer_factory_config", json!({ "minimum_account_to_track_power_of_two": 20 }));
    }
    Some(out.done())
}

fn monitor(resource: &Resource, manager: &OverloadManager) -> Value {
    let config = match &resource.monitor {
        ResourceMonitor::FixedHeap { max_heap_size_bytes } => {
            let mut out = Out::new(&FIXED_HEAP);
            out.set("max_heap_size_bytes", wide(*max_heap_size_bytes));
            out
        }
        ResourceMonitor::CgroupMemory { max_memory_bytes } => {
            let mut out = Out::new(&CGROUP_MEMORY);
            out.some("max_memory_bytes", max_memory_bytes.map(wide));
            out
        }
        ResourceMonitor::DownstreamConnections => {
            let mut out = Out::new(&DOWNSTREAM_CONNECTIONS);
            out.some("max_active_downstream_connections", manager.max_downstream_connections.map(wide));
            out
        }
        ResourceMonitor::CpuUtilization { container } => {
            let mut out = Out::new(&CPU_UTILIZATION);
            out.name("mode", &CPU_MODE, container, &false);
            out
        }
        ResourceMonitor::Injected { filename } => {
            let mut out = Out::new(&INJECTED_RESOURCE);
            out.set("filename", filename.display().to_string());
            out
        }
    };
    extension(&RESOURCE_MONITOR, &resource.name, config.any())
}

/// Something that is done when any of the triggers of an action asks for it.
fn triggered(mut out: Out, action: &OverloadAction, manager: &OverloadManager) -> Out {
    out.set("name", action.kind.name());
    let triggers = action.triggers.iter().map(|trigger| {
        let mut out = Out::new(&TRIGGER);
        out.some("name", manager.resources.get(trigger.resource).map(|resource| resource.name.as_str()));
        match trigger.threshold {
            OverloadThreshold::Fixed(value) => {
                let mut threshold = Out::new(&THRESHOLD_TRIGGER);
                threshold.set("value", value);
                out.set("threshold", threshold.done());
            }
            OverloadThreshold::Scaled { scaling, saturation } => {
                let mut scaled = Out::new(&SCALED_TRIGGER);
                scaled.set("scaling_threshold", scaling);
                scaled.set("saturation_threshold", saturation);
                out.set("scaled", scaled.done());
            }
        }
        out.done()
    });
    out.list("triggers", triggers.collect());
    out
}

fn reduced(reduced: &ReducedTimeout) -> Value {
    let mut out = Out::new(&SCALE_TIMER);
    out.some("timer", TIMER.name_of(&reduced.timeout));
    match reduced.minimum {
        TimeoutMinimum::Absolute(time) => out.set("min_timeout", duration(time)),
        TimeoutMinimum::Share(share) => {
            let mut percent = Out::new(&PERCENT);
            // As it was written: the share itself has fewer digits.
            percent.set("value", (f64::from(share) * 1e6).round() / 1e4);
            out.set("min_scale", percent.done());
        }
    }
    out.done()
}
