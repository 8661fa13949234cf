//! Backend: hosts outside of the cluster (KG-41).

use std::net::SocketAddr;

use tollgate_model::cluster::{Endpoint, EndpointAddress};

use super::GROUP;
use crate::{
    kubernetes::values::port_number,
    routing::BackendReference,
    schema::{Enumeration, Schema, Value, read},
    translation::{BackendError, Destination, Translator, endpoint},
};

/// Hosts outside of the cluster.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Empty = it is of a type that is not implemented.
    pub(super) hosts: Vec<EndpointAddress>,
    pub(super) app_protocol: Option<&'static str>,
}

const NOT_IMPLEMENTED: &str = "Not implemented.";

static SPEC: Schema = Schema {
    name: "BackendSpec",
    title: "",
    fields: &[
        read("type", "", "Accepted: what is given below says the type."),
        read("static", "", "Hosts by name or address."),
        read("aws", "", NOT_IMPLEMENTED),
        read("gcp", "", NOT_IMPLEMENTED),
        read("dynamicForwardProxy", "", NOT_IMPLEMENTED),
        read("priorityGroups", "", NOT_IMPLEMENTED),
    ],
    unsupported: &[],
};

static STATIC: Schema = Schema {
    name: "StaticBackend",
    title: "",
    fields: &[
        read("hosts", "", "At least one. Required."),
        read("appProtocol", "", "http2, grpc, grpc-web, kubernetes.io/h2c or kubernetes.io/ws."),
    ],
    unsupported: &[],
};

static HOST: Schema = Schema {
    name: "Host",
    title: "",
    fields: &[read("host", "", "Name or address. Required."), read("port", "", "Port. Required.")],
    unsupported: &[],
};

static APP_PROTOCOL: Enumeration<&'static str> = Enumeration {
    values: &[
        ("http2", 0, Some("http2")),
        ("grpc", 1, Some("grpc")),
        ("grpc-web", 2, Some("grpc-web")),
        ("kubernetes.io/h2c", 3, Some("kubernetes.io/h2c")),
        ("kubernetes.io/ws", 4, Some("kubernetes.io/ws")),
    ],
};

/// Reads a backend.
pub(super) fn read_backend(value: &Value<'_>) -> Option<Backend> {
    let spec = value.message(&SPEC)?;
    spec.string("type");
    let types = ["static", "aws", "gcp", "dynamicForwardProxy", "priorityGroups"];
    let Some((name, given)) = spec.required_one_of(&types) else {
        return Some(Backend { hosts: Vec::new(), app_protocol: None });
    };
    if name != "static" {
        given.error_with_help(format!("backends of type {name} are not implemented"), "use static");
        return Some(Backend { hosts: Vec::new(), app_protocol: None });
    }
    let message = given.message(&STATIC)?;
    let hosts = message.required("hosts")?.list().into_iter().filter_map(|host| {
        let message = host.message(&HOST)?;
        let name = message.required_string("host");
        let port = message.required("port").and_then(|port| port_number(&port))?;
        Some(match name.parse() {
            Ok(address) => EndpointAddress::Socket(SocketAddr::new(address, port)),
            Err(_) => EndpointAddress::Dns { host: name, port },
        })
    });
    Some(Backend {
        hosts: hosts.collect(),
        app_protocol: message.get("appProtocol").and_then(|protocol| protocol.enumeration(&APP_PROTOCOL)),
    })
}

impl Backend {
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        self.hosts.iter().cloned().map(endpoint).collect()
    }
}

/// Where a backend of a route is; `None` if it is no Backend of this dialect.
pub(super) fn destination(
    reference: &BackendReference,
    translator: &Translator<'_>,
) -> Option<Result<Destination, BackendError>> {
    let object = &reference.object;
    if object.group != GROUP || object.kind != "Backend" {
        return None;
    }
    let Some(backend) = translator.store.of::<crate::kgateway::Objects>().backends.get(&object.key()) else {
        return Some(Err(BackendError::NotFound(format!("Backend {} not found", object.key()))));
    };
    if let Some(error) = backend.errors.first() {
        return Some(Err(BackendError::Invalid(format!("Backend {}: {error}", object.key()))));
    }
    Some(Ok(Destination {
        object: None,
        endpoints: backend.spec.endpoints().into(),
        app_protocol: backend.spec.app_protocol.map(str::to_owned),
        section: None,
        tls: None,
    }))
}
