//! From the backends of a processor to a cluster (6.4, 6.7).

mod shares;

use std::{fmt, sync::Arc};

use tollgate_ir::{Cluster, UpstreamTlsContext};
use tollgate_model::{
    cluster::{Endpoint, EndpointAddress, UpstreamProtocol},
    tls::ServerNameIndication,
};

use self::shares::{Share, combine};
use super::{
    Backend, Configuration, GROUP, ProxySettings,
    backend::BackendEndpoint,
    ext_proc::BackendRef,
    settings::BackendSettings,
    tls::{self, Peer},
};
use crate::{
    gateway_api::Referrer,
    kubernetes::{Metadata, Object, ObjectKey, ObjectRef, Place, status::ParentReference},
    translation::{ServiceError, Translator, cluster, endpoint},
};

/// Why a processor cannot be reached, in the words of the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) place: Place,
}

/// Finds the endpoints of processors.
pub(super) struct Backends<'a> {
    pub(super) translator: &'a Translator<'a>,
    pub(super) configuration: &'a Configuration,
    /// The policy that the references stand in.
    pub(super) policy: &'a Metadata,
    pub(super) gateway: &'a ProxySettings,
}

/// A server that something is asked of.
pub(super) struct Server<'a> {
    pub(super) backends: &'a [BackendRef],
    pub(super) settings: &'a BackendSettings,
    /// HTTP/2 is spoken with it, else HTTP/1.1.
    pub(super) http2: bool,
    pub(super) place: &'a Place,
}

/// What one reference leads to.
struct Resolved {
    share: Share,
    /// The endpoints are host names of a Backend.
    named: bool,
    tls: Option<Arc<UpstreamTlsContext>>,
}

/// An object that a reference leads to.
enum Destination<'a> {
    Service { endpoints: Vec<Endpoint>, port_name: &'a str },
    Backend(&'a Arc<Object<Backend>>),
}

impl Backends<'_> {
    /// The cluster of a processor or another service.
    pub(super) fn cluster(&self, name: String, server: &Server<'_>) -> Result<Cluster, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut found = Vec::new();
        // EG-33
        for reference in server.backends.iter().filter(|reference| reference.weight > 0) {
            match self.resolve(reference, server.http2) {
                Ok(resolved) => found.push(resolved),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if let Some(message) = incompatible(&found) {
            return Err(vec![Problem { message, help: None, place: server.place.clone() }]);
        }
        let tls = found[0].tls.take();
        let protocol = match server.http2 {
            true => UpstreamProtocol::Http2(server.settings.http2.clone()),
            false => UpstreamProtocol::Http1 { enable_trailers: false },
        };
        let mut cluster =
            cluster(name, combine(found.into_iter().map(|resolved| resolved.share).collect()), protocol);
        server.settings.apply(&mut cluster, self.gateway.ip_family);
        cluster.tls = tls;
        Ok(cluster)
    }

    fn resolve(&self, reference: &BackendRef, http2: bool) -> Result<Resolved, Problem> {
        let problem = |message: String| Problem { message, help: None, place: reference.place.clone() };
        let namespace = reference.namespace.as_deref().unwrap_or(&self.policy.key.namespace);
        let key = ObjectKey::new(namespace, &*reference.name);
        // EG-53: what is referred to has to exist before it is asked whether that is permitted.
        let destination = self.find(reference, &key).map_err(problem)?;
        self.check_grant(reference, &key)?;
        let object = match &destination {
            Destination::Service { .. } => ObjectRef::new("", "Service", &key),
            Destination::Backend(_) => ObjectRef::new(GROUP, "Backend", &key),
        };
        let section = match &destination {
            Destination::Service { port_name, .. } => Some((*port_name).to_owned()),
            Destination::Backend(_) => reference.port.map(|port| port.to_string()),
        };
        let spec = match &destination {
            Destination::Service { .. } => None,
            Destination::Backend(backend) => Some(&backend.spec),
        };
        let tls = self.tls(&object, section.as_deref(), spec, http2).map_err(problem)?;
        let endpoints = match destination {
            Destination::Service { endpoints, .. } => {
                if endpoints.is_empty() {
                    self.translator.diagnostics.warning(
                        &reference.place,
                        format!("no ready endpoints for the related Service {key}"),
                        Some("exchanges with the processor fail until there is one".to_owned()),
                    );
                }
                endpoints
            }
            Destination::Backend(backend) => backend.spec.endpoints.iter().map(of_backend).collect(),
        };
        let is_name = |endpoint: &Endpoint| matches!(endpoint.address, EndpointAddress::Dns { .. });
        Ok(Resolved {
            named: spec.is_some() && endpoints.iter().any(is_name),
            share: Share {
                endpoints,
                weight: reference.weight,
                fallback: reference.fallback || spec.is_some_and(|backend| backend.fallback),
            },
            tls,
        })
    }

    fn find(&self, reference: &BackendRef, key: &ObjectKey) -> Result<Destination<'_>, String> {
        let group = reference.group.as_deref().unwrap_or_default();
        match reference.kind.as_str() {
            "Service" if group.is_empty() => self.find_service(reference, key),
            "Service" => Err("group is invalid, a Service belongs to the core group".to_owned()),
            "Backend" if ["", GROUP].contains(&group) => {
                find_backend(key, self.configuration, self.translator).map(Destination::Backend)
            }
            "Backend" => Err(format!("group is invalid, a Backend belongs to {GROUP}")),
            "ServiceImport" => Err(format!("service import {key} not found: there is no other cluster here")),
            kind => Err(format!("kind is invalid, {kind} is neither Service nor Backend")),
        }
    }

    fn find_service(&self, reference: &BackendRef, key: &ObjectKey) -> Result<Destination<'_>, String> {
        let port = reference.port.ok_or_else(|| {
            "a valid port number corresponding to a port on the Service must be specified".to_owned()
        })?;
        let found = self.translator.service_endpoints(key, port).map_err(|error| match error {
            ServiceError::ExternalName(service) => format!(
                "Service {service} is of type ExternalName, which is not supported as a backend; use an Envoy Gateway \
                 Backend resource with an FQDN endpoint instead"
            ),
            other => other.to_string(),
        })?;
        Ok(Destination::Service { endpoints: found.endpoints.to_vec(), port_name: &found.port.name })
    }

    /// EG-48, EG-49
    fn check_grant(&self, reference: &BackendRef, key: &ObjectKey) -> Result<(), Problem> {
        let namespace = self.policy.key.namespace.as_str();
        if key.namespace == namespace {
            return Ok(());
        }
        let group = match (&reference.group, reference.kind.as_str()) {
            (Some(group), _) => group.as_str(),
            (None, "Backend") => {
                let message = "kind Backend without a group is taken for one of gateway.envoyproxy.io";
                let help = format!("write \"group: {GROUP}\": Envoy Gateway takes it for the core group");
                match self.translator.diagnostics.tolerated(&reference.place, message, Some(help)) {
                    true => GROUP,
                    false => "",
                }
            }
            (None, _) => "",
        };
        let referrer = Referrer { group: GROUP, kind: &self.policy.kind, namespace };
        let to = ObjectRef::new(group, &reference.kind, key);
        if self.translator.grants.permit(referrer, &to) {
            return Ok(());
        }
        Err(Problem {
            message: format!("backend ref to {} {key} not permitted by any ReferenceGrant", reference.kind),
            help: Some(Grant { referrer, to: &to }.to_string()),
            place: reference.place.clone(),
        })
    }

    /// TLS is used if a BackendTLSPolicy is attached to the backend or the Backend itself says so (EG-64).
    fn tls(
        &self,
        object: &ObjectRef,
        section: Option<&str>,
        backend: Option<&Backend>,
        http2: bool,
    ) -> Result<Option<Arc<UpstreamTlsContext>>, String> {
        let section = section.filter(|section| !section.is_empty());
        let ancestor = ParentReference::to(&ObjectRef::new(GROUP, &self.policy.kind, &self.policy.key));
        let controller = &self.configuration.controller_name;
        let of_policy = self.translator.backend_tls(object, section, &ancestor, controller);
        let of_policy = of_policy.transpose().map_err(|error| error.message)?;
        let of_backend = backend.and_then(|backend| backend.tls.as_ref());
        let peer = match (of_policy, of_backend) {
            (Some(tls), _) => Peer { sni: ServerNameIndication::Fixed(tls.sni), validation: tls.validation },
            (None, Some(tls)) => Peer::of_backend(tls, &object.namespace, self.translator)?,
            (None, None) => return Ok(None),
        };
        let of_backend = of_backend.map(|tls| (tls, object));
        let mut settings = tls::settings(peer, of_backend, self.gateway, self.translator)?;
        // EG-66
        settings.alpn_protocols = if http2 { vec!["h2".to_owned()] } else { Vec::new() };
        Ok(Some(Arc::new(settings)))
    }
}

/// A Backend that can be used.
pub(super) fn find_backend<'a>(
    key: &ObjectKey,
    configuration: &Configuration,
    translator: &Translator<'a>,
) -> Result<&'a Arc<Object<Backend>>, String> {
    // EG-71
    if !configuration.backends_enabled {
        return Err(format!(
            "resource {} of type Backend cannot be used since Backend is disabled in Envoy Gateway configuration",
            key.name
        ));
    }
    let backends = &translator.store.of::<crate::envoy_gateway::Objects>().backends;
    let backend = backends.get(key).ok_or_else(|| format!("backend {key} not found"))?;
    if backend.spec.dynamic {
        return Err(format!("dynamic resolver backend {key} is not supported"));
    }
    if !backend.errors.is_empty() {
        let details = backend.spec.problems.iter().chain(&backend.errors).next();
        return Err(format!("backend {key} is not valid: {}", details.map_or("", String::as_str)));
    }
    Ok(backend)
}

/// The grant that a reference needs, on one line.
struct Grant<'a> {
    referrer: Referrer<'a>,
    to: &'a ObjectRef,
}

impl fmt::Display for Grant<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { referrer, to } = self;
        write!(
            formatter,
            "add to namespace {}: {{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {{name: {}, \
             namespace: {}}}, spec: {{from: [{{group: {}, kind: {}, namespace: {}}}], to: [{{group: \"{}\", kind: {}, \
             name: {}}}]}}}}",
            to.namespace,
            to.name,
            to.namespace,
            referrer.group,
            referrer.kind,
            referrer.namespace,
            to.group,
            to.kind,
            to.name
        )
    }
}

/// An endpoint of a Backend.
pub(super) fn of_backend(found: &BackendEndpoint) -> Endpoint {
    let mut endpoint = endpoint(found.address.clone());
    if !found.hostname.is_empty() {
        endpoint.hostname.clone_from(&found.hostname);
    }
    endpoint
}

/// Why backends cannot serve one processor together.
fn incompatible(found: &[Resolved]) -> Option<String> {
    let Some(first) = found.first() else {
        return Some("no backendRefs found for external service".to_owned());
    };
    // EG-51
    if found.iter().any(|resolved| resolved.named != first.named) {
        return Some(
            "external service destinations having multiple endpoint types are not supported".to_owned(),
        );
    }
    found
        .iter()
        .any(|resolved| resolved.tls != first.tls)
        .then(|| "backends of one processor with different TLS settings are not supported".to_owned())
}
