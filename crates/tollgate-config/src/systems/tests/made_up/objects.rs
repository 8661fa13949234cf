//! The objects: how they are written.

use std::{net::SocketAddr, time::Duration};

use crate::{
    kubernetes::{Kind, Objects as Set, family, values::kubernetes_duration},
    policies::{TargetRef, Targets},
    schema::{Schema, Value, read},
};

pub(super) const GROUP: &str = "pace.example";

/// The objects of this system.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) policies: Set<PacePolicy>,
    pub(super) hosts: Set<SocketAddr>,
}

family!(Objects);

/// How long things may take, and how many there may be.
#[derive(Debug)]
pub(super) struct PacePolicy {
    pub(super) targets: Targets,
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) connections: Option<u64>,
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        kind: "PacePolicy",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store(|all| &mut all.of_mut::<Objects>().policies, read_policy),
    },
    Kind {
        group: GROUP,
        kind: "Host",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store(|all| &mut all.of_mut::<Objects>().hosts, read_host),
    },
];

static POLICY: Schema = Schema {
    name: "PacePolicySpec",
    title: "",
    fields: &[
        read("targetRefs", "[]", "What it is attached to."),
        read("timeout", "3s", "Limit of requests."),
        read("connectTimeout", "1s", "Limit of connecting to backends."),
        read("connections", "any number", "Most connections."),
    ],
    unsupported: &[],
};

static TARGET: Schema = Schema {
    name: "TargetRef",
    title: "",
    fields: &[
        read("group", "", "Group of the object. Required."),
        read("kind", "", "Its kind. Required."),
        read("name", "", "Its name. Required."),
    ],
    unsupported: &[],
};

static HOST: Schema = Schema {
    name: "HostSpec",
    title: "",
    fields: &[read("address", "", "Address and port. Required.")],
    unsupported: &[],
};

fn read_policy(value: &Value<'_>) -> Option<PacePolicy> {
    let spec = value.message(&POLICY)?;
    let duration = |name| spec.get(name).and_then(|value| kubernetes_duration(&value));
    let refs = spec.list("targetRefs");
    let refs = refs.iter().filter_map(|value| {
        let target = value.message(&TARGET)?;
        let [group, kind, name] = ["group", "kind", "name"].map(|field| target.required_string(field));
        Some(TargetRef { group, kind, name, section: None })
    });
    Some(PacePolicy {
        targets: Targets { refs: refs.collect(), ..Targets::default() },
        timeout: duration("timeout"),
        connect_timeout: duration("connectTimeout"),
        connections: spec.u32("connections").map(u64::from),
    })
}

fn read_host(value: &Value<'_>) -> Option<SocketAddr> {
    let spec = value.message(&HOST)?;
    let address = spec.required("address")?;
    let parsed = address.string()?.parse().ok();
    if parsed.is_none() {
        address.error("not an address and a port");
    }
    parsed
}
