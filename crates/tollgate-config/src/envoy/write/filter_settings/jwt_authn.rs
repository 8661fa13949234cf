//! The filter `jwt_authn`.

use serde_json::{Map, Value, json};
use tollgate_model::filter::{
    ClaimToHeader, JwtAuthn, JwtKeys, JwtOfRoute, JwtProvider, JwtRequirement, RemoteJwks,
};

use crate::envoy::{
    grpc_service::{BACKOFF_STRATEGY, RETRY_POLICY},
    http_filters::{
        ext_authz::HTTP_URI,
        jwt_authn::schema::{
            JWKS_ASYNC_FETCH, JWT_AUTHENTICATION, JWT_CACHE_CONFIG, JWT_CLAIM_TO_HEADER, JWT_HEADER,
            JWT_PROVIDER, JWT_REQUIREMENT, JWT_REQUIREMENT_AND_LIST, JWT_REQUIREMENT_OR_LIST,
            NORMALIZE_PAYLOAD, PATH_SEGMENT, PER_ROUTE_CONFIG, PROVIDER_WITH_AUDIENCES, REMOTE_JWKS,
            REQUIREMENT_RULE,
        },
    },
    write::{
        matchers::string_matcher,
        out::{Out, duration},
        route::route_match,
        tls::data_source,
    },
};

pub(super) fn written(settings: &JwtAuthn) -> Value {
    let mut out = Out::new(&JWT_AUTHENTICATION);
    let providers = settings.providers.iter().map(|(name, known)| (name.clone(), provider(known)));
    map(&mut out, "providers", providers.collect());
    let rules = settings.rules.iter().map(|rule| {
        let mut out = Out::new(&REQUIREMENT_RULE);
        out.set("match", route_match(&rule.route_match));
        match &rule.requires {
            None => {}
            Some(JwtRequirement::Named(name)) => out.set("requirement_name", &**name),
            Some(requires) => out.set("requires", requirement(requires)),
        }
        out.done()
    });
    out.list("rules", rules.collect());
    let map_of = settings.requirement_map.iter();
    map(&mut out, "requirement_map", map_of.map(|(name, one)| (name.clone(), requirement(one))).collect());
    out.unless("bypass_cors_preflight", settings.bypass_cors_preflight, false);
    out.unless("strip_failure_response", settings.strip_failure_response, false);
    out.text("stat_prefix", &settings.stat_prefix);
    out.any()
}

/// What a level says.
pub(in crate::envoy::write) fn per_route(route: &JwtOfRoute) -> Value {
    let mut out = Out::new(&PER_ROUTE_CONFIG);
    match route {
        JwtOfRoute::Nothing => out.set("disabled", true),
        JwtOfRoute::Named(requirement) => out.set("requirement_name", &**requirement),
    }
    out.any()
}

fn map(out: &mut Out, name: &'static str, entries: Map<String, Value>) {
    if !entries.is_empty() {
        out.set(name, entries);
    }
}

fn texts(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(&**text)).collect()
}

fn requirement(requires: &JwtRequirement) -> Value {
    let mut out = Out::new(&JWT_REQUIREMENT);
    let all = |list: &[JwtRequirement]| list.iter().map(requirement).collect();
    match requires {
        // A name stands in rules, and nowhere below them.
        JwtRequirement::Nothing | JwtRequirement::Named(_) => {}
        JwtRequirement::Provider { provider, audiences } if audiences.is_empty() => {
            out.set("provider_name", &**provider);
        }
        JwtRequirement::Provider { provider, audiences } => {
            let mut inner = Out::new(&PROVIDER_WITH_AUDIENCES);
            inner.set("provider_name", &**provider);
            inner.list("audiences", texts(audiences));
            out.set("provider_and_audiences", inner.done());
        }
        JwtRequirement::Any(list) => {
            let mut inner = Out::new(&JWT_REQUIREMENT_OR_LIST);
            inner.list("requirements", all(list));
            out.set("requires_any", inner.done());
        }
        JwtRequirement::All(list) => {
            let mut inner = Out::new(&JWT_REQUIREMENT_AND_LIST);
            inner.list("requirements", all(list));
            out.set("requires_all", inner.done());
        }
        JwtRequirement::AllowMissing => out.set("allow_missing", json!({})),
        JwtRequirement::AllowMissingOrFailed => out.set("allow_missing_or_failed", json!({})),
    }
    out.done()
}

fn provider(provider: &JwtProvider) -> Value {
    let mut out = Out::new(&JWT_PROVIDER);
    out.text("issuer", &provider.issuer);
    out.list("audiences", texts(&provider.audiences));
    out.some("subjects", provider.subjects.as_ref().map(string_matcher));
    out.unless("require_expiration", provider.require_expiration, false);
    out.some("max_lifetime", provider.max_lifetime.map(duration));
    match &provider.keys {
        JwtKeys::Local(keys) => out.set("local_jwks", data_source(&keys.source)),
        JwtKeys::Remote(keys) => out.set("remote_jwks", remote(keys)),
    }
    out.unless("forward", provider.forward, false);
    let headers = provider.from_headers.iter().map(|(name, prefix)| {
        let mut out = Out::new(&JWT_HEADER);
        out.set("name", name.as_str());
        out.text("value_prefix", prefix);
        out.done()
    });
    out.list("from_headers", headers.collect());
    out.list("from_params", texts(&provider.from_params));
    out.list("from_cookies", texts(&provider.from_cookies));
    out.some("forward_payload_header", provider.forward_payload_header.as_ref().map(|name| name.as_str()));
    out.unless("pad_forward_payload_header", provider.pad_forward_payload_header, false);
    out.text("payload_in_metadata", &provider.payload_in_metadata);
    if !provider.space_delimited_claims.is_empty() {
        let mut inner = Out::new(&NORMALIZE_PAYLOAD);
        inner.list("space_delimited_claims", texts(&provider.space_delimited_claims));
        out.set("normalize_payload_in_metadata", inner.done());
    }
    out.text("header_in_metadata", &provider.header_in_metadata);
    out.text("failed_status_in_metadata", &provider.failed_status_in_metadata);
    out.unless("clock_skew_seconds", provider.clock_skew.as_secs(), 60);
    if let Some(cache) = &provider.cache {
        let mut inner = Out::new(&JWT_CACHE_CONFIG);
        inner.set("jwt_cache_size", cache.size);
        inner.set("jwt_max_token_size", cache.max_token_size);
        out.set("jwt_cache_config", inner.done());
    }
    out.list("claim_to_headers", provider.claim_to_headers.iter().map(claim).collect());
    out.unless("clear_route_cache", provider.clear_route_cache, false);
    out.done()
}

fn claim(claim: &ClaimToHeader) -> Value {
    let mut out = Out::new(&JWT_CLAIM_TO_HEADER);
    out.set("header_name", claim.header.as_str());
    if claim.claim.iter().any(|key| key.contains('.')) {
        let segments = claim.claim.iter().map(|key| {
            let mut out = Out::new(&PATH_SEGMENT);
            out.set("key", &**key);
            out.done()
        });
        out.list("claim_path", segments.collect());
    } else {
        out.set("claim_name", claim.claim.join("."));
    }
    out.done()
}

fn remote(keys: &RemoteJwks) -> Value {
    let mut uri = Out::new(&HTTP_URI);
    uri.set("uri", &*keys.uri);
    uri.set("cluster", &*keys.cluster);
    uri.set("timeout", duration(keys.timeout));
    let mut out = Out::new(&REMOTE_JWKS);
    out.set("http_uri", uri.done());
    out.set("cache_duration", duration(keys.cache_duration));
    if let Some(fetch) = keys.async_fetch {
        let mut inner = Out::new(&JWKS_ASYNC_FETCH);
        inner.unless("fast_listener", fetch.fast_listener, false);
        inner.set("failed_refetch_duration", duration(fetch.failed_refetch_duration));
        out.set("async_fetch", inner.done());
    }
    if let Some(retry) = keys.retry {
        let mut back_off = Out::new(&BACKOFF_STRATEGY);
        back_off.set("base_interval", duration(retry.back_off.base_interval));
        back_off.set("max_interval", duration(retry.back_off.max_interval));
        let mut inner = Out::new(&RETRY_POLICY);
        inner.set("num_retries", retry.num_retries);
        inner.set("retry_back_off", back_off.done());
        out.set("retry_policy", inner.done());
    }
    out.done()
}
