//! From extensions to processors (4.7, 4.9).

use std::{collections::HashMap, sync::Arc};

use extproc::Plan;
use tollgate_ir::{Cluster, ExtProc, GrpcService};
use tollgate_model::{
    cluster::{Endpoint, EndpointAddress, UpstreamProtocol},
    http_connection_manager::Http2Options,
    processor::GrpcTarget,
};

use super::{CONTROLLER, GROUP, KGATEWAY, attachment::policy_weight, extension::Provider};
use crate::{
    envoy::MAX_RECEIVE_MESSAGE_LENGTH,
    gateway_api::Referrer,
    kubernetes::{Metadata, ObjectKey},
    translation::{Processor, ServiceError, Translator, cluster},
};

/// What an extension comes to.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) processor: Arc<Processor>,
    pub(super) settings: Arc<ExtProc>,
}

/// Extensions by name, each made once; or why it cannot be had.
#[derive(Debug, Default)]
pub(super) struct Processors(HashMap<ObjectKey, Result<Arc<Built>, String>>);

/// Where a processor is.
struct Place {
    endpoints: Vec<Endpoint>,
    authority: String,
    /// Name of the port, for policies of TLS.
    section: Option<String>,
}

impl Processors {
    /// What an extension comes to.
    pub(super) fn get(&mut self, key: &ObjectKey, translator: &Translator<'_>) -> Result<Arc<Built>, String> {
        if let Some(known) = self.0.get(key) {
            return known.clone();
        }
        let built = build(key, translator).map(Arc::new);
        self.0.insert(key.clone(), built.clone());
        built
    }
}

fn build(key: &ObjectKey, translator: &Translator<'_>) -> Result<Built, String> {
    let object = translator.store.of::<crate::kgateway::Objects>().extensions.get(key);
    let object = object.ok_or_else(|| format!("GatewayExtension {key} not found"))?;
    if let Some(error) = object.errors.first() {
        return Err(error.clone());
    }
    let Some(provider) = &object.spec.provider else {
        return Err("expected gatewayextension type ExtProc".to_owned());
    };
    let place = resolve(provider, &object.meta, translator).map_err(|error| {
        let message = format!("extproc: failed to resolve ExtProc backend: {error}");
        translator.diagnostics.error(&provider.backend.place, message.clone(), None);
        message
    })?;
    let (backend, controller) = (&provider.backend.object, CONTROLLER.name);
    let tls = translator.processor_tls(backend, place.section.as_deref(), &object.reference(), controller);
    let tls = tls.inspect_err(|error| {
        translator.diagnostics.error(&provider.backend.place, error.clone(), None);
    })?;
    let protocol = UpstreamProtocol::Http2(Http2Options::default());
    let built = Cluster { tls, ..cluster(format!("gatewayextension/{key}"), place.endpoints, protocol) };
    let origin = object.meta.place.origin(Some(object.reference().object_name()));
    let cluster_name = translator.add_cluster(built, "kgateway", origin);
    let name = format!("ext_proc/{key}");
    let grpc_service = GrpcService {
        target: GrpcTarget::EnvoyGrpc(cluster_name),
        target_uri: None,
        authority: provider.authority.clone().unwrap_or(place.authority),
        initial_metadata: Vec::new(),
        max_receive_message_length: MAX_RECEIVE_MESSAGE_LENGTH,
        skip_envoy_headers: false,
        retry_policy: provider.retry.clone(),
    };
    Ok(Built {
        settings: Arc::new(ExtProc { plan: Arc::new(plan(&name, provider)), grpc_service }),
        processor: Arc::new(Processor {
            name,
            system: KGATEWAY.name,
            position: provider.stage.position(if translator.options.kgateway_deep_merge {
                policy_weight(&object.meta)
            } else {
                0
            }),
            stat_prefix: provider.stat_prefix.clone(),
            object: object.reference(),
            place: object.meta.place.clone(),
        }),
    })
}

fn plan(name: &str, provider: &Provider) -> Plan {
    let mut plan = Plan::new(name);
    plan.processing_mode = provider.mode.unwrap_or_default();
    plan.filter_processing_mode = plan.processing_mode;
    plan.failure_mode_allow = provider.fail_open;
    plan.message_timeout = provider.message_timeout.unwrap_or(plan.message_timeout);
    plan.max_message_timeout = provider.max_message_timeout.unwrap_or(plan.max_message_timeout);
    plan.allow_mode_override = provider.allow_mode_override;
    plan.allowed_override_modes.clone_from(&provider.allowed_override_modes);
    plan.route_cache_action = provider.route_cache_action;
    plan.metadata_options.forwarding_namespaces = provider.forwarding_namespaces.clone();
    plan.request_attributes = provider.request_attributes.clone();
    plan
}

/// KG-40, KG-41, KG-43. What is missing is found before it is asked whether the reference is permitted.
fn resolve(provider: &Provider, extension: &Metadata, translator: &Translator<'_>) -> Result<Place, String> {
    let reference = &provider.backend;
    let object = &reference.object;
    let place = match (&*object.group, &*object.kind) {
        ("", "Service") => {
            let port = reference.port.ok_or("port is required for a Service")?;
            let found = translator.service_endpoints(&object.key(), port).map_err(|error| match error {
                ServiceError::NotFound(key) => format!("Service {key} not found"),
                other => other.to_string(),
            })?;
            let http2 = ["http2", "grpc", "grpc-web", "kubernetes.io/h2c"];
            let says = found.port.app_protocol.as_deref();
            if !says.is_some_and(|protocol| http2.contains(&protocol)) {
                // CF-21
                let message = format!(
                    "the port {port} of the Service {} is not declared as HTTP/2; HTTP/2 is used anyway",
                    object.key()
                );
                let help = "kgateway itself would fail: set appProtocol of the port to kubernetes.io/h2c";
                translator.diagnostics.warning(&reference.place, message, Some(help.to_owned()));
            }
            let domain = &translator.options.cluster_domain;
            Place {
                endpoints: found.endpoints.to_vec(),
                authority: format!("{}.{}.svc.{domain}:{port}", object.name, object.namespace),
                section: Some(found.port.name.clone()).filter(|name| !name.is_empty()),
            }
        }
        (GROUP, "Backend") => {
            let backend = translator.store.of::<crate::kgateway::Objects>().backends.get(&object.key());
            let backend = backend.ok_or_else(|| format!("Backend {} not found", object.key()))?;
            if let Some(error) = backend.errors.first() {
                return Err(format!("Backend {}: {error}", object.key()));
            }
            let authority = backend.spec.hosts.first().map(|host| match host {
                EndpointAddress::Socket(address) => address.to_string(),
                EndpointAddress::Dns { host, port } => format!("{host}:{port}"),
                EndpointAddress::Pipe(_) => "localhost".to_owned(),
            });
            Place {
                endpoints: backend.spec.endpoints(),
                authority: authority.ok_or("backend not found")?,
                section: None,
            }
        }
        _ => return Err("unknown backend kind".to_owned()),
    };
    let namespace = &extension.key.namespace;
    let from = Referrer { group: GROUP, kind: "GatewayExtension", namespace };
    if !translator.grants.permit(from, object) {
        let help = format!(
            "add a ReferenceGrant to the namespace {}: from GatewayExtension of {GROUP} in {namespace}, to {}",
            object.namespace, object.kind
        );
        translator.diagnostics.info(&reference.place, "the reference goes to another namespace", Some(help));
        return Err("missing reference grant".to_owned());
    }
    Ok(place)
}
