//! What an EnvoyProxy means for a gateway (6.9).

use super::{EnvoyProxy, GROUP, Objects, filter_order::FilterMove, tls_settings::TlsSettings};
use crate::{
    gateway_api::{self, ParametersRef, Referrer},
    kubernetes::{ObjectKey, ObjectRef},
    translation::{GatewaySettings, IpFamily, Problem, Translator},
};

/// What matters to the processors and backends of a gateway.
#[derive(Debug, Clone, Default)]
pub(super) struct ProxySettings {
    /// Moves filters.
    pub(super) filter_order: Vec<FilterMove>,
    /// TLS towards backends that say nothing themselves, and the namespace of its references.
    backend_tls: Option<(TlsSettings, String)>,
    /// Our certificate towards backends, by `spec.tls.backend` of the Gateway (EG-64).
    pub(super) client_certificate: Option<ObjectKey>,
    /// The Gateway has a `spec.tls.backend`, usable or not: then TLS of the EnvoyProxy has no effect.
    own_backend_tls: bool,
    pub(super) ip_family: Option<IpFamily>,
}

/// `parametersRef` leads to no EnvoyProxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParametersError {
    #[error("{0} is no EnvoyProxy of {GROUP}")]
    Unsupported(ObjectRef),
    #[error("{0} not found")]
    NotFound(ObjectRef),
    #[error("{0} is invalid: {1}")]
    Invalid(ObjectRef, String),
}

/// The EnvoyProxy that parameters lead to.
fn proxy<'a>(translator: &Translator<'a>, parameters: &ObjectRef) -> Result<&'a EnvoyProxy, ParametersError> {
    if parameters.group != GROUP || parameters.kind != "EnvoyProxy" {
        return Err(ParametersError::Unsupported(parameters.clone()));
    }
    let proxies = &translator.store.of::<Objects>().proxies;
    let object =
        proxies.get(&parameters.key()).ok_or_else(|| ParametersError::NotFound(parameters.clone()))?;
    if !object.errors.is_empty() {
        return Err(ParametersError::Invalid(parameters.clone(), object.errors.join("; ")));
    }
    Ok(&object.spec)
}

/// What the parameters of a class or a Gateway say about gateways themselves.
pub(super) fn of_parameters(
    translator: &Translator<'_>,
    chosen: &ParametersRef,
) -> Result<GatewaySettings, Problem> {
    let proxy = proxy(translator, &chosen.object).map_err(|error| {
        translator.diagnostics.error(&chosen.place, error.to_string(), None);
        Problem::new("InvalidParameters", error.to_string())
    })?;
    Ok(GatewaySettings {
        ip_family: proxy.ip_family,
        preserve_route_order: proxy.preserve_route_order,
        merge_gateways: proxy.merge_gateways,
        concurrency: proxy.concurrency,
        access_logs: proxy.access_logs.clone(),
        ..GatewaySettings::default()
    })
}

impl ProxySettings {
    /// The settings of a gateway, by the parameters of its class and its own; its own ones win as a whole.
    pub(super) fn of(translator: &Translator<'_>, gateway: &ObjectRef) -> Result<Self, ParametersError> {
        let objects = translator.store.of::<gateway_api::Objects>();
        let Some(gateway) = objects.gateways.get(&gateway.key()) else { return Ok(Self::default()) };
        let class = objects.gateway_classes.get(&ObjectKey::new("", &*gateway.spec.class));
        let of_class = class.and_then(|class| class.spec.parameters.as_ref());
        let mut settings = match gateway.spec.parameters.as_ref().or(of_class) {
            Some(parameters) => Self::by_parameters(translator, &parameters.object)?,
            None => Self::default(),
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
    pub(super) fn tls_of_proxy(&self) -> Option<(&TlsSettings, &str)> {
        let (settings, namespace) = self.backend_tls.as_ref().filter(|_| !self.own_backend_tls)?;
        Some((settings, namespace))
    }

    fn by_parameters(translator: &Translator<'_>, parameters: &ObjectRef) -> Result<Self, ParametersError> {
        let proxy = proxy(translator, parameters)?;
        Ok(Self {
            filter_order: proxy.filter_order.clone(),
            backend_tls: proxy.backend_tls.clone().map(|tls| (tls, parameters.namespace.clone())),
            ip_family: proxy.ip_family,
            ..Self::default()
        })
    }
}
