//! What of a request is hashed.

use std::time::Duration;

use tollgate_model::route::{CookieHash, HashPolicy, HashSource};

use super::action::read_regex_substitution;
use crate::{
    envoy::matchers::read_matched_header,
    schema::{Message, Schema, Value, read, refused},
};

pub(in crate::envoy) static HASH_POLICY: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.HashPolicy",
    title: "HashPolicy of routes",
    fields: &[
        read("header", "", "The values of a request header. One of the four is required."),
        read("cookie", "", "A cookie."),
        read("connection_properties", "", "The client's address."),
        read("query_parameter", "", "A parameter in the query."),
        read("terminal", "false", "If there is a hash by now, the policies behind this one do not count."),
        refused("filter_state", "no filter sets such a state"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HEADER: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.HashPolicy.Header",
    title: "Header of HashPolicy",
    fields: &[
        read("header_name", "", "Its name. Required."),
        read("regex_rewrite", "", "What is done with its values before they are hashed."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COOKIE: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.HashPolicy.Cookie",
    title: "Cookie of HashPolicy",
    fields: &[
        read("name", "", "Its name. Required."),
        read("ttl", "", "A client without the cookie gets one for so long; 0 = as long as its browser runs."),
        read("path", "", "The path of the cookie that it gets."),
        read("attributes", "[]", "Further attributes of that cookie."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COOKIE_ATTRIBUTE: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute",
    title: "CookieAttribute of HashPolicy",
    fields: &[read("name", "", "Its name. Required."), read("value", "", "Its value, if it has one.")],
    unsupported: &[],
};

pub(in crate::envoy) static CONNECTION_PROPERTIES: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
    title: "ConnectionProperties of HashPolicy",
    fields: &[read("source_ip", "false", "Hash the client's address.")],
    unsupported: &[],
};

pub(in crate::envoy) static QUERY_PARAMETER: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter",
    title: "QueryParameter of HashPolicy",
    fields: &[read("name", "", "Its name. Required.")],
    unsupported: &[],
};

/// Reads the hash policies of a route.
pub(super) fn read_hash_policies(message: &Message<'_>) -> Vec<HashPolicy> {
    message.list("hash_policy").iter().filter_map(read_hash_policy).collect()
}

fn read_hash_policy(value: &Value<'_>) -> Option<HashPolicy> {
    let message = value.message(&HASH_POLICY)?;
    let terminal = message.boolean("terminal", false);
    let (kind, value) =
        message.required_one_of(&["header", "cookie", "connection_properties", "query_parameter"])?;
    let source = match kind {
        "header" => {
            let header = value.message(&HEADER)?;
            let rewrite = match header.get("regex_rewrite") {
                Some(rewrite) => Some(read_regex_substitution(&rewrite)?),
                None => None,
            };
            HashSource::Header { name: read_matched_header(&header.required("header_name")?)?, rewrite }
        }
        "cookie" => HashSource::Cookie(read_cookie(&value)?),
        "query_parameter" => {
            HashSource::QueryParameter(value.message(&QUERY_PARAMETER)?.required("name")?.non_empty_string()?)
        }
        _ => {
            // Without it there is nothing to hash, as in Envoy.
            let properties = value.message(&CONNECTION_PROPERTIES)?;
            properties.boolean("source_ip", false).then_some(HashSource::SourceIp)?
        }
    };
    Some(HashPolicy { source, terminal })
}

fn read_cookie(value: &Value<'_>) -> Option<CookieHash> {
    let message = value.message(&COOKIE)?;
    let attribute = |value: &Value<'_>| {
        let attribute = value.message(&COOKIE_ATTRIBUTE)?;
        let name = attribute.required("name")?.header_text().filter(|name| !name.is_empty())?;
        Some((name, attribute.header_text("value")))
    };
    let ttl: Option<Duration> = message.duration("ttl");
    Some(CookieHash {
        name: message.required("name")?.non_empty_string()?,
        ttl,
        path: message.header_text("path"),
        attributes: message.list("attributes").iter().filter_map(attribute).collect(),
    })
}
