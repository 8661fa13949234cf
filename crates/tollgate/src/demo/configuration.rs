//! The configurations of the demo: examples, with other addresses.

use std::{net::SocketAddr, sync::Arc};

use clap::ValueEnum;
use tollgate_config::{ObjectReport, Options, ServiceAddress, ServicePortKey, Source};
use tollgate_ir::{Compiled, compile};
use tollgate_model::listener::BindAddress;

use crate::{cli::Dialect, configuration::Configuration};

/// Where everything listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) gateway: SocketAddr,
    pub(crate) upstream: SocketAddr,
    pub(crate) processor: SocketAddr,
}

impl Dialect {
    /// What it is called on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The example, as it is written.
    pub(crate) fn example(self) -> Source {
        let (path, text) = match self {
            Self::Envoy => (
                "examples/envoy/instructions.yaml",
                include_str!("../../../../examples/envoy/instructions.yaml"),
            ),
            Self::EnvoyGateway => (
                "examples/demo/envoy-gateway.yaml",
                include_str!("../../../../examples/demo/envoy-gateway.yaml"),
            ),
            Self::Kgateway => {
                ("examples/demo/kgateway.yaml", include_str!("../../../../examples/demo/kgateway.yaml"))
            }
            Self::Htnn => ("examples/demo/htnn.yaml", include_str!("../../../../examples/demo/htnn.yaml")),
        };
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// The example, with these addresses.
    ///
    /// # Errors
    /// It is refused, or has not one listener.
    pub(crate) fn load(self, addresses: Addresses) -> Result<(Compiled, Vec<ObjectReport>), String> {
        let mut source = self.example();
        let mut options = Options::default();
        match self {
            Self::Envoy => {
                for (written, address) in [(8080, addresses.upstream), (18080, addresses.processor)] {
                    source.text = source.text.replace(
                        &format!("port_value: {written}}}"),
                        &format!("port_value: {}}}", address.port()),
                    );
                }
            }
            Self::EnvoyGateway | Self::Kgateway | Self::Htnn => {
                for (service, port, address) in
                    [("httpbin", 8000, addresses.upstream), ("processor", 4444, addresses.processor)]
                {
                    let (namespace, service) = ("default".to_owned(), service.to_owned());
                    let key = ServicePortKey { namespace, service, port };
                    options.resolve.insert(key, vec![ServiceAddress::Socket(address)]);
                }
            }
        }
        let configuration = Configuration::from_source(source, &options);
        let verdict = configuration.verdict(false);
        let snapshot = configuration.snapshot.ok_or_else(|| format!("the example is {verdict}"))?;
        let mut resources = snapshot.resources().clone();
        let [listener] = &mut resources.listeners[..] else {
            return Err("the example has not one listener".to_owned());
        };
        Arc::make_mut(listener).value.addresses = vec![BindAddress::Socket(addresses.gateway)];
        let snapshot = compile(&resources, Some(&snapshot)).map_err(|error| error.to_string())?;
        Ok((snapshot, configuration.objects))
    }
}

#[cfg(test)]
mod tests {
    use tollgate_model::{Snapshot, cluster::EndpointAddress};

    use super::*;

    /// The addresses that clusters have, sorted.
    fn endpoints(snapshot: &Snapshot) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = snapshot
            .clusters
            .values()
            .flat_map(|cluster| cluster.endpoints.iter())
            .filter_map(|endpoint| match endpoint.address {
                EndpointAddress::Socket(address) => Some(address),
                _ => None,
            })
            .collect();
        addresses.sort();
        addresses
    }

    #[test]
    fn examples_take_other_addresses() {
        let [gateway, upstream, processor] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        for dialect in Dialect::value_variants() {
            let (snapshot, _) = dialect.load(Addresses { gateway, upstream, processor }).unwrap();
            assert_eq!(snapshot.listeners[0].addresses, [BindAddress::Socket(gateway)], "{dialect:?}");
            let endpoints = endpoints(&snapshot);
            assert!(endpoints.contains(&upstream) && endpoints.contains(&processor), "{dialect:?}");
            assert!(endpoints.iter().all(|address| address.port() < 4), "{dialect:?}: {endpoints:?}");
        }
    }

    #[test]
    fn examples_are_accepted_without_a_word() {
        for dialect in Dialect::value_variants() {
            let configuration = Configuration::from_source(dialect.example(), &Options::default());
            assert_eq!(configuration.diagnostics, [], "{dialect:?}");
        }
    }
}
