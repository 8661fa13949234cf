//! The filter `ext_authz`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode};
use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    filter::{AuthBody, AuthService, CheckSettings, ExtAuthz, FilterSettings, HttpAuthService},
    format::Format,
    matching::StringMatcher,
    route::Fraction,
};

use super::{
    kinds::{Kind, PerRoute},
    unary_service::read_unary_service,
};
use crate::{
    envoy::{
        Scope,
        ext_proc::rules::read_patterns,
        format::read_header_values,
        metadata_matcher::read_metadata_matcher,
        route::{RUNTIME_FRACTIONAL_PERCENT, read_fraction},
        status::read_http_status,
    },
    schema::{Enumeration, Message, Schema, Value, harmless, read, refused},
};

pub(in crate::envoy) static EXT_AUTHZ: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    title: "",
    fields: &[
        read("grpc_service", "", "The service, over gRPC: a cluster. This or http_service is required."),
        read("http_service", "", "The service, over HTTP."),
        read("transport_api_version", "AUTO", "AUTO or V3, which are the same."),
        read("failure_mode_allow", "false", "Let requests pass when the service fails."),
        read("failure_mode_allow_header_add", "false", "Mark those: `x-envoy-auth-failure-mode-allowed`."),
        read("with_request_body", "", "Send the body, too."),
        read("clear_route_cache", "false", "Match the routes again after changes of the request."),
        read("status_on_error", "Forbidden", "The answer when the service fails."),
        read("metadata_context_namespaces", "[]", "Dynamic metadata that is sent, by namespace."),
        read(
            "route_metadata_context_namespaces",
            "[]",
            "Static metadata of the route that is sent, by namespace.",
        ),
        read("filter_enabled", "all", "For which share of the requests the service is asked."),
        read("filter_enabled_metadata", "", "Ask only where dynamic metadata matches."),
        read("deny_at_disable", "false", "Refuse requests that it is not asked about."),
        read("stat_prefix", "", "Added to the names of the filter's statistics."),
        read("allowed_headers", "", "Headers that are sent. Default: all over gRPC, a few over HTTP."),
        read("disallowed_headers", "", "Headers that are not sent, whatever is allowed."),
        read("include_tls_session", "false", "Send the server name of the TLS handshake."),
        read(
            "charge_cluster_response_stats",
            "true",
            "Count refusals as responses of the cluster of the route.",
        ),
        read("enable_dynamic_metadata_ingestion", "true", "Take over dynamic metadata of the service."),
        harmless("validate_mutations", "what the service asks for is always validated"),
        harmless("filter_metadata", "no access logger can see it"),
        harmless("emit_filter_state_stats", "no access logger can see it"),
        harmless("emit_client_span", "no spans are exported"),
        refused("typed_metadata_context_namespaces", "use metadata_context_namespaces"),
        refused("route_typed_metadata_context_namespaces", "use route_metadata_context_namespaces"),
        refused("include_peer_certificate", "the name of the certificate is sent as source.principal"),
        refused("bootstrap_metadata_labels_key", "use context_extensions of the route"),
        refused("encode_raw_headers", "headers are sent as a map of texts"),
        refused("decoder_header_mutation_rules", "what the service may change cannot be limited"),
        refused("max_denied_response_body_bytes", "answers of at most 1 MiB are taken"),
        refused("enforce_response_header_limits", "remove it"),
        refused("clear_route_cache_headers", "use clear_route_cache"),
        refused("shadow_mode", "remove the filter, or let it decide"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static BUFFER_SETTINGS: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_authz.v3.BufferSettings",
    title: "",
    fields: &[
        read("max_request_bytes", "", "Largest body; a larger one is refused (413). Required."),
        read("allow_partial_message", "false", "Send as much of a larger body, instead."),
        read("pack_as_bytes", "false", "Send it as bytes, not as text."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HTTP_SERVICE: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_authz.v3.HttpService",
    title: "",
    fields: &[
        read("server_uri", "", "The service. Required."),
        read("path_prefix", "", "Before the path of the request."),
        read("authorization_request", "{}", "What is sent."),
        read("authorization_response", "{}", "What becomes of its answer."),
        refused("path_override", "use path_prefix"),
        refused("retry_policy", "the service is asked once"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HTTP_URI: Schema = Schema {
    name: "envoy.config.core.v3.HttpUri",
    title: "",
    fields: &[
        read("uri", "", "Required; what counts is the cluster."),
        read("cluster", "", "The cluster. Required."),
        read("timeout", "", "How long an answer may take. Required."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static AUTHORIZATION_REQUEST: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest",
    title: "",
    fields: &[
        read("headers_to_add", "[]", "Headers that are added; values may hold `%OPERATOR%`s."),
        refused("allowed_headers", "use allowed_headers of the filter"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static AUTHORIZATION_RESPONSE: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse",
    title: "",
    fields: &[
        read("allowed_upstream_headers", "", "Headers that replace those of the request."),
        read("allowed_upstream_headers_to_append", "", "Headers that are added to those of the request."),
        read(
            "allowed_client_headers",
            "all",
            "Headers of a refusal that clients get, beside `content-type`, `location`, `www-authenticate` and \
             `proxy-authenticate`.",
        ),
        read("allowed_client_headers_on_success", "", "Headers that are added to the response."),
        read("dynamic_metadata_from_headers", "", "Headers that become dynamic metadata."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static EXT_AUTHZ_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
    title: "",
    fields: &[
        read("disabled", "", "true turns the filter off. This or check_settings is required."),
        read("check_settings", "", "What is different here."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static CHECK_SETTINGS: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_authz.v3.CheckSettings",
    title: "",
    fields: &[
        read("context_extensions", "{}", "Told to the service, with those of less specific levels."),
        read("disable_request_body_buffering", "false", "Ask before the body has come."),
        read("with_request_body", "the filter's", "Another way to send the body."),
        read("grpc_service", "the filter's", "Another service, over gRPC."),
        read("http_service", "the filter's", "Another service, over HTTP."),
        harmless("emit_client_span", "no spans are exported"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RUNTIME_FEATURE_FLAG: Schema = Schema {
    name: "envoy.config.core.v3.RuntimeFeatureFlag",
    title: "",
    fields: &[
        read("default_value", "", "true or false. Required."),
        harmless("runtime_key", "there is no runtime that would change it"),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 9] = [
    &EXT_AUTHZ,
    &EXT_AUTHZ_PER_ROUTE,
    &CHECK_SETTINGS,
    &BUFFER_SETTINGS,
    &HTTP_SERVICE,
    &HTTP_URI,
    &AUTHORIZATION_REQUEST,
    &AUTHORIZATION_RESPONSE,
    &RUNTIME_FEATURE_FLAG,
];

pub(super) static API_VERSION: Enumeration<()> =
    Enumeration { values: &[("AUTO", 0, Some(())), ("V2", 1, None), ("V3", 2, Some(()))] };

pub(super) const KIND: Kind = Kind {
    settings: &EXT_AUTHZ,
    read: read_ext_authz,
    per_route: Some(PerRoute { settings: &EXT_AUTHZ_PER_ROUTE, read: read_per_route }),
    upstream: false,
};

/// How long an answer may take that nothing is said about.
const USUAL_TIMEOUT: Duration = Duration::from_millis(200);

fn read_ext_authz(value: &Value<'_>, scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&EXT_AUTHZ)?;
    let service = read_service(&message, scope);
    message.enumeration("transport_api_version", &API_VERSION, ());
    let patterns = |name| read_patterns(&message, name);
    let filter_enabled = match message.message("filter_enabled", &RUNTIME_FRACTIONAL_PERCENT) {
        Some(percent) => percent.required("default_value").and_then(|value| read_fraction(&value))?,
        None => Fraction::ALL,
    };
    let filter_enabled_metadata = match message.get("filter_enabled_metadata") {
        Some(matcher) => Some(read_metadata_matcher(&matcher)?),
        None => None,
    };
    let deny_at_disable = message
        .message("deny_at_disable", &RUNTIME_FEATURE_FLAG)
        .is_some_and(|flag| flag.boolean("default_value", false));
    let status_on_error = message.get("status_on_error").and_then(|status| read_http_status(&status));
    let settings = ExtAuthz {
        with_request_body: message.get("with_request_body").and_then(|body| read_body(&body)),
        failure_mode_allow: message.boolean("failure_mode_allow", false),
        failure_mode_allow_header_add: message.boolean("failure_mode_allow_header_add", false),
        status_on_error: status_on_error
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::FORBIDDEN),
        clear_route_cache: message.boolean("clear_route_cache", false),
        metadata_context_namespaces: message.strings("metadata_context_namespaces"),
        route_metadata_context_namespaces: message.strings("route_metadata_context_namespaces"),
        filter_enabled,
        filter_enabled_metadata,
        deny_at_disable,
        stat_prefix: message.string("stat_prefix"),
        allowed_headers: patterns("allowed_headers"),
        disallowed_headers: patterns("disallowed_headers").unwrap_or_default(),
        include_tls_session: message.boolean("include_tls_session", false),
        charge_cluster_response_stats: message.boolean("charge_cluster_response_stats", true),
        enable_dynamic_metadata_ingestion: message.boolean("enable_dynamic_metadata_ingestion", true),
        context_extensions: BTreeMap::new(),
        service: service?,
    };
    Some(FilterConfig::Settings(FilterSettings::ExtAuthz(Arc::new(settings))))
}

fn read_per_route(value: &Value<'_>, scope: &Scope) -> Option<Override> {
    let message = value.message(&EXT_AUTHZ_PER_ROUTE)?;
    let (kind, said) = message.required_one_of(&["disabled", "check_settings"])?;
    if kind == "disabled" {
        return Some(if said.boolean()? { Override::Disabled } else { Override::Enabled });
    }
    let message = said.message(&CHECK_SETTINGS)?;
    let mut context_extensions = BTreeMap::new();
    for (name, text) in message.map("context_extensions") {
        context_extensions.extend(text.string().map(|text| (name.to_owned(), text)));
    }
    let disable_request_body_buffering = message.boolean("disable_request_body_buffering", false);
    let body = message.get("with_request_body");
    if let (true, Some(body)) = (disable_request_body_buffering, &body) {
        body.error("\"with_request_body\" and \"disable_request_body_buffering\" cannot be given together");
    }
    let has_service = message.one_of(&["grpc_service", "http_service"]).is_some();
    let service = if has_service { Some(read_service(&message, scope)?) } else { None };
    Some(Override::ExtAuthz(Arc::new(CheckSettings {
        context_extensions,
        disable_request_body_buffering,
        with_request_body: body.and_then(|body| read_body(&body)),
        service,
    })))
}

fn read_body(value: &Value<'_>) -> Option<AuthBody> {
    let message = value.message(&BUFFER_SETTINGS)?;
    let most = message.required("max_request_bytes")?.integer(1..=i64::from(u32::MAX))?;
    Some(AuthBody {
        max_request_bytes: usize::try_from(most).ok()?,
        allow_partial_message: message.boolean("allow_partial_message", false),
        pack_as_bytes: message.boolean("pack_as_bytes", false),
    })
}

fn read_service(message: &Message<'_>, scope: &Scope) -> Option<AuthService> {
    let (kind, value) = message.required_one_of(&["grpc_service", "http_service"])?;
    match kind {
        "grpc_service" => read_unary_service(&value, USUAL_TIMEOUT, scope).map(AuthService::Grpc),
        _ => read_http(&value, scope).map(AuthService::Http),
    }
}

fn read_http(value: &Value<'_>, scope: &Scope) -> Option<HttpAuthService> {
    let message = value.message(&HTTP_SERVICE)?;
    let server = message.required("server_uri")?.message(&HTTP_URI)?;
    let uri = server.required_string("uri");
    let cluster = server.required("cluster")?;
    let name = cluster.non_empty_string()?;
    if scope.clusters.lacks(&name) {
        cluster.warning(
            format!("there is no cluster \"{name}\"; every request to this service will fail"),
            "add the cluster to static_resources.clusters",
        );
    }
    let timeout = server.required("timeout").and_then(|timeout| timeout.duration());
    let request = message.message("authorization_request", &AUTHORIZATION_REQUEST);
    let added =
        request.map(|request| read_header_values(&request.list("headers_to_add"))).unwrap_or_default();
    let added = added.into_iter();
    let headers_to_add: Vec<(HeaderName, Format)> =
        added.filter_map(|(name, format)| Some((HeaderName::try_from(name).ok()?, format))).collect();
    let response = message.message("authorization_response", &AUTHORIZATION_RESPONSE);
    let patterns = |name| -> Option<Vec<StringMatcher>> { read_patterns(response.as_ref()?, name) };
    Some(HttpAuthService {
        cluster: name,
        uri,
        timeout: timeout?,
        path_prefix: message.header_text("path_prefix"),
        headers_to_add,
        allowed_upstream_headers: patterns("allowed_upstream_headers").unwrap_or_default(),
        allowed_upstream_headers_to_append: patterns("allowed_upstream_headers_to_append")
            .unwrap_or_default(),
        allowed_client_headers: patterns("allowed_client_headers"),
        allowed_client_headers_on_success: patterns("allowed_client_headers_on_success").unwrap_or_default(),
        dynamic_metadata_from_headers: patterns("dynamic_metadata_from_headers").unwrap_or_default(),
    })
}
