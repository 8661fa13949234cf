//! Conditions of routes in words.

use extproc::{RequestHeaders, matching::StringMatcher};
use tollgate_model::{
    matching::{HeaderMatcher, HeaderValueMatch, QueryParameterMatcher},
    route::{PathMatch, RouteMatch, split_path},
};

/// Every condition of a match; together they have to hold. None for a match of every request.
pub(super) fn conditions(route_match: &RouteMatch) -> Vec<String> {
    let every_path = matches!(&route_match.path, PathMatch::Prefix { prefix, .. } if prefix == "/");
    let mut words = if every_path { Vec::new() } else { vec![path(&route_match.path)] };
    words.extend(route_match.headers.iter().map(header));
    words.extend(route_match.query_parameters.iter().map(query_parameter));
    if route_match.grpc {
        words.push("it is a gRPC request".to_owned());
    }
    words
}

/// The first condition that a request does not meet.
pub(super) fn unmet(route_match: &RouteMatch, request: &RequestHeaders) -> Option<String> {
    let (request_path, query) = split_path(request.path.as_bytes());
    if !route_match.path.matches(request_path) {
        return Some(path(&route_match.path));
    }
    if let Some(matcher) = route_match.headers.iter().find(|matcher| !matcher.matches(request)) {
        return Some(header(matcher));
    }
    let unmet = |matcher: &&QueryParameterMatcher| !matcher.matches(query);
    if let Some(matcher) = route_match.query_parameters.iter().find(unmet) {
        return Some(query_parameter(matcher));
    }
    (!route_match.matches(request)).then(|| "it is a gRPC request".to_owned())
}

fn path(path: &PathMatch) -> String {
    let in_any_case = |case_sensitive: bool| if case_sensitive { "" } else { " (in any case)" };
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
    }
}

fn header(matcher: &HeaderMatcher) -> String {
    let name = matcher.name.as_str();
    let what = match name {
        ":method" | ":scheme" | ":authority" | ":path" => format!("the {}", &name[1..]),
        _ => format!("the header {name}"),
    };
    let not = if matcher.invert_match { "it is not so that " } else { "" };
    match &matcher.value {
        HeaderValueMatch::Present(present) => {
            let there = if *present != matcher.invert_match { "is there" } else { "is not there" };
            format!("{what} {there}")
        }
        HeaderValueMatch::String(text) => format!("{not}{what} {}", string(text)),
        HeaderValueMatch::Range { start, end } => {
            format!("{not}{what} is a number from {start} to {}", end - 1)
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
    let in_any_case = |ignore_case: &bool| if *ignore_case { " (in any case)" } else { "" };
    match matcher {
        StringMatcher::Exact(text) => format!("is \"{text}\""),
        StringMatcher::ExactIgnoreCase(text) => format!("is \"{text}\" (in any case)"),
        StringMatcher::Prefix(text, ignore) => format!("begins with \"{text}\"{}", in_any_case(ignore)),
        StringMatcher::Suffix(text, ignore) => format!("ends with \"{text}\"{}", in_any_case(ignore)),
        StringMatcher::Contains(text, ignore) => format!("contains \"{text}\"{}", in_any_case(ignore)),
        StringMatcher::SafeRegex(regex) => format!("matches \"{}\"", regex.pattern()),
    }
}

#[cfg(test)]
mod tests {
    use extproc::matching::FullRegex;
    use tollgate_model::header::FieldName;

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
        };
        assert_eq!(
            conditions(&route_match),
            [
                "the path is \"/a\" or below it",
                "the method is \"GET\"",
                "the header x-a is not there",
                "the header x-b is a number from 1 to 4",
                "it is not so that the header x-c is \"d\"",
                "the query parameter q matches \"[a-z]+\"",
                "it is a gRPC request",
            ]
        );
    }
}
