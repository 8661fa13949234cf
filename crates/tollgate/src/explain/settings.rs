//! Every setting of a processor, in words, with where it comes from.

use std::time::Duration;

use extproc::{
    Attributes, BodySendMode, HeaderSendMode, MetadataNamespaces, MutationRules, Plan, ProcessingMode,
    RouteCacheAction, attributes::MappedAttributeBuilder, matching::StringMatcher,
};
use serde_json::{Value, json};
use tollgate_config::{MAX_RECEIVE_MESSAGE_LENGTH, ProcessorOrigin};
use tollgate_model::processor::{ExtProc, GrpcRetryPolicy, GrpcService};

use super::{place, steps::size, words};

/// Every setting with its value and where it comes from: the place where it is written, or `default`.
pub(super) fn describe(
    target: &str,
    stat_prefix: &str,
    settings: &ExtProc,
    from: Option<&ProcessorOrigin>,
) -> Value {
    let defaults = values(&Plan::new(&*settings.plan.filter_name));
    let of_plan = values(&settings.plan).into_iter().zip(defaults);
    let of_plan = of_plan.map(|((name, value), (_, default))| (name, value == default, value));
    let all = [("grpc_service", false, json!(target))].into_iter();
    let all = all.chain(of_plan).chain(of_service(&settings.grpc_service));
    let all = all.chain([("stat_prefix", true, json!(stat_prefix.trim_end_matches('.')))]);
    let described = all.map(|(name, is_default, value)| {
        let mut described = json!({ "name": name, "value": value, "from": "default" });
        if let Some(from) = from {
            tell_source(&mut described, from, name, is_default);
        }
        described
    });
    described.collect()
}

/// Where a setting is written, and by which level of an Envoy configuration if it is not the filter itself.
fn tell_source(described: &mut Value, from: &ProcessorOrigin, name: &str, is_default: bool) {
    // Their names in the gRPC service, and the field that they are a part of where nothing more exact is known.
    let (within, field) = match name {
        "forwarding_namespaces" | "receiving_namespaces" | "cluster_metadata_forwarding_namespaces" => {
            (name, "metadata_options")
        }
        "grpc_retry_policy" => ("retry_policy", "grpc_service"),
        "grpc_initial_metadata" => ("initial_metadata", "grpc_service"),
        "max_receive_message_length" => (name, "grpc_service"),
        _ => (name, name),
    };
    let part = if is_default { within } else { field };
    for name in [name, within, part] {
        if let Some(level) = from.overrides.get(name) {
            described["from"] = place(&level.place);
            described["level"] = json!(level.name);
            return;
        }
        if let Some(written) = from.sources.get(name) {
            described["from"] = place(written);
            return;
        }
    }
}

/// How the processor is called, with whether it is a default.
fn of_service(service: &GrpcService) -> Vec<(&'static str, bool, Value)> {
    let metadata = service.initial_metadata.iter().map(|(name, value)| format!("{name}: {}", value.source()));
    let retry = service.retry_policy.as_ref().map_or_else(|| "none".to_owned(), retry);
    let limit = service.max_receive_message_length;
    vec![
        ("grpc_initial_metadata", service.initial_metadata.is_empty(), json!(list(metadata))),
        ("grpc_retry_policy", service.retry_policy.is_none(), json!(retry)),
        ("max_receive_message_length", limit == MAX_RECEIVE_MESSAGE_LENGTH, json!(size(limit))),
    ]
}

fn retry(policy: &GrpcRetryPolicy) -> String {
    let codes = policy.retriable_codes.iter().map(|code| format!("gRPC status {code}"));
    let statuses = policy.retriable_statuses.iter().map(|range| match range.start() == range.end() {
        true => format!("HTTP status {}", range.start()),
        false => format!("HTTP statuses {} to {}", range.start(), range.end()),
    });
    let flags = [
        (policy.connect_failure, "no connection"),
        (policy.reset, "reset"),
        (policy.refused_stream, "refused stream"),
    ];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.to_owned());
    let conditions: Vec<String> = codes.chain(statuses).chain(flags).collect();
    if conditions.is_empty() {
        return "none: no condition is named".to_owned();
    }
    format!("up to {} on {}", policy.num_retries, conditions.join(", "))
}

fn values(plan: &Plan) -> Vec<(&'static str, Value)> {
    let metadata = &plan.metadata_options;
    let told = |namespaces_of: &MetadataNamespaces| json!(list(namespaces(namespaces_of).into_iter()));
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
        ("deferred_close_timeout", json!(duration(plan.deferred_close_timeout))),
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
        ("processing_request_modifier", json!(mapped(plan))),
        ("forwarding_namespaces", told(&metadata.forwarding_namespaces)),
        ("receiving_namespaces", told(&metadata.receiving_namespaces)),
        ("cluster_metadata_forwarding_namespaces", told(&metadata.cluster_metadata_forwarding_namespaces)),
        ("mutation_rules", json!(rules(&plan.mutation_rules))),
        ("forward_rules", json!(forwarded(plan, "headers"))),
        ("allow_content_length_header", json!(plan.allow_content_length_header)),
        ("fail_close_spurious_response", json!(plan.fail_close_spurious_response)),
        ("graceful_grpc_close", json!(plan.graceful_grpc_close)),
    ]
}

/// Names of namespaces.
pub(super) fn namespaces(namespaces: &MetadataNamespaces) -> Vec<String> {
    let typed = namespaces.typed.iter().map(|name| format!("{name} (typed)"));
    namespaces.untyped.iter().cloned().chain(typed).collect()
}

pub(super) fn attributes(attributes: &Attributes) -> String {
    list(attributes.expressions().map(str::to_owned))
}

/// What replaces attributes: `where = request.path`.
fn mapped(plan: &Plan) -> String {
    let modifier = plan.processing_request_modifier.iter();
    let sides = modifier.flat_map(|modifier| {
        let MappedAttributeBuilder { mapped_request_attributes, mapped_response_attributes } = modifier;
        mapped_request_attributes.iter().chain(mapped_response_attributes.iter())
    });
    list(sides.map(|(name, expression)| format!("{name} = {expression}")))
}

/// Which headers or trailers are sent.
pub(super) fn forwarded(plan: &Plan, what: &str) -> String {
    let rules = &plan.forward_rules;
    let names =
        |matchers: &[StringMatcher]| matchers.iter().map(words::string).collect::<Vec<_>>().join(" or ");
    let allowed = match &rules.allowed_headers {
        None => format!("all {what}"),
        Some(allowed) if allowed.is_empty() => format!("no {what}"),
        Some(allowed) => format!("{what} whose name {}", names(allowed)),
    };
    match rules.disallowed_headers.as_slice() {
        [] => allowed,
        disallowed => format!("{allowed}, but not those whose name {}", names(disallowed)),
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

/// The parts that are not as everywhere.
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
    let default = ProcessingMode::default();
    let parts = [
        (
            "request_header_mode",
            headers(mode.request_header_mode),
            mode.request_header_mode != default.request_header_mode,
        ),
        (
            "response_header_mode",
            headers(mode.response_header_mode),
            mode.response_header_mode != default.response_header_mode,
        ),
        (
            "request_body_mode",
            body(mode.request_body_mode),
            mode.request_body_mode != default.request_body_mode,
        ),
        (
            "response_body_mode",
            body(mode.response_body_mode),
            mode.response_body_mode != default.response_body_mode,
        ),
        (
            "request_trailer_mode",
            headers(mode.request_trailer_mode),
            mode.request_trailer_mode != default.request_trailer_mode,
        ),
        (
            "response_trailer_mode",
            headers(mode.response_trailer_mode),
            mode.response_trailer_mode != default.response_trailer_mode,
        ),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(.., differs)| *differs)
        .map(|(name, value, _)| format!("{name} {value}"))
        .collect();
    if told.is_empty() { "headers only".to_owned() } else { told.join(", ") }
}

pub(super) fn duration(duration: Duration) -> String {
    if duration.is_zero() { "0s".to_owned() } else { format!("{duration:?}") }
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_without_a_condition_are_none() {
        let mut policy = GrpcRetryPolicy {
            retriable_codes: Vec::new(),
            retriable_statuses: Vec::new(),
            connect_failure: false,
            reset: false,
            refused_stream: false,
            num_retries: 3,
            base_interval: Duration::from_millis(25),
            max_interval: Duration::from_millis(250),
        };
        assert_eq!(retry(&policy), "none: no condition is named");
        policy.retriable_codes = vec![14];
        policy.refused_stream = true;
        assert_eq!(retry(&policy), "up to 3 on gRPC status 14, refused stream");
    }
}
