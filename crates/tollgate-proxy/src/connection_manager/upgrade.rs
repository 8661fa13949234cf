//! Upgrades such as WebSocket (L-14).

use extproc::{RequestHeaders, ResponseHeaders, remove_fields};
use http::{HeaderName, StatusCode, header::UPGRADE};
use tollgate_model::{
    http_connection_manager::HttpConnectionManager,
    route::{Action, Route},
};

use crate::http1::is_upgrade;

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The upgrade a request asks for, as written. `None` if it asks for none.
///
/// An offer of HTTP/2 (`h2c`) is none: it is removed, and the request served as it is. Several offers are one that nobody
/// allows.
pub(super) fn upgrade_type(request: &mut RequestHeaders) -> Option<String> {
    if !is_upgrade(&request.fields) {
        return None;
    }
    let offers: Vec<_> = request.fields.get_all(UPGRADE).iter().map(|value| value.as_bytes()).collect();
    if offers.len() == 1 && offers[0].eq_ignore_ascii_case(b"h2c") {
        remove_fields(&mut request.fields, &[UPGRADE, HTTP2_SETTINGS]);
        return None;
    }
    Some(String::from_utf8_lossy(&offers.join(&b',')).into_owned())
}

/// Whether the upgrade is allowed: by the route if it says something about it, else by the connection manager.
pub(super) fn is_allowed(upgrade: &str, http: &HttpConnectionManager, route: Option<&Route>) -> bool {
    let by_route = match route.map(|route| &route.action) {
        Some(Action::Route(action)) => action
            .upgrade_configs
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(upgrade))
            .map(|(_, enabled)| *enabled),
        _ => None,
    };
    by_route.unwrap_or_else(|| http.upgrade_types.iter().any(|known| known.eq_ignore_ascii_case(upgrade)))
}

/// Whether a response accepts the upgrade that `request`, as filters saw it, asked for.
pub(super) fn is_accepted(request: &RequestHeaders, response: &ResponseHeaders) -> bool {
    response.status == StatusCode::SWITCHING_PROTOCOLS && is_upgrade(&request.fields)
}
