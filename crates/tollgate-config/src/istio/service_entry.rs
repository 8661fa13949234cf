//! ServiceEntry: hosts outside of the cluster, and where they are (HT-41).

use std::net::SocketAddr;

use tollgate_model::cluster::{Endpoint, EndpointAddress};

use crate::{
    kubernetes::values::port_number,
    schema::{Enumeration, Message, Schema, Value, harmless, read, refused, unimplemented},
    translation::endpoint,
};

/// Hosts, their ports and their endpoints.
#[derive(Debug)]
pub(crate) struct ServiceEntry {
    /// Exact, or `*.suffix`.
    hosts: Vec<String>,
    ports: Vec<Port>,
    endpoints: Vec<WorkloadEntry>,
    /// Where a request goes is where its client was going, which nobody knows behind a gateway.
    pub(super) without_resolution: bool,
}

/// A port of a ServiceEntry.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    name: String,
    protocol: String,
    target: Option<u16>,
}

#[derive(Debug)]
struct WorkloadEntry {
    address: String,
    /// Ports of its own, by the name of the entry's.
    ports: Vec<(String, u16)>,
    weight: u32,
}

/// How endpoints are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolution {
    /// Nobody looks for them.
    Nothing,
    /// They are addresses.
    Static,
    /// They are names, or the host is one.
    Dns,
}

static SPEC: Schema = Schema {
    name: "istio.ServiceEntry",
    title: "",
    fields: &[
        read("hosts", "", "Hosts, exact or `*.suffix`. Required."),
        read("ports", "", "Their ports. Required."),
        read(
            "resolution",
            "NONE",
            "STATIC, DNS or DNS_ROUND_ROBIN; routes to hosts with NONE are answered with 503.",
        ),
        read("endpoints", "the hosts themselves", "Where they are."),
        harmless("location", "there is no mesh here"),
        harmless("addresses", "hosts are found by their names"),
        unimplemented("exportTo", "every Gateway is here"),
        refused("subjectAltNames", "use a BackendTLSPolicy"),
        refused("workloadSelector", "name the endpoints"),
    ],
    unsupported: &[],
};

static PORT: Schema = Schema {
    name: "istio.ServicePort",
    title: "",
    fields: &[
        read("number", "", "1 to 65535. Required."),
        read("name", "", "Name. Required."),
        read("protocol", "HTTP", "HTTP, HTTP2 or GRPC; HTTPS and TLS do not make the gateway use TLS."),
        read("targetPort", "the number", "Port of the endpoints."),
    ],
    unsupported: &[],
};

static ENDPOINT: Schema = Schema {
    name: "istio.WorkloadEntry",
    title: "",
    fields: &[
        read("address", "", "Address, name or `unix:///path`. Required."),
        read("ports", "{}", "Ports, by the names of those of the entry."),
        read("weight", "1", "Share of the requests."),
        harmless("labels", "DestinationRules are not read"),
        unimplemented("network", "there is one network here"),
        unimplemented("locality", "endpoints have no localities here"),
        harmless("serviceAccount", "there is no mesh here"),
    ],
    unsupported: &[],
};

static RESOLUTION: Enumeration<Resolution> = Enumeration {
    values: &[
        ("NONE", 0, Some(Resolution::Nothing)),
        ("STATIC", 1, Some(Resolution::Static)),
        ("DNS", 2, Some(Resolution::Dns)),
        ("DNS_ROUND_ROBIN", 3, Some(Resolution::Dns)),
    ],
};

/// Reads a ServiceEntry.
pub(super) fn read_service_entry(value: &Value<'_>) -> Option<ServiceEntry> {
    let spec = value.message(&SPEC)?;
    spec.required("hosts")?;
    let resolution = spec.enumeration("resolution", &RESOLUTION, Resolution::Nothing);
    let endpoints = spec.list("endpoints");
    let endpoints: Vec<_> = endpoints.iter().filter_map(|value| read_endpoint(value, resolution)).collect();
    if resolution == Resolution::Static && endpoints.is_empty() {
        value.error("endpoints must be provided if service entry resolution mode is static");
    }
    Some(ServiceEntry {
        hosts: spec.strings("hosts").iter().map(|host| host.to_ascii_lowercase()).collect(),
        ports: spec.required("ports")?.list().iter().filter_map(read_port).collect(),
        endpoints,
        without_resolution: resolution == Resolution::Nothing,
    })
}

fn read_port(value: &Value<'_>) -> Option<Port> {
    let message = value.message(&PORT)?;
    Some(Port {
        number: port_number(&message.required("number")?)?,
        name: message.required_string("name"),
        protocol: message.string("protocol"),
        target: message.get("targetPort").and_then(|port| port_number(&port)),
    })
}

fn read_endpoint(value: &Value<'_>, resolution: Resolution) -> Option<WorkloadEntry> {
    let message = value.message(&ENDPOINT)?;
    let address = message.required("address")?;
    let text = address.non_empty_string()?;
    let is_name = unix_path(&text).is_none() && text.parse::<std::net::IpAddr>().is_err();
    if resolution == Resolution::Static && is_name {
        address.error(format!("\"{text}\" is not an IP address, which the resolution STATIC asks for"));
    }
    let ports = message.map("ports").into_iter();
    let ports = ports.filter_map(|(name, port)| Some((name.to_owned(), port_number(&port)?)));
    Some(WorkloadEntry { address: text, ports: ports.collect(), weight: weight(&message) })
}

fn weight(message: &Message<'_>) -> u32 {
    message.u32("weight").filter(|weight| *weight > 0).unwrap_or(1)
}

fn unix_path(address: &str) -> Option<&str> {
    address.strip_prefix("unix://")
}

impl ServiceEntry {
    /// Its hosts, exact or `*.suffix`.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// A port by its number.
    pub(crate) fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// The number of its port, where it has one.
    pub(super) fn only_port(&self) -> Option<u16> {
        match self.ports.as_slice() {
            [only] => Some(only.number),
            _ => None,
        }
    }

    /// The endpoints of a port of a host.
    pub(crate) fn endpoints(&self, host: &str, port: &Port) -> Vec<Endpoint> {
        let number = port.target.unwrap_or(port.number);
        if self.endpoints.is_empty() {
            return vec![endpoint(address_of(host, number))];
        }
        let endpoints = self.endpoints.iter().map(|entry| {
            let own = entry.ports.iter().find(|(name, _)| *name == port.name);
            let number = own.map_or(number, |(_, number)| *number);
            Endpoint { weight: entry.weight, ..endpoint(address_of(&entry.address, number)) }
        });
        endpoints.collect()
    }
}

impl Port {
    /// What is spoken, as `appProtocol` of a Service says it.
    pub(crate) fn app_protocol(&self) -> Option<String> {
        let protocol = self.protocol.to_ascii_lowercase();
        ["http2", "grpc", "grpc-web"].contains(&protocol.as_str()).then_some(protocol)
    }
}

fn address_of(text: &str, port: u16) -> EndpointAddress {
    if let Some(path) = unix_path(text) {
        return EndpointAddress::Pipe(path.into());
    }
    match text.parse() {
        Ok(address) => EndpointAddress::Socket(SocketAddr::new(address, port)),
        Err(_) => EndpointAddress::Dns { host: text.to_owned(), port },
    }
}
