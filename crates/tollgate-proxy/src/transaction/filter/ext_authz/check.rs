//! What an authorization service is asked.

use std::{collections::BTreeMap, net::SocketAddr, sync::LazyLock, time::UNIX_EPOCH};

use bytes::Bytes;
use extproc::{RequestHeaders, messages::Metadata};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_LENGTH};
use tollgate_model::{
    filter::{ExtAuthz, HttpAuthService, UnaryService},
    format::Format,
    matching::StringMatcher,
};

use super::{
    super::side_call::grpc_request,
    messages::{
        Address, AttributeContext, CheckRequest, HttpRequest, Peer, Request, SocketAddress, Timestamp,
        TlsSession,
    },
};
use crate::{
    format::{FormatContext, evaluate_header},
    transaction::core::Core,
};

/// Tells the service whether it has the whole body.
const PARTIAL_BODY: HeaderName = HeaderName::from_static("x-envoy-auth-partial-body");

/// What of the body the service gets.
#[derive(Debug, Clone)]
pub(super) struct SentBody {
    pub(super) bytes: Bytes,
    /// The body goes on behind this.
    pub(super) partial: bool,
    pub(super) pack_as_bytes: bool,
}

/// Head and body of a call over gRPC.
pub(super) fn grpc(
    core: &Core,
    settings: &ExtAuthz,
    service: &UnaryService,
    body: Option<&SentBody>,
) -> (RequestHeaders, Bytes) {
    let message = CheckRequest { attributes: Some(attributes(core, settings, body)) };
    grpc_request(core, service, "/envoy.service.auth.v3.Authorization/Check", &message)
}

/// Head and body of a request over HTTP.
pub(super) fn http(
    core: &Core,
    settings: &ExtAuthz,
    service: &HttpAuthService,
    body: Option<&SentBody>,
) -> (RequestHeaders, Bytes) {
    let request = &core.messages.request;
    let sent = body.map(|body| body.bytes.clone()).unwrap_or_default();
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_LENGTH, HeaderValue::from(sent.len()));
    for (name, value) in &request.fields {
        let always = *name == http::header::AUTHORIZATION;
        let allowed =
            settings.allowed_headers.as_ref().is_some_and(|allowed| matches(allowed, name.as_str()));
        if *name != CONTENT_LENGTH
            && (always || allowed)
            && !matches(&settings.disallowed_headers, name.as_str())
        {
            fields.append(name.clone(), value.clone());
        }
    }
    if let Some(body) = body {
        fields.insert(PARTIAL_BODY, HeaderValue::from_static(if body.partial { "true" } else { "false" }));
    }
    let context = FormatContext { info: &core.info, messages: &core.messages, logs: &[] };
    for (name, format) in &service.headers_to_add {
        if let Ok(value) = HeaderValue::try_from(evaluate_header(format, &context)) {
            fields.insert(name.clone(), value);
        }
    }
    fields.insert("x-envoy-internal", HeaderValue::from_static("true"));
    if !service.timeout.is_zero() {
        let milliseconds = u64::try_from(service.timeout.as_millis()).unwrap_or(u64::MAX);
        fields.insert("x-envoy-expected-rq-timeout-ms", HeaderValue::from(milliseconds));
    }
    let path = [service.path_prefix.as_bytes(), request.path.as_bytes()].concat();
    let head = RequestHeaders {
        method: request.method.clone(),
        scheme: request.scheme.clone(),
        authority: request.authority.clone(),
        path: HeaderValue::from_bytes(&path).unwrap_or_else(|_| request.path.clone()),
        fields,
    };
    (head, sent)
}

pub(super) fn matches(matchers: &[StringMatcher], name: &str) -> bool {
    matchers.iter().any(|matcher| matcher.matches(name.as_bytes()))
}

fn attributes(core: &Core, settings: &ExtAuthz, body: Option<&SentBody>) -> AttributeContext {
    let info = &core.info;
    let tls = info.connection.tls.as_ref();
    let since = info.start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    };
    let namespaces = |names: &[String], known: &dyn Fn(&str) -> Option<extproc::messages::Struct>| Metadata {
        filter_metadata: names.iter().filter_map(|name| Some((name.clone(), known(name)?))).collect(),
        ..Metadata::default()
    };
    let route = info.route.as_ref().map(|selected| &selected.route.metadata);
    AttributeContext {
        source: Some(peer(info.remote_address, tls.map(|_| PEER_NAMES.as_slice()), core)),
        destination: Some(peer(info.connection.local_address, tls.map(|_| OWN_NAMES.as_slice()), core)),
        request: Some(Request { time: Some(time), http: Some(http_request(core, settings, body)) }),
        context_extensions: settings.context_extensions.clone(),
        metadata_context: Some(namespaces(&settings.metadata_context_namespaces, &|name| {
            info.metadata.namespace(name).cloned()
        })),
        route_metadata_context: Some(namespaces(&settings.route_metadata_context_namespaces, &|name| {
            route?.filter_metadata.get(name).cloned()
        })),
        tls_session: tls
            .filter(|_| settings.include_tls_session)
            .map(|tls| TlsSession { sni: tls.server_name.clone().unwrap_or_default() }),
    }
}

/// Names of a certificate, the first that there is counts.
static PEER_NAMES: LazyLock<Vec<Format>> =
    LazyLock::new(|| names("DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_SUBJECT"));
static OWN_NAMES: LazyLock<Vec<Format>> = LazyLock::new(|| {
    names("DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_SUBJECT")
});

fn names(uri: &str, dns: &str, subject: &str) -> Vec<Format> {
    [uri, dns, subject].iter().filter_map(|name| Format::parse(&format!("%{name}%")).ok()).collect()
}

fn peer(address: Option<SocketAddr>, names: Option<&[Format]>, core: &Core) -> Peer {
    let context = FormatContext { info: &core.info, messages: &core.messages, logs: &[] };
    let mut known = names.into_iter().flatten().map(|name| evaluate_header(name, &context));
    let name = known.find(|name| !name.is_empty()).unwrap_or_default();
    let first = String::from_utf8_lossy(&name).split(',').next().unwrap_or_default().to_owned();
    let address = address.map(|address| Address {
        socket_address: Some(SocketAddress {
            address: address.ip().to_string(),
            port_value: address.port().into(),
        }),
    });
    Peer { address, principal: first }
}

fn http_request(core: &Core, settings: &ExtAuthz, body: Option<&SentBody>) -> HttpRequest {
    let request = &core.messages.request;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let (body_text, raw_body) = match body {
        None => (String::new(), Bytes::new()),
        Some(body) if body.pack_as_bytes => (String::new(), body.bytes.clone()),
        Some(body) => (text(&body.bytes), Bytes::new()),
    };
    HttpRequest {
        id: fastrand::u64(..).to_string(),
        method: request.method.as_str().to_owned(),
        headers: headers(request, settings, body),
        path: text(request.path.as_bytes()),
        host: text(request.authority.as_bytes()),
        scheme: text(request.scheme.as_bytes()),
        size: i64::try_from(core.info.bytes_received).unwrap_or(i64::MAX),
        protocol: core.info.protocol.as_str().to_owned(),
        body: body_text,
        raw_body,
    }
}

/// All headers with the pseudo-headers, several values of a name joined with commas.
fn headers(
    request: &RequestHeaders,
    settings: &ExtAuthz,
    body: Option<&SentBody>,
) -> BTreeMap<String, String> {
    let pseudo = [
        (":method", request.method.as_str().as_bytes()),
        (":scheme", request.scheme.as_bytes()),
        (":authority", request.authority.as_bytes()),
        (":path", request.path.as_bytes()),
    ];
    let fields = request.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pseudo.into_iter().chain(fields) {
        let allowed = settings.allowed_headers.as_ref().is_none_or(|allowed| matches(allowed, name));
        if name == PARTIAL_BODY.as_str() || !allowed || matches(&settings.disallowed_headers, name) {
            continue;
        }
        let value = String::from_utf8_lossy(value);
        match headers.get_mut(name) {
            Some(known) => {
                known.push(',');
                known.push_str(&value);
            }
            None => {
                headers.insert(name.to_owned(), value.into_owned());
            }
        }
    }
    if let Some(body) = body {
        headers.insert(PARTIAL_BODY.as_str().to_owned(), body.partial.to_string());
    }
    headers
}
