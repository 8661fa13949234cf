//! Istio's Gateway as it is written.

use std::net::IpAddr;

use crate::{
    kubernetes::{Place, values::port_number},
    schema::{Enumeration, Message, Schema, Value, bookkeeping, harmless, read, refused},
};

/// Ports that requests come in at.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(super) servers: Vec<Server>,
}

/// A port, and the hosts that are served there.
#[derive(Debug)]
pub(super) struct Server {
    /// What policies call it by `sectionName`.
    pub(super) name: Option<String>,
    pub(super) port: u16,
    /// What the port is called.
    pub(super) port_name: String,
    /// `None` = that of the process.
    pub(super) bind: Option<IpAddr>,
    pub(super) hosts: Vec<ServerHost>,
    /// `None` = cleartext.
    pub(super) tls: Option<ServerTls>,
    /// Cleartext requests are told to come back over TLS.
    pub(super) https_redirect: bool,
    pub(super) place: Place,
}

/// `namespace/host`: a host, and whose VirtualServices may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerHost {
    pub(super) namespaces: Namespaces,
    /// Exact or `*.suffix`; `None` = every host.
    pub(super) host: Option<String>,
}

/// Namespaces of VirtualServices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Namespaces {
    Every,
    OfGateway,
    Named(String),
}

/// TLS of a server.
#[derive(Debug)]
pub(super) struct ServerTls {
    /// Secrets with certificates.
    pub(super) credentials: Vec<String>,
    pub(super) clients: Clients,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clients {
    Anonymous,
    MayHaveCertificates,
    MustHaveCertificates,
}

static SPEC: Schema = Schema {
    name: "istio.Gateway",
    title: "",
    fields: &[
        read("servers", "", "Ports and the hosts that are served there. Required."),
        // Which proxies serve it: here it is the one there is.
        bookkeeping("selector"),
    ],
    unsupported: &[],
};

static SERVER: Schema = Schema {
    name: "istio.Server",
    title: "",
    fields: &[
        read("port", "", "The port. Required."),
        read("bind", "the bind address of the process", "Address to bind."),
        read(
            "hosts",
            "",
            "Hosts, exact or `*.suffix` or `*`, behind a namespace and `/` if wanted. Required.",
        ),
        read("tls", "", "TLS."),
        read("name", "", "What policies call it by `sectionName`."),
        refused("defaultEndpoint", "use a VirtualService"),
    ],
    unsupported: &[],
};

static PORT: Schema = Schema {
    name: "istio.Port",
    title: "",
    fields: &[
        read("number", "", "1 to 65535. Required."),
        read("protocol", "", "HTTP, HTTP2, GRPC, GRPC-WEB or HTTPS. Required."),
        read("name", "", "What EnvoyFilters call the port of an HTTPS server."),
        harmless("targetPort", "the number counts"),
    ],
    unsupported: &[],
};

static TLS: Schema = Schema {
    name: "istio.ServerTLSSettings",
    title: "",
    fields: &[
        read("httpsRedirect", "false", "Redirect cleartext requests to `https`."),
        read("mode", "SIMPLE", "SIMPLE, MUTUAL or OPTIONAL_MUTUAL."),
        read("credentialName", "", "Secret with certificate and key, and with `ca.crt` for clients."),
        read("credentialNames", "[]", "Several of them."),
        refused("serverCertificate", "use credentialName"),
        refused("privateKey", "use credentialName"),
        refused("caCertificates", "use credentialName"),
        refused("caCrl", "there are no revocation lists here"),
        refused("tlsCertificates", "use credentialName"),
        refused("subjectAltNames", "certificates of clients are validated by their authority"),
        refused("verifyCertificateSpki", "certificates of clients are validated by their authority"),
        refused("verifyCertificateHash", "certificates of clients are validated by their authority"),
        refused("minProtocolVersion", "it is TLS 1.2"),
        refused("maxProtocolVersion", "it is TLS 1.3"),
        refused("cipherSuites", "they are those of the TLS library"),
        refused("ecdhCurves", "they are those of the TLS library"),
        refused("alpnProtocols", "ALPN follows from the protocol of the server"),
        refused("caCertCredentialName", "use the `ca.crt` of credentialName"),
        refused("insecureSkipVerify", "certificates of clients are validated"),
    ],
    unsupported: &[],
};

static MODE: Enumeration<Clients> = Enumeration {
    values: &[
        ("PASSTHROUGH", 0, None),
        ("SIMPLE", 1, Some(Clients::Anonymous)),
        ("MUTUAL", 2, Some(Clients::MustHaveCertificates)),
        ("AUTO_PASSTHROUGH", 3, None),
        ("ISTIO_MUTUAL", 4, None),
        ("OPTIONAL_MUTUAL", 5, Some(Clients::MayHaveCertificates)),
    ],
};

/// Reads a Gateway.
pub(super) fn read_gateway(value: &Value<'_>) -> Option<Gateway> {
    let spec = value.message(&SPEC)?;
    let servers = spec.required("servers")?.list();
    Some(Gateway { servers: servers.iter().filter_map(read_server).collect() })
}

fn read_server(value: &Value<'_>) -> Option<Server> {
    let message = value.message(&SERVER)?;
    let port = message.required("port")?.message(&PORT)?;
    let number = port_number(&port.required("number")?)?;
    let https = read_protocol(&port.required("protocol")?)?;
    let tls = message.message("tls", &TLS);
    let https_redirect = tls.as_ref().is_some_and(|tls| tls.boolean("httpsRedirect", false));
    if https && tls.is_none() {
        value.error("tls is required with the protocol HTTPS");
        return None;
    }
    let hosts = message.required("hosts")?.list();
    Some(Server {
        name: Some(message.string("name")).filter(|name| !name.is_empty()),
        port: number,
        port_name: port.string("name"),
        bind: message.get("bind").and_then(|bind| read_bind(&bind)),
        hosts: hosts.iter().filter_map(read_host).collect(),
        tls: tls.filter(|_| https).and_then(|tls| read_tls(&tls)),
        https_redirect: https_redirect && !https,
        place: Place::of(value),
    })
}

/// Whether it is HTTP over TLS.
fn read_protocol(value: &Value<'_>) -> Option<bool> {
    let text = value.non_empty_string()?;
    match text.to_ascii_uppercase().as_str() {
        "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" => Some(false),
        "HTTPS" => Some(true),
        _ => {
            let help = "supported: HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS";
            value.error_with_help(format!("the protocol {text} is not served"), help);
            None
        }
    }
}

fn read_bind(value: &Value<'_>) -> Option<IpAddr> {
    let text = value.non_empty_string()?;
    let address = text.parse().ok();
    if address.is_none() {
        value.error_with_help(format!("\"{text}\" is not an IP address"), "Unix sockets are not served here");
    }
    address
}

fn read_host(value: &Value<'_>) -> Option<ServerHost> {
    let text = value.non_empty_string()?.to_ascii_lowercase();
    let (namespaces, host) = match text.split_once('/') {
        None | Some(("*", _)) => (Namespaces::Every, text.rsplit('/').next().unwrap_or_default()),
        Some((".", host)) => (Namespaces::OfGateway, host),
        Some((namespace, host)) => (Namespaces::Named(namespace.to_owned()), host),
    };
    let host = read_hostname(value, host)?;
    Some(ServerHost { namespaces, host })
}

/// A host name, exact or `*.suffix`; `None` inside for `*`.
#[expect(clippy::option_option, reason = "the outer one is whether it can be read")]
pub(super) fn read_hostname(value: &Value<'_>, text: &str) -> Option<Option<String>> {
    if text == "*" {
        return Some(None);
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.split('.').all(label) {
        return Some(Some(text.to_owned()));
    }
    value.error(format!("\"{text}\" is not a host name, nor one behind `*.`"));
    None
}

fn read_tls(message: &Message<'_>) -> Option<ServerTls> {
    let clients = message.enumeration("mode", &MODE, Clients::Anonymous);
    let mut credentials = message.strings("credentialNames");
    credentials.extend(Some(message.string("credentialName")).filter(|name| !name.is_empty()));
    if credentials.is_empty() {
        message.value().error("credentialName is required: a Secret with certificate and key");
        return None;
    }
    Some(ServerTls { credentials, clients })
}
