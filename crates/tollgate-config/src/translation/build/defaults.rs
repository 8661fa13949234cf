//! Defaults that the original systems have instead of Envoy's (2.2, EG-37, 4.9).

use std::{sync::Arc, time::Duration};

use tollgate_model::{
    http_connection_manager::{
        HeadersWithUnderscoresAction, Http2Options, HttpConnectionManager, PathWithEscapedSlashesAction,
        ServerHeaderTransformation,
    },
    processor::HttpFilter,
    route::RouteConfiguration,
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

/// The connection manager of a listener.
pub(super) fn connection_manager(
    controller: Controller,
    stat_prefix: String,
    routes: Arc<RouteConfiguration>,
    filters: Vec<Arc<HttpFilter>>,
) -> HttpConnectionManager {
    let plain = HttpConnectionManager {
        upgrade_types: vec!["websocket".to_owned()],
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
            ..plain
        },
        Controller::Istio => HttpConnectionManager {
            use_remote_address: true,
            normalize_path: true,
            server_name: "istio-envoy".to_owned(),
            ..plain
        },
    }
}
