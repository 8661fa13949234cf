//! Conditions of routes in words.

use extproc::matching::StringMatcher;
use tollgate_model::{
    matching::{HeaderMatcher, HeaderValueMatch, QueryParameterMatcher},
    route::{MatchedRequest, MoreConditions, PathMatch, RouteMatch, is_grpc},
};

/// A condition of a match.
#[derive(Debug)]
pub(super) struct Condition {
    /// `the path is "/a" or below it`.
    pub(super) words: String,
    /// Whether the request meets it.
    pub(super) met: bool,
    /// What the request has instead, of one that it does not meet.
    pub(super) instead: Option<String>,
}

impl Condition {
    /// With what the request has instead.
    pub(super) fn of_request(&self) -> String {
        match &self.instead {
            Some(instead) => format!("{} ({instead})", self.words),
            None => self.words.clone(),
        }
    }
}

/// Every condition of a match, and whether a request meets it; together they have to hold. None for a match of every request.
pub(super) fn conditions(route_match: &RouteMatch, matched: &MatchedRequest<'_>) -> Vec<Condition> {
    let request = matched.request;
    let every_path = matches!(&route_match.path, PathMatch::Prefix { prefix, .. } if prefix == "/");
    let mut conditions = Vec::new();
    if !every_path {
        let met = route_match.path.matches(&matched.path);
        conditions.push(Condition { words: path(&route_match.path), met, instead: None });
    }
    conditions.extend(route_match.headers.iter().map(|matcher| {
        let met = matcher.matches(request);
        let instead = (!met).then(|| found(matcher.name.first_in_request(request)));
        Condition { words: header(matcher), met, instead }
    }));
    conditions.extend(route_match.query_parameters.iter().map(|matcher| Condition {
        words: query_parameter(matcher),
        met: matcher.matches(matched.query),
        instead: None,
    }));
    if route_match.grpc {
        let met = is_grpc(request);
        conditions.push(Condition { words: "it is a gRPC request".to_owned(), met, instead: None });
    }
    if let Some(more) = &route_match.more {
        conditions.extend(more_conditions(more, matched));
    }
    conditions
}

fn more_conditions(more: &MoreConditions, matched: &MatchedRequest<'_>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let mut add = |words: String, alone: MoreConditions| {
        let met = alone.hold(matched.request, &matched.facts);
        conditions.push(Condition { words, met, instead: None });
    };
    if let Some(fraction) = more.fraction {
        let words = format!("it is among {} of {} requests", fraction.numerator, fraction.denominator);
        add(words, MoreConditions { fraction: Some(fraction), ..MoreConditions::default() });
    }
    for cookie in &more.cookies {
        let not = if cookie.invert { "not " } else { "" };
        let words = format!("the cookie {} is {not}what is asked for", cookie.name);
        add(words, MoreConditions { cookies: vec![cookie.clone()], ..MoreConditions::default() });
    }
    for (wanted, what) in
        [(more.certificate_presented, "presented"), (more.certificate_validated, "verified")]
    {
        let Some(wanted) = wanted else { continue };
        let words = format!("a client certificate was {}{what}", if wanted { "" } else { "not " });
        let mut alone = MoreConditions::default();
        match what {
            "presented" => alone.certificate_presented = Some(wanted),
            _ => alone.certificate_validated = Some(wanted),
        }
        add(words, alone);
    }
    for condition in &more.dynamic_metadata {
        let words = format!("metadata of {} are what is asked for", condition.matcher.namespace);
        let dynamic_metadata = vec![condition.clone()];
        add(words, MoreConditions { dynamic_metadata, ..MoreConditions::default() });
    }
    conditions
}

/// `it is "a"`.
fn found(value: Option<&[u8]>) -> String {
    match value {
        Some(value) => format!("it is \"{}\"", String::from_utf8_lossy(value)),
        None => "there is none".to_owned(),
    }
}

fn path(path: &PathMatch) -> String {
    match path {
        PathMatch::Prefix { prefix, case_sensitive } => {
            format!("the path begins with \"{prefix}\"{}", in_any_case(*case_sensitive))
        }
        PathMatch::Path { path, case_sensitive } => {
            format!("the path is \"{path}\"{}", in_any_case(*case_sensitive))
        }
        PathMatch::PathSeparatedPrefix { prefix, case_sensitive } => {
            format!("the path is \"{prefix}\" or below it{}", in_any_case(*case_sensitive))
        }
        PathMatch::SafeRegex(regex) => format!("the path matches \"{}\"", regex.pattern()),
        PathMatch::Template(template) => format!("the path matches the template \"{}\"", template.written()),
    }
}

fn header(matcher: &HeaderMatcher) -> String {
    let name = matcher.name.as_str();
    let what = match name {
        ":method" | ":scheme" | ":path" => format!("the {}", &name[1..]),
        ":authority" => "the host".to_owned(),
        _ => format!("the header {name}"),
    };
    let not = matcher.invert_match;
    match &matcher.value {
        HeaderValueMatch::Present(present) => {
            let there = if *present == not { "is not there" } else { "is there" };
            format!("{what} {there}")
        }
        HeaderValueMatch::String(text) => format!("{what} {}", string_or_not(text, not)),
        HeaderValueMatch::Range { start, end } => {
            let is = if not { "is no" } else { "is a" };
            format!("{what} {is} number from {start} to {}", end - 1)
        }
    }
}

fn query_parameter(matcher: &QueryParameterMatcher) -> String {
    let what = format!("the query parameter {}", matcher.name);
    match &matcher.value {
        None => format!("{what} is there"),
        Some(text) => format!("{what} {}", string(text)),
    }
}

/// A condition on a text, without the text.
pub(super) fn string(matcher: &StringMatcher) -> String {
    string_or_not(matcher, false)
}

fn string_or_not(matcher: &StringMatcher, not: bool) -> String {
    let verb = |yes: &'static str, no: &'static str| if not { no } else { yes };
    let (verb, text, any_case) = match matcher {
        StringMatcher::Exact(text) => (verb("is", "is not"), text.as_str(), false),
        StringMatcher::ExactIgnoreCase(text) => (verb("is", "is not"), text.as_str(), true),
        StringMatcher::Prefix(text, any_case) => {
            (verb("begins with", "does not begin with"), text.as_str(), *any_case)
        }
        StringMatcher::Suffix(text, any_case) => {
            (verb("ends with", "does not end with"), text.as_str(), *any_case)
        }
        StringMatcher::Contains(text, any_case) => {
            (verb("contains", "does not contain"), text.as_str(), *any_case)
        }
        StringMatcher::SafeRegex(regex) => (verb("matches", "does not match"), regex.pattern(), false),
    };
    format!("{verb} \"{text}\"{}", in_any_case(!any_case))
}

fn in_any_case(case_sensitive: bool) -> &'static str {
    if case_sensitive { "" } else { " (in any case)" }
}

#[cfg(test)]
mod tests {
    use extproc::{RequestHeaders, matching::FullRegex};
    use tollgate_model::{
        header::FieldName,
        route::{PathParameters, RequestFacts},
    };

    use super::*;

    fn condition(name: FieldName, value: HeaderValueMatch, invert_match: bool) -> HeaderMatcher {
        HeaderMatcher { name, value, invert_match, treat_missing_header_as_empty: false }
    }

    #[test]
    fn conditions_are_sentences() {
        let exact = |text: &str| StringMatcher::Exact(text.to_owned());
        let route_match = RouteMatch {
            path: PathMatch::PathSeparatedPrefix { prefix: "/a".to_owned(), case_sensitive: true },
            headers: vec![
                condition(FieldName::Method, HeaderValueMatch::String(exact("GET")), false),
                condition(FieldName::parse("x-a").unwrap(), HeaderValueMatch::Present(true), true),
                condition(
                    FieldName::parse("x-b").unwrap(),
                    HeaderValueMatch::Range { start: 1, end: 5 },
                    false,
                ),
                condition(FieldName::parse("x-c").unwrap(), HeaderValueMatch::String(exact("d")), true),
            ],
            query_parameters: vec![QueryParameterMatcher {
                name: "q".to_owned(),
                value: Some(StringMatcher::SafeRegex(FullRegex::new("[a-z]+").unwrap())),
            }],
            grpc: true,
            more: None,
        };
        let mut fields = http::HeaderMap::new();
        fields.insert("x-b", "7".parse().unwrap());
        let request = RequestHeaders {
            method: http::Method::POST,
            scheme: "http".parse().unwrap(),
            authority: "a".parse().unwrap(),
            path: "/a/b?q=c".parse().unwrap(),
            fields,
        };
        let told = conditions(
            &route_match,
            &MatchedRequest::new(&request, PathParameters::Kept, RequestFacts::default()),
        );
        let met: Vec<bool> = told.iter().map(|condition| condition.met).collect();
        assert_eq!(met, [true, false, true, false, false, true, false]);
        assert_eq!(
            told.iter().map(Condition::of_request).collect::<Vec<_>>(),
            [
                "the path is \"/a\" or below it",
                "the method is \"GET\" (it is \"POST\")",
                "the header x-a is not there",
                "the header x-b is a number from 1 to 4 (it is \"7\")",
                "the header x-c is not \"d\" (there is none)",
                "the query parameter q matches \"[a-z]+\"",
                "it is a gRPC request",
            ]
        );
    }
}
