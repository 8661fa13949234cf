//! What does not come from management servers.

use serde_json::{Value, json};
use tollgate_config::{FileSystem, Source, decode_message, encode_message, read_with, write_bootstrap};

use super::{Origin, typed};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";
const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";
const SECRET: &str = "envoy.extensions.transport_sockets.tls.v3.Secret";

/// The bootstrap with the API's names of its fields. What is none is written as one.
///
/// # Errors
/// When it cannot be read any more.
pub(in crate::admin) fn bootstrap(origin: &Origin) -> Result<Value, String> {
    if let [source] = origin.sources.texts.as_slice()
        && let Some(bootstrap) = as_written(source)
    {
        return Ok(bootstrap);
    }
    let reading = read_with(&origin.sources.texts, &FileSystem, &origin.options);
    let resources = reading.resources.ok_or("the configuration cannot be read any more")?;
    Ok(write_bootstrap(&resources).bootstrap)
}

fn as_written(source: &Source) -> Option<Value> {
    let bytes = encode_message(BOOTSTRAP, &source.text).ok()?;
    decode_message(BOOTSTRAP, &bytes).ok()
}

/// Adds the route tables that connection managers have in themselves.
pub(super) fn inline_routes(value: &Value, since: &str, found: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| inline_routes(item, since, found)),
        Value::Object(members) => {
            if members.contains_key("stat_prefix")
                && let Some(routes) = members.get("route_config")
            {
                found.push(json!({ "route_config": typed(ROUTES, routes.clone()), "last_updated": since }));
                return;
            }
            members.values().for_each(|member| inline_routes(member, since, found));
        }
        _ => {}
    }
}

/// The secrets of a bootstrap.
pub(super) fn secrets(bootstrap: &Value) -> Vec<Value> {
    let secrets = bootstrap["static_resources"]["secrets"].as_array().into_iter().flatten();
    secrets.map(|secret| json!({ "name": secret["name"], "secret": typed(SECRET, secret.clone()) })).collect()
}
