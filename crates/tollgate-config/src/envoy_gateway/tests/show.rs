//! The outcome as text.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use extproc::Plan;
use serde_json::Value;
use tollgate_model::cluster::{CircuitBreakers, Cluster, Discovery, HealthPolicy};

use crate::{
    Diagnostic,
    kubernetes::status::ObjectStatus,
    translation::{Applied, RuleExtensions, Site},
};

pub(super) fn rule(shown: &mut String, site: &Site<'_>, extensions: &RuleExtensions) {
    let route = &site.attached.route.object;
    let _ = writeln!(
        shown,
        "{route} rule {} on {}/{}",
        site.rule_index, site.gateway.object.name, site.listener.name
    );
    if let Some(replaced) = &extensions.replaced {
        let _ = writeln!(shown, "  {}: {} ({})", replaced.status.as_u16(), replaced.reason, replaced.place);
    }
    let mut processors: Vec<&Applied> = extensions.processors.iter().collect();
    processors.sort_by_key(|applied| (applied.processor.position, &applied.processor.name));
    for applied in processors {
        processor(shown, applied);
    }
}

fn processor(shown: &mut String, applied: &Applied) {
    let processor = &applied.processor;
    let _ = writeln!(shown, "  {} at {:?}", processor.name, processor.position);
    let _ = writeln!(shown, "    defined by {}, turned on by {}", processor.object, applied.policy);
    let defaults = Plan::new(&*processor.name);
    for (field, default) in fields(&applied.settings.plan).iter().zip(fields(&defaults)) {
        if *field != default {
            let _ = writeln!(shown, "    {field}");
        }
    }
    let service = &applied.settings.grpc_service;
    let _ = writeln!(shown, "    calls {:?} as {}", service.target, service.authority);
    if let Some(retry) = &service.retry_policy {
        let _ = writeln!(shown, "    {retry:?}");
    }
    for (setting, place) in &applied.sources {
        let _ = writeln!(shown, "    {setting} from {place}");
    }
}

/// What a plan says that policies have a word for.
fn fields(plan: &Plan) -> [String; 11] {
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
    ]
}

pub(super) fn clusters(shown: &mut String, clusters: HashMap<String, Arc<Cluster>>) {
    let mut clusters: Vec<_> = clusters.into_values().collect();
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    for cluster in clusters {
        let _ = writeln!(shown, "cluster {}", cluster.name);
        for endpoint in &cluster.endpoints {
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
            format!("{:?}, connect in {:?}", cluster.lb_policy, cluster.connect_timeout),
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

pub(super) fn statuses(shown: &mut String, statuses: &[ObjectStatus]) {
    for ObjectStatus { object, status } in statuses {
        let _ = writeln!(shown, "status of {object}");
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

pub(super) fn diagnostics(shown: &mut String, diagnostics: &[Diagnostic]) {
    for Diagnostic { severity, file, line, column, message, help, .. } in diagnostics {
        let _ = writeln!(shown, "{severity:?} {file}:{line}:{column}: {message}");
        if let Some(help) = help {
            let _ = writeln!(shown, "  help: {help}");
        }
    }
}
