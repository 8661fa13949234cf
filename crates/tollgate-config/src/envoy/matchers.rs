//! Matchers of strings, headers and query parameters.

use tollgate_model::{
    header::FieldName,
    matching::{FullRegex, HeaderMatcher, HeaderValueMatch, QueryParameterMatcher, StringMatcher},
};

use super::re2;
use crate::schema::{Schema, Value, harmless, read, refused};

pub(super) static STRING_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.StringMatcher",
    title: "",
    fields: &[
        read("exact", "", "Equal. One of exact, prefix, suffix, contains, safe_regex is required."),
        read("prefix", "", "Begins with this; not empty."),
        read("suffix", "", "Ends with this; not empty."),
        read("contains", "", "Contains this; not empty."),
        read("safe_regex", "", "The whole text matches."),
        read("ignore_case", "false", "Compare without case; not for safe_regex."),
        refused("custom", "use one of the other matchers"),
    ],
    unsupported: &[],
};

pub(super) static REGEX_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.RegexMatcher",
    title: "",
    fields: &[
        read("regex", "", "Expression in RE2's syntax. Required."),
        harmless("google_re2", "every expression has RE2's syntax"),
    ],
    unsupported: &[],
};

pub(super) static HEADER_MATCHER: Schema = Schema {
    name: "envoy.config.route.v3.HeaderMatcher",
    title: "",
    fields: &[
        read("name", "", "Header, `:method` and the like too. Required. Without any condition: present."),
        read("string_match", "", "Condition on the value."),
        read("exact_match", "", "Old form of string_match.exact."),
        read("safe_regex_match", "", "Old form of string_match.safe_regex."),
        read("prefix_match", "", "Old form of string_match.prefix."),
        read("suffix_match", "", "Old form of string_match.suffix."),
        read("contains_match", "", "Old form of string_match.contains."),
        read("range_match", "", "The value is an integer in the range, the end not included."),
        read("present_match", "", "Present (true) or absent (false)."),
        read("invert_match", "false", "Negate the result."),
        read("treat_missing_header_as_empty", "false", "A header that is missing counts as empty."),
    ],
    unsupported: &[],
};

pub(super) static INT64_RANGE: Schema = Schema {
    name: "envoy.type.v3.Int64Range",
    title: "",
    fields: &[read("start", "0", "First number in the range."), read("end", "0", "First number behind it.")],
    unsupported: &[],
};

pub(super) static QUERY_PARAMETER_MATCHER: Schema = Schema {
    name: "envoy.config.route.v3.QueryParameterMatcher",
    title: "",
    fields: &[
        read("name", "", "Query parameter. Required. Without any condition: present."),
        read("string_match", "", "Condition on the value."),
        read("present_match", "true", "Only true: present."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 5] =
    [&STRING_MATCHER, &REGEX_MATCHER, &HEADER_MATCHER, &INT64_RANGE, &QUERY_PARAMETER_MATCHER];

/// Reads a `StringMatcher`.
pub(super) fn read_string_matcher(value: &Value<'_>) -> Option<StringMatcher> {
    let message = value.message(&STRING_MATCHER)?;
    let ignore = message.boolean("ignore_case", false);
    let (kind, pattern) =
        message.required_one_of(&["exact", "prefix", "suffix", "contains", "safe_regex"])?;
    Some(match kind {
        "exact" if ignore => StringMatcher::ExactIgnoreCase(pattern.string()?),
        "exact" => StringMatcher::Exact(pattern.string()?),
        "prefix" => StringMatcher::Prefix(pattern.non_empty_string()?, ignore),
        "suffix" => StringMatcher::Suffix(pattern.non_empty_string()?, ignore),
        "contains" => StringMatcher::Contains(pattern.non_empty_string()?, ignore),
        _ => {
            if ignore {
                value.error_with_help(
                    "\"ignore_case\" has no effect on \"safe_regex\"",
                    "begin the expression with (?i)",
                );
            }
            StringMatcher::SafeRegex(read_regex(&pattern)?)
        }
    })
}

/// Reads a `RegexMatcher`.
pub(super) fn read_regex(value: &Value<'_>) -> Option<FullRegex> {
    compile(value, FullRegex::translated)
}

/// Reads a `RegexMatcher` and compiles its expression.
pub(super) fn compile<T>(
    value: &Value<'_>,
    new: impl Fn(&str, &str) -> Result<T, regex::Error>,
) -> Option<T> {
    let pattern = value.message(&REGEX_MATCHER)?.required("regex")?;
    compile_text(&pattern, new)
}

/// Longest regular expression, bytes.
const LONGEST_EXPRESSION: usize = 64 * 1024;

/// Compiles an expression in RE2's syntax: `new` gets it as it is written, and in the syntax of the library.
pub(crate) fn compile_text<T>(
    pattern: &Value<'_>,
    new: impl Fn(&str, &str) -> Result<T, regex::Error>,
) -> Option<T> {
    let text = pattern.string()?;
    match compile_plain(&text, new) {
        Ok(regex) => Some(regex),
        Err(problem) => {
            pattern.error(problem);
            None
        }
    }
}

/// The same for a text of its own.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn compile_plain<T>(
    text: &str,
    new: impl Fn(&str, &str) -> Result<T, regex::Error>,
) -> Result<T, String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > LONGEST_EXPRESSION {
        return Err(format!("longer than {LONGEST_EXPRESSION} bytes"));
    }
    let translated = re2::translate(text).map_err(|problem| problem.to_string());
    let compiled = translated.and_then(|pattern| new(text, &pattern).map_err(|error| regex_problem(&error)));
    compiled.map_err(|problem| format!("not a regular expression: {problem}"))
}

/// The reason without the drawing that the library makes.
fn regex_problem(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Reads a `HeaderMatcher`.
pub(super) fn read_header_matcher(value: &Value<'_>) -> Option<HeaderMatcher> {
    let message = value.message(&HEADER_MATCHER)?;
    let name = message.required("name")?;
    let name = read_matched_header(&name)?;
    let condition = message.one_of(&[
        "string_match",
        "exact_match",
        "safe_regex_match",
        "prefix_match",
        "suffix_match",
        "contains_match",
        "range_match",
        "present_match",
    ]);
    let value = match condition {
        None => HeaderValueMatch::Present(true),
        Some((kind, value)) => match kind {
            "present_match" => HeaderValueMatch::Present(value.boolean()?),
            "range_match" => read_range(&value)?,
            "string_match" => HeaderValueMatch::String(read_string_matcher(&value)?),
            "safe_regex_match" => HeaderValueMatch::String(StringMatcher::SafeRegex(read_regex(&value)?)),
            "exact_match" => HeaderValueMatch::String(StringMatcher::Exact(value.string()?)),
            "prefix_match" => {
                HeaderValueMatch::String(StringMatcher::Prefix(value.non_empty_string()?, false))
            }
            "suffix_match" => {
                HeaderValueMatch::String(StringMatcher::Suffix(value.non_empty_string()?, false))
            }
            _ => HeaderValueMatch::String(StringMatcher::Contains(value.non_empty_string()?, false)),
        },
    };
    Some(HeaderMatcher {
        name,
        value,
        invert_match: message.boolean("invert_match", false),
        treat_missing_header_as_empty: message.boolean("treat_missing_header_as_empty", false),
    })
}

/// The name of a header that is only looked at.
pub(super) fn read_matched_header(value: &Value<'_>) -> Option<FieldName> {
    let text = value.non_empty_string()?;
    // No request has a status.
    let name = FieldName::parse(&text).filter(|name| *name != FieldName::Status);
    if name.is_none() {
        value.error(format!("\"{text}\" is not a header name"));
    }
    name
}

fn read_range(value: &Value<'_>) -> Option<HeaderValueMatch> {
    let range = value.message(&INT64_RANGE)?;
    let number = |name| range.get(name).map_or(Some(0), |number| number.integer(i64::MIN..=i64::MAX));
    Some(HeaderValueMatch::Range { start: number("start")?, end: number("end")? })
}

/// Reads a `QueryParameterMatcher`.
pub(super) fn read_query_parameter_matcher(value: &Value<'_>) -> Option<QueryParameterMatcher> {
    let message = value.message(&QUERY_PARAMETER_MATCHER)?;
    let name = message.required_string("name");
    let value = match message.one_of(&["string_match", "present_match"]) {
        Some(("string_match", matcher)) => Some(read_string_matcher(&matcher)?),
        Some((_, present)) => {
            if present.boolean() == Some(false) {
                present.error("only true is supported");
            }
            None
        }
        None => None,
    };
    Some(QueryParameterMatcher { name, value })
}
