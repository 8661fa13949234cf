//! What an EnvoyProxy means for a gateway (6.9).

use std::{num::NonZeroUsize, sync::Arc};

use tollgate_model::access_log::AccessLog;

use super::{EnvoyProxy, GROUP, filter_order::FilterMove, proxy::IpFamily, tls_settings::TlsSettings};
use crate::{
    gateway_api,
    kubernetes::{ObjectKey, ObjectRef, Referrer},
    translation::Translator,
};

/// Settings of a gateway that are written in no Gateway.
#[derive(Debug, Clone)]
pub(crate) struct GatewaySettings {
    /// Moves filters.
    pub(crate) filter_order: Vec<FilterMove>,
    /// TLS towards backends that say nothing themselves, and the namespace of its references.
    pub(crate) backend_tls: Option<(TlsSettings, String)>,
    /// Our certificate towards backends, by `spec.tls.backend` of the Gateway (EG-64).
    pub(crate) client_certificate: Option<ObjectKey>,
    /// The Gateway has a `spec.tls.backend`, usable or not: then TLS of the EnvoyProxy has no effect.
    pub(crate) own_backend_tls: bool,
    pub(crate) ip_family: Option<IpFamily>,
    /// Rules are tried in the order in which they are written.
    pub(crate) preserve_route_order: bool,
    /// The gateways of the class share their ports.
    pub(crate) merge_gateways: bool,
    /// Threads that serve requests.
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Access logs, where they are not those of the command line.
    pub(crate) access_logs: Option<Vec<Arc<AccessLog>>>,
}

/// `parametersRef` leads to no EnvoyProxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParametersError {
    #[error("{0} is no EnvoyProxy of {GROUP}")]
    Unsupported(ObjectRef),
    #[error("{0} not found")]
    NotFound(ObjectRef),
    #[error("{0} is invalid: {1}")]
    Invalid(ObjectRef, String),
}

impl GatewaySettings {
    /// Those of a gateway that refers to nothing.
    pub(crate) const DEFAULT: Self = Self {
        filter_order: Vec::new(),
        backend_tls: None,
        client_certificate: None,
        own_backend_tls: false,
        ip_family: None,
        preserve_route_order: false,
        merge_gateways: false,
        concurrency: None,
        access_logs: None,
    };

    /// The settings of a gateway, by the parameters of its class and its own; its own ones win as a whole.
    pub(crate) fn of(translator: &Translator<'_>, gateway: &ObjectRef) -> Result<Self, ParametersError> {
        let objects = &translator.resources.gateway_api;
        let Some(gateway) = objects.gateways.get(&gateway.key()) else { return Ok(Self::DEFAULT) };
        let class = objects.gateway_classes.get(&ObjectKey::new("", &*gateway.spec.class));
        let of_class = class.and_then(|class| class.spec.parameters.as_ref());
        let mut settings = match gateway.spec.parameters.as_ref().or(of_class) {
            Some(parameters) => Self::by_parameters(translator, &parameters.object)?,
            None => Self::DEFAULT,
        };
        settings.own_backend_tls = gateway.spec.client_certificate.is_some();
        settings.client_certificate = gateway.spec.client_certificate.as_ref().and_then(|reference| {
            let namespace = &gateway.meta.key.namespace;
            let key = ObjectKey::new(reference.namespace.as_ref().unwrap_or(namespace), &*reference.name);
            let referrer = Referrer { group: gateway_api::GROUP, kind: "Gateway", namespace };
            translator.grants.permit(referrer, &ObjectRef::new("", "Secret", &key)).then_some(key)
        });
        Ok(settings)
    }

    /// TLS of the EnvoyProxy, and the namespace of its references, where it has an effect.
    pub(crate) fn tls_of_proxy(&self) -> Option<(&TlsSettings, &str)> {
        let (settings, namespace) = self.backend_tls.as_ref().filter(|_| !self.own_backend_tls)?;
        Some((settings, namespace))
    }

    /// What an EnvoyProxy says.
    pub(crate) fn by_parameters(
        translator: &Translator<'_>,
        parameters: &ObjectRef,
    ) -> Result<Self, ParametersError> {
        if parameters.group != GROUP || parameters.kind != "EnvoyProxy" {
            return Err(ParametersError::Unsupported(parameters.clone()));
        }
        let proxies = &translator.resources.envoy_gateway.proxies;
        let object =
            proxies.get(&parameters.key()).ok_or_else(|| ParametersError::NotFound(parameters.clone()))?;
        if !object.errors.is_empty() {
            return Err(ParametersError::Invalid(parameters.clone(), object.errors.join("; ")));
        }
        Ok(Self::by_proxy(&object.spec, &parameters.namespace))
    }

    fn by_proxy(proxy: &EnvoyProxy, namespace: &str) -> Self {
        Self {
            filter_order: proxy.filter_order.clone(),
            backend_tls: proxy.backend_tls.clone().map(|tls| (tls, namespace.to_owned())),
            client_certificate: None,
            own_backend_tls: false,
            ip_family: proxy.ip_family,
            preserve_route_order: proxy.preserve_route_order,
            merge_gateways: proxy.merge_gateways,
            concurrency: proxy.concurrency,
            access_logs: proxy.access_logs.clone(),
        }
    }
}
