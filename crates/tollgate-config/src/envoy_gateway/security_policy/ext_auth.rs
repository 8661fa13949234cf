//! `extAuth`: a service that is asked.

use serde_json::{Map, Value as Json, json};

use crate::{
    envoy_gateway::{
        ext_proc::{BackendRef, read_backends},
        settings::{BackendSettings, duration, read_settings_without_retry},
    },
    kubernetes::Place,
    schema::{Enumeration, Message, Schema, Value, read, refused},
};

/// A service that is asked.
#[derive(Debug)]
pub(in crate::envoy_gateway) struct ExtAuth {
    /// As Envoy has it, without the service.
    pub(in crate::envoy_gateway) settings: Json,
    pub(in crate::envoy_gateway) service: Service,
    pub(in crate::envoy_gateway) timeout: String,
    /// Sent with every question.
    pub(in crate::envoy_gateway) context_extensions: Map<String, Json>,
    pub(in crate::envoy_gateway) backends: Vec<BackendRef>,
    pub(in crate::envoy_gateway) reach: BackendSettings,
    pub(in crate::envoy_gateway) place: Place,
}

/// What is spoken with it.
#[derive(Debug)]
pub(in crate::envoy_gateway) enum Service {
    Grpc,
    /// As Envoy has it, without the server.
    Http {
        settings: Json,
        path: String,
    },
}

static EXT_AUTH: Schema = Schema {
    name: "ExtAuth",
    title: "",
    fields: &[
        read("grpc", "", "A service of gRPC. This or http is required."),
        read("http", "", "A service of HTTP."),
        read("headersToExtAuth", "those of Envoy", "Headers that it is told."),
        read("bodyToExtAuth", "none", "Bodies that it is told."),
        read("timeout", "10s", "How long an answer may take."),
        read("failOpen", "false", "Requests pass when it cannot be asked."),
        read("recomputeRoute", "false", "Match the routes again when it has changed headers."),
        read("includeRouteMetadata", "false", "No effect: routes have no such metadata here."),
        read("contextExtensions", "[]", "Values that it is told."),
        read("statusOnError", "403", "What is answered when it cannot be asked."),
    ],
    unsupported: &[],
};

static GRPC: Schema = Schema {
    name: "GRPCExtAuthService",
    title: "",
    fields: &[
        read("backendRef", "", "Deprecated: one of backendRefs."),
        read("backendRefs", "", "Where it is. Required."),
        read("backendSettings", "{}", "How it is reached."),
    ],
    unsupported: &[],
};

static HTTP: Schema = Schema {
    name: "HTTPExtAuthService",
    title: "",
    fields: &[
        read("backendRef", "", "Deprecated: one of backendRefs."),
        read("backendRefs", "", "Where it is. Required."),
        read("backendSettings", "{}", "How it is reached."),
        read("path", "", "What stands before the path of the request."),
        read("pathOverride", "", "The path, instead of that."),
        read("headersToBackend", "[]", "Headers of its answer that the upstream gets."),
    ],
    unsupported: &[],
};

static BODY: Schema = Schema {
    name: "BodyToExtAuth",
    title: "",
    fields: &[read("maxRequestBytes", "", "Largest body; 413 is answered to larger ones. Required.")],
    unsupported: &[],
};

static EXTENSION: Schema = Schema {
    name: "ContextExtension",
    title: "",
    fields: &[
        read("name", "", "Name. Required."),
        read("type", "", "Value. Required."),
        read("value", "", "The value."),
        refused("valueRef", "write the value"),
    ],
    unsupported: &[],
};

static EXTENSION_TYPE: Enumeration<()> =
    Enumeration { values: &[("Value", 0, Some(())), ("ValueRef", 1, None)] };

pub(super) fn read_ext_auth(value: &Value<'_>) -> Option<ExtAuth> {
    let message = value.message(&EXT_AUTH)?;
    if let Some(field) = message.get("includeRouteMetadata").filter(|field| field.boolean() == Some(true)) {
        field.no_effect("includeRouteMetadata", "routes have no metadata of Envoy Gateway here");
    }
    let mut settings = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "failure_mode_allow": message.boolean("failOpen", false),
        "clear_route_cache": message.boolean("recomputeRoute", false),
    });
    let headers = message.strings("headersToExtAuth");
    if !headers.is_empty() {
        settings["allowed_headers"] = names(&headers);
    }
    if let Some(body) = message.message("bodyToExtAuth", &BODY) {
        let most = body.required("maxRequestBytes").and_then(|most| most.u32());
        settings["with_request_body"] = json!({"max_request_bytes": most.unwrap_or(0)});
    }
    if let Some(status) = message.get("statusOnError").and_then(|status| status.integer(400..=599)) {
        settings["status_on_error"] = json!({"code": status});
    }
    let extensions = message.list("contextExtensions");
    let extensions = extensions.iter().filter_map(|value| {
        let extension = value.message(&EXTENSION)?;
        extension.required("type")?.enumeration(&EXTENSION_TYPE)?;
        Some((extension.required_string("name"), Json::String(extension.string("value"))))
    });
    let timeout = message.get("timeout").and_then(|timeout| duration(&timeout));
    let (kind, service) = message.required_one_of(&["grpc", "http"])?;
    let (service, of_service) = match kind {
        "grpc" => (Service::Grpc, service.message(&GRPC)?),
        _ => {
            let message = service.message(&HTTP)?;
            (read_http(&message), message)
        }
    };
    let reach = of_service.get("backendSettings").and_then(|settings| read_settings_without_retry(&settings));
    let backends = read_backends(&of_service);
    if backends.is_empty() {
        of_service.value().error("backendRefs is required");
    }
    Some(ExtAuth {
        settings,
        service,
        timeout: format!("{}s", timeout.map_or(10.0, |timeout| timeout.as_secs_f64())),
        context_extensions: extensions.collect(),
        backends,
        reach: reach.unwrap_or_default(),
        place: Place::of(value),
    })
}

fn read_http(message: &Message<'_>) -> Service {
    let (path, instead) = (message.string("path"), message.string("pathOverride"));
    if !path.is_empty() && !instead.is_empty() {
        message.value().error("only one of path and pathOverride can be set");
    }
    let mut settings = json!({});
    if !path.is_empty() {
        settings["path_prefix"] = path.clone().into();
    }
    if !instead.is_empty() {
        settings["path_override"] = instead.clone().into();
    }
    let headers = message.strings("headersToBackend");
    if !headers.is_empty() {
        settings["authorization_response"] = json!({"allowed_upstream_headers": names(&headers)});
    }
    Service::Http { settings, path: if instead.is_empty() { path } else { instead } }
}

/// Names of headers, in any case.
fn names(names: &[String]) -> Json {
    let patterns: Vec<Json> = names.iter().map(|name| json!({"exact": name, "ignore_case": true})).collect();
    json!({"patterns": patterns})
}
