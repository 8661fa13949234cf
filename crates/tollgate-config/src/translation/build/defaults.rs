//! Defaults that the original systems have instead of Envoy's (2.2, EG-37, 4.9).

use std::time::Duration;

use http::StatusCode;
use tollgate_ir::{HttpConnectionManager, HttpFilter};
use tollgate_model::{
    http_connection_manager::{
        HeadersWithUnderscoresAction, Http2Options, PathWithEscapedSlashesAction, ServerHeaderTransformation,
    },
    route::{RetryOn, RetryPolicy},
};

use crate::translation::Controller;

/// How long a TLS handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Limit of buffered bodies (EG-37).
pub(super) fn buffer_limit(controller: Controller) -> usize {
    if controller == Controller::EnvoyGateway { 32 * 1024 } else { 1024 * 1024 }
}

/// How long a request may take where its rule does not say it.
pub(super) fn request_timeout(controller: Controller, grpc: bool) -> Option<Duration> {
    match controller {
        Controller::Istio => None,
        // Calls may be streams that stay open.
        Controller::Tollgate if grpc => None,
        _ => Some(Duration::from_secs(15)),
    }
}

/// The upgrade that most controllers allow without being asked for.
pub(super) const WEBSOCKET: &str = "websocket";

/// What is tried again by a rule that asks for retries and names these statuses, or none.
pub(super) fn retries(controller: Controller, codes: &[StatusCode]) -> RetryPolicy {
    if controller == Controller::EnvoyGateway {
        let retriable_status_codes =
            if codes.is_empty() { vec![StatusCode::SERVICE_UNAVAILABLE] } else { codes.to_vec() };
        return RetryPolicy {
            retry_on: UNSEEN_OR_REFUSED.or(RetryOn::RETRIABLE_STATUS_CODES),
            num_retries: 2,
            retriable_status_codes,
            avoid_previous_hosts: 5,
            ..RetryPolicy::default()
        };
    }
    let of_statuses = if codes.is_empty() { RetryOn::default() } else { RetryOn::RETRIABLE_STATUS_CODES };
    RetryPolicy {
        retry_on: RetryOn::CONNECT_FAILURE.or(RetryOn::REFUSED_STREAM).or(RetryOn::RESET).or(of_statuses),
        retriable_status_codes: codes.to_vec(),
        ..RetryPolicy::default()
    }
}

/// What Istio (1.24 and later) tries again unless it is told otherwise: nothing that an upstream may have done already.
pub(crate) fn retries_of_istio() -> RetryPolicy {
    RetryPolicy {
        retry_on: UNSEEN_OR_REFUSED,
        num_retries: 2,
        avoid_previous_hosts: 5,
        ..RetryPolicy::default()
    }
}

/// No connection, streams that were refused unseen, and gRPC's UNAVAILABLE and CANCELLED.
const UNSEEN_OR_REFUSED: RetryOn =
    RetryOn::CONNECT_FAILURE.or(RetryOn::REFUSED_STREAM).or(RetryOn::UNAVAILABLE).or(RetryOn::CANCELLED);

/// The connection manager of a listener, with the route table of this name.
pub(super) fn connection_manager(
    controller: Controller,
    stat_prefix: String,
    routes: String,
    filters: Vec<HttpFilter>,
) -> HttpConnectionManager {
    let plain = HttpConnectionManager {
        upgrade_types: vec![WEBSOCKET.to_owned()],
        ..HttpConnectionManager::new(stat_prefix, routes, filters)
    };
    match controller {
        // Nobody says what such a class does; it is as strict as the others are, so that what a processor sees is what the
        // upstream serves.
        Controller::Tollgate => HttpConnectionManager {
            use_remote_address: true,
            headers_with_underscores_action: HeadersWithUnderscoresAction::RejectRequest,
            normalize_path: true,
            merge_slashes: true,
            path_with_escaped_slashes_action: PathWithEscapedSlashesAction::UnescapeAndRedirect,
            ..plain
        },
        Controller::EnvoyGateway => HttpConnectionManager {
            use_remote_address: true,
            headers_with_underscores_action: HeadersWithUnderscoresAction::RejectRequest,
            normalize_path: true,
            merge_slashes: true,
            path_with_escaped_slashes_action: PathWithEscapedSlashesAction::UnescapeAndRedirect,
            server_header_transformation: ServerHeaderTransformation::PassThrough,
            suppress_envoy_headers: true,
            http2: Http2Options {
                max_concurrent_streams: 100,
                initial_stream_window_size: 64 * 1024,
                initial_connection_window_size: 1024 * 1024,
                stream_buffer_limit: 64 * 1024,
                ..Http2Options::default()
            },
            ..plain
        },
        Controller::Kgateway => HttpConnectionManager {
            use_remote_address: true,
            normalize_path: true,
            merge_slashes: true,
            // Backends ask for them by their appProtocol.
            upgrade_types: Vec::new(),
            ..plain
        },
        Controller::Istio => HttpConnectionManager {
            use_remote_address: true,
            normalize_path: true,
            server_name: "istio-envoy".to_owned(),
            stream_idle_timeout: None,
            ..plain
        },
    }
}
