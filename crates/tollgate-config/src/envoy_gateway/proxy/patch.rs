//! `provider`: what would be deployed in a cluster. Here nothing is, but sidecars that are added have to run (EG-70).

use crate::schema::{Enumeration, Json, Message, Schema, Value, bookkeeping, read};

pub(super) static PROVIDER: Schema = Schema {
    name: "EnvoyProxyProvider",
    title: "",
    fields: &[
        read("type", "", "Kubernetes or Host."),
        read("kubernetes", "", "What is deployed; recorded."),
        bookkeeping("host"),
    ],
    unsupported: &[],
};

static KUBERNETES: Schema = Schema {
    name: "EnvoyProxyKubernetesProvider",
    title: "",
    fields: &[
        read("envoyDeployment", "", "The deployment of proxies."),
        read("envoyDaemonSet", "", "The same, one a node."),
        bookkeeping("envoyService"),
        bookkeeping("envoyServiceAccount"),
        bookkeeping("envoyHpa"),
        bookkeeping("envoyPDB"),
        bookkeeping("useListenerPortAsContainerPort"),
    ],
    unsupported: &[],
};

static WORKLOAD: Schema = Schema {
    name: "KubernetesDeploymentSpec",
    title: "",
    fields: &[
        read("patch", "", "A change to the deployment."),
        bookkeeping("replicas"),
        bookkeeping("strategy"),
        bookkeeping("pod"),
        bookkeeping("container"),
        bookkeeping("initContainers"),
        bookkeeping("name"),
    ],
    unsupported: &[],
};

static PATCH: Schema = Schema {
    name: "KubernetesPatchSpec",
    title: "",
    fields: &[
        read("type", "StrategicMerge", "StrategicMerge or JSONMerge."),
        read("value", "", "The change."),
    ],
    unsupported: &[],
};

static PROVIDER_TYPE: Enumeration<()> =
    Enumeration { values: &[("Kubernetes", 0, Some(())), ("Host", 1, Some(()))] };

static PATCH_TYPE: Enumeration<()> =
    Enumeration { values: &[("StrategicMerge", 0, Some(())), ("JSONMerge", 1, Some(()))] };

pub(super) fn read_provider(provider: &Message<'_>) {
    provider.enumeration("type", &PROVIDER_TYPE, ());
    let Some(kubernetes) = provider.message("kubernetes", &KUBERNETES) else { return };
    for name in ["envoyDeployment", "envoyDaemonSet"] {
        let workload = kubernetes.message(name, &WORKLOAD);
        let Some(patch) = workload.and_then(|workload| workload.message("patch", &PATCH)) else { continue };
        patch.enumeration("type", &PATCH_TYPE, ());
        let Some(value) = patch.get("value") else { continue };
        let containers = containers(&value);
        let what = match containers.is_empty() {
            true => "nothing is deployed, so this change is not made".to_owned(),
            false => format!(
                "nothing is deployed, so the containers of this change have to be started otherwise: {}",
                containers.join(", ")
            ),
        };
        value.info_once(&what);
    }
}

/// The containers that a change adds, with where they are expected.
fn containers(patch: &Value<'_>) -> Vec<String> {
    let path = ["spec", "template", "spec", "containers"];
    let Some(list) = path.iter().try_fold(patch.clone(), |value, name| member(&value, name)) else {
        return Vec::new();
    };
    let Json::List(containers) = list.json() else { return Vec::new() };
    containers
        .iter()
        .filter_map(|container| {
            let name = text(&member(container, "name")?)?;
            let ports = member(container, "ports").map(|ports| ports.json());
            let Some(Json::List(ports)) = ports else { return Some(name) };
            let ports = ports.iter().filter_map(|port| text(&member(port, "containerPort")?));
            let addresses: Vec<String> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
            Some(match addresses.is_empty() {
                true => name,
                false => format!("{name} (expected to be reachable on {})", addresses.join(", ")),
            })
        })
        .collect()
}

fn member<'a>(value: &Value<'a>, name: &str) -> Option<Value<'a>> {
    let Json::Object(members) = value.json() else { return None };
    members.into_iter().find(|(member, _)| *member == name).map(|(_, value)| value)
}

fn text(value: &Value<'_>) -> Option<String> {
    match value.json() {
        Json::String(text) => Some(text),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
