//! Every setting of a processor, in words, with where it comes from.

use std::time::Duration;

use extproc::{
    Attributes, BodySendMode, HeaderSendMode, MutationRules, Plan, ProcessingMode, RouteCacheAction,
    matching::StringMatcher,
};
use serde_json::{Value, json};
use tollgate_config::ProcessorOrigin;
use tollgate_model::processor::ExtProc;

use super::{place, words};

/// Every setting with its value and where it comes from: the place where it is written, or `default`.
pub(super) fn describe(settings: &ExtProc, from: Option<&ProcessorOrigin>) -> Value {
    let defaults = values(&Plan::new(&*settings.plan.filter_name));
    let mut all = values(&settings.plan);
    let limit = settings.grpc_service.max_receive_message_length;
    all.push(("max_receive_message_length", json!(limit)));
    let described = all.into_iter().enumerate().map(|(index, (name, value))| {
        let is_default = defaults.get(index).is_some_and(|(_, default)| *default == value);
        let source = match from {
            Some(from) => from.sources.get(written_as(name)).map_or_else(|| json!("default"), place),
            // An Envoy configuration has no objects.
            None if is_default || name == "max_receive_message_length" => json!("default"),
            None => json!("the Envoy configuration"),
        };
        json!({ "name": name, "value": value, "from": source })
    });
    described.collect()
}

/// The field that a setting is a part of.
fn written_as(name: &str) -> &str {
    match name {
        "forwarding_namespaces" | "receiving_namespaces" => "metadata_options",
        other => other,
    }
}

fn values(plan: &Plan) -> Vec<(&'static str, Value)> {
    let metadata = &plan.metadata_options;
    let namespaces = |untyped: &[String], typed: &[String]| {
        let typed = typed.iter().map(|name| format!("{name} (typed)"));
        json!(list(untyped.iter().cloned().chain(typed)))
    };
    let modes = plan.allowed_override_modes.iter().map(|one| mode(*one)).collect::<Vec<_>>();
    vec![
        ("failure_mode_allow", json!(plan.failure_mode_allow)),
        ("processing_mode", json!(mode(plan.processing_mode))),
        ("message_timeout", json!(duration(plan.message_timeout))),
        ("max_message_timeout", json!(duration(plan.max_message_timeout))),
        ("status_on_error", json!(plan.status_on_error.as_u16())),
        ("allow_mode_override", json!(plan.allow_mode_override)),
        ("allowed_override_modes", json!(if modes.is_empty() { "any".to_owned() } else { modes.join("; ") })),
        ("disable_immediate_response", json!(plan.disable_immediate_response)),
        ("observability_mode", json!(plan.observability_mode)),
        (
            "send_body_without_waiting_for_header_response",
            json!(plan.send_body_without_waiting_for_header_response),
        ),
        (
            "route_cache_action",
            json!(match plan.route_cache_action {
                RouteCacheAction::Default => "DEFAULT",
                RouteCacheAction::Clear => "CLEAR",
                RouteCacheAction::Retain => "RETAIN",
            }),
        ),
        ("request_attributes", json!(attributes(&plan.request_attributes))),
        ("response_attributes", json!(attributes(&plan.response_attributes))),
        (
            "forwarding_namespaces",
            namespaces(&metadata.forwarding_namespaces.untyped, &metadata.forwarding_namespaces.typed),
        ),
        (
            "receiving_namespaces",
            namespaces(&metadata.receiving_namespaces.untyped, &metadata.receiving_namespaces.typed),
        ),
        ("mutation_rules", json!(rules(&plan.mutation_rules))),
        ("forward_rules", json!(forwarded(plan))),
        ("allow_content_length_header", json!(plan.allow_content_length_header)),
    ]
}

pub(super) fn attributes(attributes: &Attributes) -> String {
    list(attributes.expressions().map(str::to_owned))
}

/// Which headers are sent.
pub(super) fn forwarded(plan: &Plan) -> String {
    let rules = &plan.forward_rules;
    let names = |matchers: &[StringMatcher]| list(matchers.iter().map(words::string));
    let allowed = match &rules.allowed_headers {
        None => "all headers".to_owned(),
        Some(allowed) => format!("headers whose name {}", names(allowed)),
    };
    match rules.disallowed_headers.as_slice() {
        [] => allowed,
        disallowed => format!("{allowed}, but none whose name {}", names(disallowed)),
    }
}

fn rules(rules: &MutationRules) -> String {
    let flags = [
        (rules.allow_all_routing, "allow_all_routing"),
        (rules.allow_envoy, "allow_envoy"),
        (rules.disallow_system, "disallow_system"),
        (rules.disallow_all, "disallow_all"),
        (rules.disallow_is_error, "disallow_is_error"),
    ];
    let mut said: Vec<String> =
        flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| (*name).to_owned()).collect();
    for (name, regex) in [("allow", &rules.allow_expression), ("disallow", &rules.disallow_expression)] {
        said.extend(regex.as_ref().map(|regex| format!("{name} \"{}\"", regex.pattern())));
    }
    if said.is_empty() { "all but routing and x-envoy headers".to_owned() } else { said.join(", ") }
}

/// The six parts that are not as everywhere.
fn mode(mode: ProcessingMode) -> String {
    let headers = |mode| match mode {
        HeaderSendMode::Default => "DEFAULT",
        HeaderSendMode::Send => "SEND",
        HeaderSendMode::Skip => "SKIP",
    };
    let body = |mode| match mode {
        BodySendMode::None => "NONE",
        BodySendMode::Streamed => "STREAMED",
        BodySendMode::Buffered => "BUFFERED",
        BodySendMode::BufferedPartial => "BUFFERED_PARTIAL",
        BodySendMode::FullDuplexStreamed => "FULL_DUPLEX_STREAMED",
        BodySendMode::Grpc => "GRPC",
    };
    format!(
        "request {} {} {}, response {} {} {}",
        headers(mode.request_header_mode),
        body(mode.request_body_mode),
        headers(mode.request_trailer_mode),
        headers(mode.response_header_mode),
        body(mode.response_body_mode),
        headers(mode.response_trailer_mode),
    )
}

pub(super) fn duration(duration: Duration) -> String {
    if duration.is_zero() { "0s".to_owned() } else { format!("{duration:?}") }
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
