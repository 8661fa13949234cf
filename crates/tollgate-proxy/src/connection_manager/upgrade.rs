//! Upgrades such as WebSocket (L-14).

use extproc::{RequestHeaders, ResponseHeaders};
use http::{StatusCode, header::UPGRADE};
use tollgate_model::{
    http_connection_manager::HttpConnectionManager,
    route::{Action, Route},
};

use super::hop_by_hop::connection_tokens;

/// The upgrade a request asks for, lower case. `None` if it asks for none.
pub(super) fn upgrade_type(request: &RequestHeaders) -> Option<String> {
    let value = request.fields.get(UPGRADE)?.to_str().ok()?;
    let asked = connection_tokens(&request.fields).any(|token| token.eq_ignore_ascii_case("upgrade"));
    asked.then(|| value.to_ascii_lowercase())
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

/// Whether a response accepts an upgrade.
pub(super) fn is_upgrade_response(response: &ResponseHeaders) -> bool {
    response.status == StatusCode::SWITCHING_PROTOCOLS
}
