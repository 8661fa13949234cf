//! Which requests a route of a VirtualService is for.

use tollgate_model::{
    header::FieldName,
    matching::{FullRegex, HeaderMatcher, HeaderValueMatch, QueryParameterMatcher, StringMatcher},
    route::PathMatch,
};

use super::virtual_service::gateway_key;
use crate::{
    envoy::compile_text,
    kubernetes::{ObjectKey, values::port_number},
    routing::{Match, Precedence},
    schema::{Message, Schema, Value, harmless, read, refused},
};

/// A match, and where it counts.
#[derive(Debug)]
pub(crate) struct ScopedMatch {
    pub(super) requests: Match,
    /// On this port only.
    pub(super) port: Option<u16>,
    /// Of these Gateways only; empty = all of the VirtualService.
    pub(super) gateways: Vec<ObjectKey>,
}

static MATCH: Schema = Schema {
    name: "istio.HTTPMatchRequest",
    title: "",
    fields: &[
        read("uri", "every path", "Condition on the path."),
        read("scheme", "", "Condition on the scheme."),
        read("method", "", "Condition on the method."),
        read("authority", "", "Condition on the authority."),
        read("headers", "{}", "Conditions on headers; `{}` = it is there."),
        read("withoutHeaders", "{}", "Conditions that must not hold; `{}` = it is not there."),
        read("queryParams", "{}", "Conditions on query parameters; `{}` = it is there."),
        read("ignoreUriCase", "false", "Compare `exact` and `prefix` paths without regard to case."),
        read("port", "every port", "Port of the Gateway."),
        read("gateways", "those of the VirtualService", "Gateways, by `name` or `namespace/name`."),
        harmless("name", "it is not part of the route's name here"),
        harmless("statPrefix", "there are no statistics of single routes"),
        refused("sourceLabels", "clients have no labels here"),
        refused("sourceNamespace", "clients have no namespace here"),
    ],
    unsupported: &[],
};

static STRING_MATCH: Schema = Schema {
    name: "istio.StringMatch",
    title: "",
    fields: &[
        read("exact", "", "The whole text."),
        read("prefix", "", "Its beginning."),
        read("regex", "", "An expression (RE2) for the whole text."),
    ],
    unsupported: &[],
};

/// The match of every request.
pub(super) fn every_request() -> ScopedMatch {
    let path = PathMatch::Prefix { prefix: "/".to_owned(), case_sensitive: true };
    ScopedMatch { requests: requests(path, Vec::new(), Vec::new()), port: None, gateways: Vec::new() }
}

fn requests(
    path: PathMatch,
    headers: Vec<HeaderMatcher>,
    query_parameters: Vec<QueryParameterMatcher>,
) -> Match {
    // Routes are not sorted.
    let precedence = Precedence::http(&path, false, &[], &[]);
    Match { path, headers, query_parameters, precedence }
}

/// Reads a match of a VirtualService in `namespace`.
pub(super) fn read_match(value: &Value<'_>, namespace: &str) -> Option<ScopedMatch> {
    let message = value.message(&MATCH)?;
    let case_sensitive = !message.boolean("ignoreUriCase", false);
    let path = match message.get("uri") {
        None => PathMatch::Prefix { prefix: "/".to_owned(), case_sensitive: true },
        Some(uri) => match read_string_match(&uri)? {
            None => PathMatch::Prefix { prefix: "/".to_owned(), case_sensitive: true },
            Some(StringMatcher::Exact(path)) => PathMatch::Path { path, case_sensitive },
            Some(StringMatcher::Prefix(prefix, _)) => PathMatch::Prefix { prefix, case_sensitive },
            Some(StringMatcher::SafeRegex(regex)) => PathMatch::SafeRegex(regex),
            Some(_) => return None,
        },
    };
    let mut headers = Vec::new();
    for (field, name) in
        [("method", FieldName::Method), ("scheme", FieldName::Scheme), ("authority", FieldName::Authority)]
    {
        if let Some(value) = message.get(field) {
            headers.push(matcher(name, read_string_match(&value)?, false));
        }
    }
    headers.extend(read_headers(&message, "headers", false)?);
    headers.extend(read_headers(&message, "withoutHeaders", true)?);
    let parameters = message.map("queryParams").into_iter().map(|(name, value)| {
        Some(QueryParameterMatcher { name: name.to_owned(), value: read_string_match(&value)? })
    });
    let parameters = parameters.collect::<Option<Vec<_>>>()?;
    Some(ScopedMatch {
        requests: requests(path, headers, parameters),
        port: message.get("port").and_then(|port| port_number(&port)),
        gateways: message.strings("gateways").iter().map(|name| gateway_key(name, namespace)).collect(),
    })
}

fn read_headers(message: &Message<'_>, field: &'static str, invert: bool) -> Option<Vec<HeaderMatcher>> {
    let entries = message.map(field).into_iter().map(|(name, value)| {
        let Some(parsed) = FieldName::parse(name) else {
            value.error(format!("\"{name}\" is not a header name"));
            return None;
        };
        Some(matcher(parsed, read_string_match(&value)?, invert))
    });
    entries.collect()
}

fn matcher(name: FieldName, value: Option<StringMatcher>, invert_match: bool) -> HeaderMatcher {
    let value = value.map_or(HeaderValueMatch::Present(true), HeaderValueMatch::String);
    HeaderMatcher { name, value, invert_match, treat_missing_header_as_empty: false }
}

/// Reads a condition; `None` inside = it is there.
#[expect(clippy::option_option, reason = "the outer one is whether it can be read")]
pub(super) fn read_string_match(value: &Value<'_>) -> Option<Option<StringMatcher>> {
    let message = value.message(&STRING_MATCH)?;
    let Some((kind, text)) = message.one_of(&["exact", "prefix", "regex"]) else { return Some(None) };
    Some(Some(match kind {
        "exact" => StringMatcher::Exact(text.header_text()?),
        "prefix" => StringMatcher::Prefix(text.header_text()?, false),
        _ => StringMatcher::SafeRegex(compile_text(&text, FullRegex::translated)?),
    }))
}
