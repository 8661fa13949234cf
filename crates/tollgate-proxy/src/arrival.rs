//! What becomes of a request on arrival, before any filter sees it.

use std::{net::IpAddr, time::Instant};

use extproc::RequestHeaders;
use http::{HeaderValue, StatusCode, header::LOCATION};
use tollgate_model::{
    http_connection_manager::HttpConnectionManager,
    listener::{FilterChain, Listener},
    route::{RequestFacts, Route, RouteMatchResult, host_without_port},
};

use crate::{
    connection_manager::{Prepared, prepare_request},
    downstream::filter_chain::ConnectionFacts,
    local_reply::LocalReply,
    stream_info::ConnectionInfo,
    tls_info::TlsInfo,
    worker::own_address,
};

/// What became of a request; the route is known even of some that may not pass.
pub(crate) struct Arrived<'c> {
    pub(crate) route: Option<RouteMatchResult<'c>>,
    pub(crate) prepared: Result<Prepared, Box<LocalReply>>,
}

/// What routes may ask about a request beside its head, before filters have set anything; `drawn` is its random number.
pub(crate) fn request_facts(connection: &ConnectionInfo, drawn: u64) -> RequestFacts<'static> {
    let tls = connection.tls.as_ref();
    RequestFacts {
        random: drawn,
        certificate_presented: tls.is_some_and(|tls| tls.peer_certificate.is_some()),
        certificate_validated: tls.is_some_and(|tls| tls.peer_certificate_verified),
        metadata: None,
    }
}

/// Makes a request what filters see and finds its route.
pub(crate) fn arrive<'c>(
    request: &mut RequestHeaders,
    chain: &'c FilterChain,
    connection: &ConnectionInfo,
    own_address: IpAddr,
    drawn: u64,
) -> Arrived<'c> {
    let mut route = None;
    let prepared = prepare_request(request, &chain.http, connection, own_address, |request| {
        route = chain.http.route_config.find(request, request_facts(connection, drawn));
        route.as_ref().map(|found| &**found.route)
    });
    let prepared = prepared.and_then(|prepared| {
        // 9.3: the name of the TLS handshake was that of another listener.
        if chain.misdirected_requests.includes(host_without_port(request.authority.as_bytes())) {
            return Err(Box::new(LocalReply::refused(
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
            )));
        }
        Ok(prepared)
    });
    Arrived { route, prepared }
}

/// What becomes of a request that was never sent.
#[derive(Debug)]
pub struct Arrival<'c> {
    /// The route in force when the request reaches the first filter.
    pub route: Option<RouteMatchResult<'c>>,
    /// The answer to a request that may not pass; no filter sees it on its way in.
    pub refused: Option<Refusal>,
}

/// The answer to a request that may not pass.
#[derive(Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
    /// Where the client is sent instead.
    pub location: Option<HeaderValue>,
}

/// Treats a request as if it had come over such a connection to this filter chain: makes it what filters see and finds its
/// route.
pub fn try_request<'c>(
    request: &mut RequestHeaders,
    chain: &'c FilterChain,
    facts: &ConnectionFacts<'_>,
) -> Arrival<'c> {
    let tls = || TlsInfo { server_name: facts.server_name.map(str::to_owned), ..TlsInfo::default() };
    let connection = ConnectionInfo {
        id: 0,
        remote_address: facts.remote_address,
        local_address: facts.local_address,
        original_destination: None,
        direct_remote_address: facts.remote_address,
        tls: facts.tls.then(tls),
        accepted: Instant::now(),
        handshake: None,
    };
    let Arrived { route, prepared } = arrive(request, chain, &connection, own_address(), 0);
    let refused = prepared.err().map(|reply| Refusal {
        status: reply.status,
        details: reply.details.clone().into_owned(),
        location: reply.fields.get(LOCATION).cloned(),
    });
    Arrival { route, refused }
}

/// Most bytes of a body to hold (section 7), in either direction. A route raises it; it never lowers it.
#[must_use]
pub fn body_buffer_limit(
    listener: &Listener,
    http: &HttpConnectionManager,
    route: Option<&Route>,
    http2: bool,
) -> usize {
    let of_connection =
        if http2 { http.http2.stream_buffer_limit } else { listener.per_connection_buffer_limit_bytes };
    let of_route = route.and_then(|route| route.request_body_buffer_limit);
    of_route.map_or(of_connection, |limit| limit.max(of_connection))
}
