//! The filter `ext_authz`.

use http::StatusCode;
use serde_json::{Map, Value};
use tollgate_model::{
    filter::{AuthBody, AuthService, CheckSettings, ExtAuthz, HttpAuthService, UnaryService},
    matching::StringMatcher,
    route::Fraction,
};

use crate::envoy::{
    ext_proc::rules::LIST_STRING_MATCHER,
    grpc_service::{ENVOY_GRPC, GRPC_SERVICE},
    http_filters::ext_authz::{
        AUTHORIZATION_REQUEST, AUTHORIZATION_RESPONSE, BUFFER_SETTINGS, CHECK_SETTINGS, EXT_AUTHZ,
        EXT_AUTHZ_PER_ROUTE, HTTP_SERVICE, HTTP_URI, RUNTIME_FEATURE_FLAG,
    },
    route::RUNTIME_FRACTIONAL_PERCENT,
    status::{HTTP_STATUS, STATUS_CODE},
    write::{
        access_log::{fractional_percent, metadata_matcher},
        matchers::{header_value, string_matcher},
        out::{Out, duration},
    },
};

pub(super) fn written(settings: &ExtAuthz) -> Value {
    let mut out = Out::new(&EXT_AUTHZ);
    service(&mut out, &settings.service);
    out.set("transport_api_version", "V3");
    out.some("with_request_body", settings.with_request_body.map(body));
    out.unless("failure_mode_allow", settings.failure_mode_allow, false);
    out.unless("failure_mode_allow_header_add", settings.failure_mode_allow_header_add, false);
    if settings.status_on_error != StatusCode::FORBIDDEN {
        let mut status = Out::new(&HTTP_STATUS);
        status.some("code", STATUS_CODE.name_of(&settings.status_on_error.as_u16()));
        out.set("status_on_error", status.done());
    }
    out.unless("clear_route_cache", settings.clear_route_cache, false);
    let names = |names: &[String]| names.iter().map(|name| Value::from(&**name)).collect::<Vec<_>>();
    out.list("metadata_context_namespaces", names(&settings.metadata_context_namespaces));
    out.list("route_metadata_context_namespaces", names(&settings.route_metadata_context_namespaces));
    if settings.filter_enabled != Fraction::ALL {
        let mut percent = Out::new(&RUNTIME_FRACTIONAL_PERCENT);
        percent.set("default_value", fractional_percent(settings.filter_enabled));
        out.set("filter_enabled", percent.done());
    }
    out.some("filter_enabled_metadata", settings.filter_enabled_metadata.as_ref().map(metadata_matcher));
    if settings.deny_at_disable {
        let mut flag = Out::new(&RUNTIME_FEATURE_FLAG);
        flag.set("default_value", true);
        out.set("deny_at_disable", flag.done());
    }
    out.text("stat_prefix", &settings.stat_prefix);
    out.some("allowed_headers", settings.allowed_headers.as_deref().map(patterns));
    if !settings.disallowed_headers.is_empty() {
        out.set("disallowed_headers", patterns(&settings.disallowed_headers));
    }
    out.unless("include_tls_session", settings.include_tls_session, false);
    out.unless("charge_cluster_response_stats", settings.charge_cluster_response_stats, true);
    out.unless("enable_dynamic_metadata_ingestion", settings.enable_dynamic_metadata_ingestion, true);
    out.any()
}

/// What a level says.
pub(in crate::envoy::write) fn per_route(level: &CheckSettings) -> Value {
    let mut check = Out::new(&CHECK_SETTINGS);
    if !level.context_extensions.is_empty() {
        let entries = level.context_extensions.iter().map(|(key, text)| (key.clone(), Value::from(&**text)));
        check.set("context_extensions", entries.collect::<Map<_, _>>());
    }
    check.unless("disable_request_body_buffering", level.disable_request_body_buffering, false);
    check.some("with_request_body", level.with_request_body.map(body));
    if let Some(own) = &level.service {
        service(&mut check, own);
    }
    let mut out = Out::new(&EXT_AUTHZ_PER_ROUTE);
    out.set("check_settings", check.done());
    out.any()
}

fn service(out: &mut Out, service: &AuthService) {
    match service {
        AuthService::Grpc(service) => out.set("grpc_service", unary_service(service)),
        AuthService::Http(service) => out.set("http_service", http(service)),
    }
}

/// A gRPC service that is asked once a request.
pub(super) fn unary_service(service: &UnaryService) -> Value {
    let mut envoy = Out::new(&ENVOY_GRPC);
    envoy.set("cluster_name", &*service.cluster);
    envoy.unless("authority", &*service.authority, &*service.cluster);
    envoy.unless("skip_envoy_headers", service.skip_envoy_headers, false);
    let mut out = Out::new(&GRPC_SERVICE);
    out.set("envoy_grpc", envoy.done());
    out.set("timeout", duration(service.timeout));
    let metadata = service.initial_metadata.iter();
    out.list("initial_metadata", metadata.map(|(name, value)| header_value(name, value)).collect());
    out.done()
}

fn http(service: &HttpAuthService) -> Value {
    let mut uri = Out::new(&HTTP_URI);
    uri.set("uri", &*service.uri);
    uri.set("cluster", &*service.cluster);
    uri.set("timeout", duration(service.timeout));
    let mut out = Out::new(&HTTP_SERVICE);
    out.set("server_uri", uri.done());
    out.text("path_prefix", &service.path_prefix);
    let mut request = Out::new(&AUTHORIZATION_REQUEST);
    let added = service.headers_to_add.iter();
    request.list("headers_to_add", added.map(|(name, value)| header_value(name.as_str(), value)).collect());
    out.unless_empty("authorization_request", request);
    let mut response = Out::new(&AUTHORIZATION_RESPONSE);
    for (name, list) in [
        ("allowed_upstream_headers", &service.allowed_upstream_headers),
        ("allowed_upstream_headers_to_append", &service.allowed_upstream_headers_to_append),
        ("allowed_client_headers_on_success", &service.allowed_client_headers_on_success),
        ("dynamic_metadata_from_headers", &service.dynamic_metadata_from_headers),
    ] {
        if !list.is_empty() {
            response.set(name, patterns(list));
        }
    }
    response.some("allowed_client_headers", service.allowed_client_headers.as_deref().map(patterns));
    out.unless_empty("authorization_response", response);
    out.done()
}

fn body(body: AuthBody) -> Value {
    let mut out = Out::new(&BUFFER_SETTINGS);
    out.set("max_request_bytes", body.max_request_bytes);
    out.unless("allow_partial_message", body.allow_partial_message, false);
    out.unless("pack_as_bytes", body.pack_as_bytes, false);
    out.done()
}

fn patterns(list: &[StringMatcher]) -> Value {
    let mut out = Out::new(&LIST_STRING_MATCHER);
    out.list("patterns", list.iter().map(string_matcher).collect());
    out.done()
}
