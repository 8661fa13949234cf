//! `outbound|<port>|<subset>|<host>`: what a cluster is called in Istio (3.5).

use std::{net::SocketAddr, sync::Arc};

use tollgate_ir::{BareCluster, UpstreamTlsContext};
use tollgate_model::{
    cluster::{Endpoint, EndpointAddress, UpstreamProtocol},
    http_connection_manager::Http2Options,
};

use crate::{
    istio::{self, service_key, speaks_http2},
    kubernetes::{ObjectKey, ObjectRef, Place},
    translation::{ServiceError, Translator, bare_cluster, endpoint},
};

/// A name taken apart (HT-40).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClusterName<'a> {
    pub(super) port: u16,
    pub(super) subset: &'a str,
    pub(super) host: &'a str,
}

impl<'a> ClusterName<'a> {
    /// Takes a name apart. `None` for a name without `|`: it is that of a cluster (HT-43).
    ///
    /// # Errors
    /// What is wrong with a name of this form.
    pub(super) fn parse(name: &'a str) -> Result<Option<Self>, String> {
        if !name.contains('|') {
            return Ok(None);
        }
        let form = "the form is outbound|<port>|<subset>|<host>";
        let parts: Vec<&str> = name.split('|').collect();
        let [direction, port, subset, host] = parts.as_slice() else {
            return Err(format!("\"{name}\" is not the name of a cluster: {form}"));
        };
        if *direction != "outbound" {
            return Err(format!("\"{name}\" is not a cluster that requests go out to: {form}"));
        }
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0);
        let port = port.ok_or_else(|| format!("\"{name}\" has no port: {form}"))?;
        if host.is_empty() {
            return Err(format!("\"{name}\" has no host: {form}"));
        }
        Ok(Some(Self { port, subset, host }))
    }

    /// The service that the host means, if it means one (HT-41): `<service>.<namespace>.svc.<domain>` or less of it.
    fn service(&self, policy_namespace: &str, cluster_domain: &str) -> Option<(ObjectKey, bool)> {
        let is_full = self.host.strip_suffix(cluster_domain).is_some_and(|rest| rest.ends_with(".svc."));
        let certain = is_full || self.host.ends_with(".svc");
        Some((service_key(self.host, policy_namespace, cluster_domain)?, certain))
    }

    /// `host:port`, the authority of calls (CF-20). The host of a service is written in full.
    pub(super) fn authority(&self, policy_namespace: &str, translator: &Translator<'_>) -> String {
        let domain = &*translator.options.cluster_domain;
        match self.service(policy_namespace, domain) {
            Some((key, certain)) if certain || translator.store.core.services.get(&key).is_some() => {
                format!("{}.{}.svc.{domain}:{}", key.name, key.namespace, self.port)
            }
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Makes the cluster of that name part of the snapshot, and returns the name that leads to it. Nothing is added when it
    /// names a service that does not exist: every exchange fails then, and its failure policy decides (HT-46).
    pub(super) fn add_cluster(
        &self,
        policy: &ObjectRef,
        place: &Place,
        translator: &Translator<'_>,
    ) -> String {
        let name = self.own_name(policy, translator);
        if !self.subset.is_empty() {
            // HT-42
            let message = format!(
                "no endpoint of {} is in the subset {}: DestinationRules are not read, every exchange fails",
                self.host, self.subset
            );
            translator.diagnostics.error(place, message, None);
            return name;
        }
        let Some(Reached { endpoints, tls }) = self.reach(policy, place, translator) else { return name };
        let protocol = UpstreamProtocol::Http2(Http2Options::default());
        let mut built = BareCluster { tls, ..bare_cluster(name, &endpoints, protocol) };
        (istio::CONTROLLER.defaults.cluster)(&mut built);
        translator.add_shared(built, &endpoints, "htnn", place.origin(Some(policy.object_name())))
    }

    /// The name of the cluster in the snapshot. Routes have clusters of the same name, which may speak HTTP/1.1 (CF-33); and
    /// a host without its namespace is another service for the policies of each namespace.
    fn own_name(&self, policy: &ObjectRef, translator: &Translator<'_>) -> String {
        let authority = self.authority(&policy.namespace, translator);
        let host = authority.strip_suffix(&format!(":{}", self.port)).unwrap_or(&authority);
        format!("ext_proc/outbound|{}|{}|{host}", self.port, self.subset)
    }

    fn reach(&self, policy: &ObjectRef, place: &Place, translator: &Translator<'_>) -> Option<Reached> {
        let service = self.service(&policy.namespace, &translator.options.cluster_domain);
        if let Some((key, certain)) = service {
            match translator.service_endpoints(&key, self.port) {
                Ok(found) => {
                    if !speaks_http2(found.port) {
                        let remedy = match found.port.app_protocol {
                            Some(_) => "set appProtocol of the port to kubernetes.io/h2c",
                            None => "name the port grpc",
                        };
                        self.warn_of_http1(&format!("Service {key}"), remedy, place, translator);
                    }
                    let object = ObjectRef::new("", "Service", &key);
                    let section = Some(&*found.port.name).filter(|name| !name.is_empty());
                    let tls = translator.processor_tls(&object, section, policy, istio::CONTROLLER.name);
                    return match tls {
                        Ok(tls) => Some(Reached { endpoints: found.endpoints, tls }),
                        Err(error) => {
                            let message = format!("{error}; every exchange with this processor will fail");
                            translator.diagnostics.error(place, message, None);
                            None
                        }
                    };
                }
                Err(error) if certain => {
                    let message = format!("{error}; every exchange with this processor will fail");
                    let help = match &error {
                        ServiceError::NotFound(_) => {
                            format!(
                                "add the Service {key}; --resolve {key}:{}=ADDRESS says where it is",
                                self.port
                            )
                        }
                        ServiceError::PortNotFound { .. } => {
                            format!("add the port {} to the Service {key}", self.port)
                        }
                        ServiceError::ExternalName(_) => "name the host itself in clusterName".to_owned(),
                    };
                    translator.diagnostics.warning(place, message, Some(help));
                    return None;
                }
                Err(_) => {}
            }
        }
        // A host outside of the cluster.
        if let Some(entry) = translator.service_entry(self.host) {
            let Some(port) = entry.port(self.port) else {
                let message = format!("the ServiceEntry of {} has no port {}", self.host, self.port);
                translator.diagnostics.warning(place, format!("{message}; every exchange will fail"), None);
                return None;
            };
            if port.app_protocol().is_none() {
                self.warn_of_http1("ServiceEntry", "set protocol of the port to GRPC", place, translator);
            }
            return Some(Reached { endpoints: entry.endpoints(self.host, port).into(), tls: None });
        }
        let address = match self.host.parse() {
            Ok(address) => EndpointAddress::Socket(SocketAddr::new(address, self.port)),
            Err(_) => EndpointAddress::Dns { host: self.host.to_owned(), port: self.port },
        };
        Some(Reached { endpoints: [endpoint(address)].into(), tls: None })
    }

    /// HT-45, CF-21: what would fail in the original works here.
    fn warn_of_http1(&self, object: &str, remedy: &str, place: &Place, translator: &Translator<'_>) {
        let message = format!(
            "the port {} of the {object} is not declared as HTTP/2; HTTP/2 is used anyway",
            self.port
        );
        let help = format!("HTNN itself would fail: {remedy}");
        translator.diagnostics.warning(place, message, Some(help));
    }
}

/// Where a processor is, and how it is reached.
struct Reached {
    endpoints: Arc<[Endpoint]>,
    tls: Option<Arc<UpstreamTlsContext>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_direction_a_port_a_subset_and_a_host() {
        // HT-40, HT-43
        assert_eq!(
            ClusterName::parse("outbound|8080||processor.default.svc.cluster.local"),
            Ok(Some(ClusterName { port: 8080, subset: "", host: "processor.default.svc.cluster.local" }))
        );
        assert_eq!(ClusterName::parse("processor"), Ok(None));
        for wrong in [
            "inbound|80||a",
            "outbound|0||a",
            "outbound|x||a",
            "outbound|+80||a",
            "outbound|80||",
            "outbound|80|a",
            "a|b",
        ] {
            assert!(ClusterName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_may_leave_out_what_is_the_usual() {
        // HT-41
        let service = |host| {
            let name = ClusterName { port: 80, subset: "", host };
            name.service("mine", "cluster.local").map(|(key, certain)| (key.to_string(), certain))
        };
        assert_eq!(service("a.b.svc.cluster.local"), Some(("b/a".into(), true)));
        assert_eq!(service("a.b.svc"), Some(("b/a".into(), true)));
        assert_eq!(service("a.b"), Some(("b/a".into(), false)));
        assert_eq!(service("a"), Some(("mine/a".into(), false)));
        assert_eq!(service("www.example.com"), None);
    }
}
