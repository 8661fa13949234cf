//! EnvoyProxy: settings of the gateways of a class, or of one gateway (6.9).

mod patch;
mod telemetry;

use std::{num::NonZeroUsize, sync::Arc};

use tollgate_model::access_log::AccessLog;

use self::{
    patch::{PROVIDER, read_provider},
    telemetry::{TELEMETRY, read_access_logs},
};
use super::{
    filter_order::{FilterMove, read_filter_order},
    tls_settings::{
        ALPN, CIPHERS, CLIENT_CERTIFICATE, CURVES, FINGERPRINTS, MAXIMUM, MINIMUM, SIGNATURES, TlsSettings,
        read_tls_settings,
    },
};
use crate::{
    schema::{Enumeration, Schema, Value, harmless, read, unimplemented},
    translation::IpFamily,
};

/// Settings of the gateways of a class, or of one gateway.
#[derive(Debug, Default)]
pub(crate) struct EnvoyProxy {
    pub(crate) filter_order: Vec<FilterMove>,
    pub(crate) backend_tls: Option<TlsSettings>,
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

static SPEC: Schema = Schema {
    name: "EnvoyProxySpec",
    title: "",
    fields: &[
        read("provider", "Kubernetes", "Where proxies run; recorded."),
        read("filterOrder", "[]", "Moves filters of a type."),
        read("backendTLS", "{}", "TLS towards backends."),
        read("concurrency", "one a core", "Threads that serve requests; --workers of the command line wins."),
        read("ipFamily", "IPv4", "IPv4, IPv6 or DualStack."),
        read("preserveRouteOrder", "false", "Try rules in the order in which they are written."),
        read("mergeGateways", "false", "The gateways of the class share their ports."),
        unimplemented("mergeBackends", "each rule has clusters of its own"),
        unimplemented("mergeType", "the settings of one EnvoyProxy count, those of the Gateway first"),
        unimplemented("dynamicModules", "modules are not run"),
        unimplemented("geoIP", "addresses are not looked up"),
        harmless("luaValidation", "Lua is not run"),
        harmless("logging", "use the options of the command line"),
        read("telemetry", "{}", "Access logs."),
        unimplemented("bootstrap", "there is no Envoy to bootstrap"),
        unimplemented("extraArgs", "there is no Envoy to start"),
        unimplemented("shutdown", "requests in progress have 20 seconds"),
        unimplemented(
            "routingType",
            "requests go to endpoints, or to the address of a service that has none",
        ),
    ],
    unsupported: &[],
};

static BACKEND_TLS: Schema = Schema {
    name: "BackendTLSConfig",
    title: "",
    fields: &[CLIENT_CERTIFICATE, MINIMUM, MAXIMUM, CIPHERS, CURVES, SIGNATURES, ALPN, FINGERPRINTS],
    unsupported: &[],
};

static IP_FAMILY: Enumeration<IpFamily> = Enumeration {
    values: &[
        ("IPv4", 0, Some(IpFamily::V4)),
        ("IPv6", 1, Some(IpFamily::V6)),
        ("DualStack", 2, Some(IpFamily::Both)),
    ],
};

pub(super) fn read_proxy(value: &Value<'_>) -> Option<EnvoyProxy> {
    let spec = value.message(&SPEC)?;
    if let Some(provider) = spec.message("provider", &PROVIDER) {
        read_provider(&provider);
    }
    let backend_tls = spec.message("backendTLS", &BACKEND_TLS);
    // As with Envoy there is always a thread.
    let concurrency = spec.u32("concurrency").and_then(|threads| usize::try_from(threads).ok());
    Some(EnvoyProxy {
        concurrency: concurrency.map(|threads| NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)),
        filter_order: read_filter_order(&spec.list("filterOrder")),
        backend_tls: backend_tls.map(|tls| read_tls_settings(&tls)),
        ip_family: spec.get("ipFamily").and_then(|value| value.enumeration(&IP_FAMILY)),
        preserve_route_order: spec.boolean("preserveRouteOrder", false),
        merge_gateways: spec.boolean("mergeGateways", false),
        access_logs: spec.message("telemetry", &TELEMETRY).and_then(|telemetry| read_access_logs(&telemetry)),
    })
}
