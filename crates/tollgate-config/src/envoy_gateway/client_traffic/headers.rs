//! `headers`.

use tollgate_model::http_connection_manager::HeadersWithUnderscoresAction;

use super::{NOT_LEFT_OUT, REFUSED};
use crate::{
    envoy_gateway::client_settings::HttpClientSettings,
    schema::{Enumeration, Schema, Value, harmless, protects, read},
};

static HEADERS: Schema = Schema {
    name: "HeaderSettings",
    title: "",
    fields: &[
        read("enableEnvoyHeaders", "false", "Write the headers `x-envoy-*`."),
        harmless("disableRateLimitHeaders", "there is no rate limit that would write them"),
        read("withUnderscoresAction", "RejectRequest", "How names with underscores are handled."),
        read("preserveXRequestID", "false", "Deprecated: `requestID: PreserveOrGenerate`."),
        read("requestID", "Generate", "Where `x-request-id` comes from."),
        protects("xForwardedClientCert", REFUSED),
        protects("earlyRequestHeaders", REFUSED),
        protects("lateResponseHeaders", REFUSED),
        protects("host", REFUSED),
    ],
    unsupported: &[],
};

static UNDERSCORES: Enumeration<HeadersWithUnderscoresAction> = Enumeration {
    values: &[
        ("Allow", 0, Some(HeadersWithUnderscoresAction::Allow)),
        ("RejectRequest", 1, Some(HeadersWithUnderscoresAction::RejectRequest)),
        ("DropHeader", 2, Some(HeadersWithUnderscoresAction::DropHeader)),
    ],
};

/// Whether one is made where there is none, and one of a client is kept.
static REQUEST_ID: Enumeration<(bool, bool)> = Enumeration {
    values: &[
        ("PreserveOrGenerate", 0, Some((true, true))),
        ("Preserve", 1, Some((false, true))),
        ("Generate", 2, Some((true, false))),
        ("Disable", 3, Some((false, false))),
    ],
};

pub(super) fn read_headers(value: &Value<'_>, http: &mut HttpClientSettings) {
    let Some(message) = value.message(&HEADERS) else { return };
    message.refuse_protections(NOT_LEFT_OUT);
    http.envoy_headers = Some(message.boolean("enableEnvoyHeaders", false));
    http.underscores = message.get("withUnderscoresAction").and_then(|value| value.enumeration(&UNDERSCORES));
    let preserves = message.boolean("preserveXRequestID", false);
    let request_id = message.get("requestID");
    if let (Some(value), true) = (&request_id, message.get("preserveXRequestID").is_some()) {
        value.error("preserveXRequestID and requestID cannot both be set");
    }
    http.request_id = match request_id {
        Some(value) => value.enumeration(&REQUEST_ID),
        None => preserves.then_some((true, true)),
    };
}
