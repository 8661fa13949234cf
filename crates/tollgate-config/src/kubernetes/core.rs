//! Objects of Kubernetes itself that gateways look at: services and where they run, secrets, configuration maps,
//! namespaces.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    Kind, Objects as Set,
    cluster_trust_bundle::{self, ClusterTrustBundle},
    values::port_number,
};
use crate::{
    schema::{Enumeration, Message, Schema, Value, bookkeeping, is_number_or_boolean, read, unimplemented},
    yaml::Content,
};

/// The core objects.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) services: Set<Service>,
    pub(crate) endpoint_slices: Set<EndpointSlice>,
    /// By the name of the service.
    pub(crate) endpoints: Set<Vec<EndpointSlice>>,
    pub(crate) secrets: Set<Secret>,
    pub(crate) config_maps: Set<ConfigMap>,
    pub(crate) namespaces: Set<Namespace>,
    pub(crate) cluster_trust_bundles: Set<ClusterTrustBundle>,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        group: "",
        kind: "Service",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store(|all| &mut all.core.services, read_service),
    },
    Kind {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        versions: &["v1", "v1beta1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            let service = candidate.meta.labels.get("kubernetes.io/service-name").cloned();
            candidate.store_as(
                |all| &mut all.core.endpoint_slices,
                &ENDPOINT_SLICE,
                |slice| read_endpoint_slice(slice, service),
            )
        },
    },
    Kind {
        group: "",
        kind: "Endpoints",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            let service = candidate.meta.key.name.clone();
            candidate.store_as(
                |all| &mut all.core.endpoints,
                &ENDPOINTS,
                |endpoints| Some(read_endpoints(endpoints, &service)),
            )
        },
    },
    Kind {
        group: "",
        kind: "Secret",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store_as(|all| &mut all.core.secrets, &SECRET, read_secret),
    },
    Kind {
        group: "",
        kind: "ConfigMap",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store_as(|all| &mut all.core.config_maps, &CONFIG_MAP, read_config_map),
    },
    cluster_trust_bundle::KIND,
    Kind {
        group: "",
        kind: "Namespace",
        versions: &["v1"],
        cluster_scoped: true,
        default_name: None,
        take: |candidate| candidate.store_as(|all| &mut all.core.namespaces, &NAMESPACE, |_| Some(Namespace)),
    },
];

/// A namespace: its labels are what counts.
#[derive(Debug)]
pub(crate) struct Namespace;

static NAMESPACE: Schema = Schema {
    name: "Namespace",
    title: "",
    fields: &[
        read("apiVersion", "", "`v1`."),
        read("kind", "", "`Namespace`."),
        read("metadata", "", "Its name and labels."),
        bookkeeping("spec"),
        bookkeeping("status"),
    ],
    unsupported: &[],
};

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) service_type: ServiceType,
    /// `None` for headless services and those without an address.
    pub(crate) cluster_ip: Option<IpAddr>,
    pub(crate) headless: bool,
    pub(crate) ports: Vec<ServicePort>,
}

/// `spec.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceType {
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// A port of a service.
#[derive(Debug)]
pub(crate) struct ServicePort {
    /// Empty when it has none.
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) tcp: bool,
    pub(crate) target_port: TargetPort,
    pub(crate) app_protocol: Option<String>,
}

/// Where the pods listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetPort {
    /// The number of the service's own port, when nothing is said.
    Same,
    Number(u16),
    Name(String),
}

static SERVICE_SPEC: Schema = Schema {
    name: "ServiceSpec",
    title: "",
    fields: &[
        read("type", "ClusterIP", "Kind of service."),
        read("clusterIP", "", "Its address, or `None` for a headless service."),
        read("ports", "[]", "Its ports."),
        bookkeeping("allocateLoadBalancerNodePorts"),
        bookkeeping("clusterIPs"),
        bookkeeping("externalIPs"),
        bookkeeping("externalName"),
        bookkeeping("externalTrafficPolicy"),
        bookkeeping("healthCheckNodePort"),
        bookkeeping("internalTrafficPolicy"),
        bookkeeping("ipFamilies"),
        bookkeeping("ipFamilyPolicy"),
        bookkeeping("loadBalancerClass"),
        bookkeeping("loadBalancerIP"),
        bookkeeping("loadBalancerSourceRanges"),
        bookkeeping("publishNotReadyAddresses"),
        bookkeeping("selector"),
        unimplemented("sessionAffinity", "endpoints are chosen by the gateway"),
        bookkeeping("sessionAffinityConfig"),
        bookkeeping("trafficDistribution"),
    ],
    unsupported: &[],
};

static SERVICE_PORT: Schema = Schema {
    name: "ServicePort",
    title: "",
    fields: &[
        read("name", "", "What endpoint slices call it."),
        read("port", "", "Number of the port. Required."),
        read("protocol", "TCP", "TCP, UDP or SCTP."),
        read("targetPort", "the same port", "Port of the pods, a number or a name."),
        read("appProtocol", "", "Protocol, such as `kubernetes.io/h2c`."),
        bookkeeping("nodePort"),
    ],
    unsupported: &[],
};

static SERVICE_TYPE: Enumeration<ServiceType> = Enumeration {
    values: &[
        ("ClusterIP", 0, Some(ServiceType::ClusterIp)),
        ("NodePort", 1, Some(ServiceType::NodePort)),
        ("LoadBalancer", 2, Some(ServiceType::LoadBalancer)),
        ("ExternalName", 3, Some(ServiceType::ExternalName)),
    ],
};

fn read_service(spec: &Value<'_>) -> Option<Service> {
    let spec = spec.message(&SERVICE_SPEC)?;
    let cluster_ip = spec.string("clusterIP");
    let ports = spec.list("ports").into_iter().filter_map(|port| {
        let message = port.message(&SERVICE_PORT)?;
        let protocol = message.string("protocol");
        Some(ServicePort {
            name: message.string("name"),
            port: message.required("port").and_then(|port| port_number(&port))?,
            tcp: protocol.is_empty() || protocol == "TCP",
            target_port: message
                .get("targetPort")
                .and_then(|port| target_port(&port))
                .unwrap_or(TargetPort::Same),
            app_protocol: Some(message.string("appProtocol")).filter(|protocol| !protocol.is_empty()),
        })
    });
    Some(Service {
        service_type: spec.enumeration("type", &SERVICE_TYPE, ServiceType::ClusterIp),
        headless: cluster_ip == "None",
        cluster_ip: cluster_ip.parse().ok(),
        ports: ports.collect(),
    })
}

fn target_port(value: &Value<'_>) -> Option<TargetPort> {
    match &value.node.content {
        Content::Quoted(name) => Some(TargetPort::Name(name.clone())),
        Content::Plain(text) if text.parse::<i64>().is_err() => Some(TargetPort::Name(text.clone())),
        _ => port_number(value).map(TargetPort::Number),
    }
}

/// Some of the endpoints of a service.
#[derive(Debug)]
pub(crate) struct EndpointSlice {
    /// Name of the service they belong to, in the same namespace.
    pub(crate) service: Option<String>,
    pub(crate) endpoints: Vec<SliceEndpoint>,
    pub(crate) ports: Vec<SlicePort>,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct SliceEndpoint {
    /// Addresses, or names when the slice has the type FQDN.
    pub(crate) addresses: Vec<String>,
    pub(crate) ready: bool,
    /// It is about to go and serves as long as nobody else does.
    pub(crate) serving_while_terminating: bool,
}

/// A port that endpoints listen on.
#[derive(Debug)]
pub(crate) struct SlicePort {
    pub(crate) name: String,
    pub(crate) port: u16,
}

static ENDPOINT_SLICE: Schema = Schema {
    name: "EndpointSlice",
    title: "",
    fields: &[
        read("apiVersion", "", "`discovery.k8s.io/v1`."),
        read("kind", "", "`EndpointSlice`."),
        read("metadata", "", "The label `kubernetes.io/service-name` names the service."),
        bookkeeping("addressType"),
        read("endpoints", "[]", "Addresses."),
        read("ports", "[]", "Ports of all of them."),
    ],
    unsupported: &[],
};

static SLICE_ENDPOINT: Schema = Schema {
    name: "Endpoint",
    title: "",
    fields: &[
        read("addresses", "", "Addresses of the endpoint. Required."),
        read("conditions", "{}", "Whether it can be used."),
        bookkeeping("deprecatedTopology"),
        bookkeeping("hints"),
        bookkeeping("hostname"),
        bookkeeping("nodeName"),
        bookkeeping("targetRef"),
        bookkeeping("topology"),
        bookkeeping("zone"),
    ],
    unsupported: &[],
};

static ENDPOINT_CONDITIONS: Schema = Schema {
    name: "EndpointConditions",
    title: "",
    fields: &[
        read("ready", "true", "It takes requests."),
        read("serving", "the value of ready", "It answers requests."),
        read("terminating", "false", "It is about to go."),
    ],
    unsupported: &[],
};

static SLICE_PORT: Schema = Schema {
    name: "EndpointPort",
    title: "",
    fields: &[
        read("name", "", "Name of the port of the service."),
        read("port", "", "Number."),
        read("protocol", "TCP", "Only TCP counts."),
        bookkeeping("appProtocol"),
    ],
    unsupported: &[],
};

fn read_endpoint_slice(slice: &Message<'_>, service: Option<String>) -> Option<EndpointSlice> {
    let endpoints = slice.list("endpoints").into_iter().filter_map(|endpoint| {
        let message = endpoint.message(&SLICE_ENDPOINT)?;
        let conditions = message.message("conditions", &ENDPOINT_CONDITIONS);
        let condition =
            |name, default| conditions.as_ref().map_or(default, |found| found.boolean(name, default));
        let ready = condition("ready", true);
        Some(SliceEndpoint {
            addresses: message.strings("addresses"),
            ready,
            serving_while_terminating: condition("serving", ready) && condition("terminating", false),
        })
    });
    Some(EndpointSlice { service, endpoints: endpoints.collect(), ports: read_ports(slice) })
}

fn read_ports(message: &Message<'_>) -> Vec<SlicePort> {
    let ports = message.list("ports");
    let ports = ports.iter().filter_map(|port| {
        let message = port.message(&SLICE_PORT)?;
        let protocol = message.string("protocol");
        // A service may have the same port for datagrams.
        if !protocol.is_empty() && protocol != "TCP" {
            return None;
        }
        Some(SlicePort {
            name: message.string("name"),
            port: message.get("port").and_then(|port| port_number(&port))?,
        })
    });
    ports.collect()
}

static ENDPOINTS: Schema = Schema {
    name: "Endpoints",
    title: "",
    fields: &[
        read("apiVersion", "", "`v1`."),
        read("kind", "", "`Endpoints`."),
        read("metadata", "", "Its name is that of the service."),
        read("subsets", "[]", "Addresses and ports."),
    ],
    unsupported: &[],
};

static ENDPOINT_SUBSET: Schema = Schema {
    name: "EndpointSubset",
    title: "",
    fields: &[
        read("addresses", "[]", "Addresses that are ready."),
        bookkeeping("notReadyAddresses"),
        read("ports", "[]", "Ports of all of them."),
    ],
    unsupported: &[],
};

static ENDPOINT_ADDRESS: Schema = Schema {
    name: "EndpointAddress",
    title: "",
    fields: &[
        read("ip", "", "The address. Required."),
        bookkeeping("hostname"),
        bookkeeping("nodeName"),
        bookkeeping("targetRef"),
    ],
    unsupported: &[],
};

/// The old form of endpoint slices: each subset is one.
fn read_endpoints(endpoints: &Message<'_>, service: &str) -> Vec<EndpointSlice> {
    let subsets = endpoints.list("subsets");
    let subsets = subsets.iter().filter_map(|subset| {
        let subset = subset.message(&ENDPOINT_SUBSET)?;
        let addresses = subset.list("addresses");
        let addresses = addresses
            .iter()
            .filter_map(|address| Some(address.message(&ENDPOINT_ADDRESS)?.required_string("ip")))
            .map(|ip| SliceEndpoint { addresses: vec![ip], ready: true, serving_while_terminating: false });
        Some(EndpointSlice {
            service: Some(service.to_owned()),
            endpoints: addresses.collect(),
            ports: read_ports(&subset),
        })
    });
    subsets.collect()
}

/// A secret; never shown.
pub(crate) struct Secret {
    pub(crate) secret_type: String,
    pub(crate) data: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}

static SECRET: Schema = Schema {
    name: "Secret",
    title: "",
    fields: &[
        read("apiVersion", "", "`v1`."),
        read("kind", "", "`Secret`."),
        read("metadata", "", "Its name."),
        read("type", "Opaque", "`kubernetes.io/tls` for certificates."),
        read("data", "{}", "Values in base64."),
        read("stringData", "{}", "Plain values; they take precedence over `data`."),
        bookkeeping("immutable"),
    ],
    unsupported: &[],
};

fn read_secret(secret: &Message<'_>) -> Option<Secret> {
    let bytes = secret
        .map("data")
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), secret_bytes(&value)?)));
    let mut data: BTreeMap<String, Vec<u8>> = bytes.collect();
    for (key, value) in secret.map("stringData") {
        data.extend(secret_text(&value).map(|text| (key.to_owned(), text.into_bytes())));
    }
    Some(Secret { secret_type: secret.string("type"), data })
}

/// A value of a Secret in base64.
fn secret_bytes(value: &Value<'_>) -> Option<Vec<u8>> {
    match &value.node.content {
        Content::Plain(text) if is_number_or_boolean(text) => {
            value.error_with_help("expected base64", "write the value in quotes");
            None
        }
        Content::Plain(_) | Content::Quoted(_) => value.bytes(),
        _ => {
            value.error("expected base64");
            None
        }
    }
}

/// A value of a Secret; what it is must not be part of a message.
fn secret_text(value: &Value<'_>) -> Option<String> {
    match &value.node.content {
        Content::Quoted(text) => Some(text.clone()),
        Content::Plain(text) if !is_number_or_boolean(text) => Some(text.clone()),
        _ => {
            value.error_with_help("expected a text", "write the value in quotes");
            None
        }
    }
}

/// A configuration map.
#[derive(Debug)]
pub(crate) struct ConfigMap {
    pub(crate) data: BTreeMap<String, String>,
}

static CONFIG_MAP: Schema = Schema {
    name: "ConfigMap",
    title: "",
    fields: &[
        read("apiVersion", "", "`v1`."),
        read("kind", "", "`ConfigMap`."),
        read("metadata", "", "Its name."),
        read("data", "{}", "Texts."),
        bookkeeping("binaryData"),
        bookkeeping("immutable"),
    ],
    unsupported: &[],
};

fn read_config_map(config_map: &Message<'_>) -> Option<ConfigMap> {
    let entries = config_map.map("data").into_iter();
    let entries = entries.filter_map(|(key, value)| Some((key.to_owned(), value.string()?)));
    Some(ConfigMap { data: entries.collect() })
}

#[cfg(test)]
mod tests {
    use crate::{Options, Source, files::FileSystem, load_with};

    /// The addresses of the endpoints of a service with a port of each protocol, which is also called `dns`.
    fn endpoints(of_service: &str) -> Vec<String> {
        let text = format!(
            "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec: {{gatewayClassName: tollgate, listeners: [{{name: http, protocol: HTTP, port: 80}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: app}}
spec: {{parentRefs: [{{name: edge}}], rules: [{{backendRefs: [{{name: names, port: 53}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: names}}
spec: {{ports: [{{name: udp, port: 53, protocol: UDP}}, {{name: tcp, port: 53, protocol: TCP}}]}}
---
{of_service}"
        );
        let source = Source { path: "a.yaml".to_owned(), text };
        let outcome = load_with(&[source], &FileSystem, &Options::default());
        let snapshot = outcome.snapshot.unwrap();
        let addresses = snapshot.clusters["default/names:53"].endpoints.iter();
        addresses.map(|endpoint| format!("{:?}", endpoint.address)).collect()
    }

    #[test]
    fn ports_of_other_protocols_are_passed_over() {
        let slice = "\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: names-1, labels: {kubernetes.io/service-name: names}}
addressType: IPv4
ports: [{name: '', port: 53, protocol: UDP}, {name: '', port: 8053, protocol: TCP}, {name: tcp, port: 1053, protocol: UDP}]
endpoints: [{addresses: [10.0.0.1]}]
";
        assert_eq!(endpoints(slice), [""; 0], "no port of TCP has its name or number");
        let slice = slice.replace("1053, protocol: UDP", "1053, protocol: TCP");
        assert_eq!(endpoints(&slice), ["Socket(10.0.0.1:1053)"]);
    }

    #[test]
    fn every_subset_counts() {
        let subsets = "\
apiVersion: v1
kind: Endpoints
metadata: {name: names}
subsets:
- {addresses: [{ip: 10.0.0.1}], ports: [{name: tcp, port: 53}]}
- {addresses: [{ip: 10.0.0.2}, {ip: 10.0.0.3}], ports: [{name: tcp, port: 1053, protocol: TCP}]}
";
        assert_eq!(
            endpoints(subsets),
            ["Socket(10.0.0.1:53)", "Socket(10.0.0.2:1053)", "Socket(10.0.0.3:1053)"]
        );
    }
}
