//! `cors`: cross-origin resource sharing.

use std::sync::Arc;

use serde_json::json;
use tollgate_ir::Override;
use tollgate_model::cors::CorsPolicy;

use crate::{
    envoy::read_override,
    envoy_gateway::settings::duration,
    schema::{Schema, Value, read},
};

static CORS: Schema = Schema {
    name: "CORS",
    title: "",
    fields: &[
        read("allowOrigins", "[]", "Origins; an asterisk stands for anything."),
        read("allowMethods", "[]", "Methods, or `*`."),
        read("allowHeaders", "[]", "Headers of requests, or `*`."),
        read("exposeHeaders", "[]", "Headers of responses that scripts may see."),
        read("maxAge", "", "How long answers to preflight requests may be kept."),
        read("allowCredentials", "false", "Allow credentials."),
    ],
    unsupported: &[],
};

pub(super) fn read_cors(value: &Value<'_>) -> Option<Arc<CorsPolicy>> {
    let message = value.message(&CORS)?;
    let origins = message.strings("allowOrigins").into_iter().map(|origin| match origin.contains('*') {
        true => json!({"safe_regex": {"regex": expression(&origin)}}),
        false => json!({"exact": origin}),
    });
    let mut policy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": origins.collect::<Vec<_>>(),
        "allow_methods": message.strings("allowMethods").join(", "),
        "allow_headers": message.strings("allowHeaders").join(", "),
        "expose_headers": message.strings("exposeHeaders").join(", "),
        "allow_credentials": message.boolean("allowCredentials", false),
        "forward_not_matching_preflights": false,
    });
    if let Some(age) = message.get("maxAge").and_then(|age| duration(&age)) {
        policy["max_age"] = age.as_secs().to_string().into();
    }
    match read_override(&policy, value.context.files, value.context.options) {
        Ok(Override::Cors(policy)) => Some(policy),
        Ok(_) => None,
        Err(error) => {
            value.error(error);
            None
        }
    }
}

/// An expression for what a text with asterisks stands for.
fn expression(text: &str) -> String {
    text.split('*').map(regex::escape).collect::<Vec<_>>().join(".*")
}
