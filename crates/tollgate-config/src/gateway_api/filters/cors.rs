//! Filters of type `CORS`.

use std::sync::Arc;

use tollgate_model::{
    cors::{AllowList, CorsPolicy, OriginMatcher},
    matching::StringMatcher,
};

use super::super::names::bounded;
use crate::schema::{Message, Schema, Value, read};

static CORS: Schema = Schema {
    name: "HTTPCORSFilter",
    title: "",
    fields: &[
        read(
            "allowOrigins",
            "[]",
            "`*` alone, or `SCHEME://HOST` where the host may begin with `*`; at most 64.",
        ),
        read("allowCredentials", "false", "Allow credentials."),
        read("allowMethods", "[]", "`*` alone, or methods; at most 9."),
        read("allowHeaders", "[]", "`*` alone, or headers; at most 64."),
        read("exposeHeaders", "[]", "Headers of responses that scripts may see; at most 64."),
        read("maxAge", "5", "Seconds for which answers to preflight requests may be kept, at least 1."),
    ],
    unsupported: &[],
};

pub(super) fn read_cors(value: &Value<'_>) -> Option<Arc<CorsPolicy>> {
    let message = value.message(&CORS)?;
    let allow_credentials = message.boolean("allowCredentials", false);
    let origins = bounded(&message, "allowOrigins", 64);
    let allow_origins: Vec<_> = origins.iter().filter_map(read_origin).collect();
    if origins.len() > 1 && allow_origins.contains(&OriginMatcher::Any) {
        value.error("AllowOrigins cannot contain '*' alongside other origins");
    }
    let max_age = message.get("maxAge").and_then(|age| age.integer(1..=i64::from(i32::MAX))).unwrap_or(5);
    let list = |name, most| read_list(&message, name, most, allow_credentials);
    Some(Arc::new(CorsPolicy {
        allow_origins,
        allow_methods: list("allowMethods", 9),
        allow_headers: list("allowHeaders", 64),
        expose_headers: texts(&message, "exposeHeaders", 64).join(", "),
        max_age: Some(max_age.to_string()),
        allow_credentials: Some(allow_credentials),
        forward_not_matching_preflights: Some(false),
        ..CorsPolicy::default()
    }))
}

/// `*` is what the request asks for where there are credentials, since browsers take it for a name there.
fn read_list(message: &Message<'_>, name: &'static str, most: usize, credentials: bool) -> AllowList {
    let texts = texts(message, name, most);
    let any = texts.iter().any(|text| text == "*");
    if any && texts.len() > 1 {
        message.value().error(format!("\"{name}\" cannot contain '*' alongside others"));
    }
    match texts.as_slice() {
        [] => AllowList::Unsaid,
        _ if any && credentials => AllowList::AsRequested,
        texts => AllowList::Value(texts.join(", ")),
    }
}

fn texts(message: &Message<'_>, name: &'static str, most: usize) -> Vec<String> {
    let entries = bounded(message, name, most);
    entries.iter().filter_map(Value::non_empty_string).collect()
}

fn read_origin(value: &Value<'_>) -> Option<OriginMatcher> {
    let text = value.non_empty_string()?;
    if text == "*" {
        return Some(OriginMatcher::Any);
    }
    let Some((scheme, host)) = text.split_once("://").filter(|(_, host)| !host.is_empty()) else {
        value.error("an origin is of the form SCHEME://HOST or SCHEME://HOST:PORT");
        return None;
    };
    match host.split_once('*') {
        None => Some(OriginMatcher::String(StringMatcher::Exact(text))),
        Some(("", end)) if !end.contains('*') => {
            Some(OriginMatcher::Wildcard { start: format!("{scheme}://"), end: end.to_owned() })
        }
        Some(_) => {
            value.error("a wildcard may only be at the beginning of the host");
            None
        }
    }
}
