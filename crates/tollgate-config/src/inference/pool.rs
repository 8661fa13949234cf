//! InferencePools: what they say.

use crate::{
    kubernetes::{Place, selector::LabelSelector, values::port_number},
    schema::{Enumeration, Message, Schema, Value, read},
};

/// Servers of models, and who picks one of them for a request.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) selector: LabelSelector,
    /// Where each pod listens; every one is an endpoint of its own.
    pub(super) ports: Vec<u16>,
    /// What is spoken, as the `appProtocol` of a service says it.
    pub(super) app_protocol: Option<String>,
    pub(super) picker: Picker,
}

/// Who picks the endpoint of a request: a service of the pool's namespace.
#[derive(Debug)]
pub(super) struct Picker {
    pub(super) service: String,
    pub(super) port: u16,
    /// Requests go to any endpoint when it cannot be asked. Default false: they are answered with an error.
    pub(super) fail_open: bool,
    pub(super) place: Place,
}

static SPEC: Schema = Schema {
    name: "InferencePoolSpec",
    title: "",
    fields: &[
        read("selector", "", "Labels of the pods. Required."),
        read("targetPorts", "", "Where the pods listen, 1 to 8 ports. Required."),
        read("appProtocol", "http", "`http`, or `kubernetes.io/h2c`."),
        read("endpointPickerRef", "", "The endpoint picker. Required."),
    ],
    unsupported: &[],
};

static SELECTOR: Schema = Schema {
    name: "InferencePoolLabelSelector",
    title: "",
    fields: &[read("matchLabels", "", "Labels that pods have to have. Required.")],
    unsupported: &[],
};

static PORT: Schema = Schema {
    name: "InferencePoolPort",
    title: "",
    fields: &[read("number", "", "The port. Required.")],
    unsupported: &[],
};

static PICKER: Schema = Schema {
    name: "EndpointPickerRef",
    title: "",
    fields: &[
        read("group", "", "Empty: a service."),
        read("kind", "Service", "Service."),
        read("name", "", "Name of the service. Required."),
        read("port", "", "Its port. Required."),
        read("failureMode", "FailClose", "FailClose, or FailOpen: without the picker any endpoint is used."),
    ],
    unsupported: &[],
};

static OLD_SPEC: Schema = Schema {
    name: "v1alpha2.InferencePoolSpec",
    title: "",
    fields: &[
        read("selector", "", "Labels of the pods. Required."),
        read("targetPortNumber", "", "Where the pods listen. Required."),
        read("extensionRef", "", "The endpoint picker. Required."),
    ],
    unsupported: &[],
};

static OLD_PICKER: Schema = Schema {
    name: "v1alpha2.Extension",
    title: "",
    fields: &[
        read("group", "", "Empty: a service."),
        read("kind", "Service", "Service."),
        read("name", "", "Name of the service. Required."),
        read("portNumber", "9002", "Its port."),
        read("failureMode", "FailClose", "FailClose, or FailOpen: without the picker any endpoint is used."),
    ],
    unsupported: &[],
};

static FAILURE_MODE: Enumeration<bool> =
    Enumeration { values: &[("FailClose", 0, Some(false)), ("FailOpen", 1, Some(true))] };

static APP_PROTOCOL: Enumeration<Option<&str>> = Enumeration {
    values: &[("http", 0, Some(None)), ("kubernetes.io/h2c", 1, Some(Some("kubernetes.io/h2c")))],
};

/// Most ports of a pool.
const MOST_PORTS: usize = 8;

/// Where an endpoint picker listens when nothing is said, in the old form.
const OLD_PICKER_PORT: u16 = 9002;

pub(super) fn read_pool(value: &Value<'_>) -> Option<Pool> {
    let spec = value.message(&SPEC)?;
    let selector = spec.required("selector")?.message(&SELECTOR)?;
    let selector = read_labels(&selector.required("matchLabels")?);
    let listed = spec.required("targetPorts")?;
    let ports: Vec<u16> = listed
        .list()
        .iter()
        .filter_map(|port| port_number(&port.message(&PORT)?.required("number")?))
        .collect();
    check_ports(&listed, &ports);
    let picker = spec.required("endpointPickerRef")?;
    let message = picker.message(&PICKER)?;
    let port = message.required("port")?;
    Some(Pool {
        selector,
        ports,
        app_protocol: spec.enumeration("appProtocol", &APP_PROTOCOL, None).map(str::to_owned),
        picker: read_picker(&picker, &message, port_number(&port.message(&PORT)?.required("number")?)?)?,
    })
}

pub(super) fn read_old_pool(value: &Value<'_>) -> Option<Pool> {
    let spec = value.message(&OLD_SPEC)?;
    let selector = read_labels(&spec.required("selector")?);
    let port = port_number(&spec.required("targetPortNumber")?)?;
    let picker = spec.required("extensionRef")?;
    let message = picker.message(&OLD_PICKER)?;
    let picker_port = message.get("portNumber").map_or(Some(OLD_PICKER_PORT), |port| port_number(&port))?;
    let picker = read_picker(&picker, &message, picker_port)?;
    Some(Pool { selector, ports: vec![port], app_protocol: None, picker })
}

fn check_ports(listed: &Value<'_>, ports: &[u16]) {
    if !(1..=MOST_PORTS).contains(&ports.len()) {
        listed.error(format!("a pool has 1 to {MOST_PORTS} ports"));
    }
}

fn read_labels(value: &Value<'_>) -> LabelSelector {
    let labels = value.map().into_iter();
    let labels: Vec<(String, String)> =
        labels.filter_map(|(name, label)| Some((name.to_owned(), label.string()?))).collect();
    if labels.is_empty() {
        value.error("a selector without labels would select every pod");
    }
    LabelSelector::of_labels(labels)
}

fn read_picker(value: &Value<'_>, picker: &Message<'_>, port: u16) -> Option<Picker> {
    let (group, kind) = (picker.string("group"), picker.string("kind"));
    if !(group.is_empty() || group == "core") || !(kind.is_empty() || kind == "Service") {
        value.error(format!("an endpoint picker is a Service, not a {kind} of the group \"{group}\""));
        return None;
    }
    let service = picker.required_string("name");
    let fail_open = picker.enumeration("failureMode", &FAILURE_MODE, false);
    (!service.is_empty()).then(|| Picker { service, port, fail_open, place: Place::of(value) })
}
