//! Requests on arrival.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use extproc::{RequestHeaders, mutation::Side, remove_fields};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, VIA},
};
use tollgate_model::{
    http_connection_manager::{
        HeadersWithUnderscoresAction, HttpConnectionManager, PathWithEscapedSlashesAction,
    },
    route::{Route, is_grpc},
};

use super::{
    client_cert::forward_client_cert,
    envoy_headers::EnvoyHeaders,
    fields::{append_to_list, join_single_entries},
    forwarded::{is_internal, scheme, set_external_address, set_forwarded},
    hop_by_hop::{ConnectionProblem, remove_nominated, strip_request},
    ip_detection::detect,
    path,
    request_id::new_request_id,
    upgrade,
};
use crate::{local_reply::LocalReply, stream_info::ConnectionInfo};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What [`prepare_request`] found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// The request is an upgrade that is allowed.
    pub(crate) upgrade: bool,
    /// The client as far as it can be trusted; port 0 if a proxy named it. `None` on Unix sockets.
    pub(crate) remote_address: Option<SocketAddr>,
}

/// Makes a request as it arrived one that filters may see: everything it changes is seen by processors (E-3).
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
) -> Result<Prepared, Box<LocalReply>> {
    let names = EnvoyHeaders::of(&http.header_prefix);
    act_on_underscores(request, http)?;
    join_single_entries(&mut request.fields, Side::Request, &http.header_prefix);
    let upgrade = upgrade::upgrade_type(request);
    remove_nominated(&mut request.fields).map_err(|problem| match problem {
        ConnectionProblem::Rejected => LocalReply::bad_request("http1.connection_header_rejected"),
        ConnectionProblem::NamesHost => LocalReply::refused(StatusCode::BAD_REQUEST, "missing_host_header"),
    })?;
    check_query_method(request)?;
    check_path(request)?;
    let must_redirect = unescape_slashes(request, http)?;
    make_uniform(request, http, connection)?;
    if must_redirect {
        let location = request.path.clone();
        return Err(Box::new(LocalReply::normalized_path(location)));
    }

    let fields = &mut request.fields;
    strip_request(fields, upgrade.is_some());
    let peer = connection.remote_address.map(|peer| peer.ip());
    let detected = detect(&http.ip_detection, fields, peer)
        .map_err(|status| LocalReply::refused(status, "rejecting_because_detection_failed"))?;
    let is_internal = is_internal(fields, http, connection, detected);
    if is_internal {
        fields.insert(names.internal.clone(), HeaderValue::from_static("true"));
    } else {
        remove_fields(fields, &names.control);
    }
    forward_client_cert(fields, http, connection.tls.as_ref());
    let is_edge = http.use_remote_address && !is_internal;
    if is_edge {
        remove_fields(fields, &names.edge);
    }
    let remote_address = set_forwarded(fields, http, connection, own_address, detected);
    if !http.via.is_empty() {
        append_to_list(fields, &VIA, ", ", http.via.as_bytes());
    }
    if is_edge {
        set_external_address(fields, &names, remote_address);
    }
    if http.generate_request_id {
        set_request_id(fields, is_edge && !http.preserve_external_request_id);
    }
    request.scheme = if request.scheme.is_empty() {
        scheme(&request.fields, connection)
    } else {
        lower_case(&request.scheme)
    };
    let route = route(request);
    match upgrade {
        Some(upgrade) if !upgrade::is_allowed(&upgrade, http, route) => {
            Err(Box::new(LocalReply::upgrade_failed()))
        }
        upgrade => Ok(Prepared { upgrade: upgrade.is_some(), remote_address }),
    }
}

/// Gives the request an id unless it has one that may stay.
fn set_request_id(fields: &mut http::HeaderMap, renew: bool) {
    if renew || fields.get(&X_REQUEST_ID).is_none_or(HeaderValue::is_empty) {
        fields.insert(X_REQUEST_ID, new_request_id());
    }
}

fn lower_case(value: &HeaderValue) -> HeaderValue {
    if !value.as_bytes().iter().any(u8::is_ascii_uppercase) {
        return value.clone();
    }
    HeaderValue::from_bytes(&value.as_bytes().to_ascii_lowercase()).unwrap_or_else(|_| value.clone())
}

/// Refuses a QUERY that does not say what its content is (RFC 10008, section 2).
fn check_query_method(request: &RequestHeaders) -> Result<(), Box<LocalReply>> {
    let is_missing = || request.fields.get(CONTENT_TYPE).is_none_or(HeaderValue::is_empty);
    if request.method.as_str() == "QUERY" && is_missing() {
        return Err(refused(StatusCode::BAD_REQUEST, "query_missing_content_type"));
    }
    Ok(())
}

/// Refuses targets that are no path (`*`), and fragments, which are not for servers.
fn check_path(request: &RequestHeaders) -> Result<(), Box<LocalReply>> {
    if request.method == Method::CONNECT {
        return Ok(());
    }
    let path = request.path.as_bytes();
    if path.first() != Some(&b'/') {
        return Err(refused(StatusCode::NOT_FOUND, "absolute_path_rejected"));
    }
    if path.contains(&b'#') {
        return Err(path_not_normal());
    }
    Ok(())
}

fn refused(status: StatusCode, details: &'static str) -> Box<LocalReply> {
    Box::new(LocalReply::refused(status, details))
}

fn path_not_normal() -> Box<LocalReply> {
    refused(StatusCode::BAD_REQUEST, "path_normalization_failed")
}

/// Acts on escaped slashes; tells whether the client is to come again with a path that has none.
fn unescape_slashes(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
) -> Result<bool, Box<LocalReply>> {
    let action = http.path_with_escaped_slashes_action;
    if action == PathWithEscapedSlashesAction::KeepUnchanged || request.method == Method::CONNECT {
        return Ok(false);
    }
    let Some(unescaped) = request.path.to_str().ok().and_then(path::unescape_slashes) else {
        return Ok(false);
    };
    // Logs show what the path comes to, whatever becomes of the request.
    request.path = HeaderValue::from_str(&unescaped).map_err(|_| path_not_normal())?;
    match action {
        PathWithEscapedSlashesAction::KeepUnchanged | PathWithEscapedSlashesAction::UnescapeAndForward => {
            Ok(false)
        }
        PathWithEscapedSlashesAction::RejectRequest => Err(path_not_normal()),
        // Clients of gRPC follow no redirects.
        PathWithEscapedSlashesAction::UnescapeAndRedirect if is_grpc(request) => Err(path_not_normal()),
        PathWithEscapedSlashesAction::UnescapeAndRedirect => Ok(true),
    }
}

fn make_uniform(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
    connection: &ConnectionInfo,
) -> Result<(), Box<LocalReply>> {
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
    if request.method == Method::CONNECT {
        return Ok(());
    }
    if http.normalize_path {
        let keep_parameters = http.keep_dot_segment_parameters;
        let path = request.path.to_str().ok();
        let normal =
            path.and_then(|path| path::normalize(path, keep_parameters)).ok_or_else(path_not_normal)?;
        if normal.as_bytes() != request.path.as_bytes() {
            request.path = HeaderValue::from_str(&normal).map_err(|_| path_not_normal())?;
        }
    }
    if http.merge_slashes
        && let Some(merged) = request.path.to_str().ok().map(path::merge_slashes)
        && let Ok(merged) = HeaderValue::from_str(&merged)
    {
        request.path = merged;
    }
    Ok(())
}

fn act_on_underscores(
    request: &mut RequestHeaders,
    http: &HttpConnectionManager,
) -> Result<(), Box<LocalReply>> {
    if http.headers_with_underscores_action == HeadersWithUnderscoresAction::Allow {
        return Ok(());
    }
    let names: Vec<HeaderName> =
        request.fields.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    if names.is_empty() {
        return Ok(());
    }
    if http.headers_with_underscores_action == HeadersWithUnderscoresAction::RejectRequest {
        return Err(Box::new(LocalReply::bad_request("http1.unexpected_underscore")));
    }
    remove_fields(&mut request.fields, &names);
    Ok(())
}
