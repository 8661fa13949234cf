//! Where a service really is (1.5).

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use thiserror::Error;
use tollgate_model::cluster::{Endpoint, EndpointAddress};

use super::Translator;
use crate::{
    ServiceAddress, ServicePortKey,
    kubernetes::{
        ObjectKey,
        core::{EndpointSlice, Service, ServicePort, ServiceType, SliceEndpoint, TargetPort},
    },
};

/// A port of a service and the endpoints behind it.
#[derive(Debug)]
pub(crate) struct ServiceEndpoints<'a> {
    pub(crate) port: &'a ServicePort,
    /// May be empty: nobody is ready.
    pub(crate) endpoints: Arc<[Endpoint]>,
}

/// Why a reference to a service leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ServiceError {
    #[error("service {0} not found")]
    NotFound(ObjectKey),
    #[error("TCP Port {port} not found on service {service}")]
    PortNotFound { service: ObjectKey, port: u16 },
    #[error("service {0} is of type ExternalName, which names no endpoints")]
    ExternalName(ObjectKey),
}

impl<'a> Translator<'a> {
    /// The endpoints of a port of a service, from the first source that knows them (1.5): what the operator says,
    /// endpoint slices, the address of the service, DNS.
    pub(crate) fn service_endpoints(
        &self,
        key: &ObjectKey,
        port: u16,
    ) -> Result<ServiceEndpoints<'a>, ServiceError> {
        let object = self.store.core.services.get(key).ok_or_else(|| ServiceError::NotFound(key.clone()))?;
        let service = &object.spec;
        if service.service_type == ServiceType::ExternalName {
            return Err(ServiceError::ExternalName(key.clone()));
        }
        let service_port = service
            .ports
            .iter()
            .find(|candidate| candidate.tcp && candidate.port == port)
            .ok_or_else(|| ServiceError::PortNotFound { service: key.clone(), port })?;
        let known = self.cache.endpoints.borrow().get(key).and_then(|ports| ports.get(&port).cloned());
        let endpoints = known.unwrap_or_else(|| {
            let found: Arc<[Endpoint]> = self.endpoints(key, service, service_port).into();
            let mut known = self.cache.endpoints.borrow_mut();
            known.entry(key.clone()).or_default().insert(port, Arc::clone(&found));
            found
        });
        Ok(ServiceEndpoints { port: service_port, endpoints })
    }

    fn endpoints(&self, key: &ObjectKey, service: &Service, port: &ServicePort) -> Vec<Endpoint> {
        let chosen =
            ServicePortKey { namespace: key.namespace.clone(), service: key.name.clone(), port: port.port };
        if let Some(addresses) = self.options.resolve.get(&chosen) {
            return addresses.iter().map(|address| endpoint(operator_address(address))).collect();
        }
        let slices = self.endpoint_slices.get(key).map(Vec::as_slice).unwrap_or_default();
        if !slices.is_empty() {
            return from_slices(slices, port);
        }
        if let Some(address) = service.cluster_ip {
            return vec![endpoint(EndpointAddress::Socket(SocketAddr::new(address, port.port)))];
        }
        let host = format!("{}.{}.svc.{}", key.name, key.namespace, self.options.cluster_domain);
        let number = match port.target_port {
            TargetPort::Number(number) if service.headless => number,
            _ => port.port,
        };
        vec![endpoint(EndpointAddress::Dns { host, port: number })]
    }
}

fn from_slices(slices: &[&EndpointSlice], port: &ServicePort) -> Vec<Endpoint> {
    let usable = |chosen: fn(&SliceEndpoint) -> bool| -> Vec<Endpoint> {
        let with_port = slices.iter().filter_map(|slice| Some((slice, slice_port(slice, port)?)));
        with_port
            .flat_map(|(slice, number)| {
                slice
                    .endpoints
                    .iter()
                    .filter(move |candidate| chosen(candidate))
                    .map(move |found| (found, number))
            })
            .flat_map(|(found, number)| found.addresses.iter().map(move |address| (address, number)))
            .map(|(address, number)| match address.parse::<IpAddr>() {
                Ok(address) => endpoint(EndpointAddress::Socket(SocketAddr::new(address, number))),
                Err(_) => endpoint(EndpointAddress::Dns { host: address.clone(), port: number }),
            })
            .collect()
    };
    let ready = usable(|endpoint| endpoint.ready);
    if ready.is_empty() { usable(|endpoint| endpoint.serving_while_terminating) } else { ready }
}

/// The number of a service's port in a slice: by name, then by number.
fn slice_port(slice: &EndpointSlice, port: &ServicePort) -> Option<u16> {
    let by_name = slice.ports.iter().find(|candidate| candidate.name == port.name);
    let number = match port.target_port {
        TargetPort::Number(number) => number,
        TargetPort::Same | TargetPort::Name(_) => port.port,
    };
    let found = by_name.or_else(|| slice.ports.iter().find(|candidate| candidate.port == number));
    found.map(|found| found.port)
}

fn operator_address(address: &ServiceAddress) -> EndpointAddress {
    match address {
        ServiceAddress::Socket(address) => EndpointAddress::Socket(*address),
        ServiceAddress::Name { host, port } => EndpointAddress::Dns { host: host.clone(), port: *port },
        ServiceAddress::Pipe(path) => EndpointAddress::Pipe(path.clone()),
    }
}

/// An endpoint with nothing special about it.
pub(crate) fn endpoint(address: EndpointAddress) -> Endpoint {
    let hostname = match &address {
        EndpointAddress::Dns { host, .. } => host.clone(),
        EndpointAddress::Socket(_) | EndpointAddress::Pipe(_) => String::new(),
    };
    Endpoint { hostname, ..Endpoint::new(address) }
}

pub(super) mod dns {
    //! How names of endpoints are looked up.

    use std::time::Duration;

    use tollgate_model::cluster::{Dns, DnsLookupFamily, Endpoint, EndpointAddress};

    /// As Kubernetes' proxies do: every address, IPv4 preferred.
    pub(crate) const SETTINGS: Dns = Dns {
        refresh_rate: Duration::from_secs(5),
        respect_dns_ttl: false,
        lookup_family: DnsLookupFamily::V4Preferred,
        failure_refresh: None,
        jitter: Duration::ZERO,
    };

    pub(crate) fn is_name(endpoint: &Endpoint) -> bool {
        matches!(endpoint.address, EndpointAddress::Dns { .. })
    }
}
