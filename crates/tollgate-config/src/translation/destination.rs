//! Where a backend of a route really is, and the cluster for it (9.6).

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tollgate_model::{
    cluster::{CircuitBreakers, Cluster, Endpoint, LbPolicy, UpstreamProtocol},
    http_connection_manager::Http2Options,
    tls::{ServerNameIndication, TlsVersions, UpstreamTls, UpstreamTlsSettings},
};

use super::{BackendReference, Controller, Dialect, Gateway, Route, ServiceError, Translator, cluster};
use crate::{
    gateway_api::GROUP,
    istio,
    kubernetes::{Referrer, core::ServicePort, status::ParentReference},
};

/// Where a backend really is.
#[derive(Debug)]
pub(crate) struct Destination {
    /// May be empty: nobody is ready.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What is spoken, as `appProtocol` of a service says it.
    pub(crate) app_protocol: Option<String>,
    /// What a BackendTLSPolicy calls its port.
    pub(crate) section: Option<String>,
    /// TLS that the backend asks for itself. A BackendTLSPolicy replaces its validation and server name.
    pub(crate) tls: Option<UpstreamTlsSettings>,
}

/// Why a backend cannot be used: its share of the requests is answered with 500.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum BackendError {
    #[error("backends of kind {kind} of group \"{group}\" are not supported")]
    Kind { group: String, kind: String },
    #[error("{0}")]
    NotFound(String),
    #[error("Backend ref to {0} not permitted by any ReferenceGrant.")]
    NotPermitted(String),
    #[error("appProtocol \"{0}\" is not supported")]
    Protocol(String),
    #[error("{0}")]
    Invalid(String),
}

impl BackendError {
    /// The reason of the condition.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Kind { .. } => "InvalidKind",
            Self::NotFound(_) => "BackendNotFound",
            Self::NotPermitted(_) => "RefNotPermitted",
            Self::Protocol(_) => "UnsupportedProtocol",
            Self::Invalid(_) => "InvalidBackend",
        }
    }
}

/// Where a reference stands.
#[derive(Clone, Copy)]
pub(super) struct Referring<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) route: &'a Route,
    /// Index of the rule.
    pub(super) rule: usize,
    /// What the backend is to the rule, and its index.
    pub(super) role: (&'static str, usize),
}

impl Translator<'_> {
    /// The name of the cluster of a backend, which is made part of the snapshot.
    pub(super) fn route_backend(
        &self,
        reference: &BackendReference,
        site: Referring<'_>,
        dialects: &[Box<dyn Dialect + '_>],
    ) -> Result<String, BackendError> {
        let route = &site.route.object;
        let reference = &self.service_of_host(reference);
        let referrer = Referrer { group: GROUP, kind: &route.kind, namespace: &route.namespace };
        // Hosts of VirtualServices may be anywhere (HT-44).
        if route.group != istio::GROUP && !self.grants.permit(referrer, &reference.object) {
            return Err(BackendError::NotPermitted(reference.object.to_string()));
        }
        let destination = self.destination(reference, site.gateway, dialects)?;
        let grpc = route.kind == "GRPCRoute";
        let http2 = grpc || is_http2(destination.app_protocol.as_deref())?;
        let ancestor = ParentReference::to(&site.gateway.object);
        let controller = site.gateway.controller.name();
        let section = destination.section.as_deref();
        let policy = self.backend_tls(&reference.object, section, &ancestor, controller);
        let tls = match (policy, destination.tls) {
            (None, None) => None,
            (None, Some(settings)) => Some(settings),
            (Some(Err(error)), _) => {
                return Err(BackendError::Invalid(format!("{}: {}", error.policy, error.message)));
            }
            (Some(Ok(policy)), own) => Some(UpstreamTlsSettings {
                sni: ServerNameIndication::Fixed(policy.sni),
                validation: policy.validation,
                ..own.unwrap_or_else(plain_tls)
            }),
        };
        let mut tls = tls;
        if let Some(settings) = &mut tls {
            settings.alpn_protocols = vec![if http2 { "h2" } else { "http/1.1" }.to_owned()];
            if let (None, Some(secret)) = (&settings.certificate, &site.gateway.client_certificate) {
                let identity =
                    self.identity(secret).map_err(|error| BackendError::Invalid(error.to_string()))?;
                settings.certificate = Some(identity);
            }
        }
        let own_certificate = tls.is_some() && site.gateway.client_certificate.is_some();
        let name = self.cluster_name(reference, site, grpc, own_certificate);
        let tls = tls.map(UpstreamTls::new).transpose();
        let tls = tls.map_err(|error| BackendError::Invalid(error.to_string()))?.map(Arc::new);
        self.add_cluster(&name, || {
            let protocol = match http2 {
                true => UpstreamProtocol::Http2(Http2Options::default()),
                false => UpstreamProtocol::Http1 { enable_trailers: false },
            };
            let built = cluster(name.clone(), destination.endpoints, protocol);
            with_defaults_of(site.gateway.controller, Cluster { tls, ..built })
        });
        Ok(name)
    }

    fn destination(
        &self,
        reference: &BackendReference,
        gateway: &Gateway,
        dialects: &[Box<dyn Dialect + '_>],
    ) -> Result<Destination, BackendError> {
        let object = &reference.object;
        if object.group == istio::GROUP && object.kind == istio::HOSTNAME {
            return self.host_destination(reference);
        }
        if object.group == istio::GROUP && object.kind == istio::SUBSET {
            // The other endpoints are not what was asked for.
            let (host, subset) = object.name.rsplit_once('|').unwrap_or_default();
            let reason = "DestinationRules are not read";
            return Err(BackendError::NotFound(format!(
                "no endpoint of {host} is in the subset {subset}: {reason}"
            )));
        }
        if !(object.group.is_empty() && object.kind == "Service") {
            let found = dialects.iter().find_map(|dialect| dialect.backend(reference, gateway));
            return found.unwrap_or_else(|| {
                Err(BackendError::Kind { group: object.group.clone(), kind: object.kind.clone() })
            });
        }
        let port = reference
            .port
            .ok_or_else(|| BackendError::Invalid("a port of the service has to be named".to_owned()))?;
        let found = self.service_endpoints(&object.key(), port).map_err(|error| match error {
            ServiceError::NotFound(_) | ServiceError::PortNotFound { .. } => {
                BackendError::NotFound(error.to_string())
            }
            ServiceError::ExternalName(_) => BackendError::Invalid(error.to_string()),
        })?;
        Ok(Destination {
            app_protocol: match gateway.controller {
                Controller::Istio => protocol_of_istio(found.port),
                _ => found.port.app_protocol.clone(),
            },
            section: Some(found.port.name.clone()).filter(|name| !name.is_empty()),
            endpoints: found.endpoints,
            tls: None,
        })
    }

    /// What operators see in statistics, as their controller names it.
    fn cluster_name(
        &self,
        reference: &BackendReference,
        site: Referring<'_>,
        grpc: bool,
        own_certificate: bool,
    ) -> String {
        let object = &reference.object;
        let port = reference.port.map_or_else(String::new, |port| port.to_string());
        let is_service = object.group.is_empty();
        let mut name = match site.gateway.controller {
            Controller::EnvoyGateway => {
                let route = &site.route.object;
                let (rule, (role, index)) = (site.rule, site.role);
                let kind = route.kind.to_ascii_lowercase();
                format!("{kind}/{}/{}/rule/{rule}/{role}/{index}", route.namespace, route.name)
            }
            Controller::Kgateway if is_service => {
                format!("kube_{}_{}_{port}", object.namespace, object.name)
            }
            Controller::Kgateway => format!("backend_{}_{}_{port}", object.namespace, object.name),
            Controller::Istio if object.kind == istio::HOSTNAME => {
                format!("outbound|{port}||{}", object.name)
            }
            Controller::Istio => {
                let domain = &self.options.cluster_domain;
                format!("outbound|{port}||{}.{}.svc.{domain}", object.name, object.namespace)
            }
            Controller::Tollgate if is_service => format!("{}/{}:{port}", object.namespace, object.name),
            Controller::Tollgate => {
                format!("{}/{}/{}:{port}", object.kind.to_ascii_lowercase(), object.namespace, object.name)
            }
        };
        if grpc && site.gateway.controller != Controller::EnvoyGateway {
            name.push_str("/grpc");
        }
        if own_certificate {
            name.push('@');
            name.push_str(&site.gateway.object.key().to_string());
        }
        name
    }
}

/// TLS of a backend that says nothing itself.
pub(crate) fn plain_tls() -> UpstreamTlsSettings {
    UpstreamTlsSettings {
        sni: ServerNameIndication::Nothing,
        validation: tollgate_model::tls::ServerValidation::Nothing,
        certificate: None,
        alpn_protocols: Vec::new(),
        versions: TlsVersions::default(),
        max_session_keys: 1,
    }
}

/// What Istio speaks with a port: by its name, unless it says so itself (HT-45).
fn protocol_of_istio(port: &ServicePort) -> Option<String> {
    port.app_protocol.clone().or_else(|| {
        let first = port.name.split('-').next().unwrap_or_default();
        ["http2", "grpc"].contains(&first).then(|| first.to_owned())
    })
}

/// Whether Istio speaks HTTP/2 with a port (HT-45).
pub(crate) fn is_http2_in_istio(port: &ServicePort) -> bool {
    is_http2(protocol_of_istio(port).as_deref()).unwrap_or(false)
}

/// Whether an `appProtocol` means HTTP/2.
fn is_http2(app_protocol: Option<&str>) -> Result<bool, BackendError> {
    let Some(protocol) = app_protocol else { return Ok(false) };
    match protocol.split_once('/') {
        Some(("kubernetes.io" | "gateway.envoyproxy.io", "h2c")) => Ok(true),
        Some(("kubernetes.io" | "gateway.envoyproxy.io", "ws" | "wss")) => Ok(false),
        Some(_) => Err(BackendError::Protocol(protocol.to_owned())),
        None => Ok(["http2", "h2c", "grpc", "grpc-web"].contains(&protocol.to_ascii_lowercase().as_str())),
    }
}

/// What controllers do otherwise than Envoy (2.2, EG-32, EG-37).
fn with_defaults_of(controller: Controller, cluster: Cluster) -> Cluster {
    match controller {
        Controller::Tollgate | Controller::Kgateway => cluster,
        Controller::EnvoyGateway => Cluster {
            connect_timeout: Duration::from_secs(10),
            lb_policy: LbPolicy::LeastRequest,
            per_connection_buffer_limit_bytes: 32 * 1024,
            ..cluster
        },
        Controller::Istio => Cluster {
            connect_timeout: Duration::from_secs(10),
            lb_policy: LbPolicy::LeastRequest,
            circuit_breakers: CircuitBreakers {
                max_connections: u32::MAX,
                max_pending_requests: u32::MAX,
                max_requests: u32::MAX,
                ..cluster.circuit_breakers
            },
            ..cluster
        },
    }
}
