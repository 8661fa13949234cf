//! Backend: endpoints without a service (6.7).

use std::net::{IpAddr, SocketAddr};

use tollgate_model::cluster::EndpointAddress;

use super::tls_settings::{
    ALPN, CIPHERS, CLIENT_CERTIFICATE, CURVES, FINGERPRINTS, MAXIMUM, MINIMUM, SIGNATURES, TlsSettings,
    read_tls_settings,
};
use crate::{
    routing::CertificateRef,
    schema::{Enumeration, Message, Schema, Value, bookkeeping, read},
};

/// Endpoints without a service.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Where requests go is decided by their host name.
    pub(crate) dynamic: bool,
    pub(crate) endpoints: Vec<BackendEndpoint>,
    /// What is spoken, for routes.
    pub(crate) app_protocols: Vec<String>,
    /// Used when the others are unhealthy (EG-33).
    pub(crate) fallback: bool,
    pub(crate) tls: Option<BackendTls>,
    /// Why it is not accepted.
    pub(crate) problems: Vec<String>,
}

/// An endpoint.
#[derive(Debug)]
pub(crate) struct BackendEndpoint {
    pub(crate) address: EndpointAddress,
    /// Host name for TLS and `Host`; empty = none.
    pub(crate) hostname: String,
}

/// `Backend.tls`
#[derive(Debug)]
pub(crate) struct BackendTls {
    pub(crate) ca_certificates: Vec<CertificateRef>,
    /// The certificates of the operating system.
    pub(crate) system: bool,
    pub(crate) skip_verification: bool,
    pub(crate) sni: Option<String>,
    pub(crate) sni_from_endpoint: bool,
    pub(crate) settings: TlsSettings,
}

static SPEC: Schema = Schema {
    name: "BackendSpec",
    title: "",
    fields: &[
        read("type", "Endpoints", "Endpoints or DynamicResolver."),
        read("endpoints", "", "The endpoints, 1 to 256."),
        read("appProtocols", "[]", "Protocol, for routes."),
        read("fallback", "false", "Used when there are no others."),
        read("tls", "none", "TLS towards the endpoints."),
    ],
    unsupported: &[],
};

static ENDPOINT: Schema = Schema {
    name: "BackendEndpoint",
    title: "",
    fields: &[
        read("fqdn", "", "A host name and a port. This, ip or unix is required."),
        read("ip", "", "An address and a port."),
        read("unix", "", "A Unix socket."),
        read("hostname", "", "Host name for TLS and `Host`."),
        bookkeeping("zone"),
    ],
    unsupported: &[],
};

static FQDN: Schema = Schema {
    name: "FQDNEndpoint",
    title: "",
    fields: &[read("hostname", "", "Host name. Required."), read("port", "", "Port. Required.")],
    unsupported: &[],
};

static IP: Schema = Schema {
    name: "IPEndpoint",
    title: "",
    fields: &[read("address", "", "Address. Required."), read("port", "", "Port. Required.")],
    unsupported: &[],
};

static UNIX: Schema = Schema {
    name: "UnixSocket",
    title: "",
    fields: &[read("path", "", "Path of the socket, at most 107 bytes. Required.")],
    unsupported: &[],
};

static TLS: Schema = Schema {
    name: "BackendTLSSettings",
    title: "",
    fields: &[
        read("caCertificateRefs", "[]", "Trusted certificates, at most 8."),
        read("wellKnownCACertificates", "", "System: what the operating system trusts."),
        read("insecureSkipVerify", "false", "Believe every server."),
        read("sni", "", "Server name to send."),
        read("autoSNIFromEndpointHostname", "false", "Send the host name of the endpoint."),
        CLIENT_CERTIFICATE,
        MINIMUM,
        MAXIMUM,
        CIPHERS,
        CURVES,
        SIGNATURES,
        ALPN,
        FINGERPRINTS,
    ],
    unsupported: &[],
};

static CERTIFICATE_REF: Schema = Schema {
    name: "LocalObjectReference",
    title: "",
    fields: &[
        read("group", "", "Empty: the core group."),
        read("kind", "", "ConfigMap or Secret. Required."),
        read("name", "", "Name of the object. Required."),
    ],
    unsupported: &[],
};

static DYNAMIC: Enumeration<bool> =
    Enumeration { values: &[("Endpoints", 0, Some(false)), ("DynamicResolver", 1, Some(true))] };

static SYSTEM: Enumeration<bool> = Enumeration { values: &[("System", 0, Some(true))] };

/// Most endpoints, and most references to certificates.
const MOST_ENDPOINTS: usize = 256;
const MOST_CERTIFICATES: usize = 8;
/// Longest path of a Unix socket, bytes.
const LONGEST_PATH: usize = 107;

/// What is wrong, both as a diagnostic and as a text for the status.
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, value: &Value<'_>, message: impl Into<String>) {
        let message = message.into();
        value.error(message.clone());
        self.0.push(message);
    }
}

pub(super) fn read_backend(value: &Value<'_>) -> Option<Backend> {
    let spec = value.message(&SPEC)?;
    let mut problems = Problems(Vec::new());
    let dynamic = spec.enumeration("type", &DYNAMIC, false);
    let values = spec.list("endpoints");
    if dynamic && !values.is_empty() {
        problems.add(value, "DynamicResolver type cannot have endpoints specified");
    } else if !dynamic && !(1..=MOST_ENDPOINTS).contains(&values.len()) {
        problems.add(value, format!("must have 1 to {MOST_ENDPOINTS} endpoints, found {}", values.len()));
    }
    let endpoints: Vec<_> =
        values.iter().filter_map(|endpoint| read_endpoint(endpoint, &mut problems)).collect();
    let names = endpoints.iter().filter(|endpoint| matches!(endpoint.address, EndpointAddress::Dns { .. }));
    if ![0, endpoints.len()].contains(&names.count()) {
        problems.add(value, "fqdn addresses cannot be mixed with other address types");
    }
    Some(Backend {
        dynamic,
        endpoints,
        app_protocols: spec.strings("appProtocols"),
        fallback: spec.boolean("fallback", false),
        tls: spec.get("tls").and_then(|tls| read_tls(&tls, &mut problems)),
        problems: problems.0,
    })
}

fn read_endpoint(value: &Value<'_>, problems: &mut Problems) -> Option<BackendEndpoint> {
    let message = value.message(&ENDPOINT)?;
    let given = [message.get("fqdn"), message.get("ip"), message.get("unix")];
    if given.iter().flatten().count() > 1 {
        problems.add(value, "only one of fqdn, ip or unix can be specified");
    }
    let [fqdn, ip, unix] = given;
    let address = if let Some(fqdn) = fqdn {
        read_fqdn(&fqdn.message(&FQDN)?, problems)
    } else if let Some(ip) = ip {
        read_ip(&ip.message(&IP)?, problems)
    } else if let Some(unix) = unix {
        let path = unix.message(&UNIX)?.required_string("path");
        if path.len() > LONGEST_PATH {
            problems.add(&unix, format!("the path has more than {LONGEST_PATH} bytes"));
        }
        Some(EndpointAddress::Pipe(path.into()))
    } else {
        problems.add(value, "one of fqdn, ip or unix must be specified");
        None
    };
    Some(BackendEndpoint { address: address?, hostname: message.string("hostname") })
}

fn read_fqdn(message: &Message<'_>, problems: &mut Problems) -> Option<EndpointAddress> {
    let host = message.required_string("hostname");
    let port = message.required("port").and_then(|port| port.port(1))?;
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.parse::<IpAddr>().is_ok() || host.len() > 253 || !host.split('.').all(label) {
        problems.add(message.value(), format!("hostname {host} is not a valid FQDN"));
    } else if !host.contains('.') {
        let text = format!("hostname {host} should be a domain with at least two segments separated by dots");
        problems.add(message.value(), text);
    }
    Some(EndpointAddress::Dns { host, port })
}

fn read_ip(message: &Message<'_>, problems: &mut Problems) -> Option<EndpointAddress> {
    let address = message.required_string("address");
    let port = message.required("port").and_then(|port| port.port(1))?;
    match address.parse::<IpAddr>() {
        Ok(address) => Some(EndpointAddress::Socket(SocketAddr::new(address, port))),
        Err(_) => {
            problems.add(message.value(), format!("IP address {address} is invalid"));
            None
        }
    }
}

fn read_tls(value: &Value<'_>, problems: &mut Problems) -> Option<BackendTls> {
    let message = value.message(&TLS)?;
    let ca_certificates = message.list("caCertificateRefs");
    let system = message.enumeration("wellKnownCACertificates", &SYSTEM, false);
    let skip_verification = message.boolean("insecureSkipVerify", false);
    if skip_verification && let Some(value) = message.get("insecureSkipVerify") {
        value
            .warning("the server's certificate is not verified", "name what is trusted in caCertificateRefs");
    }
    let given = !ca_certificates.is_empty();
    if ca_certificates.len() > MOST_CERTIFICATES {
        problems.add(value, format!("must have at most {MOST_CERTIFICATES} caCertificateRefs"));
    }
    if skip_verification && (given || system) {
        let text = "must not contain either CACertificateRefs or WellKnownCACertificates when InsecureSkipVerify \
                    is enabled";
        problems.add(value, text);
    } else if given && system {
        problems.add(value, "must not contain both CACertificateRefs and WellKnownCACertificates");
    } else if !skip_verification && !given && !system {
        problems.add(value, "must specify either CACertificateRefs or WellKnownCACertificates");
    }
    let ca_certificates = ca_certificates.iter().filter_map(|reference| {
        let message = reference.message(&CERTIFICATE_REF)?;
        let (group, kind) = (message.string("group"), message.required_string("kind"));
        Some(CertificateRef { group, kind, name: message.required_string("name") })
    });
    Some(BackendTls {
        ca_certificates: ca_certificates.collect(),
        system,
        skip_verification,
        sni: Some(message.string("sni")).filter(|sni| !sni.is_empty()),
        sni_from_endpoint: message.boolean("autoSNIFromEndpointHostname", false),
        settings: read_tls_settings(&message),
    })
}
