//! Upgrades such as WebSocket (L-14).

use extproc::{RequestHeaders, ResponseHeaders, remove_fields};
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONNECTION, UPGRADE},
};
use tollgate_model::{
    http_connection_manager::HttpConnectionManager,
    route::{Action, Route},
};

use super::hop_by_hop::connection_tokens;

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The upgrade a request asks for, as written. `None` if it asks for none.
///
/// An offer of HTTP/2 (`h2c`) is none: it is removed, and the request served as it is.
pub(super) fn upgrade_type(request: &mut RequestHeaders) -> Option<String> {
    if !asks_for_upgrade(&request.fields) {
        return None;
    }
    let upgrade = request.fields.get(UPGRADE)?.to_str().ok()?;
    if upgrade.eq_ignore_ascii_case("h2c") {
        remove_fields(&mut request.fields, &[UPGRADE, HTTP2_SETTINGS]);
        return None;
    }
    Some(upgrade.to_owned())
}

fn asks_for_upgrade(fields: &HeaderMap) -> bool {
    fields.contains_key(UPGRADE)
        && connection_tokens(fields).any(|token| token.eq_ignore_ascii_case("upgrade"))
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
    response.status == StatusCode::SWITCHING_PROTOCOLS
        && request.fields.contains_key(CONNECTION)
        && asks_for_upgrade(&request.fields)
}
