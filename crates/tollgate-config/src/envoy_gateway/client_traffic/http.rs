//! `path`, `http1` and `http2`.

use tollgate_model::http_connection_manager::PathWithEscapedSlashesAction;

use crate::{
    envoy_gateway::client_settings::HttpClientSettings,
    envoy_gateway::settings::{read_client_http2, read_http2_keepalive},
    schema::{Enumeration, Schema, Value, read, unimplemented},
};

static PATH: Schema = Schema {
    name: "PathSettings",
    title: "",
    fields: &[
        read("escapedSlashesAction", "UnescapeAndRedirect", "How `%2F` and `%5C` are handled."),
        read("disableMergeSlashes", "false", "Leave adjacent slashes as they are."),
    ],
    unsupported: &[],
};

static ESCAPED_SLASHES: Enumeration<PathWithEscapedSlashesAction> = Enumeration {
    values: &[
        ("KeepUnchanged", 0, Some(PathWithEscapedSlashesAction::KeepUnchanged)),
        ("RejectRequest", 1, Some(PathWithEscapedSlashesAction::RejectRequest)),
        ("UnescapeAndRedirect", 2, Some(PathWithEscapedSlashesAction::UnescapeAndRedirect)),
        ("UnescapeAndForward", 3, Some(PathWithEscapedSlashesAction::UnescapeAndForward)),
    ],
};

pub(super) fn read_path(value: &Value<'_>, http: &mut HttpClientSettings) {
    let Some(message) = value.message(&PATH) else { return };
    http.escaped_slashes =
        message.get("escapedSlashesAction").and_then(|value| value.enumeration(&ESCAPED_SLASHES));
    let disable = message.get("disableMergeSlashes").and_then(|value| value.boolean());
    http.merge_slashes = disable.map(|disable| !disable);
}

static HTTP1: Schema = Schema {
    name: "HTTP1Settings",
    title: "",
    fields: &[
        read("enableTrailers", "false", "Pass trailers on."),
        unimplemented("preserveHeaderCase", "names of headers are lower case"),
        read("http10", "refused", "Accept requests of HTTP/1.0."),
        unimplemented(
            "disableSafeMaxConnectionDuration",
            "an idle connection is closed when its time is over",
        ),
        unimplemented("ignoredUpgradeTypes", "upgrades that are not allowed answer 403"),
    ],
    unsupported: &[],
};

static HTTP_10: Schema = Schema {
    name: "HTTP10Settings",
    title: "",
    fields: &[unimplemented("useDefaultHost", "requests without a host answer 400")],
    unsupported: &[],
};

pub(super) fn read_http1(value: &Value<'_>, http: &mut HttpClientSettings) {
    let Some(message) = value.message(&HTTP1) else { return };
    http.http1_trailers = message.get("enableTrailers").and_then(|value| value.boolean());
    http.http_10 = message.message("http10", &HTTP_10).is_some();
}

pub(super) fn read_http2(value: &Value<'_>, http: &mut HttpClientSettings) {
    if let Some((options, keepalive)) = read_client_http2(value) {
        http.http2 = Some(options);
        http.http2_keepalive = keepalive.and_then(|value| read_http2_keepalive(&value));
    }
}
