//! `overload_manager`: limits of the whole process, and what happens when a resource runs short.

use std::time::Duration;

use tollgate_model::overload::{
    OverloadAction, OverloadActionKind, OverloadManager, OverloadThreshold, OverloadTrigger, Resource,
    ResourceMonitor,
};

use crate::protobuf::{Message, Schema, Value, no_effect, read, refused};

pub(super) static OVERLOAD_MANAGER: Schema = Schema {
    name: "envoy.config.overload.v3.OverloadManager",
    title: "",
    fields: &[
        read("refresh_interval", "1s", "Time between looks at the resources, at least 0.001s."),
        read("resource_monitors", "[]", "What is looked at."),
        read("actions", "[]", "What is done when a resource runs short."),
        read("loadshed_points", "[]", "The same under the names of places in the code."),
        no_effect("buffer_factory_config", "what streams hold is always known, from 16 KiB on"),
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
             `global_downstream_max_connections` or `injected_resource`. Required.",
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
    unsupported: &[],
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
             `reject_incoming_connections`, `disable_http_keepalive`, `reset_high_memory_stream` or `shrink_heap`. Required.",
        ),
        read("triggers", "", "When; the one that asks for most decides. Required."),
        refused("typed_config", "only for the action reduce_timeouts, which is not supported"),
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
            "`envoy.load_shed_points.` and `tcp_listener_accept` or `http_connection_manager_decode_headers`. Required.",
        ),
        read("triggers", "", "When; the one that asks for most decides. Required."),
    ],
    unsupported: &[],
};

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
pub(super) static SCHEMAS: [&Schema; 11] = [
    &OVERLOAD_MANAGER,
    &RESOURCE_MONITOR,
    &FIXED_HEAP,
    &CGROUP_MEMORY,
    &DOWNSTREAM_CONNECTIONS,
    &INJECTED_RESOURCE,
    &OVERLOAD_ACTION,
    &LOAD_SHED_POINT,
    &TRIGGER,
    &THRESHOLD_TRIGGER,
    &SCALED_TRIGGER,
];

const ACTION_PREFIX: &str = "envoy.overload_actions.";
const POINT_PREFIX: &str = "envoy.load_shed_points.";

/// Actions by what follows the prefix of their names.
const ACTIONS: [(&str, OverloadActionKind); 6] = [
    ("stop_accepting_requests", OverloadActionKind::StopAcceptingRequests),
    ("stop_accepting_connections", OverloadActionKind::StopAcceptingConnections),
    ("reject_incoming_connections", OverloadActionKind::RejectIncomingConnections),
    ("disable_http_keepalive", OverloadActionKind::DisableHttpKeepalive),
    ("shrink_heap", OverloadActionKind::ShrinkHeap),
    ("reset_high_memory_stream", OverloadActionKind::ResetHighMemoryStream),
];

/// Load shed points, and the actions that do the same.
const POINTS: [(&str, OverloadActionKind); 2] = [
    ("tcp_listener_accept", OverloadActionKind::RejectIncomingConnections),
    ("http_connection_manager_decode_headers", OverloadActionKind::StopAcceptingRequests),
];

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
        read_action(&action, "overload action", ACTION_PREFIX, &ACTIONS, &mut manager);
    }
    for point in message.list("loadshed_points") {
        let Some(point) = point.message(&LOAD_SHED_POINT) else { continue };
        read_action(&point, "load shed point", POINT_PREFIX, &POINTS, &mut manager);
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
    let supported =
        [FIXED_HEAP.name, CGROUP_MEMORY.name, DOWNSTREAM_CONNECTIONS.name, INJECTED_RESOURCE.name];
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
    known: &[(&str, OverloadActionKind)],
    manager: &mut OverloadManager,
) {
    let name = message.required_string("name");
    let kind = name
        .strip_prefix(prefix)
        .and_then(|name| known.iter().find(|(known, _)| *known == name))
        .map(|(_, kind)| *kind);
    if kind.is_none() && !name.is_empty() {
        let known: Vec<String> = known.iter().map(|(name, _)| format!("{prefix}{name}")).collect();
        message.value().error_with_help(
            format!("the {what} \"{name}\" is not supported"),
            format!("supported: {}", known.join(", ")),
        );
    }
    let triggers = message.list("triggers");
    if triggers.is_empty() {
        message.value().error("\"triggers\" is missing");
    }
    let triggers = triggers.iter().filter_map(|trigger| read_trigger(trigger, manager)).collect();
    if let Some(kind) = kind {
        manager.actions.push(OverloadAction { kind, triggers });
    }
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
