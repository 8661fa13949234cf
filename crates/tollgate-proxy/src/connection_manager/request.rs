//! Requests: on arrival, and on their way to the upstream.

use std::{net::IpAddr, time::Duration};

use extproc::RequestHeaders;
use http::{HeaderName, HeaderValue, header::VIA};
use tollgate_model::{
    http_connection_manager::{HeadersWithUnderscoresAction, HttpConnectionManager},
    route::Route,
};

use super::{
    forwarded::set_forwarded,
    hop_by_hop::{remove_all, strip_request},
    path,
    request_id::new_request_id,
    upgrade,
};
use crate::{local_reply::LocalReply, stream_info::ConnectionInfo};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Fields that tell the proxy what to do; a client may not send them.
const INTERNAL: [HeaderName; 17] = [
    HeaderName::from_static("x-envoy-internal"),
    HeaderName::from_static("x-envoy-retry-on"),
    HeaderName::from_static("x-envoy-retry-grpc-on"),
    HeaderName::from_static("x-envoy-max-retries"),
    HeaderName::from_static("x-envoy-retriable-status-codes"),
    HeaderName::from_static("x-envoy-retriable-header-names"),
    HeaderName::from_static("x-envoy-upstream-alt-stat-name"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-alt-response"),
    HeaderName::from_static("x-envoy-upstream-stream-duration-ms"),
    HeaderName::from_static("x-envoy-expected-rq-timeout-ms"),
    HeaderName::from_static("x-envoy-force-trace"),
    HeaderName::from_static("x-envoy-ip-tags"),
    HeaderName::from_static("x-envoy-original-url"),
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-is-timeout-retry"),
];

/// Fields that a client at the edge may not send either.
const EDGE: [HeaderName; 5] = [
    HeaderName::from_static("x-envoy-decorator-operation"),
    HeaderName::from_static("x-envoy-downstream-service-cluster"),
    HeaderName::from_static("x-envoy-downstream-service-node"),
    HeaderName::from_static("x-envoy-original-path"),
    HeaderName::from_static("x-envoy-original-host"),
];

/// Makes a request as it arrived one that filters may see. Gives whether it is an upgrade that is allowed.
///
/// The route is chosen by `route` in the middle: behind what changes path and authority, before what it decides about.
///
/// # Errors
/// The answer to a request that may not pass.
pub(crate) fn prepare_request<'r>(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    connection: &ConnectionInfo,
    own_address: IpAddr,
    route: impl FnOnce(&RequestHeaders) -> Option<&'r Route>,
) -> Result<bool, LocalReply> {
    make_uniform(request, http, connection)?;
    act_on_underscores(request, http)?;
    let upgrade = upgrade::upgrade_type(request);
    let fields = &mut request.fields;
    remove_all(fields, &INTERNAL);
    if http.use_remote_address {
        remove_all(fields, &EDGE);
        if !http.preserve_external_request_id && http.xff_num_trusted_hops == 0 {
            remove_all(fields, &[X_REQUEST_ID]);
        }
    }
    strip_request(fields, upgrade.is_some());
    set_forwarded(fields, http, connection, own_address);
    if !http.via.is_empty() {
        append_via(fields, &http.via);
    }
    if http.generate_request_id && !fields.contains_key(&X_REQUEST_ID) {
        fields.insert(X_REQUEST_ID, new_request_id());
    }
    let route = route(request);
    match upgrade {
        Some(upgrade) if !upgrade::is_allowed(&upgrade, http, route) => Err(LocalReply::upgrade_failed()),
        upgrade => Ok(upgrade.is_some()),
    }
}

/// What the router adds to a request for the upstream.
pub(crate) fn router_request(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    timeout: Option<Duration>,
) {
    if http.suppress_envoy_headers {
        return;
    }
    if let Some(timeout) = timeout {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        request.fields.insert(
            HeaderName::from_static("x-envoy-expected-rq-timeout-ms"),
            HeaderValue::from(milliseconds),
        );
    }
}

pub(super) fn append_via(fields: &mut http::HeaderMap, via: &str) {
    let value = match fields.get(VIA).and_then(|value| value.to_str().ok()) {
        Some(list) => HeaderValue::from_str(&format!("{list}, {via}")),
        None => HeaderValue::from_str(via),
    };
    if let Ok(value) = value {
        fields.insert(VIA, value);
    }
}

fn make_uniform(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    connection: &ConnectionInfo,
) -> Result<(), LocalReply> {
    if request.path.as_bytes().contains(&b'#') {
        return Err(LocalReply::rejected_path("path_with_fragment"));
    }
    if http.strip_any_host_port || http.strip_matching_host_port {
        let own_port = connection.local_address.map(|address| address.port());
        let stripped = request.authority.to_str().ok().and_then(path::split_port).and_then(|(host, port)| {
            let strip = http.strip_any_host_port || own_port == Some(port);
            if strip { HeaderValue::from_str(host).ok() } else { None }
        });
        if let Some(host) = stripped {
            request.authority = host;
        }
    }
    if request.path.as_bytes().first() != Some(&b'/') {
        // `*` and the like.
        return Ok(());
    }
    if http.normalize_path {
        let failed = || LocalReply::rejected_path("path_normalization_failed");
        let normal = request.path.to_str().ok().and_then(path::normalize).ok_or_else(failed)?;
        request.path = HeaderValue::from_str(&normal).map_err(|_| failed())?;
    }
    if http.merge_slashes
        && let Some(merged) = request.path.to_str().ok().map(path::merge_slashes)
        && let Ok(merged) = HeaderValue::from_str(&merged)
    {
        request.path = merged;
    }
    Ok(())
}

fn act_on_underscores(request: &mut RequestHeaders, http: &HttpConnectionManager) -> Result<(), LocalReply> {
    if http.headers_with_underscores_action == HeadersWithUnderscoresAction::Allow {
        return Ok(());
    }
    let names: Vec<HeaderName> =
        request.fields.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    if names.is_empty() {
        return Ok(());
    }
    if http.headers_with_underscores_action == HeadersWithUnderscoresAction::RejectRequest {
        return Err(LocalReply::rejected_headers("unexpected_underscore"));
    }
    remove_all(&mut request.fields, &names);
    Ok(())
}
