//! What an EnvoyProxy means for a gateway (6.9).

use super::{EnvoyProxy, GROUP, filter_order::FilterMove, proxy::IpFamily, tls_settings::TlsSettings};
use crate::{
    kubernetes::{ObjectKey, ObjectRef},
    translation::Translator,
};

/// Settings of a gateway that are written in no Gateway.
#[derive(Debug, Clone)]
pub(crate) struct GatewaySettings {
    /// Moves filters.
    pub(crate) filter_order: Vec<FilterMove>,
    /// TLS towards backends that say nothing themselves, and the namespace of its references.
    pub(crate) backend_tls: Option<(TlsSettings, String)>,
    /// Our certificate towards backends, by `spec.tls.backend` of the Gateway: used where nothing else names one (EG-64).
    pub(crate) client_certificate: Option<ObjectKey>,
    /// Worker threads.
    pub(crate) concurrency: Option<u32>,
    pub(crate) ip_family: Option<IpFamily>,
    /// Rules are tried in the order in which they are written.
    pub(crate) preserve_route_order: bool,
    /// All gateways of the class share their listeners.
    pub(crate) merge_gateways: bool,
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
        concurrency: None,
        ip_family: None,
        preserve_route_order: false,
        merge_gateways: false,
    };

    /// The settings of a gateway whose class and which itself refer to these objects; those of the gateway win as a
    /// whole.
    pub(crate) fn new(
        translator: &Translator<'_>,
        of_class: Option<&ObjectRef>,
        of_gateway: Option<&ObjectRef>,
    ) -> Result<Self, ParametersError> {
        let Some(reference) = of_gateway.or(of_class) else { return Ok(Self::DEFAULT) };
        if reference.group != GROUP || reference.kind != "EnvoyProxy" {
            return Err(ParametersError::Unsupported(reference.clone()));
        }
        let proxies = &translator.resources.envoy_gateway.proxies;
        let object =
            proxies.get(&reference.key()).ok_or_else(|| ParametersError::NotFound(reference.clone()))?;
        if !object.errors.is_empty() {
            return Err(ParametersError::Invalid(reference.clone(), object.errors.join("; ")));
        }
        Ok(Self::of(&object.spec, &reference.namespace))
    }

    fn of(proxy: &EnvoyProxy, namespace: &str) -> Self {
        Self {
            filter_order: proxy.filter_order.clone(),
            backend_tls: proxy.backend_tls.clone().map(|tls| (tls, namespace.to_owned())),
            client_certificate: None,
            concurrency: proxy.concurrency,
            ip_family: proxy.ip_family,
            preserve_route_order: proxy.preserve_route_order,
            merge_gateways: proxy.merge_gateways,
        }
    }

    /// Whether processors are reached otherwise than by other gateways.
    pub(super) fn has_own_clusters(&self) -> bool {
        self.backend_tls.is_some() || self.client_certificate.is_some() || self.ip_family.is_some()
    }
}
