//! `overload_manager`: limits of the whole process, and what happens when a resource runs short.

use std::time::Duration;

use tollgate_model::overload::{
    ClientTimeout, OverloadAction, OverloadActionKind, OverloadManager, OverloadThreshold, OverloadTrigger,
    ReducedTimeout, Resource, ResourceMonitor, TimeoutMinimum,
};

use super::protocol_options::PERCENT;
use crate::schema::{Enumeration, Message, Schema, Value, harmless, read};

pub(super) static OVERLOAD_MANAGER: Schema = Schema {
    name: "envoy.config.overload.v3.OverloadManager",
    title: "",
    fields: &[
        read("refresh_interval", "1s", "Time between looks at the resources, at least 0.001s."),
        read("resource_monitors", "[]", "What is looked at."),
        read("actions", "[]", "What is done when a resource runs short."),
        read("loadshed_points", "[]", "The same under the names of places in the code."),
        harmless("buffer_factory_config", "what streams hold is always known, from 16 KiB on"),
    ],
    unsupported: &[],
};

pub(super) static RESOURCE_MONITOR: Schema = Schema {
    name: "envoy.config.overload.v3.ResourceMonitor",
    title: "",
    fields: &[
        read(
            "name",
            "",
            "Unique name: `envoy.resource_monitors.` and `fixed_heap`, `cgroup_memory`, \
             `global_downstream_max_connections`, `cpu_utilization` or `injected_resource`. Required.",
        ),
        read("typed_config", "", "Its settings. Required."),
    ],
    unsupported: &[],
};

pub(super) static FIXED_HEAP: Schema = Schema {
    name: "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
    title: "",
    fields: &[read(
        "max_heap_size_bytes",
        "",
        "Resident memory of the process that counts as all. Required.",
    )],
    unsupported: &["max_heap_size_bytes_runtime"],
};

pub(super) static CGROUP_MEMORY: Schema = Schema {
    name: "envoy.extensions.resource_monitors.cgroup_memory.v3.CgroupMemoryConfig",
    title: "",
    fields: &[read(
        "max_memory_bytes",
        "the group's limit",
        "What counts as all, if the group's limit is not less.",
    )],
    unsupported: &[],
};

pub(super) static DOWNSTREAM_CONNECTIONS: Schema = Schema {
    name: "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
    title: "",
    fields: &[read(
        "max_active_downstream_connections",
        "",
        "Most connections of clients; further ones are closed. Required.",
    )],
    unsupported: &[],
};

pub(super) static CPU_UTILIZATION: Schema = Schema {
    name: "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig",
    title: "",
    fields: &[read(
        "mode",
        "HOST",
        "Processor time of the machine (`HOST`), or of the control group as a share of what it may use (`CONTAINER`).",
    )],
    unsupported: &[],
};

pub(super) static INJECTED_RESOURCE: Schema = Schema {
    name: "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
    title: "",
    fields: &[read("filename", "", "A file with a number from 0 to 1. Required.")],
    unsupported: &[],
};

pub(super) static OVERLOAD_ACTION: Schema = Schema {
    name: "envoy.config.overload.v3.OverloadAction",
    title: "",
    fields: &[
        read(
            "name",
            "",
            "`envoy.overload_actions.` and `stop_accepting_requests`, `stop_accepting_connections`, \
             `reject_incoming_connections`, `disable_http_keepalive`, `reset_high_memory_stream`, `reduce_timeouts` or \
             `shrink_heap`; `close_idle_http_connections` has no effect. Each once. Required.",
        ),
        read("triggers", "", "When; the one that asks for most decides. Required."),
        read("typed_config", "", "Required for `reduce_timeouts`; without effect for `shrink_heap`."),
    ],
    unsupported: &[],
};

pub(super) static LOAD_SHED_POINT: Schema = Schema {
    name: "envoy.config.overload.v3.LoadShedPoint",
    title: "",
    fields: &[
        read(
            "name",
            "",
            "`envoy.load_shed_points.` and `tcp_listener_accept`, `hcm_ondata_creating_codec`, \
             `http1_server_abort_dispatch`, `http2_server_go_away_on_dispatch`, \
             `http2_server_go_away_and_close_on_dispatch`, `http_connection_manager_decode_headers` or \
             `http_downstream_filter_check`; those of HTTP/3 and of the TCP proxy have no effect. Each once. Required.",
        ),
        read("triggers", "", "When; the one that asks for most decides. Required."),
    ],
    unsupported: &[],
};

pub(super) static SCALE_TIMERS: Schema = Schema {
    name: "envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
    title: "",
    fields: &[read("timer_scale_factors", "", "Which timeouts become shorter. Required.")],
    unsupported: &[],
};

pub(super) static SCALE_TIMER: Schema = Schema {
    name: "envoy.config.overload.v3.ScaleTimersOverloadActionConfig.ScaleTimer",
    title: "",
    fields: &[
        read(
            "timer",
            "",
            "`HTTP_DOWNSTREAM_CONNECTION_IDLE`, `HTTP_DOWNSTREAM_STREAM_IDLE`, `TRANSPORT_SOCKET_CONNECT`, \
             `HTTP_DOWNSTREAM_CONNECTION_MAX` or `HTTP_DOWNSTREAM_STREAM_FLUSH`; each once. Required.",
        ),
        read("min_timeout", "", "What is left of it under full pressure. One of the two is required."),
        read("min_scale", "", "The same as a percentage."),
    ],
    unsupported: &[],
};

pub(super) static SHRINK_HEAP: Schema = Schema {
    name: "envoy.config.overload.v3.ShrinkHeapConfig",
    title: "",
    fields: &[harmless("timer_interval", FREED_AT_ONCE), harmless("max_unfreed_memory_bytes", FREED_AT_ONCE)],
    unsupported: &[],
};

const FREED_AT_ONCE: &str = "freed memory goes back to the system immediately in any case";

pub(super) static TRIGGER: Schema = Schema {
    name: "envoy.config.overload.v3.Trigger",
    title: "",
    fields: &[
        read("name", "", "The resource monitor. Required."),
        read("threshold", "", "Fully from a pressure on. One of the two is required."),
        read("scaled", "", "More and more between two pressures."),
    ],
    unsupported: &[],
};

pub(super) static THRESHOLD_TRIGGER: Schema = Schema {
    name: "envoy.config.overload.v3.ThresholdTrigger",
    title: "",
    fields: &[read("value", "0", "The pressure, 0 to 1.")],
    unsupported: &[],
};

pub(super) static SCALED_TRIGGER: Schema = Schema {
    name: "envoy.config.overload.v3.ScaledTrigger",
    title: "",
    fields: &[
        read("scaling_threshold", "0", "Nothing is done up to this pressure, 0 to 1."),
        read("saturation_threshold", "0", "Fully from this pressure on, which is more."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 15] = [
    &OVERLOAD_MANAGER,
    &RESOURCE_MONITOR,
    &FIXED_HEAP,
    &CGROUP_MEMORY,
    &DOWNSTREAM_CONNECTIONS,
    &CPU_UTILIZATION,
    &INJECTED_RESOURCE,
    &OVERLOAD_ACTION,
    &SCALE_TIMERS,
    &SCALE_TIMER,
    &SHRINK_HEAP,
    &LOAD_SHED_POINT,
    &TRIGGER,
    &THRESHOLD_TRIGGER,
    &SCALED_TRIGGER,
];

const ACTION_PREFIX: &str = "envoy.overload_actions.";
const POINT_PREFIX: &str = "envoy.load_shed_points.";

/// Actions and points that Envoy has for what is not served here.
const WITHOUT_EFFECT: [(&str, &str); 5] = [
    ("envoy.overload_actions.close_idle_http_connections", NO_HTTP3),
    ("envoy.load_shed_points.http3_server_go_away_on_dispatch", NO_HTTP3),
    ("envoy.load_shed_points.http3_server_go_away_and_close_on_dispatch", NO_HTTP3),
    ("envoy.load_shed_points.tcp_proxy_on_data", NO_TCP_PROXY),
    ("envoy.load_shed_points.tcp_proxy_upstream_connect", NO_TCP_PROXY),
];
const NO_HTTP3: &str = "there are no connections of HTTP/3";
const NO_TCP_PROXY: &str = "there is no TCP proxy";

pub(super) static TIMER: Enumeration<ClientTimeout> = Enumeration {
    values: &[
        ("UNSPECIFIED", 0, None),
        ("HTTP_DOWNSTREAM_CONNECTION_IDLE", 1, Some(ClientTimeout::ConnectionIdle)),
        ("HTTP_DOWNSTREAM_STREAM_IDLE", 2, Some(ClientTimeout::StreamIdle)),
        ("TRANSPORT_SOCKET_CONNECT", 3, Some(ClientTimeout::TransportSocketConnect)),
        ("HTTP_DOWNSTREAM_CONNECTION_MAX", 4, Some(ClientTimeout::ConnectionMax)),
        ("HTTP_DOWNSTREAM_STREAM_FLUSH", 5, Some(ClientTimeout::StreamFlush)),
    ],
};

/// Whether processor time is that of the control group.
pub(super) static CPU_MODE: Enumeration<bool> =
    Enumeration { values: &[("HOST", 0, Some(false)), ("CONTAINER", 1, Some(true))] };

/// Reads the overload manager.
pub(super) fn read_overload_manager(value: &Value<'_>) -> OverloadManager {
    let mut manager = OverloadManager::default();
    let Some(message) = value.message(&OVERLOAD_MANAGER) else { return manager };
    if let Some(interval) = message.get("refresh_interval")
        && let Some(duration) = interval.duration()
    {
        if duration < Duration::from_millis(1) {
            interval.error("must be 0.001s or more");
        }
        manager.refresh_interval = duration;
    }
    for monitor in message.list("resource_monitors") {
        read_monitor(&monitor, &mut manager);
    }
    for action in message.list("actions") {
        let Some(action) = action.message(&OVERLOAD_ACTION) else { continue };
        let kind = read_action(&action, "overload action", ACTION_PREFIX, &mut manager);
        read_action_config(&action, kind, &mut manager);
    }
    for point in message.list("loadshed_points") {
        let Some(point) = point.message(&LOAD_SHED_POINT) else { continue };
        read_action(&point, "load shed point", POINT_PREFIX, &mut manager);
    }
    manager
}

fn read_monitor(value: &Value<'_>, manager: &mut OverloadManager) {
    let Some(message) = value.message(&RESOURCE_MONITOR) else { return };
    let name = message.required_string("name");
    if manager.resources.iter().any(|resource| resource.name == name) {
        value.error(format!("there are two resource monitors named \"{name}\""));
    }
    let Some(any) = message.required("typed_config").and_then(|config| config.any()) else { return };
    let supported = [
        FIXED_HEAP.name,
        CGROUP_MEMORY.name,
        DOWNSTREAM_CONNECTIONS.name,
        CPU_UTILIZATION.name,
        INJECTED_RESOURCE.name,
    ];
    let bytes = |message: &Message<'_>, name| {
        let number = message.get(name)?.integer(0..=i64::MAX)?;
        u64::try_from(number).ok().filter(|number| *number > 0)
    };
    let required = |message: &Message<'_>, name| {
        let number = bytes(message, name);
        if number.is_none() {
            message.value().error(format!("\"{name}\" has to be more than 0"));
        }
        number
    };
    let monitor = match any.type_name.as_str() {
        found if found == FIXED_HEAP.name => any
            .value
            .message(&FIXED_HEAP)
            .and_then(|message| required(&message, "max_heap_size_bytes"))
            .map(|max_heap_size_bytes| ResourceMonitor::FixedHeap { max_heap_size_bytes }),
        found if found == CGROUP_MEMORY.name => any.value.message(&CGROUP_MEMORY).map(|message| {
            ResourceMonitor::CgroupMemory { max_memory_bytes: bytes(&message, "max_memory_bytes") }
        }),
        found if found == DOWNSTREAM_CONNECTIONS.name => {
            let most = any
                .value
                .message(&DOWNSTREAM_CONNECTIONS)
                .and_then(|message| required(&message, "max_active_downstream_connections"));
            manager.max_downstream_connections = most;
            most.map(|_| ResourceMonitor::DownstreamConnections)
        }
        found if found == CPU_UTILIZATION.name => any.value.message(&CPU_UTILIZATION).map(|message| {
            ResourceMonitor::CpuUtilization { container: message.enumeration("mode", &CPU_MODE, false) }
        }),
        found if found == INJECTED_RESOURCE.name => any.value.message(&INJECTED_RESOURCE).map(|message| {
            ResourceMonitor::Injected { filename: message.required_string("filename").into() }
        }),
        _ => {
            any.unsupported("resource monitor", &supported);
            None
        }
    };
    if let Some(monitor) = monitor {
        manager.resources.push(Resource { name, monitor });
    }
}

fn read_action(
    message: &Message<'_>,
    what: &str,
    prefix: &str,
    manager: &mut OverloadManager,
) -> Option<OverloadActionKind> {
    let name = message.required_string("name");
    let triggers = message.list("triggers");
    if triggers.is_empty() {
        message.value().error("\"triggers\" is missing");
    }
    let triggers = triggers.iter().filter_map(|trigger| read_trigger(trigger, manager)).collect();
    if let Some((_, why)) =
        WITHOUT_EFFECT.iter().find(|(known, _)| *known == name && name.starts_with(prefix))
    {
        message.value().no_effect(format!("the {what} \"{name}\""), why);
        return None;
    }
    let mut known = OverloadActionKind::ALL.into_iter().filter(|kind| kind.name().starts_with(prefix));
    let Some(kind) = known.clone().find(|kind| kind.name() == name) else {
        if !name.is_empty() {
            let known: Vec<_> = known.by_ref().map(OverloadActionKind::name).collect();
            message.value().error_with_help(
                format!("the {what} \"{name}\" is not supported"),
                format!("supported: {}", known.join(", ")),
            );
        }
        return None;
    };
    if manager.actions.iter().any(|action| action.kind == kind) {
        message.value().error(format!("the {what} \"{name}\" is there twice"));
    }
    manager.actions.push(OverloadAction { kind, triggers });
    Some(kind)
}

/// What is said about an action beyond when it is done.
fn read_action_config(
    message: &Message<'_>,
    kind: Option<OverloadActionKind>,
    manager: &mut OverloadManager,
) {
    let config = message.get("typed_config");
    match (kind, config) {
        (Some(OverloadActionKind::ReduceTimeouts), None) => {
            message.value().error("\"typed_config\" is missing: which timeouts are reduced");
        }
        (Some(OverloadActionKind::ReduceTimeouts), Some(config)) => {
            let Some(any) = config.any() else { return };
            if any.type_name != SCALE_TIMERS.name {
                any.unsupported("configuration of reduce_timeouts", &[SCALE_TIMERS.name]);
                return;
            }
            let Some(message) = any.value.message(&SCALE_TIMERS) else { return };
            let factors = message.list("timer_scale_factors");
            if factors.is_empty() {
                message.value().error("\"timer_scale_factors\" is missing");
            }
            for factor in factors {
                read_reduced_timeout(&factor, manager);
            }
        }
        (Some(OverloadActionKind::ShrinkHeap), Some(config)) => {
            let Some(any) = config.any() else { return };
            if any.type_name == SHRINK_HEAP.name {
                let _ = any.value.message(&SHRINK_HEAP);
            } else {
                any.unsupported("configuration of shrink_heap", &[SHRINK_HEAP.name]);
            }
        }
        (Some(kind), Some(config)) => {
            config.error(format!("\"{}\" has no configuration of its own", kind.name()));
        }
        (None, _) | (_, None) => {}
    }
}

fn read_reduced_timeout(value: &Value<'_>, manager: &mut OverloadManager) {
    let Some(message) = value.message(&SCALE_TIMER) else { return };
    let timeout = message.required("timer").and_then(|timer| timer.enumeration(&TIMER));
    let minimum = match message.required_one_of(&["min_timeout", "min_scale"]) {
        Some(("min_timeout", value)) => value.duration().map(TimeoutMinimum::Absolute),
        Some((_, value)) => value.message(&PERCENT).and_then(|percent| {
            let share = percent.get("value").map_or(Some(0.0), |value| value.number(0.0..=100.0))? / 100.0;
            // A percentage loses nothing that matters.
            Some(TimeoutMinimum::Share(share as f32))
        }),
        None => None,
    };
    let (Some(timeout), Some(minimum)) = (timeout, minimum) else { return };
    if manager.reduced_timeouts.iter().any(|reduced| reduced.timeout == timeout) {
        let name =
            TIMER.values.iter().find(|(.., known)| *known == Some(timeout)).map_or("", |(name, ..)| name);
        value.error(format!("the timeout \"{name}\" is there twice"));
    }
    manager.reduced_timeouts.push(ReducedTimeout { timeout, minimum });
}

fn read_trigger(value: &Value<'_>, manager: &OverloadManager) -> Option<OverloadTrigger> {
    let message = value.message(&TRIGGER)?;
    let name = message.required_string("name");
    let resource = manager.resources.iter().position(|resource| resource.name == name);
    if resource.is_none() && !name.is_empty() {
        let known: Vec<&str> = manager.resources.iter().map(|resource| resource.name.as_str()).collect();
        value.error_with_help(
            format!("there is no resource monitor named \"{name}\""),
            if known.is_empty() {
                "there is none at all".to_owned()
            } else {
                format!("there is {}", known.join(", "))
            },
        );
    }
    let number =
        |message: &Message<'_>, name| message.get(name).map_or(Some(0.0), |value| value.number(0.0..=1.0));
    let threshold = match message.required_one_of(&["threshold", "scaled"])? {
        ("threshold", value) => {
            OverloadThreshold::Fixed(number(&value.message(&THRESHOLD_TRIGGER)?, "value")?)
        }
        (_, value) => {
            let scaled = value.message(&SCALED_TRIGGER)?;
            let (scaling, saturation) =
                (number(&scaled, "scaling_threshold")?, number(&scaled, "saturation_threshold")?);
            if scaling >= saturation {
                value.error("\"scaling_threshold\" has to be less than \"saturation_threshold\"");
            }
            OverloadThreshold::Scaled { scaling, saturation }
        }
    };
    Some(OverloadTrigger { resource: resource?, threshold })
}
