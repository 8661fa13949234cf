//! Who signs tokens, and the keys.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use tollgate_model::{
    filter::{
        AsyncFetch, ClaimToHeader, FetchRetry, JwtKeys, JwtProvider, LocalJwks, RemoteJwks, TokenCache,
    },
    jwt::Jwks,
    route::RetryBackOff,
};

use super::schema::{
    JWKS_ASYNC_FETCH, JWT_CACHE_CONFIG, JWT_CLAIM_TO_HEADER, JWT_HEADER, JWT_PROVIDER, NORMALIZE_PAYLOAD,
    PATH_SEGMENT, REMOTE_JWKS,
};
use crate::{
    envoy::{
        Scope,
        data_source::read_text,
        grpc_service::{BACKOFF_STRATEGY, RETRY_POLICY},
        header::read_header_name,
        http_filters::ext_authz::HTTP_URI,
        matchers::read_string_matcher,
    },
    schema::{Message, Value},
};

pub(super) fn read_provider(value: &Value<'_>, scope: &Scope) -> Option<JwtProvider> {
    let message = value.message(&JWT_PROVIDER)?;
    let keys = match message.required_one_of(&["remote_jwks", "local_jwks"])? {
        ("remote_jwks", remote) => read_remote(&remote, scope).map(JwtKeys::Remote),
        (_, local) => read_local(&local).map(JwtKeys::Local),
    };
    let subjects = match message.get("subjects") {
        Some(subjects) => Some(read_string_matcher(&subjects)?),
        None => None,
    };
    let headers = message.list("from_headers");
    let headers: Option<Vec<_>> = headers.iter().map(read_jwt_header).collect();
    let mut from_headers = headers?;
    let mut from_params = message.strings("from_params");
    let from_cookies = message.strings("from_cookies");
    if from_headers.is_empty() && from_params.is_empty() && from_cookies.is_empty() {
        from_headers.push((http::header::AUTHORIZATION, "Bearer ".to_owned()));
        from_params.push("access_token".to_owned());
    }
    let forward_payload_header = match message.get("forward_payload_header") {
        Some(name) => Some(read_header_name(&name, false)?),
        None => None,
    };
    let claims = message.list("claim_to_headers");
    let claims: Option<Vec<_>> = claims.iter().map(read_claim).collect();
    let space_delimited_claims = message
        .message("normalize_payload_in_metadata", &NORMALIZE_PAYLOAD)
        .map(|normalize| normalize.strings("space_delimited_claims"));
    let cache = message.message("jwt_cache_config", &JWT_CACHE_CONFIG).map(|cache| {
        let size = |name, usual: u32| {
            let size = cache.u32(name).filter(|size| *size > 0).unwrap_or(usual);
            usize::try_from(size).unwrap_or(usize::MAX)
        };
        TokenCache::new(size("jwt_cache_size", 100), size("jwt_max_token_size", 4096))
    });
    let skew = message.u32("clock_skew_seconds").filter(|skew| *skew > 0).unwrap_or(60);
    Some(JwtProvider {
        issuer: message.string("issuer"),
        audiences: message.strings("audiences"),
        subjects,
        require_expiration: message.boolean("require_expiration", false),
        max_lifetime: message.duration("max_lifetime"),
        clock_skew: Duration::from_secs(skew.into()),
        keys: keys?,
        from_headers,
        from_params,
        from_cookies,
        forward: message.boolean("forward", false),
        forward_payload_header,
        pad_forward_payload_header: message.boolean("pad_forward_payload_header", false),
        claim_to_headers: claims?,
        clear_route_cache: message.boolean("clear_route_cache", false),
        payload_in_metadata: message.string("payload_in_metadata"),
        space_delimited_claims: space_delimited_claims.unwrap_or_default(),
        header_in_metadata: message.string("header_in_metadata"),
        failed_status_in_metadata: message.string("failed_status_in_metadata"),
        cache,
    })
}

fn read_jwt_header(value: &Value<'_>) -> Option<(HeaderName, String)> {
    let message = value.message(&JWT_HEADER)?;
    let name = read_header_name(&message.required("name")?, false)?;
    Some((name, message.header_text("value_prefix")))
}

fn read_claim(value: &Value<'_>) -> Option<ClaimToHeader> {
    let message = value.message(&JWT_CLAIM_TO_HEADER)?;
    let header = read_header_name(&message.required("header_name")?, true)?;
    let path = message.list("claim_path");
    let claim = match (message.get("claim_name"), path.is_empty()) {
        (Some(name), true) => name.non_empty_string()?.split('.').map(str::to_owned).collect(),
        (None, false) => {
            let keys = path.iter().map(|segment| {
                segment.message(&PATH_SEGMENT)?.required("key").and_then(|key| key.non_empty_string())
            });
            keys.collect::<Option<_>>()?
        }
        _ => {
            value.error("either \"claim_name\" or \"claim_path\" is required");
            return None;
        }
    };
    Some(ClaimToHeader { header, claim })
}

fn read_local(value: &Value<'_>) -> Option<LocalJwks> {
    let (content, source) = read_text(value)?;
    let text = String::from_utf8_lossy(&content).into_owned();
    match Jwks::parse(&content) {
        Ok(keys) => Some(LocalJwks { source, text, keys: Arc::new(keys) }),
        Err(fault) => {
            value.error(format!("no key set: {fault}"));
            None
        }
    }
}

fn read_remote(value: &Value<'_>, scope: &Scope) -> Option<RemoteJwks> {
    let message = value.message(&REMOTE_JWKS)?;
    let server = message.required("http_uri")?.message(&HTTP_URI)?;
    let uri = server.required("uri")?;
    let text = uri.non_empty_string()?;
    if parts(&text).is_none() {
        uri.error(format!("\"{text}\" is not a URI: https://host/path"));
        return None;
    }
    let cluster = server.required("cluster")?;
    let name = cluster.non_empty_string()?;
    if scope.clusters.lacks(&name) {
        cluster.warning(
            format!("there is no cluster \"{name}\"; no token of this provider will be verified"),
            "add the cluster to static_resources.clusters",
        );
    }
    let timeout = server.required("timeout").and_then(|timeout| timeout.duration());
    let cache_duration = match message.get("cache_duration") {
        Some(value) => {
            let duration = value.duration()?;
            if duration < Duration::from_millis(1) {
                value.error("must be at least 0.001s");
            }
            duration
        }
        None => Duration::from_secs(600),
    };
    let async_fetch = message.message("async_fetch", &JWKS_ASYNC_FETCH).map(|fetch| AsyncFetch {
        fast_listener: fetch.boolean("fast_listener", false),
        failed_refetch_duration: fetch.duration("failed_refetch_duration").unwrap_or(Duration::from_secs(1)),
    });
    let retry = message.message("retry_policy", &RETRY_POLICY).map(|policy| read_retry(&policy));
    Some(RemoteJwks::new(name, text, timeout?, cache_duration, async_fetch, retry))
}

/// Authority and path of a URI.
fn parts(uri: &str) -> Option<(http::uri::Authority, http::uri::PathAndQuery)> {
    let uri: http::Uri = uri.parse().ok()?;
    let path = uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    Some((uri.authority()?.clone(), path))
}

fn read_retry(policy: &Message<'_>) -> FetchRetry {
    if let Some(retry_on) = policy.get("retry_on") {
        retry_on.error_with_help(
            "\"retry_on\" is not supported here",
            "remove it: 5xx, connect-failure and reset are tried again",
        );
    }
    let back_off = policy.message("retry_back_off", &BACKOFF_STRATEGY);
    let duration = |name| back_off.as_ref().and_then(|back_off| back_off.duration(name));
    let base_interval = duration("base_interval").unwrap_or(Duration::from_secs(1));
    let max_interval = duration("max_interval").unwrap_or(base_interval * 10);
    FetchRetry {
        num_retries: policy.u32("num_retries").unwrap_or(1),
        back_off: RetryBackOff { base_interval, max_interval },
    }
}
