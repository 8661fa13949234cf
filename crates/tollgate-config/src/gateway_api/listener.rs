//! Listeners of Gateways and ListenerSets (9.3, 9.4).

use super::{
    GROUP,
    names::{bounded, hostname, is_subdomain, optional},
};
use crate::{
    kubernetes::{
        Place,
        selector::{LabelSelector, SELECTOR, read_selector},
        values::port_number,
    },
    schema::{Enumeration, Message, Schema, Value, read},
};

/// A listener as it is written.
#[derive(Debug)]
pub(crate) struct ListenerEntry {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) hostname: Option<String>,
    pub(crate) certificates: Vec<SecretReference>,
    /// Some option is expected to give certificates, which none does here.
    pub(crate) certificates_by_options: bool,
    pub(crate) namespaces: FromNamespaces,
    /// Kinds of routes; empty = all that fit the protocol.
    pub(crate) kinds: Vec<RouteKind>,
    pub(crate) place: Place,
    /// What an API server would have refused it for.
    pub(crate) invalid: Option<String>,
}

/// What is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
    /// Known and not served: TLS, TCP, UDP or one of another system.
    Other(String),
}

/// A secret, or what somebody took for one.
#[derive(Debug, Clone)]
pub(crate) struct SecretReference {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) place: Place,
}

/// Which namespaces something may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FromNamespaces {
    None,
    Same,
    All,
    Selector(LabelSelector),
}

/// A kind of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteKind {
    pub(crate) group: String,
    pub(crate) kind: String,
}

static LISTENER: Schema = Schema {
    name: "Listener",
    title: "",
    fields: &[
        read("name", "", "Unique name. Required."),
        read("port", "", "Port, 1 to 65535. Required."),
        read("protocol", "", "HTTP or HTTPS. Required."),
        read("hostname", "every host", "Host name, exact or `*.suffix`."),
        read("tls", "", "Certificates, for HTTPS."),
        read("allowedRoutes", "{}", "Which routes may be attached."),
    ],
    unsupported: &[],
};

static TLS: Schema = Schema {
    name: "ListenerTLSConfig",
    title: "",
    fields: &[
        read("mode", "Terminate", "Terminate; Passthrough is not served."),
        read("certificateRefs", "[]", "Secrets of type `kubernetes.io/tls`, at most 64."),
        read("options", "{}", "Accepted: there are no TLS options of our own."),
    ],
    unsupported: &[],
};

static ALLOWED_ROUTES: Schema = Schema {
    name: "AllowedRoutes",
    title: "",
    fields: &[
        read("namespaces", "{from: Same}", "Namespaces of routes."),
        read("kinds", "all that fit the protocol", "Kinds of routes, at most 8."),
    ],
    unsupported: &[],
};

static NAMESPACES: Schema = Schema {
    name: "RouteNamespaces",
    title: "",
    fields: &[
        read("from", "Same", "Same, All or Selector."),
        read("selector", "", "Labels of namespaces, for Selector."),
    ],
    unsupported: &[],
};

static ROUTE_KIND: Schema = Schema {
    name: "RouteGroupKind",
    title: "",
    fields: &[
        read("group", "gateway.networking.k8s.io", "API group."),
        read("kind", "", "HTTPRoute or GRPCRoute. Required."),
    ],
    unsupported: &[],
};

static SECRET_REFERENCE: Schema = Schema {
    name: "SecretObjectReference",
    title: "",
    fields: &[
        read("group", "the core group", "API group."),
        read("kind", "Secret", "Kind."),
        read("name", "", "Name. Required."),
        read("namespace", "the referrer's", "Namespace; another one needs a ReferenceGrant."),
    ],
    unsupported: &[],
};

#[derive(Clone, Copy)]
enum From {
    None,
    Same,
    All,
    Selector,
}

static FROM: Enumeration<From> = Enumeration {
    values: &[
        ("None", 0, Some(From::None)),
        ("Same", 1, Some(From::Same)),
        ("All", 2, Some(From::All)),
        ("Selector", 3, Some(From::Selector)),
    ],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum TlsMode {
    Terminate,
    Passthrough,
}

static TLS_MODE: Enumeration<TlsMode> = Enumeration {
    values: &[("Terminate", 0, Some(TlsMode::Terminate)), ("Passthrough", 1, Some(TlsMode::Passthrough))],
};

/// Reads `listeners`; those with the same name, or the same port, protocol and host name are all invalid.
pub(super) fn read_listeners(spec: &Message<'_>) -> Vec<ListenerEntry> {
    let Some(list) = spec.get("listeners") else { return Vec::new() };
    let values = list.list();
    if values.len() > 64 {
        list.error(format!("must have at most 64 entries, found {}", values.len()));
    }
    let mut entries: Vec<ListenerEntry> = values.iter().filter_map(read_listener).collect();
    for index in 0..entries.len() {
        let twice = entries[..index].iter().any(|other| other.name == entries[index].name);
        if twice && !entries[index].name.is_empty() {
            let message = "Listener name must be unique within the Gateway";
            values[index].error(message);
            entries[index].invalid = Some(message.to_owned());
        }
    }
    entries
}

fn read_listener(value: &Value<'_>) -> Option<ListenerEntry> {
    let errors = value.context.report.error_count();
    let message = value.message(&LISTENER)?;
    let name = message.required_string("name");
    if !name.is_empty() && !is_subdomain(&name) {
        let form = "labels of lower-case letters, digits and '-', joined by '.'";
        value.error(format!("\"{name}\" is not a name of a listener: {form}"));
    }
    let port = message.required("port").and_then(|port| port_number(&port)).unwrap_or(0);
    let protocol = match message.required_string("protocol").as_str() {
        "HTTP" => Protocol::Http,
        "HTTPS" => Protocol::Https,
        other => Protocol::Other(other.to_owned()),
    };
    let mut invalid = None;
    let mut refuse = |at: &Value<'_>, problem: &str| {
        at.error(problem);
        invalid.get_or_insert_with(|| problem.to_owned());
    };
    let known = |names: &[&str]| matches!(&protocol, Protocol::Other(name) if names.contains(&name.as_str()));
    let tls = message.get("tls");
    let mut certificates = Vec::new();
    let mut certificates_by_options = false;
    match &tls {
        Some(tls) if protocol == Protocol::Http || known(&["TCP", "UDP"]) => {
            refuse(tls, "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']");
        }
        Some(tls) => {
            if let Some(settings) = tls.message(&TLS) {
                let mode = settings.enumeration("mode", &TLS_MODE, TlsMode::Terminate);
                let references = bounded(&settings, "certificateRefs", 64);
                certificates = references.iter().filter_map(read_secret_reference).collect();
                let options = settings.get("options").filter(|options| !options.is_empty_message());
                if let Some(options) = options.as_ref().filter(|_| !certificates.is_empty()) {
                    options.no_effect("\"options\"", "there are no TLS options of our own");
                }
                if protocol == Protocol::Https && mode == TlsMode::Passthrough {
                    refuse(tls, "tls mode must be Terminate for protocol HTTPS");
                } else if protocol == Protocol::Https && certificates.is_empty() {
                    if options.is_none() {
                        refuse(tls, "certificateRefs or options must be specified when mode is Terminate");
                    } else {
                        certificates_by_options = true;
                    }
                }
            }
        }
        None if protocol == Protocol::Https => {
            refuse(value, "certificateRefs or options must be specified when mode is Terminate");
        }
        None if known(&["TLS"]) => refuse(value, "tls mode must be set for protocol TLS"),
        None => {}
    }
    let host = message.get("hostname").filter(|host| host.node.content.describe() != "\"\"");
    if let Some(host) = host.as_ref().filter(|_| known(&["TCP", "UDP"])) {
        refuse(host, "hostname must not be specified for protocols ['TCP', 'UDP']");
    }
    let hostname = host.and_then(|host| hostname(&host));
    let allowed = message.message("allowedRoutes", &ALLOWED_ROUTES);
    let namespaces = allowed.as_ref().and_then(|allowed| allowed.get("namespaces"));
    let namespaces =
        namespaces.map_or(FromNamespaces::Same, |value| read_namespaces(&value, FromNamespaces::Same));
    let kinds = allowed.as_ref().map(|allowed| bounded(allowed, "kinds", 8)).unwrap_or_default();
    let kinds = kinds.iter().filter_map(read_route_kind).collect();
    if invalid.is_none() && value.context.report.error_count() > errors {
        invalid = Some(format!("Listener {name} has fields that are not valid"));
    }
    Some(ListenerEntry {
        name,
        port,
        protocol,
        hostname,
        certificates,
        certificates_by_options,
        namespaces,
        kinds,
        place: Place::of(value),
        invalid,
    })
}

/// Reads `from` and `selector`.
pub(super) fn read_namespaces(value: &Value<'_>, default: FromNamespaces) -> FromNamespaces {
    let Some(message) = value.message(&NAMESPACES) else { return default };
    let Some(from) = message.get("from") else { return default };
    match from.enumeration(&FROM) {
        Some(From::None) => FromNamespaces::None,
        Some(From::All) => FromNamespaces::All,
        Some(From::Same) | None => FromNamespaces::Same,
        Some(From::Selector) => {
            let selector = message.required("selector").and_then(|selector| selector.message(&SELECTOR));
            // Without a selector nobody is meant.
            selector
                .map_or(FromNamespaces::None, |selector| FromNamespaces::Selector(read_selector(&selector)))
        }
    }
}

fn read_route_kind(value: &Value<'_>) -> Option<RouteKind> {
    let message = value.message(&ROUTE_KIND)?;
    let group = message.get("group").and_then(|group| group.string());
    Some(RouteKind {
        group: group.unwrap_or_else(|| GROUP.to_owned()),
        kind: message.required_string("kind"),
    })
}

/// Reads a reference to a secret, or to another object with certificates.
pub(super) fn read_secret_reference(value: &Value<'_>) -> Option<SecretReference> {
    let message = value.message(&SECRET_REFERENCE)?;
    Some(SecretReference {
        group: message.string("group"),
        kind: optional(&message, "kind").unwrap_or_else(|| "Secret".to_owned()),
        name: message.required_string("name"),
        namespace: optional(&message, "namespace"),
        place: Place::of(value),
    })
}
