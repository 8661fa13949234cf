//! The filter `header_mutation`.

use std::sync::Arc;

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    filter::{FilterSettings, HeaderMutation, Mutation, Mutations, QueryParameterMutation},
    format::Formatters,
    header::AppendAction,
    matching::StringMatcher,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{
        Scope,
        format::parse_format,
        header::{APPEND_ACTION, read_addition, read_header_name},
        matchers::read_string_matcher,
    },
    schema::{Json, Message, Schema, Value, read, refused},
};

pub(in crate::envoy) static HEADER_MUTATION: Schema = Schema {
    name: "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    title: "",
    fields: &[
        read("mutations", "{}", "Changes on every route."),
        read(
            "most_specific_header_mutations_wins",
            "false",
            "Changes of routes come behind those of virtual hosts and tables, and win.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HEADER_MUTATION_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
    title: "",
    fields: &[read("mutations", "{}", "Further changes here, behind those of the filter.")],
    unsupported: &[],
};

pub(in crate::envoy) static MUTATIONS: Schema = Schema {
    name: "envoy.extensions.filters.http.header_mutation.v3.Mutations",
    title: "",
    fields: &[
        read("request_mutations", "[]", "Changes of the request headers, in order."),
        read("query_parameter_mutations", "[]", "Changes of the query parameters, in order."),
        read("request_trailers_mutations", "[]", "Changes of the request trailers, if there are any."),
        read("response_mutations", "[]", "Changes of the response headers, in order."),
        read("response_trailers_mutations", "[]", "Changes of the response trailers, if there are any."),
        refused("formatters", "operators of extensions are not supported here"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static MUTATION: Schema = Schema {
    name: "envoy.config.common.mutation_rules.v3.HeaderMutation",
    title: "HeaderMutation of mutation rules",
    fields: &[
        read("remove", "", "Removes this header."),
        read("append", "", "Adds or replaces a header."),
        read("remove_on_match", "", "Removes every header whose name matches."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static REMOVE_ON_MATCH: Schema = Schema {
    name: "envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
    title: "",
    fields: &[read("key_matcher", "", "What the name in lower case must be. Required.")],
    unsupported: &[],
};

pub(in crate::envoy) static KEY_VALUE_MUTATION: Schema = Schema {
    name: "envoy.config.core.v3.KeyValueMutation",
    title: "",
    fields: &[
        read("append", "", "Adds or replaces a parameter."),
        read("remove", "", "Removes all values of this parameter."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static KEY_VALUE_APPEND: Schema = Schema {
    name: "envoy.config.core.v3.KeyValueAppend",
    title: "",
    fields: &[
        read("record", "", "The parameter. Required."),
        read(
            "action",
            "APPEND_IF_EXISTS_OR_ADD",
            "When it exists: APPEND_IF_EXISTS_OR_ADD, ADD_IF_ABSENT, OVERWRITE_IF_EXISTS_OR_ADD, \
             OVERWRITE_IF_EXISTS.",
        ),
        refused("entry", "use record"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static KEY_VALUE_PAIR: Schema = Schema {
    name: "envoy.config.core.v3.KeyValuePair",
    title: "",
    fields: &[
        read("key", "", "Name. Required."),
        read("value", "", "A text; may hold `%OPERATOR%`s. Required."),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 8] = [
    &HEADER_MUTATION,
    &HEADER_MUTATION_PER_ROUTE,
    &MUTATIONS,
    &MUTATION,
    &REMOVE_ON_MATCH,
    &KEY_VALUE_MUTATION,
    &KEY_VALUE_APPEND,
    &KEY_VALUE_PAIR,
];

pub(super) const KIND: Kind = Kind {
    settings: &HEADER_MUTATION,
    read: read_header_mutation,
    per_route: Some(PerRoute { settings: &HEADER_MUTATION_PER_ROUTE, read: read_per_route }),
    upstream: true,
};

fn read_header_mutation(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&HEADER_MUTATION)?;
    let settings = HeaderMutation {
        mutations: read_mutations(&message),
        most_specific_header_mutations_wins: message.boolean("most_specific_header_mutations_wins", false),
        by_level: Vec::new(),
    };
    Some(FilterConfig::Settings(FilterSettings::HeaderMutation(Arc::new(settings))))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&HEADER_MUTATION_PER_ROUTE)?;
    Some(Override::HeaderMutation(read_mutations(&message)))
}

fn read_mutations(message: &Message<'_>) -> Arc<Mutations> {
    let Some(message) = message.message("mutations", &MUTATIONS) else { return Arc::default() };
    let list = |name, side| {
        message.list(name).iter().filter_map(|value| read_mutation(value, side)).collect::<Vec<_>>()
    };
    let parameters = message.list("query_parameter_mutations");
    Arc::new(Mutations {
        request: list("request_mutations", &REQUEST_PSEUDO),
        query_parameters: parameters.iter().filter_map(read_parameter_mutation).collect(),
        request_trailers: list("request_trailers_mutations", &[]),
        response: list("response_mutations", &RESPONSE_PSEUDO),
        response_trailers: list("response_trailers_mutations", &[]),
    })
}

const REQUEST_PSEUDO: [&str; 4] = [":method", ":scheme", ":authority", ":path"];
const RESPONSE_PSEUDO: [&str; 1] = [":status"];

/// Reads a change of a header. `pseudo` are the names without which no message can be sent.
pub(in crate::envoy) fn read_mutation(value: &Value<'_>, pseudo: &[&str]) -> Option<Mutation> {
    let message = value.message(&MUTATION)?;
    let (kind, change) = message.required_one_of(&["remove", "append", "remove_on_match"])?;
    Some(match kind {
        "remove" => Mutation::Remove(read_header_name(&change, true)?),
        "append" => Mutation::Add(read_addition(&change)?),
        _ => Mutation::RemoveOnMatch(read_name_matcher(&change, pseudo)?),
    })
}

fn read_name_matcher(value: &Value<'_>, pseudo: &[&str]) -> Option<StringMatcher> {
    let matcher = read_string_matcher(&value.message(&REMOVE_ON_MATCH)?.required("key_matcher")?)?;
    if let Some(name) = pseudo.iter().find(|name| matcher.matches(name.as_bytes())) {
        value.error_with_help(
            format!("it matches \"{name}\", without which no message can be sent"),
            "write an expression that matches headers only",
        );
        return None;
    }
    Some(matcher)
}

fn read_parameter_mutation(value: &Value<'_>) -> Option<QueryParameterMutation> {
    let message = value.message(&KEY_VALUE_MUTATION)?;
    let (kind, change) = message.required_one_of(&["append", "remove"])?;
    if kind == "remove" {
        return Some(QueryParameterMutation::Remove(change.non_empty_string()?));
    }
    let append = change.message(&KEY_VALUE_APPEND)?;
    let action = append.enumeration("action", &APPEND_ACTION, AppendAction::AppendIfExistsOrAdd);
    let record = append.required("record")?.message(&KEY_VALUE_PAIR)?;
    let key = record.required("key").and_then(|key| key.non_empty_string());
    let value = record.required("value")?;
    let Json::String(text) = value.json() else {
        value.error("only a text can be the value of a parameter");
        return None;
    };
    let value = parse_format(&value, &text, Formatters::default())?;
    Some(QueryParameterMutation::Add { key: key?, value, action })
}
