//! Gateway (9.3).

use std::{collections::HashSet, net::IpAddr};

use super::{
    gateway_class::{ParametersRef, read_parameters},
    listener::{
        FromNamespaces, ListenerEntry, SecretReference, read_listeners, read_namespaces,
        read_secret_reference,
    },
    names::bounded,
};
use crate::{
    kubernetes::{Place, values::port_number},
    schema::{Enumeration, Message, Schema, Value, harmless, read, refused},
};

/// A Gateway as it is written.
#[derive(Debug)]
pub(crate) struct GatewaySpec {
    pub(crate) class: String,
    pub(crate) class_place: Place,
    pub(crate) listeners: Vec<ListenerEntry>,
    pub(crate) addresses: Vec<Address>,
    /// Who may attach ListenerSets.
    pub(crate) allowed_listeners: FromNamespaces,
    pub(crate) parameters: Option<ParametersRef>,
    /// Our certificate towards backends.
    pub(crate) client_certificate: Option<SecretReference>,
    /// Validation of clients on HTTPS listeners, where no port has its own.
    pub(crate) client_validation: Option<FrontendValidation>,
    /// Validation of clients on some ports; `None` = none there.
    pub(crate) client_validation_by_port: Vec<(u16, Option<FrontendValidation>)>,
}

/// An address that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) value: AddressValue,
    pub(crate) place: Place,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AddressValue {
    /// `None` = any address will do.
    Ip(Option<IpAddr>),
    /// Of a type that has no meaning here.
    Unsupported(String),
}

/// How certificates of clients are validated.
#[derive(Debug, Clone)]
pub(crate) struct FrontendValidation {
    pub(crate) ca_certificates: Vec<SecretReference>,
    /// Clients without a valid certificate are let in.
    pub(crate) insecure_fallback: bool,
    pub(crate) place: Place,
}

static SPEC: Schema = Schema {
    name: "GatewaySpec",
    title: "",
    fields: &[
        read("gatewayClassName", "", "Which system it is for. Required."),
        read("listeners", "", "1 to 64 listeners. Required."),
        read("addresses", "the bind address of the process", "Addresses to bind, at most 16."),
        read("infrastructure", "{}", "An object with further settings."),
        read("allowedListeners", "{namespaces: {from: None}}", "Who may attach ListenerSets."),
        read("tls", "{}", "Certificates towards backends, and validation of clients."),
        refused("defaultScope", "name the Gateway in `parentRefs` of the routes"),
    ],
    unsupported: &[],
};

static ADDRESS: Schema = Schema {
    name: "GatewaySpecAddress",
    title: "",
    fields: &[
        read("type", "IPAddress", "IPAddress; Hostname and NamedAddress are not supported."),
        read("value", "any address", "The address."),
    ],
    unsupported: &[],
};

static INFRASTRUCTURE: Schema = Schema {
    name: "GatewayInfrastructure",
    title: "",
    fields: &[
        harmless("labels", "no object is made for a Gateway"),
        harmless("annotations", "no object is made for a Gateway"),
        read("parametersRef", "", "An object of the same namespace with further settings."),
    ],
    unsupported: &[],
};

static ALLOWED_LISTENERS: Schema = Schema {
    name: "AllowedListeners",
    title: "",
    fields: &[read("namespaces", "{from: None}", "Namespaces of ListenerSets.")],
    unsupported: &[],
};

static TLS: Schema = Schema {
    name: "GatewayTLSConfig",
    title: "",
    fields: &[read("backend", "{}", "Towards backends."), read("frontend", "{}", "Validation of clients.")],
    unsupported: &[],
};

static BACKEND_TLS: Schema = Schema {
    name: "GatewayBackendTLS",
    title: "",
    fields: &[read("clientCertificateRef", "", "Secret with our certificate.")],
    unsupported: &[],
};

static FRONTEND_TLS: Schema = Schema {
    name: "FrontendTLSConfig",
    title: "",
    fields: &[
        read("default", "", "Of every HTTPS listener. Required."),
        read("perPort", "[]", "Of the listeners of a port, instead; at most 64."),
    ],
    unsupported: &[],
};

static FRONTEND: Schema = Schema {
    name: "TLSConfig",
    title: "",
    fields: &[read("validation", "", "How certificates of clients are validated.")],
    unsupported: &[],
};

static PER_PORT: Schema = Schema {
    name: "TLSPortConfig",
    title: "",
    fields: &[read("port", "", "The port. Required."), read("tls", "", "Its settings. Required.")],
    unsupported: &[],
};

static VALIDATION: Schema = Schema {
    name: "FrontendTLSValidation",
    title: "",
    fields: &[
        read("caCertificateRefs", "", "ConfigMaps with `ca.crt`, or Secrets; 1 to 16. Required."),
        read("mode", "AllowValidOnly", "AllowValidOnly or AllowInsecureFallback."),
    ],
    unsupported: &[],
};

static MODE: Enumeration<bool> =
    Enumeration { values: &[("AllowValidOnly", 0, Some(false)), ("AllowInsecureFallback", 1, Some(true))] };

/// Reads a Gateway of `namespace`.
pub(super) fn read_gateway(value: &Value<'_>, namespace: &str) -> Option<GatewaySpec> {
    let spec = value.message(&SPEC)?;
    let class = spec.required("gatewayClassName")?;
    let listeners = read_listeners(&spec);
    if spec.required("listeners").is_some() && listeners.is_empty() {
        spec.value().error("\"listeners\" must have 1 to 64 entries");
    }
    let infrastructure = spec.message("infrastructure", &INFRASTRUCTURE);
    let allowed = spec.message("allowedListeners", &ALLOWED_LISTENERS);
    let allowed = allowed.as_ref().and_then(|allowed| allowed.get("namespaces"));
    let tls = spec.message("tls", &TLS);
    let backend = tls.as_ref().and_then(|tls| tls.message("backend", &BACKEND_TLS));
    let frontend = tls.as_ref().and_then(|tls| tls.message("frontend", &FRONTEND_TLS));
    let (client_validation, client_validation_by_port) =
        frontend.as_ref().map(read_frontend).unwrap_or_default();
    Some(GatewaySpec {
        class: class.non_empty_string()?,
        class_place: Place::of(&class),
        listeners,
        addresses: read_addresses(&spec),
        allowed_listeners: allowed
            .map_or(FromNamespaces::None, |value| read_namespaces(&value, FromNamespaces::None)),
        parameters: infrastructure
            .as_ref()
            .and_then(|infrastructure| infrastructure.get("parametersRef"))
            .and_then(|value| read_parameters(&value, Some(namespace))),
        client_certificate: backend
            .as_ref()
            .and_then(|backend| backend.get("clientCertificateRef"))
            .and_then(|value| read_secret_reference(&value)),
        client_validation,
        client_validation_by_port,
    })
}

fn read_addresses(spec: &Message<'_>) -> Vec<Address> {
    let mut seen = HashSet::new();
    let values = bounded(spec, "addresses", 16);
    let addresses = values.iter().filter_map(|value| {
        let message = value.message(&ADDRESS)?;
        let (kind, text) = (message.string("type"), message.string("value"));
        if !text.is_empty() && !seen.insert((kind.clone(), text.clone())) {
            value.error(match kind.as_str() {
                "Hostname" => "Hostname values must be unique",
                _ => "IPAddress values must be unique",
            });
        }
        let address = match (kind.as_str(), text.as_str()) {
            ("" | "IPAddress", "") => AddressValue::Ip(None),
            ("" | "IPAddress", text) => match text.parse() {
                Ok(address) => AddressValue::Ip(Some(address)),
                Err(_) => {
                    value.error(format!("\"{text}\" is not an IP address"));
                    AddressValue::Unsupported(text.to_owned())
                }
            },
            (kind, _) => AddressValue::Unsupported(kind.to_owned()),
        };
        Some(Address { value: address, place: Place::of(value) })
    });
    addresses.collect()
}

type Validations = (Option<FrontendValidation>, Vec<(u16, Option<FrontendValidation>)>);

fn read_frontend(frontend: &Message<'_>) -> Validations {
    let default = frontend.required("default").and_then(|value| read_validation(&value));
    let mut by_port: Vec<(u16, Option<FrontendValidation>)> = Vec::new();
    for value in bounded(frontend, "perPort", 64) {
        let Some(message) = value.message(&PER_PORT) else { continue };
        let Some(port) = message.required("port").and_then(|port| port_number(&port)) else { continue };
        if by_port.iter().any(|(other, _)| *other == port) {
            value.error("Port for TLS configuration must be unique within the Gateway");
        }
        by_port.push((port, message.required("tls").and_then(|tls| read_validation(&tls))));
    }
    (default, by_port)
}

fn read_validation(value: &Value<'_>) -> Option<FrontendValidation> {
    let validation = value.message(&FRONTEND)?.get("validation")?;
    let message = validation.message(&VALIDATION)?;
    message.required("caCertificateRefs")?;
    let references = bounded(&message, "caCertificateRefs", 16);
    if references.is_empty() {
        validation.error("\"caCertificateRefs\" must have 1 to 16 entries");
    }
    Some(FrontendValidation {
        ca_certificates: references.iter().filter_map(read_secret_reference).collect(),
        insecure_fallback: message.enumeration("mode", &MODE, false),
        place: Place::of(&validation),
    })
}
