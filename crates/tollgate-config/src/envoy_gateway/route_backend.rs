//! Backends of routes.

use tollgate_model::cluster::EndpointAddress;

use super::{
    Configuration, GROUP, ProxySettings,
    backends::{find_backend, of_backend},
    tls::{self, Peer},
};
use crate::{
    kubernetes::ObjectRef,
    routing::BackendReference,
    translation::{BackendError, Destination, Translator},
};

/// Where a backend of a route is; `None` if it is no Backend.
pub(super) fn destination(
    reference: &BackendReference,
    gateway: &ProxySettings,
    configuration: &Configuration,
    by_kind_alone: bool,
    translator: &Translator<'_>,
) -> Option<Result<Destination, BackendError>> {
    let object = &reference.object;
    // Envoy Gateway knows its Backends by their kind alone.
    let is_ours = object.group == GROUP || (object.group.is_empty() && by_kind_alone);
    (is_ours && object.kind == "Backend").then(|| find(reference, gateway, configuration, translator))
}

fn find(
    reference: &BackendReference,
    gateway: &ProxySettings,
    configuration: &Configuration,
    translator: &Translator<'_>,
) -> Result<Destination, BackendError> {
    let key = reference.object.key();
    if translator.store.of::<crate::envoy_gateway::Objects>().backends.get(&key).is_none() {
        return Err(BackendError::NotFound(format!("backend {key} not found")));
    }
    let backend = find_backend(&key, configuration, translator).map_err(BackendError::Invalid)?;
    let spec = &backend.spec;
    let is_unix = |address: &EndpointAddress| matches!(address, EndpointAddress::Pipe(_));
    // EG-54
    if translator.options.strict && spec.endpoints.iter().any(|endpoint| is_unix(&endpoint.address)) {
        let message = "unix domain sockets are not supported in backend references of Envoy Gateway";
        translator.diagnostics.warning(&reference.place, message, None);
    }
    if spec.fallback {
        translator.diagnostics.warning(
            &reference.place,
            "fallback has no effect on a backend of a route",
            Some("its share is that of its weight".to_owned()),
        );
    }
    let object = ObjectRef::new(GROUP, "Backend", &key);
    let tls = spec.tls.as_ref().map(|tls| {
        let peer = Peer::of_backend(tls, &key.namespace, translator)?;
        tls::settings(peer, Some((tls, &object)), gateway, translator)
    });
    Ok(Destination {
        object: Some(object),
        endpoints: spec.endpoints.iter().map(of_backend).collect(),
        app_protocol: spec.app_protocols.first().cloned(),
        section: reference.port.map(|port| port.to_string()),
        tls: tls.transpose().map_err(BackendError::Invalid)?,
    })
}
