//! Matches of HTTPRoutes (9.6).

use http::Method;
use tollgate_model::{
    header::FieldName,
    matching::{FullRegex, HeaderMatcher, HeaderValueMatch, QueryParameterMatcher, StringMatcher},
    route::PathMatch,
};

use super::names::{bounded, header_name, unique_names};
use crate::{
    envoy::compile_plain,
    kubernetes::Place,
    routing::{InvalidRule, Match, Precedence},
    schema::{Enumeration, Message, Schema, Value, read},
};

static MATCH: Schema = Schema {
    name: "HTTPRouteMatch",
    title: "",
    fields: &[
        read("path", "{type: PathPrefix, value: /}", "Condition on the path."),
        read("headers", "[]", "Conditions on headers, at most 16."),
        read("queryParams", "[]", "Conditions on query parameters, at most 16."),
        read("method", "every method", "Method of the request."),
    ],
    unsupported: &[],
};

static PATH_MATCH: Schema = Schema {
    name: "HTTPPathMatch",
    title: "",
    fields: &[
        read("type", "PathPrefix", "PathPrefix, Exact or RegularExpression (RE2, the whole path)."),
        read("value", "/", "The path."),
    ],
    unsupported: &[],
};

static VALUE_MATCH: Schema = Schema {
    name: "HTTPHeaderMatch",
    title: "",
    fields: &[
        read("type", "Exact", "Exact or RegularExpression."),
        read("name", "", "Name. Required."),
        read("value", "", "Value. Required."),
    ],
    unsupported: &[],
};

#[derive(Clone, Copy)]
enum PathType {
    Prefix,
    Exact,
    Regex,
}

static PATH_TYPE: Enumeration<PathType> = Enumeration {
    values: &[
        ("PathPrefix", 0, Some(PathType::Prefix)),
        ("Exact", 1, Some(PathType::Exact)),
        ("RegularExpression", 2, Some(PathType::Regex)),
    ],
};

#[derive(Clone, Copy)]
pub(super) enum ValueType {
    Exact,
    Regex,
}

pub(super) static VALUE_TYPE: Enumeration<ValueType> = Enumeration {
    values: &[("Exact", 0, Some(ValueType::Exact)), ("RegularExpression", 1, Some(ValueType::Regex))],
};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Reads `matches` of a rule; none means every request. A regular expression that cannot be had makes the rule invalid, and
/// not the route: an API server cannot tell.
pub(super) fn read_matches(rule: &Message<'_>, invalid: &mut Option<InvalidRule>) -> Vec<Match> {
    let values = bounded(rule, "matches", 64);
    if values.is_empty() {
        return vec![every_request()];
    }
    let matches: Vec<Match> = values.iter().filter_map(|value| read_match(value, invalid)).collect();
    // What could not be read was reported: the route is not served.
    if matches.is_empty() { vec![every_request()] } else { matches }
}

/// The match of every request.
pub(super) fn every_request() -> Match {
    let path = path_prefix("/");
    let precedence = Precedence::http(&path, false, &[], &[]);
    Match { path, headers: Vec::new(), query_parameters: Vec::new(), precedence }
}

/// Compiles a regular expression. What is wrong with it is wrong with the rule.
pub(super) fn compile(value: &Value<'_>, invalid: &mut Option<InvalidRule>) -> Option<FullRegex> {
    match compile_plain(&value.string()?, FullRegex::translated) {
        Ok(regex) => Some(regex),
        Err(message) => {
            invalid.get_or_insert_with(|| InvalidRule { message, place: Place::of(value) });
            None
        }
    }
}

fn read_match(value: &Value<'_>, invalid: &mut Option<InvalidRule>) -> Option<Match> {
    let message = value.message(&MATCH)?;
    let path = match message.get("path") {
        Some(path) => read_path(&path, invalid)?,
        None => path_prefix("/"),
    };
    let mut headers = read_headers(&message, invalid);
    let method = message.get("method").and_then(|method| read_method(&method));
    let query_parameters = read_query_parameters(&message, invalid);
    let precedence = Precedence::http(&path, method.is_some(), &headers, &query_parameters);
    headers.extend(method);
    Some(Match { path, headers, query_parameters, precedence })
}

fn read_method(value: &Value<'_>) -> Option<HeaderMatcher> {
    let text = value.non_empty_string()?;
    if !METHODS.contains(&text.as_str()) || Method::from_bytes(text.as_bytes()).is_err() {
        value.error_with_help(
            format!("unknown value \"{text}\""),
            format!("supported: {}", METHODS.join(", ")),
        );
        return None;
    }
    Some(matcher(FieldName::Method, StringMatcher::Exact(text)))
}

fn read_path(value: &Value<'_>, invalid: &mut Option<InvalidRule>) -> Option<PathMatch> {
    let message = value.message(&PATH_MATCH)?;
    let kind = message.enumeration("type", &PATH_TYPE, PathType::Prefix);
    let Some(path) = message.get("value") else {
        return Some(match kind {
            PathType::Exact => exact_path("/".to_owned()),
            PathType::Prefix => path_prefix("/"),
            PathType::Regex => PathMatch::SafeRegex(FullRegex::new("/").ok()?),
        });
    };
    match kind {
        PathType::Regex => compile(&path, invalid).map(PathMatch::SafeRegex),
        PathType::Exact => checked_path(&path).map(exact_path),
        PathType::Prefix => checked_path(&path).map(|text| path_prefix(&text)),
    }
}

/// This path.
pub(super) fn exact_path(path: String) -> PathMatch {
    PathMatch::Path { path, case_sensitive: true }
}

/// Paths that begin with these elements, whole.
pub(super) fn path_prefix(text: &str) -> PathMatch {
    match text.trim_end_matches('/') {
        "" => PathMatch::Prefix { prefix: "/".to_owned(), case_sensitive: true },
        prefix => PathMatch::PathSeparatedPrefix { prefix: prefix.to_owned(), case_sensitive: true },
    }
}

/// A path by the rules of Gateway API.
fn checked_path(value: &Value<'_>) -> Option<String> {
    let path = value.header_text()?;
    let lower = path.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@%".contains(&byte);
    let problem = if !path.starts_with('/') {
        "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"
            .to_owned()
    } else if let Some(part) = ["//", "/./", "/../", "%2f", "#"].into_iter().find(|part| lower.contains(part))
    {
        format!("must not contain '{part}' when type one of ['Exact', 'PathPrefix']")
    } else if let Some(end) = ["/..", "/."].into_iter().find(|end| path.ends_with(end)) {
        format!("must not end with '{end}' when type one of ['Exact', 'PathPrefix']")
    } else if !path.bytes().all(allowed) {
        "must only contain valid characters (letters, digits, -/._~!$&'()*+,;=:@ and escapes)".to_owned()
    } else {
        return Some(path);
    };
    value.error(problem);
    None
}

/// Reads `headers`; of names that differ in case alone the first counts.
pub(super) fn read_headers(message: &Message<'_>, invalid: &mut Option<InvalidRule>) -> Vec<HeaderMatcher> {
    let mut found: Vec<HeaderMatcher> = Vec::new();
    let values = bounded(message, "headers", 16);
    unique_names(&values, &VALUE_MATCH);
    for value in values {
        let Some(entry) = value.message(&VALUE_MATCH) else { continue };
        let Some(name) = header_name(&entry).and_then(|name| FieldName::parse(name.as_str())) else {
            continue;
        };
        let Some(text) = read_value(&entry, invalid) else { continue };
        if !found.iter().any(|known| known.name == name) {
            found.push(matcher(name, text));
        }
    }
    found
}

fn matcher(name: FieldName, value: StringMatcher) -> HeaderMatcher {
    let value = HeaderValueMatch::String(value);
    HeaderMatcher { name, value, invert_match: false, treat_missing_header_as_empty: false }
}

fn read_value(entry: &Message<'_>, invalid: &mut Option<InvalidRule>) -> Option<StringMatcher> {
    let value = entry.required("value")?;
    match entry.enumeration("type", &VALUE_TYPE, ValueType::Exact) {
        ValueType::Exact => value.non_empty_string().map(StringMatcher::Exact),
        ValueType::Regex => compile(&value, invalid).map(StringMatcher::SafeRegex),
    }
}

fn read_query_parameters(
    message: &Message<'_>,
    invalid: &mut Option<InvalidRule>,
) -> Vec<QueryParameterMatcher> {
    let mut found: Vec<QueryParameterMatcher> = Vec::new();
    let values = bounded(message, "queryParams", 16);
    unique_names(&values, &VALUE_MATCH);
    for value in values {
        let Some(entry) = value.message(&VALUE_MATCH) else { continue };
        let name = entry.required_string("name");
        let Some(text) = read_value(&entry, invalid) else { continue };
        if !found.iter().any(|known| known.name == name) {
            found.push(QueryParameterMatcher { name, value: Some(text) });
        }
    }
    found
}
