//! What whole translations come to, as text for golden tests of the dialects.

use std::{fmt::Write as _, sync::Arc};

use extproc::{
    Plan,
    attributes::{MappedAttributeBuilder, MappedAttributes},
};
use serde_json::Value;
use tollgate_model::{
    Snapshot,
    cluster::{CircuitBreakers, Cluster, Discovery, Endpoint, HealthPolicy, LbPolicy},
    processor::{ExtProc, FilterOverride, GrpcTarget},
    route::{Action, ClusterSpecifier, Route},
};

use crate::{
    Diagnostic, Explanation, Explanations, ObjectReport, Options, ProcessorOrigin, RouteKey, Source,
    envoy::write_bootstrap, files::FileSystem, gateway_api::GROUP, laws::is_written_once_and_for_all,
    read_with,
};

/// The processors of every route, the clusters, the statuses and what is said.
pub(crate) fn translate(sources: &[Source], options: &Options) -> String {
    let reading = read_with(sources, &FileSystem, options);
    if let Some(resources) = &reading.resources {
        is_written_once_and_for_all(resources, &FileSystem);
    }
    let outcome = reading.compile(None);
    let snapshot = outcome.snapshot.unwrap();
    let mut shown = String::new();
    routes(&mut shown, &snapshot, &outcome.explanations);
    clusters(&mut shown, &snapshot);
    statuses(&mut shown, &outcome.objects);
    diagnostics(&mut shown, &outcome.diagnostics);
    shown
}

/// The same for what one text adds to another one; strict if it begins with `# strict`, with combined policies of kgateway
/// if with `# deep merge`.
pub(crate) fn translate_with_base(base: &str, text: &str) -> String {
    let options = Options {
        strict: text.starts_with("# strict"),
        kgateway_deep_merge: text.starts_with("# deep merge"),
        ..Options::default()
    };
    let sources = [("base.yaml", base), ("input.yaml", text)];
    let sources = sources.map(|(path, text)| Source { path: path.to_owned(), text: text.to_owned() });
    translate(&sources, &options)
}

/// Every route, with the processors that its requests stop at.
fn routes(shown: &mut String, snapshot: &Snapshot, explanations: &Explanations) {
    for listener in &snapshot.listeners {
        for (chain, filter_chain) in listener.filter_chains.iter().enumerate() {
            let names: Vec<&str> = filter_chain.http.filters().map(|filter| filter.name.as_str()).collect();
            let hosts = filter_chain.http.route_config.virtual_hosts.iter().enumerate();
            for (virtual_host, host) in hosts {
                for (index, route) in host.routes.iter().enumerate() {
                    let filter_chain = Some(chain);
                    let key = RouteKey {
                        listener: listener.name.clone(),
                        filter_chain,
                        virtual_host,
                        route: index,
                    };
                    show_route(shown, &listener.name, route, &names, explanations.get(&key));
                }
            }
        }
    }
}

fn show_route(
    shown: &mut String,
    listener: &str,
    route: &Route,
    names: &[&str],
    explanation: Option<&Arc<Explanation>>,
) {
    let _ = write!(shown, "{listener}: {}", route.name);
    match &route.action {
        Action::DirectResponse(response) => {
            let _ = write!(shown, " answers {}", response.status.as_u16());
        }
        Action::Route(_) => {}
        other => {
            let _ = write!(shown, " {other:?}");
        }
    }
    shown.push('\n');
    if let Some(replaced) = explanation.and_then(|explanation| explanation.replaced.as_ref()) {
        let _ = writeln!(shown, "  {} ({})", replaced.reason, replaced.place);
    }
    for (name, filter) in names.iter().zip(route.filters.dense()) {
        if let FilterOverride::ExtProc(settings) = filter {
            let origins =
                explanation.map(|explanation| explanation.processors.as_slice()).unwrap_or_default();
            processor(
                shown,
                name,
                settings,
                origins.iter().find(|origin| origin.filter == *name).map(|origin| &**origin),
            );
        }
    }
    if let Action::Route(action) = &route.action
        && let ClusterSpecifier::WeightedClusters(shares) = &action.cluster
    {
        for share in shares {
            let on = names.iter().zip(share.filters.dense());
            let on = on.filter(|(_, filter)| matches!(filter, FilterOverride::ExtProc(_)));
            let on: Vec<&str> = on.map(|(name, _)| *name).collect();
            let _ = writeln!(shown, "  share of {}: {}", share.weight, on.join(", "));
        }
    }
}

fn processor(shown: &mut String, name: &str, settings: &ExtProc, origin: Option<&ProcessorOrigin>) {
    let _ = writeln!(shown, "  {name}");
    if let Some(origin) = origin {
        let _ = writeln!(shown, "    by {}, on by {}", origin.defined_by.name, origin.enabled_by.name);
    }
    for field in changed_fields(name, &settings.plan) {
        let _ = writeln!(shown, "    {field}");
    }
    let service = &settings.grpc_service;
    let _ = match &service.target {
        GrpcTarget::EnvoyGrpc(cluster) => {
            writeln!(shown, "    calls EnvoyGrpc({cluster:?}) as {}", service.authority)
        }
        GrpcTarget::GoogleGrpc(cluster) => {
            let addresses: Vec<_> = cluster.endpoints.iter().map(|endpoint| &endpoint.address).collect();
            let tls = if cluster.tls.is_some() { " by TLS" } else { "" };
            writeln!(shown, "    calls GoogleGrpc({addresses:?}{tls}) as {}", service.authority)
        }
    };
    for (key, value) in &service.initial_metadata {
        let _ = writeln!(shown, "    with {key}: {}", serde_json::to_string(value).unwrap());
    }
    if let Some(retry) = &service.retry_policy {
        let _ = writeln!(shown, "    {retry:?}");
    }
    for (setting, place) in origin.iter().flat_map(|origin| &origin.sources) {
        let _ = writeln!(shown, "    {setting} from {place}");
    }
}

/// What the plan of a filter says that is not the default.
pub(crate) fn changed_fields(name: &str, plan: &Plan) -> Vec<String> {
    let changed = fields(plan).into_iter().zip(fields(&Plan::new(name)));
    changed.filter(|(field, default)| field != default).map(|(field, _)| field).collect()
}

/// What a plan says that configurations have a word for.
fn fields(plan: &Plan) -> [String; 26] {
    let mode = &plan.processing_mode;
    let side = |headers, body, trailers| format!("headers {headers:?}, body {body:?}, trailers {trailers:?}");
    let request = side(mode.request_header_mode, mode.request_body_mode, mode.request_trailer_mode);
    let response = side(mode.response_header_mode, mode.response_body_mode, mode.response_trailer_mode);
    let metadata = &plan.metadata_options;
    [
        format!("request: {request}"),
        format!("response: {response}"),
        format!("request_attributes: {:?}", plan.request_attributes),
        format!("response_attributes: {:?}", plan.response_attributes),
        format!("allow_mode_override: {}", plan.allow_mode_override),
        format!("failure_mode_allow: {}", plan.failure_mode_allow),
        format!("message_timeout: {:?}", plan.message_timeout),
        format!("observability_mode: {}", plan.observability_mode),
        format!("forwarding_namespaces: {:?}", metadata.forwarding_namespaces),
        format!("receiving_namespaces: {:?}", metadata.receiving_namespaces),
        format!("status_on_error: {}", plan.status_on_error.as_u16()),
        format!(
            "cluster_metadata_forwarding_namespaces: {:?}",
            metadata.cluster_metadata_forwarding_namespaces
        ),
        format!("is the mode of the filter: {}", plan.filter_processing_mode == plan.processing_mode),
        format!("fail_close_spurious_response: {}", plan.fail_close_spurious_response),
        format!("header_prefix: {}", plan.header_prefix),
        format!("max_message_timeout: {:?}", plan.max_message_timeout),
        format!("allowed_override_modes: {:?}", plan.allowed_override_modes),
        format!("mutation_rules: {:?}", plan.mutation_rules),
        format!("forward_rules: {:?}", plan.forward_rules),
        format!("route_cache_action: {:?}", plan.route_cache_action),
        format!("disable_immediate_response: {}", plan.disable_immediate_response),
        format!("deferred_close_timeout: {:?}", plan.deferred_close_timeout),
        format!(
            "send_body_without_waiting_for_header_response: {}",
            plan.send_body_without_waiting_for_header_response
        ),
        format!("allow_content_length_header: {}", plan.allow_content_length_header),
        format!("graceful_grpc_close: {}", plan.graceful_grpc_close),
        format!("processing_request_modifier: {}", modifier(plan)),
    ]
}

fn modifier(plan: &Plan) -> String {
    let Some(modifier) = &plan.processing_request_modifier else { return "none".to_owned() };
    let shown = |mapped: &MappedAttributes| {
        let entries: Vec<_> = mapped.iter().map(|(name, text)| format!("{name} = {text}")).collect();
        entries.join(", ")
    };
    let MappedAttributeBuilder { mapped_request_attributes, mapped_response_attributes } = modifier;
    format!(
        "request [{}], response [{}]",
        shown(mapped_request_attributes),
        shown(mapped_response_attributes)
    )
}

/// The clusters of processors, and those of routes to Backends.
fn clusters(shown: &mut String, snapshot: &Snapshot) {
    let is_base = |endpoint: &Endpoint| format!("{:?}", endpoint.address) == "Socket(10.0.0.1:3000)";
    let of_input = |cluster: &&Arc<Cluster>| !cluster.endpoints.iter().any(is_base);
    let mut clusters: Vec<_> = snapshot.clusters.values().filter(of_input).collect();
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    for cluster in clusters {
        let _ = writeln!(shown, "cluster {}", cluster.name);
        for endpoint in cluster.endpoints.iter() {
            let _ = write!(shown, "  {:?} weight {}", endpoint.address, endpoint.weight);
            let _ = write!(shown, " priority {} hostname \"{}\"", endpoint.priority, endpoint.hostname);
            let _ = writeln!(shown, " checked at {:?}", endpoint.health_check.port);
        }
        if let Discovery::StrictDns(dns) = &cluster.discovery {
            let _ = writeln!(shown, "  {dns:?}");
        }
        let CircuitBreakers { max_connections, max_pending_requests, max_requests, .. } =
            cluster.circuit_breakers;
        let fields = [
            format!("{}, connect in {:?}", balancing(cluster.lb_policy), cluster.connect_timeout),
            format!("{:?}", cluster.protocol),
            format!("buffer {}, idle {:?}", cluster.per_connection_buffer_limit_bytes, cluster.idle_timeout),
            format!("connections {max_connections}, pending {max_pending_requests}, requests {max_requests}"),
            format!("{:?} requests per connection", cluster.max_requests_per_connection),
        ];
        for field in fields {
            let _ = writeln!(shown, "  {field}");
        }
        if cluster.health != HealthPolicy::default() {
            let _ = writeln!(shown, "  {}", serde_json::to_string(&cluster.health).unwrap());
        }
        if let Some(tls) = &cluster.tls {
            let _ = writeln!(shown, "  tls {}", serde_json::to_string(tls).unwrap());
        }
    }
}

/// The statuses of policies and Backends.
fn statuses(shown: &mut String, objects: &[ObjectReport]) {
    // Those of Gateway API's own objects have tests of their own.
    let of_dialects =
        objects.iter().filter(|object| object.group != GROUP || object.kind == "BackendTLSPolicy");
    for object in of_dialects {
        let Some(status) = &object.status else { continue };
        let _ = writeln!(shown, "status of {} {}/{}", object.kind, object.namespace, object.name);
        conditions(shown, &status["conditions"]);
        for ancestor in status["ancestors"].as_array().into_iter().flatten() {
            let (reference, controller) = (&ancestor["ancestorRef"], text(&ancestor["controllerName"]));
            let section = text(&reference["sectionName"]);
            let _ = writeln!(
                shown,
                "  for {} {}/{} {section} by {controller}",
                text(&reference["kind"]),
                text(&reference["namespace"]),
                text(&reference["name"]),
            );
            conditions(shown, &ancestor["conditions"]);
        }
    }
}

fn conditions(shown: &mut String, conditions: &Value) {
    for condition in conditions.as_array().into_iter().flatten() {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|field| text(&condition[field]));
        let generation = &condition["observedGeneration"];
        let _ = writeln!(shown, "    {kind} {status} {reason} ({generation}): {message}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn diagnostics(shown: &mut String, diagnostics: &[Diagnostic]) {
    // The base is sound; what is said there follows from what is said elsewhere.
    let of_input = diagnostics.iter().filter(|diagnostic| diagnostic.place.file() != Some("base.yaml"));
    for Diagnostic { severity, place, message, help, .. } in of_input {
        let _ = writeln!(shown, "{severity:?} {place}: {message}");
        if let Some(help) = help {
            let _ = writeln!(shown, "  help: {help}");
        }
    }
}

/// A policy that has nothing but defaults by its name alone.
fn balancing(policy: LbPolicy) -> String {
    if policy == LbPolicy::LEAST_REQUEST { "LeastRequest".to_owned() } else { format!("{policy:?}") }
}

/// Goldens of inputs beside a test: what one adds to a base, as Envoy would get it.
macro_rules! written_goldens {
    ($base:expr; $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("tests/inputs/", stringify!($name), ".yaml"));
            insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), $crate::golden::written_with_base($base, text));
            });
        }
    )*};
}
pub(crate) use written_goldens;

/// The listeners and clusters of what one text adds to another one, as Envoy would get them, and what is said.
pub(crate) fn written_with_base(base: &str, text: &str) -> String {
    let sources = [("base.yaml", base), ("input.yaml", text)];
    let sources = sources.map(|(path, text)| Source { path: path.to_owned(), text: text.to_owned() });
    let reading = read_with(&sources, &FileSystem, &Options::default());
    let resources = reading.resources.as_ref().expect("resources");
    let mut written = write_bootstrap(resources).bootstrap["static_resources"].take();
    let mut shown = String::new();
    for (kind, names) in [("listeners", &["access_log"][..]), ("clusters", &[])] {
        for resource in written[kind].as_array_mut().into_iter().flatten() {
            leave_out(resource, names);
            let _ = writeln!(shown, "{kind}: {}", serde_json::to_string_pretty(resource).unwrap());
        }
    }
    for said in reading.compile(None).diagnostics {
        let _ = writeln!(shown, "{:?} at {}: {}", said.severity, said.place, said.message);
        if let Some(help) = said.help {
            let _ = writeln!(shown, "  {help}");
        }
    }
    shown
}

/// Leaves out what is of no interest.
fn leave_out(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            names.iter().for_each(|name| drop(members.remove(*name)));
            members.values_mut().for_each(|value| leave_out(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out(item, names)),
        _ => {}
    }
}
