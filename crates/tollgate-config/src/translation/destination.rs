//! Where a backend of a route really is, and the cluster for it (9.6).

use std::sync::Arc;

use thiserror::Error;
use tollgate_ir::{BareCluster, ServerValidation, UpstreamTlsContext};
use tollgate_model::{
    cluster::{Endpoint, UpstreamProtocol},
    http_connection_manager::Http2Options,
    tls::{ServerNameIndication, TlsVersions},
};

use super::{
    BackendReference, Controller, Dialect, Gateway, Route, ServiceError, Translator, bare_cluster,
    controller::ClusterSite,
};
use crate::{
    gateway_api::{GROUP, Referrer},
    kubernetes::{ObjectRef, status::ParentReference},
};

/// Where a backend really is.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The object in full, where the reference does not say it.
    pub(crate) object: Option<ObjectRef>,
    /// May be empty: nobody is ready.
    pub(crate) endpoints: Arc<[Endpoint]>,
    /// What is spoken, as `appProtocol` of a service says it.
    pub(crate) app_protocol: Option<String>,
    /// What a BackendTLSPolicy calls its port.
    pub(crate) section: Option<String>,
    /// TLS that the backend asks for itself. A BackendTLSPolicy replaces its validation and server name.
    pub(crate) tls: Option<UpstreamTlsContext>,
}

/// Why a backend cannot be used: its share of the requests is answered with 500.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum BackendError {
    #[error("backends of kind {kind} of group \"{group}\" are not supported")]
    Kind { group: String, kind: String },
    #[error("{0}")]
    NotFound(String),
    /// The service is there, and has no such port.
    #[error("{0}")]
    PortNotFound(String),
    /// A kind of address or of service that is not supported.
    #[error("{0}")]
    Unsupported(String),
    /// TLS towards the backend cannot be had.
    #[error("{0}")]
    Tls(String),
    #[error("Backend ref to {0} not permitted by any ReferenceGrant.")]
    NotPermitted(String),
    #[error("appProtocol \"{0}\" is not supported")]
    Protocol(String),
    #[error("{0}")]
    Invalid(String),
}

impl BackendError {
    /// The reason of the condition, in the words of a controller.
    pub(super) fn reason(&self, controller: &Controller) -> &'static str {
        (controller.words.backend_reason)(self).unwrap_or(match self {
            Self::Kind { .. } => "InvalidKind",
            Self::NotFound(_) | Self::PortNotFound(_) => "BackendNotFound",
            Self::NotPermitted(_) => "RefNotPermitted",
            Self::Protocol(_) => "UnsupportedProtocol",
            Self::Invalid(_) | Self::Tls(_) | Self::Unsupported(_) => "InvalidBackend",
        })
    }
}

/// A backend of a route.
#[derive(Debug)]
pub(super) struct RouteBackend {
    /// The name of its cluster.
    pub(super) cluster: String,
    /// It says itself that WebSockets are spoken with it.
    pub(super) websocket: bool,
}

/// Where a reference stands.
#[derive(Clone, Copy)]
pub(crate) struct Referring<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) route: &'a Route,
    /// By which of its references to parents.
    pub(crate) parent: &'a ParentReference,
    /// Index of the rule.
    pub(crate) rule: usize,
    /// What the backend is to the rule, and its index.
    pub(crate) role: (&'static str, usize),
}

impl Translator<'_> {
    /// The name of the cluster of a backend, which is made part of the snapshot.
    pub(super) fn route_backend(
        &self,
        reference: &BackendReference,
        site: Referring<'_>,
        dialects: &[Box<dyn Dialect + '_>],
    ) -> Result<RouteBackend, BackendError> {
        let (reference, destination) = self.permitted_destination(reference, site, dialects)?;
        let grpc = site.route.object.kind == "GRPCRoute";
        let http2 = grpc || is_http2(destination.app_protocol.as_deref())?;
        let websocket = destination.app_protocol.as_deref().is_some_and(is_websocket);
        let tls = self.route_tls(&reference, &destination, site, dialects, http2)?;
        let own_certificate = tls.is_some() && site.gateway.client_certificate.is_some();
        let name = self.cluster_name(&reference, site, grpc, own_certificate);
        let protocol = match http2 {
            true => UpstreamProtocol::Http2(Http2Options::default()),
            false => UpstreamProtocol::Http1 { enable_trailers: false },
        };
        let endpoints = destination.endpoints;
        let mut built = BareCluster { tls, ..bare_cluster(name, &endpoints, protocol) };
        (site.gateway.controller.defaults.cluster)(&mut built);
        for dialect in dialects {
            dialect.cluster(site, &mut built);
        }
        let origin = reference.place.origin(Some(site.route.object.object_name()));
        // Another Gateway may reach the same backend otherwise.
        let cluster = self.add_shared(built, &endpoints, &site.gateway.object.key().to_string(), origin);
        Ok(RouteBackend { cluster, websocket })
    }

    /// Where a reference leads, and the reference in full.
    pub(super) fn permitted_destination(
        &self,
        reference: &BackendReference,
        site: Referring<'_>,
        dialects: &[Box<dyn Dialect + '_>],
    ) -> Result<(BackendReference, Destination), BackendError> {
        let route = &site.route.object;
        let meant = dialects.iter().find_map(|dialect| dialect.meaning(reference));
        let mut reference = meant.unwrap_or_else(|| reference.clone());
        let referrer = Referrer { group: GROUP, kind: &route.kind, namespace: &route.namespace };
        let permitted = site.route.api.refers_anywhere || self.grants.permit(referrer, &reference.object);
        // Of what nobody knows the kind is what is wrong, not that nobody permits it.
        match self.destination(&reference, site.gateway, dialects) {
            Err(error @ BackendError::Kind { .. }) => Err(error),
            _ if !permitted => Err(BackendError::NotPermitted(reference.object.to_string())),
            found => {
                let mut found = found?;
                reference.object = found.object.take().unwrap_or(reference.object);
                Ok((reference, found))
            }
        }
    }

    /// TLS towards a backend of a route.
    fn route_tls(
        &self,
        reference: &BackendReference,
        destination: &Destination,
        site: Referring<'_>,
        dialects: &[Box<dyn Dialect + '_>],
        http2: bool,
    ) -> Result<Option<Arc<UpstreamTlsContext>>, BackendError> {
        let controller = site.gateway.controller;
        let ancestor = (controller.words.tls_ancestor)(site.parent, site.gateway);
        let section = destination.section.as_deref();
        let policy = self.backend_tls(&reference.object, section, &ancestor, controller.name);
        let own = destination.tls.clone();
        let mut settings = match policy {
            None => match own {
                None => return Ok(None),
                Some(settings) => settings,
            },
            Some(Err(error)) => {
                return Err(BackendError::Tls(format!("{}: {}", error.policy, error.message)));
            }
            Some(Ok(policy)) => {
                let settings = match own {
                    Some(settings) => settings,
                    None => {
                        let of_dialect =
                            dialects.iter().find_map(|dialect| dialect.backend_tls(site.gateway));
                        of_dialect.unwrap_or_else(|| Ok(plain_tls())).map_err(BackendError::Tls)?
                    }
                };
                UpstreamTlsContext {
                    sni: ServerNameIndication::Fixed(policy.sni),
                    validation: policy.validation,
                    ..settings
                }
            }
        };
        settings.alpn_protocols = vec![if http2 { "h2" } else { "http/1.1" }.to_owned()];
        if let (None, Some(secret)) = (&settings.certificate, &site.gateway.client_certificate) {
            let certificate = self.certificate(secret);
            settings.certificate = Some(certificate.map_err(|error| BackendError::Tls(error.to_string()))?);
        }
        Ok(Some(Arc::new(settings)))
    }

    fn destination(
        &self,
        reference: &BackendReference,
        gateway: &Gateway,
        dialects: &[Box<dyn Dialect + '_>],
    ) -> Result<Destination, BackendError> {
        let object = &reference.object;
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
            ServiceError::NotFound(_) => BackendError::NotFound(error.to_string()),
            ServiceError::PortNotFound { .. } => BackendError::PortNotFound(error.to_string()),
            ServiceError::ExternalName(_) => BackendError::Unsupported(error.to_string()),
        })?;
        Ok(Destination {
            object: None,
            app_protocol: (gateway.controller.defaults.app_protocol)(found.port),
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
        let port = reference.port.map_or_else(String::new, |port| port.to_string());
        let cluster_domain = &*self.options.cluster_domain;
        let mut name = (site.gateway.controller.names.cluster)(&ClusterSite {
            site,
            backend: &reference.object,
            port,
            grpc,
            cluster_domain,
        });
        if own_certificate {
            name.push('@');
            name.push_str(&site.gateway.object.key().to_string());
        }
        name
    }
}

/// TLS of a backend that says nothing itself.
pub(crate) fn plain_tls() -> UpstreamTlsContext {
    UpstreamTlsContext {
        sni: ServerNameIndication::Nothing,
        validation: ServerValidation::Nothing,
        certificate: None,
        alpn_protocols: Vec::new(),
        versions: TlsVersions::default(),
        max_session_keys: 1,
    }
}

/// Whether an `appProtocol` means HTTP/2.
pub(crate) fn is_http2(app_protocol: Option<&str>) -> Result<bool, BackendError> {
    let Some(protocol) = app_protocol else { return Ok(false) };
    match protocol.split_once('/') {
        Some(("kubernetes.io" | "gateway.envoyproxy.io", "h2c")) => Ok(true),
        Some(("kubernetes.io" | "gateway.envoyproxy.io", "ws" | "wss")) => Ok(false),
        Some(_) => Err(BackendError::Protocol(protocol.to_owned())),
        None => Ok(["http2", "h2c", "grpc", "grpc-web"].contains(&protocol.to_ascii_lowercase().as_str())),
    }
}

/// Whether an `appProtocol` means WebSockets.
fn is_websocket(app_protocol: &str) -> bool {
    matches!(app_protocol.split_once('/'), Some((_, "ws" | "wss")))
}
