//! VirtualService as it is written.

use super::{
    gateway::read_hostname,
    http_route::{HttpRoute, read_http_route},
};
use crate::{
    kubernetes::{ObjectKey, Place},
    schema::{Schema, Value, read, unimplemented},
};

/// Routes of some hosts.
#[derive(Debug)]
pub(crate) struct VirtualService {
    /// Exact or `*.suffix`; `None` = every host.
    pub(super) hosts: Vec<Option<String>>,
    /// The gateways it is for; those of the mesh are left out.
    pub(super) gateways: Vec<(ObjectKey, Place)>,
    /// Namespaces whose gateways see it; `*` = every one, `.` = its own.
    pub(super) export_to: Vec<String>,
    pub(super) http: Vec<HttpRoute>,
    /// It has no hosts: others are to delegate to it.
    is_delegate: bool,
}

/// What stands for the sidecars of a mesh.
const MESH: &str = "mesh";

static SPEC: Schema = Schema {
    name: "istio.VirtualService",
    title: "",
    fields: &[
        read("hosts", "", "Hosts, exact or `*.suffix` or `*`. Required."),
        read("gateways", "[mesh]", "`name` or `namespace/name` of Gateways; `mesh` has no effect here."),
        read("http", "[]", "Routes; the first one that matches counts."),
        read("exportTo", "[*]", "Namespaces whose Gateways see it: `*`, `.` or names."),
        unimplemented("tls", "connections that are not terminated are not served"),
        unimplemented("tcp", "only HTTP is served"),
    ],
    unsupported: &[],
};

/// Reads a VirtualService of `namespace`.
pub(super) fn read_virtual_service(value: &Value<'_>, namespace: &str) -> Option<VirtualService> {
    let spec = value.message(&SPEC)?;
    let hosts = spec.required("hosts").map(|hosts| hosts.list()).unwrap_or_default();
    let read_host = |value: &Value<'_>| {
        let text = value.non_empty_string()?.to_ascii_lowercase();
        read_hostname(value, &text)
    };
    let gateways = spec.list("gateways");
    let named = gateways.iter().filter_map(|value| {
        let name = value.non_empty_string().filter(|name| name != MESH)?;
        Some((gateway_key(&name, namespace), Place::of(value)))
    });
    Some(VirtualService {
        is_delegate: hosts.is_empty(),
        hosts: hosts.iter().filter_map(read_host).collect(),
        gateways: named.collect(),
        export_to: spec.strings("exportTo"),
        http: spec.list("http").iter().filter_map(|route| read_http_route(route, namespace)).collect(),
    })
}

/// The Gateway that `name` or `namespace/name` means.
pub(super) fn gateway_key(name: &str, namespace: &str) -> ObjectKey {
    match name.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::new(namespace, name),
    }
}

impl VirtualService {
    /// Why HTNN cannot put a policy on it (3.7).
    pub(crate) fn unsuitable_for_policies(&self) -> Option<&'static str> {
        if self.http.is_empty() {
            Some("only http route is supported")
        } else if self.http.iter().any(|route| route.rule.name.is_none()) {
            Some("route name is empty")
        } else if self.is_delegate || self.http.iter().any(|route| route.is_delegated) {
            Some("delegate VirtualService is not supported")
        } else {
            None
        }
    }

    /// Whether Gateways of a namespace see it.
    pub(super) fn is_exported_to(&self, namespace: &str, own: &str) -> bool {
        self.export_to.is_empty()
            || self.export_to.iter().any(|to| match to.as_str() {
                "*" => true,
                "." => namespace == own,
                named => named == namespace,
            })
    }
}
