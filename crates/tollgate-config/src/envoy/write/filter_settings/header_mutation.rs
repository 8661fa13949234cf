//! The filter `header_mutation`.

use serde_json::Value;
use tollgate_model::{
    filter::{HeaderMutation, Mutation, Mutations, QueryParameterMutation},
    header::AppendAction,
};

use crate::envoy::{
    header::APPEND_ACTION,
    http_filters::header_mutation::{
        HEADER_MUTATION, HEADER_MUTATION_PER_ROUTE, KEY_VALUE_APPEND, KEY_VALUE_MUTATION, KEY_VALUE_PAIR,
        MUTATION, MUTATIONS, REMOVE_ON_MATCH,
    },
    write::{
        matchers::{header_addition, string_matcher},
        out::Out,
    },
};

pub(super) fn written(settings: &HeaderMutation) -> Value {
    let mut out = Out::new(&HEADER_MUTATION);
    out.unless_empty("mutations", mutations(&settings.mutations));
    let wins = settings.most_specific_header_mutations_wins;
    out.unless("most_specific_header_mutations_wins", wins, false);
    out.any()
}

/// What a level changes.
pub(in crate::envoy::write) fn per_route(level: &Mutations) -> Value {
    let mut out = Out::new(&HEADER_MUTATION_PER_ROUTE);
    out.unless_empty("mutations", mutations(level));
    out.any()
}

fn mutations(mutations: &Mutations) -> Out {
    let mut out = Out::new(&MUTATIONS);
    let list = |list: &[Mutation]| list.iter().map(mutation).collect();
    out.list("request_mutations", list(&mutations.request));
    out.list("query_parameter_mutations", mutations.query_parameters.iter().map(parameter).collect());
    out.list("request_trailers_mutations", list(&mutations.request_trailers));
    out.list("response_mutations", list(&mutations.response));
    out.list("response_trailers_mutations", list(&mutations.response_trailers));
    out
}

pub(in crate::envoy::write) fn mutation(mutation: &Mutation) -> Value {
    let mut out = Out::new(&MUTATION);
    match mutation {
        Mutation::Remove(name) => out.set("remove", name.as_str()),
        Mutation::Add(addition) => out.set("append", header_addition(addition)),
        Mutation::RemoveOnMatch(matcher) => {
            let mut on_match = Out::new(&REMOVE_ON_MATCH);
            on_match.set("key_matcher", string_matcher(matcher));
            out.set("remove_on_match", on_match.done());
        }
    }
    out.done()
}

fn parameter(mutation: &QueryParameterMutation) -> Value {
    let mut out = Out::new(&KEY_VALUE_MUTATION);
    match mutation {
        QueryParameterMutation::Remove(key) => out.set("remove", &**key),
        QueryParameterMutation::Add { key, value, action } => {
            let mut record = Out::new(&KEY_VALUE_PAIR);
            record.set("key", &**key);
            record.set("value", value.source());
            let mut append = Out::new(&KEY_VALUE_APPEND);
            append.set("record", record.done());
            append.name("action", &APPEND_ACTION, action, &AppendAction::AppendIfExistsOrAdd);
            out.set("append", append.done());
        }
    }
    out.done()
}
