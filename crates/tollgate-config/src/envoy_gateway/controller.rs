//! What gateways of Envoy Gateway do in their own way.

use std::time::Duration;

use http::StatusCode;
use tollgate_model::{
    cluster::LbPolicy,
    http_connection_manager::{
        HeadersWithUnderscoresAction, Http2Options, PathWithEscapedSlashesAction, ServerHeaderTransformation,
    },
    route::{RetryOn, RetryPolicy},
};

use super::{Configuration, gateway_settings};
use crate::{
    routing::Ranking,
    translation::{
        BackendError, ClusterSite, Controller, Defaults, Message, Names, Referring, UNSEEN_OR_REFUSED,
        Validity, Words,
    },
};

/// Limit of what is buffered, towards clients and towards upstreams (EG-32, EG-37).
pub(super) const BUFFER_LIMIT: usize = 32 * 1024;

/// The name in `controllerName` that is claimed unless it is configured.
pub(super) const NAME: &str = "gateway.envoyproxy.io/gatewayclass-controller";

pub(crate) static CONTROLLER: Controller = Controller {
    name: NAME,
    classes: &["eg", "envoy-gateway", "envoy-gateway-class"],
    claims: Some(|translator| Configuration::in_force(translator).controller_name),
    parameters: gateway_settings::of_parameters,
    defaults: Defaults {
        buffer_limit: BUFFER_LIMIT,
        connection_manager: |http| {
            http.use_remote_address = true;
            http.headers_with_underscores_action = HeadersWithUnderscoresAction::RejectRequest;
            http.normalize_path = true;
            http.merge_slashes = true;
            http.path_with_escaped_slashes_action = PathWithEscapedSlashesAction::UnescapeAndRedirect;
            http.server_header_transformation = ServerHeaderTransformation::PassThrough;
            http.suppress_envoy_headers = true;
            http.http2 = Http2Options {
                max_concurrent_streams: 100,
                initial_stream_window_size: 64 * 1024,
                initial_connection_window_size: 1024 * 1024,
                stream_buffer_limit: 64 * 1024,
                ..Http2Options::default()
            };
        },
        cluster: |cluster| {
            cluster.connect_timeout = Duration::from_secs(10);
            cluster.lb_policy = LbPolicy::LEAST_REQUEST;
            cluster.per_connection_buffer_limit_bytes = BUFFER_LIMIT;
            // As many retries as requests: those of pods that restart come in surges.
            cluster.circuit_breakers.max_retries = 1024;
        },
        retries: |codes| RetryPolicy {
            retry_on: UNSEEN_OR_REFUSED.or(RetryOn::RETRIABLE_STATUS_CODES),
            num_retries: 2,
            retriable_status_codes: if codes.is_empty() {
                vec![StatusCode::SERVICE_UNAVAILABLE]
            } else {
                codes.to_vec()
            },
            avoid_previous_hosts: 5,
            avoid_previous_priorities: None,
            ..RetryPolicy::default()
        },
        unasked_retries: |_| None,
        limits_requests_by_tries: true,
        least_idle_timeout: Some(Duration::from_secs(3600)),
        append_x_forwarded_host: true,
        ranking: Ranking::ExactFirst,
        specific_hosts_first: false,
        preflight_routes: true,
        refuses_unknown_route_kinds: true,
        ..Defaults::PLAIN
    },
    names: Names {
        cluster: |cluster| {
            let ClusterSite { site, .. } = cluster;
            let (route, (role, index)) = (&site.route.object, site.role);
            let kind = route.kind.to_ascii_lowercase();
            format!("{kind}/{}/{}/rule/{}/{role}/{index}", route.namespace, route.name, site.rule)
        },
        ..Names::PLAIN
    },
    words: Words {
        message,
        backend_reason: |error| match error {
            BackendError::PortNotFound(_) => Some("PortNotFound"),
            BackendError::Unsupported(_) => Some("UnsupportedValue"),
            BackendError::Tls(_) => Some("InvalidBackendTLS"),
            _ => None,
        },
        backend_message,
        tls_ancestor: |parent, _| parent.clone(),
        ..Words::PLAIN
    },
};

fn backend_message(error: &BackendError, site: Referring<'_>) -> String {
    let text = error.to_string();
    match site.role {
        ("backend", index) => {
            let end = if text.ends_with(|last: char| last.is_ascii_punctuation()) { "" } else { "." };
            format!("Failed to process route rule {} backendRef {index}: {text}{end}", site.rule)
        }
        _ => text,
    }
}

/// 6.8
fn message(message: &Message) -> Option<String> {
    let text = match message {
        Message::SetListenerNotConflicted => "No conflicts detected",
        Message::ListenerSetAccepted(validity) => match validity {
            Validity::All => "All listeners are accepted",
            Validity::Some => "Some listeners are invalid",
            Validity::Nothing => "No listeners are accepted",
        },
        Message::ListenerSetProgrammed(validity) => match validity {
            Validity::All => "All listeners are programmed",
            Validity::Some => "Some listeners are not programmed",
            Validity::Nothing => "No listeners are programmed",
        },
        Message::ListenerSetNotProgrammed(_) => "Not Programmed",
        Message::ListenerSetNotAllowed { gateway, namespace } => {
            return Some(format!(
                "ListenerSet attachment from namespace {namespace} not allowed by Gateway {gateway}"
            ));
        }
        Message::ListenerSetParent { gateway } => {
            return Some(format!("Parent Gateway {gateway} not accepted"));
        }
        Message::ProtocolConflict { listeners, .. } => {
            return Some(format!(
                "All listeners for a given port must use a compatible protocol, conflicting listeners: {listeners}"
            ));
        }
        Message::HostnameConflict { listeners, .. } => {
            return Some(format!(
                "All listeners for a given port must use a unique hostname, conflicting listeners: {listeners}"
            ));
        }
        _ => return None,
    };
    Some(text.to_owned())
}
