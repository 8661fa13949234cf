//! The external processing filter.

pub(super) mod metadata;
pub(super) mod modes;
pub(super) mod modifier;
pub(super) mod rules;
mod sources;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use extproc::{Attributes, MetadataOptions, Plan, RouteCacheAction};
use http::StatusCode;
use tollgate_cel::computed_attribute;
use tollgate_ir::{ExtProc, MetadataOverrides};

pub(super) use self::{
    metadata::read_metadata_options,
    modes::{PROCESSING_MODE, read_processing_mode},
    modifier::read_modifier,
    sources::{SERVICE_SOURCES, read_sources},
};
use self::{
    metadata::{METADATA_NAMESPACES, METADATA_OPTIONS},
    modes::check_full_duplex,
    rules::{FORWARDING_RULES, MUTATION_RULES, read_forward_rules, read_mutation_rules},
};
use super::{Scope, grpc_service::read_grpc_service, status::read_http_status};
use crate::{
    place::Place,
    schema::{Any, Enumeration, Message, Schema, Value, harmless, read, refused},
};

pub(super) static EXTERNAL_PROCESSOR: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
    title: "",
    fields: &[
        read("grpc_service", "", "The processor. Required."),
        read("failure_mode_allow", "false", "Fail open: go on without the processor when it fails."),
        read("processing_mode", "{}", "What is sent to the processor."),
        read("request_attributes", "[]", "Attributes sent with the first message about the request."),
        read("response_attributes", "[]", "Attributes sent with the first message about the response."),
        read("message_timeout", "0.2s", "How long an answer may take; 0 = no time at all. At most 3600s."),
        read("max_message_timeout", "0s", "Maximum time a processor may ask for; 0 = none. At most 3600s."),
        read("stat_prefix", "", "Added to the names of the filter's statistics."),
        read("mutation_rules", "", "Which headers the processor may change."),
        read("forward_rules", "", "Which headers the processor sees."),
        read("allow_mode_override", "false", "Let the processor change the processing mode."),
        read("allowed_override_modes", "[]", "Modes it may change to; empty = any."),
        read("disable_immediate_response", "false", "Take immediate responses as spurious messages."),
        read("metadata_options", "{}", "Dynamic metadata that travels to the processor and back."),
        read("observability_mode", "false", "Send, and never wait for answers."),
        read("deferred_close_timeout", "5s", "How long the stream stays open behind an observed request."),
        read("disable_clear_route_cache", "false", "The same as RETAIN of `route_cache_action`."),
        read("route_cache_action", "DEFAULT", "When routes are matched again: DEFAULT, CLEAR or RETAIN."),
        read(
            "send_body_without_waiting_for_header_response",
            "false",
            "STREAMED bodies do not wait for the answer about the headers.",
        ),
        read(
            "status_on_error",
            "InternalServerError",
            "Status of error replies; outside of 400 to 599 it is 500.",
        ),
        read(
            "processing_request_modifier",
            "",
            "MappedAttributeBuilder: attributes under names of their own.",
        ),
        read("allow_content_length_header", "false", "Keep `content-length` where it would be removed."),
        harmless("filter_metadata", "no access logger can see it"),
        refused("async_mode", "it was removed from the API; use observability_mode"),
        harmless("emit_client_span", "no spans are exported"),
        refused("http_service", "use grpc_service; processors over HTTP are not supported"),
        refused("on_processing_response", "answers are visible in access logs by %FILTER_STATE%"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static ROUTE_CACHE_ACTION: Enumeration<RouteCacheAction> = Enumeration {
    values: &[
        ("DEFAULT", 0, Some(RouteCacheAction::Default)),
        ("CLEAR", 1, Some(RouteCacheAction::Clear)),
        ("RETAIN", 2, Some(RouteCacheAction::Retain)),
    ],
};

/// All the schemas of this module, for the documentation.
pub(super) static SCHEMAS: [&Schema; 8] = [
    &EXTERNAL_PROCESSOR,
    &PROCESSING_MODE,
    &MUTATION_RULES,
    &FORWARDING_RULES,
    &rules::LIST_STRING_MATCHER,
    &METADATA_OPTIONS,
    &METADATA_NAMESPACES,
    &modifier::MAPPED_ATTRIBUTE_BUILDER,
];

/// An external processing filter of a chain, as it is configured there.
pub(super) struct Filter {
    pub(super) name: String,
    /// Added to the names of its counters; empty = nothing.
    pub(super) stat_prefix: String,
    /// Off until a route turns it on.
    pub(super) disabled: bool,
    /// What applies where no route says otherwise.
    pub(super) settings: Arc<ExtProc>,
    /// Where it is written, and what of it.
    pub(super) place: Place,
    pub(super) sources: BTreeMap<&'static str, Place>,
    /// It stands behind the router.
    pub(super) upstream: bool,
    /// The cluster whose requests alone it is for.
    pub(super) cluster: Option<String>,
}

/// Whether this is the ext_proc type of that name, in its v3 or v3alpha form (EN-40).
pub(super) fn is_type(any: &Any<'_>, name: &str) -> bool {
    let package = any.type_name.strip_suffix(name).and_then(|package| package.strip_suffix('.'));
    match package {
        Some("envoy.extensions.filters.http.ext_proc.v3") => true,
        Some("envoy.extensions.filters.http.ext_proc.v3alpha") => {
            any.type_value.info_once(
                "v3alpha is read as v3: the processor has to serve \
                 /envoy.service.ext_proc.v3.ExternalProcessor/Process and response headers are sent to it too",
            );
            true
        }
        _ => false,
    }
}

/// Longest `message_timeout`.
const LONGEST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Reads the filter of the given name.
pub(super) fn read_external_processor(
    value: &Value<'_>,
    name: String,
    disabled: bool,
    scope: &Scope,
) -> Option<Filter> {
    let message = value.message(&EXTERNAL_PROCESSOR)?;
    let (_, service) = message.required_one_of(&["grpc_service"]).unzip();
    let grpc_service = service.and_then(|service| read_grpc_service(&service, scope));
    let stat_prefix = message.string("stat_prefix");
    let plan = read_plan(&message, &name, scope);
    let mut sources = read_sources(&message);
    sources.extend(scope.runtime.sources.clone());
    if let Some(place) = sources.get("disable_clear_route_cache")
        && plan.route_cache_action == RouteCacheAction::Retain
    {
        let place = place.clone();
        sources.entry("route_cache_action").or_insert(place);
    }
    Some(Filter {
        place: Place::of(value),
        sources,
        upstream: false,
        cluster: None,
        name,
        stat_prefix,
        disabled,
        settings: Arc::new(ExtProc { plan: Arc::new(plan), grpc_service: grpc_service? }),
    })
}

fn read_plan(message: &Message<'_>, filter_name: &str, scope: &Scope) -> Plan {
    let processing_mode =
        message.get("processing_mode").and_then(|mode| read_processing_mode(&mode)).unwrap_or_default();
    if let Some(mode) = message.get("processing_mode") {
        check_full_duplex(&mode, processing_mode);
    }
    Plan {
        filter_name: filter_name.to_owned(),
        processing_mode,
        filter_processing_mode: processing_mode,
        failure_mode_allow: message.boolean("failure_mode_allow", false),
        fail_close_spurious_response: scope.runtime.fail_close_spurious_response,
        message_timeout: read_message_timeout(message, "message_timeout", Duration::from_millis(200)),
        max_message_timeout: read_message_timeout(message, "max_message_timeout", Duration::ZERO),
        mutation_rules: Arc::new(
            message.get("mutation_rules").and_then(|rules| read_mutation_rules(&rules)).unwrap_or_default(),
        ),
        forward_rules: message
            .get("forward_rules")
            .and_then(|rules| read_forward_rules(&rules))
            .unwrap_or_default(),
        allow_mode_override: message.boolean("allow_mode_override", false),
        allowed_override_modes: message
            .list("allowed_override_modes")
            .iter()
            .filter_map(read_processing_mode)
            .collect(),
        disable_immediate_response: message.boolean("disable_immediate_response", false),
        observability_mode: message.boolean("observability_mode", false),
        deferred_close_timeout: message.duration("deferred_close_timeout").unwrap_or(Duration::from_secs(5)),
        route_cache_action: read_route_cache_action(message),
        send_body_without_waiting_for_header_response: message
            .boolean("send_body_without_waiting_for_header_response", false),
        status_on_error: message
            .get("status_on_error")
            .and_then(|status| read_status_on_error(&status))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        allow_content_length_header: message.boolean("allow_content_length_header", false),
        metadata_options: message
            .get("metadata_options")
            .and_then(|options| read_metadata_options(&options))
            .map(|written: MetadataOverrides| {
                let mut options = MetadataOptions::default();
                written.apply(&mut options);
                options
            })
            .unwrap_or_default(),
        request_attributes: read_attributes(&message.list("request_attributes")),
        response_attributes: read_attributes(&message.list("response_attributes")),
        processing_request_modifier: message
            .get("processing_request_modifier")
            .and_then(|modifier| read_modifier(&modifier)),
        header_prefix: scope.header_prefix.clone(),
        send_empty_data: scope.runtime.send_empty_data,
        graceful_grpc_close: scope.runtime.graceful_grpc_close,
    }
}

fn read_message_timeout(message: &Message<'_>, name: &'static str, default: Duration) -> Duration {
    let Some(value) = message.get(name) else { return default };
    let Some(timeout) = value.duration() else { return default };
    if timeout > LONGEST_MESSAGE_TIMEOUT {
        value.error("must be at most 3600s");
    }
    timeout
}

/// Both ways to say it; together they contradict each other even when they agree (section 1.1, error 4).
fn read_route_cache_action(message: &Message<'_>) -> RouteCacheAction {
    let action = message.enumeration("route_cache_action", &ROUTE_CACHE_ACTION, RouteCacheAction::Default);
    if !message.boolean("disable_clear_route_cache", false) {
        return action;
    }
    if action != RouteCacheAction::Default
        && let Some(value) = message.get("disable_clear_route_cache")
    {
        value.error("\"disable_clear_route_cache\" and \"route_cache_action\" cannot be given together");
    }
    RouteCacheAction::Retain
}

fn read_status_on_error(value: &Value<'_>) -> Option<StatusCode> {
    let code = read_http_status(value)?;
    match StatusCode::from_u16(code) {
        Ok(status) if status.is_client_error() || status.is_server_error() => Some(status),
        _ => {
            value.warning(
                format!("{code} is no error status; 500 is used"),
                "status_on_error takes 400 to 599",
            );
            None
        }
    }
}

/// Reads attribute expressions.
pub(super) fn read_attributes(values: &[Value<'_>]) -> Attributes {
    let mut expressions = Vec::new();
    for value in values {
        expressions.extend(value.string().filter(|text| is_attribute(text, value)));
    }
    Attributes::parse_with(expressions, computed_attribute).unwrap_or_default()
}

/// Whether an expression can be evaluated; reports why not.
fn is_attribute(expression: &str, value: &Value<'_>) -> bool {
    let parsed = Attributes::parse_with([expression], computed_attribute);
    if let Err(error) = &parsed {
        value.error(format!("the attribute \"{}\" {}", error.expression, error.reason));
    }
    parsed.is_ok()
}
