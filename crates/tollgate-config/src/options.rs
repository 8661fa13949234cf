//! What the caller decides about reading and translating.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// What the caller decides about reading and translating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Refuse what the original systems refuse, and fields that are understood but have no effect. Default false: they
    /// give an information or a warning each (CF-34).
    pub strict: bool,
    /// Namespace of objects that name none (CF-8). Default `default`.
    pub namespace: String,
    /// Addresses of services, the first source that is asked (1.5). Default none.
    pub resolve: BTreeMap<ServicePortKey, Vec<ServiceAddress>>,
    /// Domain of the names of services that have neither endpoint slices nor an address. Default `cluster.local`.
    pub cluster_domain: String,
    /// Address that listeners of Gateways bind when the Gateway names none. Default `::`, which is every address of
    /// the machine, those of IPv4 included.
    pub bind_address: IpAddr,
    /// Serve listener ports below 1024 on the port plus 10000, for runs without privileges. Default false.
    pub shift_privileged_ports: bool,
    /// Combine the processors of kgateway policies on the same target instead of taking the first policy's (KG-22).
    /// Default false.
    pub kgateway_deep_merge: bool,
    /// Access log of Kubernetes gateways that say nothing about it themselves. Default none; `tollgate run` has JSON.
    pub access_log: AccessLogForm,
    /// What the node of an Envoy configuration is called instead of what is written there. Default none of it.
    pub node: NodeNames,
}

/// What a node is called, as far as that is said beside the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNames {
    /// Instead of `node.id`.
    pub id: Option<String>,
    /// Instead of `node.cluster`.
    pub cluster: Option<String>,
    /// Instead of `node.locality.zone`.
    pub zone: Option<String>,
}

/// Form of an access log on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessLogForm {
    /// None.
    #[default]
    Off,
    /// Envoy Gateway's default: a JSON object a line.
    Json,
    /// Envoy's default text with response code details and the route.
    Text,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strict: false,
            namespace: "default".to_owned(),
            resolve: BTreeMap::new(),
            cluster_domain: "cluster.local".to_owned(),
            bind_address: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
            shift_privileged_ports: false,
            kgateway_deep_merge: false,
            access_log: AccessLogForm::Off,
            node: NodeNames::default(),
        }
    }
}

/// A port of a service: `<namespace>/<service>:<port>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePortKey {
    /// Namespace of the service.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Number of the port of the service.
    pub port: u16,
}

/// Where a service really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAddress {
    /// An address.
    Socket(SocketAddr),
    /// A name and a port.
    Name {
        /// Name to resolve by DNS.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket, `unix:<path>`.
    Pipe(PathBuf),
}

/// A text that names no service or no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Not a service port.
    #[error("\"{0}\" is not of the form NAMESPACE/SERVICE:PORT")]
    Service(String),
    /// Not an address.
    #[error("\"{0}\" is neither HOST:PORT nor unix:PATH")]
    Address(String),
}

impl FromStr for ServicePortKey {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Self, ResolveError> {
        let parse = || {
            let (namespace, rest) = text.split_once('/')?;
            let (service, port) = rest.split_once(':')?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let named = !namespace.is_empty() && !service.is_empty();
            named.then(|| Self { namespace: namespace.to_owned(), service: service.to_owned(), port })
        };
        parse().ok_or_else(|| ResolveError::Service(text.to_owned()))
    }
}

impl FromStr for ServiceAddress {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Self, ResolveError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Pipe(path.into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Socket(address));
        }
        let parse = || {
            let (host, port) = text.rsplit_once(':')?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            (!host.is_empty() && !host.contains(':')).then(|| Self::Name { host: host.to_owned(), port })
        };
        parse().ok_or_else(|| ResolveError::Address(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_addresses_are_read_from_texts() {
        let key: ServicePortKey = "default/echo:80".parse().unwrap();
        assert_eq!((&*key.namespace, &*key.service, key.port), ("default", "echo", 80));
        for wrong in
            ["echo:80", "/echo:80", "default/:80", "default/echo", "default/echo:0", "default/echo:x"]
        {
            assert!(wrong.parse::<ServicePortKey>().is_err(), "{wrong}");
        }
        assert_eq!("127.0.0.1:80".parse(), Ok(ServiceAddress::Socket(([127, 0, 0, 1], 80).into())));
        assert_eq!("unix:/run/p".parse(), Ok(ServiceAddress::Pipe("/run/p".into())));
        assert_eq!("localhost:80".parse(), Ok(ServiceAddress::Name { host: "localhost".into(), port: 80 }));
        for wrong in ["localhost", "unix:", ":80", "a:b:80"] {
            assert!(wrong.parse::<ServiceAddress>().is_err(), "{wrong}");
        }
    }
}
