//! What pools mean for the rules that refer to them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use extproc::{BodySendMode, HeaderSendMode, MetadataNamespaces, Plan, ProcessingMode};
use http::HeaderName;
use tollgate_ir::{BareCluster, ExtProc, GrpcService};
use tollgate_model::{
    cluster::{Endpoint, EndpointAddress, OverrideHost, OverrideHostSource, UpstreamProtocol},
    http_connection_manager::Http2Options,
    metadata::MetadataKey,
    processor::GrpcTarget,
};

use super::{GROUP, INFERENCE, OLD_GROUP, Objects, POOL, pool::Pool};
use crate::{
    envoy::MAX_RECEIVE_MESSAGE_LENGTH,
    kubernetes::{
        Object, ObjectKey, ObjectRef,
        status::{Conditions, ObjectStatus, ParentReference, ParentStatus, RouteStatus},
    },
    routing::BackendReference,
    translation::{
        Applied, BackendError, Destination, Dialect, Gateway, Position, Processor, Referring, RuleExtensions,
        Site, Translator, Zone, cluster, endpoint,
    },
};

/// Where a picker names endpoints: a header, and a key of the metadata below.
const DESTINATION: &str = "x-gateway-destination-endpoint";
/// Where it is told which one was used.
const SERVED: &str = "x-gateway-destination-endpoint-served";
/// The namespace of both.
const NAMESPACE: &str = "envoy.lb";
/// The namespace in which other filters say which endpoints there are to pick from.
const SUBSET_HINT: &str = "envoy.lb.subset_hint";

/// How long a picker may think: it may hold requests back until a server has room.
const PICKER_TIMEOUT: Duration = Duration::from_secs(1000);

/// What pools mean for the rules that refer to them.
pub(super) struct Inference<'a> {
    translator: &'a Translator<'a>,
    /// By group and name.
    pools: HashMap<(&'static str, ObjectKey), Served>,
    /// The gateways with routes to each pool, and by whose rules they are served.
    used: RefCell<BTreeMap<ObjectRef, BTreeSet<(ParentReference, &'static str)>>>,
}

/// A pool as it is served.
struct Served {
    object: ObjectRef,
    endpoints: Arc<[Endpoint]>,
    app_protocol: Option<String>,
    fail_open: bool,
    /// The picker, or why it cannot be had.
    picker: Result<Applied, String>,
}

impl<'a> Inference<'a> {
    pub(super) fn new(translator: &'a Translator<'a>, gateways: &[Gateway]) -> Self {
        // Pickers belong to pools: the first controller writes what policies for their services come to.
        let controller = gateways.first().map_or("", |gateway| gateway.controller.name);
        let objects = translator.store.of::<Objects>();
        let new = objects.pools.iter().map(|pool| (GROUP, pool));
        let old = objects.old_pools.iter().map(|pool| (OLD_GROUP, pool));
        let pools = new
            .chain(old)
            .map(|(group, pool)| ((group, pool.meta.key.clone()), Served::of(pool, translator, controller)));
        Self { translator, pools: pools.collect(), used: RefCell::default() }
    }

    fn get(&self, object: &ObjectRef) -> Option<&Served> {
        self.pools.get(&(group_of(object)?, object.key()))
    }
}

/// The group of a pool; `None` = it is no pool.
fn group_of(object: &ObjectRef) -> Option<&'static str> {
    let groups = [GROUP, OLD_GROUP];
    groups.into_iter().find(|group| object.group == *group && object.kind == POOL)
}

impl Served {
    fn of(pool: &Object<Pool>, translator: &Translator<'_>, controller: &str) -> Self {
        let spec = &pool.spec;
        let picker = match pool.errors.first() {
            Some(error) => Err(error.clone()),
            None => picker(pool, translator, controller).inspect_err(|error| {
                let help = match spec.picker.fail_open {
                    true => "requests go to any endpoint of the pool: its failureMode is FailOpen",
                    false => "the share of the requests that goes to the pool is answered with 500",
                };
                translator.diagnostics.error(&spec.picker.place, error.clone(), Some(help.to_owned()));
            }),
        };
        Self {
            object: pool.reference(),
            endpoints: endpoints(pool, translator).into(),
            app_protocol: spec.app_protocol.clone(),
            fail_open: spec.picker.fail_open && pool.errors.is_empty(),
            picker,
        }
    }
}

/// One endpoint for each port of each pod that is ready.
fn endpoints(pool: &Object<Pool>, translator: &Translator<'_>) -> Vec<Endpoint> {
    let pods = translator.store.of::<Objects>().pods.iter();
    let selected = pods.filter(|pod| {
        pod.meta.key.namespace == pool.meta.key.namespace
            && pod.spec.ready
            && pool.spec.selector.matches(&pod.meta.labels)
    });
    let addresses = selected.filter_map(|pod| pod.spec.address);
    let sockets =
        addresses.flat_map(|address| pool.spec.ports.iter().map(move |port| SocketAddr::new(address, *port)));
    sockets.map(|socket| endpoint(EndpointAddress::Socket(socket))).collect()
}

/// The processor that picks endpoints.
fn picker(pool: &Object<Pool>, translator: &Translator<'_>, controller: &str) -> Result<Applied, String> {
    let (reference, spec) = (pool.reference(), &pool.spec.picker);
    let service = ObjectKey::new(&*pool.meta.key.namespace, &*spec.service);
    let found = translator.service_endpoints(&service, spec.port).map_err(|error| error.to_string())?;
    let section = Some(found.port.name.as_str()).filter(|name| !name.is_empty());
    let target = ObjectRef::new("", "Service", &service);
    let tls = translator.processor_tls(&target, section, &reference, controller)?;
    let protocol = UpstreamProtocol::Http2(Http2Options::default());
    let name = format!("inferencepool/{}/endpoint-picker", pool.meta.key);
    let built = tollgate_ir::Cluster { tls, ..cluster(name.clone(), found.endpoints.to_vec(), protocol) };
    let origin = pool.meta.place.origin(Some(reference.object_name()));
    let cluster_name = translator.add_cluster(built, "inference", origin);
    let domain = &translator.options.cluster_domain;
    let grpc_service = GrpcService {
        target: GrpcTarget::EnvoyGrpc(cluster_name),
        target_uri: None,
        authority: format!("{}.{}.svc.{domain}:{}", service.name, service.namespace, spec.port),
        initial_metadata: Vec::new(),
        max_receive_message_length: MAX_RECEIVE_MESSAGE_LENGTH,
        skip_envoy_headers: false,
        retry_policy: None,
    };
    Ok(Applied {
        settings: Arc::new(ExtProc { plan: Arc::new(plan(&name, spec.fail_open)), grpc_service }),
        processor: Arc::new(Processor {
            name,
            system: INFERENCE.name,
            // It picks for the request as the server gets it.
            position: Position::in_zone(Zone::Innermost),
            stat_prefix: String::new(),
            object: reference.clone(),
            place: pool.meta.place.clone(),
        }),
        policy: reference,
        policy_place: pool.meta.place.clone(),
        sources: BTreeMap::from([
            ("failure_mode_allow", spec.place.clone()),
            ("grpc_service", spec.place.clone()),
        ]),
    })
}

/// What the endpoint picker protocol asks for.
fn plan(name: &str, fail_open: bool) -> Plan {
    let mut plan = Plan::new(name);
    plan.processing_mode = ProcessingMode {
        request_header_mode: HeaderSendMode::Send,
        response_header_mode: HeaderSendMode::Send,
        request_body_mode: BodySendMode::FullDuplexStreamed,
        response_body_mode: BodySendMode::FullDuplexStreamed,
        request_trailer_mode: HeaderSendMode::Send,
        response_trailer_mode: HeaderSendMode::Send,
    };
    plan.filter_processing_mode = plan.processing_mode;
    plan.failure_mode_allow = fail_open;
    plan.message_timeout = PICKER_TIMEOUT;
    let untyped = |names: &[&str]| MetadataNamespaces {
        untyped: names.iter().map(|name| (*name).to_owned()).collect(),
        ..MetadataNamespaces::default()
    };
    plan.metadata_options.forwarding_namespaces = untyped(&[SUBSET_HINT, NAMESPACE]);
    plan.metadata_options.receiving_namespaces = untyped(&[NAMESPACE]);
    plan
}

impl Dialect for Inference<'_> {
    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let mut extensions = RuleExtensions::default();
        for (index, backend) in site.rule.backends.iter().enumerate() {
            let Some(served) = self.get(&backend.reference.object) else { continue };
            let gateway = (ParentReference::to(&site.gateway.object), site.gateway.controller.name);
            self.used.borrow_mut().entry(served.object.clone()).or_default().insert(gateway);
            if let Ok(picker) = &served.picker {
                extensions.backends.insert(index, vec![picker.clone()]);
            }
        }
        extensions
    }

    fn backend(
        &self,
        reference: &BackendReference,
        _: &Gateway,
    ) -> Option<Result<Destination, BackendError>> {
        let object = &reference.object;
        group_of(object)?;
        let Some(served) = self.get(object) else {
            return Some(Err(BackendError::NotFound(format!("InferencePool {} not found", object.key()))));
        };
        Some(match &served.picker {
            Err(error) if !served.fail_open => {
                Err(BackendError::Invalid(format!("InferencePool {}: {error}", object.key())))
            }
            _ => Ok(Destination {
                object: None,
                endpoints: Arc::clone(&served.endpoints),
                app_protocol: served.app_protocol.clone(),
                section: None,
                tls: None,
            }),
        })
    }

    fn cluster(&self, site: Referring<'_>, cluster: &mut BareCluster) {
        let ("backend", index) = site.role else { return };
        let backend = site.route.rules.get(site.rule).and_then(|rule| rule.backends.get(index));
        if backend.and_then(|backend| self.get(&backend.reference.object)).is_none() {
            return;
        }
        let key = |name: &str| MetadataKey { namespace: NAMESPACE.to_owned(), path: vec![name.to_owned()] };
        cluster.override_host = Some(OverrideHost {
            sources: vec![
                OverrideHostSource::Metadata(key(DESTINATION)),
                OverrideHostSource::Header(HeaderName::from_static(DESTINATION)),
            ],
            selected_host_key: Some(key(SERVED)),
        });
    }

    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        let Self { translator, pools, used } = *self;
        let objects = translator.store.of::<Objects>();
        let mut statuses = Vec::new();
        for pool in objects.pools.iter().chain(objects.old_pools.iter()) {
            let reference = pool.reference();
            let served = group_of(&reference).and_then(|group| pools.get(&(group, pool.meta.key.clone())));
            let (Some(served), Some(gateways)) = (served, used.borrow_mut().remove(&reference)) else {
                continue;
            };
            let parents = gateways.into_iter().map(|(parent_ref, controller)| ParentStatus {
                parent_ref,
                controller_name: controller.to_owned(),
                conditions: conditions(pool, served),
            });
            statuses.push(ObjectStatus::new(reference, RouteStatus { parents: parents.collect() }));
        }
        statuses
    }
}

fn conditions(pool: &Object<Pool>, served: &Served) -> Conditions {
    let mut conditions = Conditions::default();
    let text = "The InferencePool is referenced by a route of the Gateway.";
    conditions.set("Accepted", true, "Accepted", text, &pool.meta);
    match &served.picker {
        Ok(_) => {
            let text = "The endpoint picker was found.";
            conditions.set("ResolvedRefs", true, "ResolvedRefs", text, &pool.meta);
        }
        Err(error) => {
            conditions.set("ResolvedRefs", false, "InvalidExtensionRef", error.clone(), &pool.meta);
        }
    }
    conditions
}
