//! The `header_mutation` filter: it changes heads, trailers and query parameters.

use std::sync::Arc;

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::{
    format::Format,
    header::{AppendAction, HeaderAddition},
    matching::StringMatcher,
};

/// Settings of the filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HeaderMutation {
    /// What is changed first, on every route.
    pub mutations: Arc<Mutations>,
    /// Changes of less specific levels come before those of more specific ones, so that these win. Default false.
    pub most_specific_header_mutations_wins: bool,
    /// What levels change in addition, the least specific one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_level: Vec<Arc<Mutations>>,
}

/// Changes, each list in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mutations {
    /// Of the head of the request.
    pub request: Vec<Mutation>,
    /// Of the query of its path.
    pub query_parameters: Vec<QueryParameterMutation>,
    /// Of its trailers, if it has any.
    pub request_trailers: Vec<Mutation>,
    /// Of the head of the response.
    pub response: Vec<Mutation>,
    /// Of its trailers, if it has any.
    pub response_trailers: Vec<Mutation>,
}

/// A change of one header.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Mutation {
    /// It is removed.
    Remove(#[serde(serialize_with = "name")] HeaderName),
    /// All are removed whose names, in lower case, pass.
    RemoveOnMatch(StringMatcher),
    /// It is added or replaced.
    Add(HeaderAddition),
}

/// A change of one query parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum QueryParameterMutation {
    /// It is removed, all of its values.
    Remove(String),
    /// It is added or replaced.
    Add {
        /// Name.
        key: String,
        /// Value with operators.
        value: Format,
        /// What to do when it exists.
        action: AppendAction,
    },
}

impl HeaderMutation {
    /// The changes in the order in which they are made.
    pub fn in_order(&self) -> impl Iterator<Item = &Mutations> {
        let levels = self.by_level.len();
        let of_levels = (0..levels).map(move |index| {
            let index = if self.most_specific_header_mutations_wins { index } else { levels - 1 - index };
            &*self.by_level[index]
        });
        std::iter::once(&*self.mutations).chain(of_levels)
    }
}

fn name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_level_comes_first_or_wins() {
        let level = |key: &str| {
            let remove = QueryParameterMutation::Remove(key.to_owned());
            Arc::new(Mutations { query_parameters: vec![remove], ..Mutations::default() })
        };
        let order = |wins: bool| {
            let settings = HeaderMutation {
                mutations: level("filter"),
                most_specific_header_mutations_wins: wins,
                by_level: vec![level("host"), level("route")],
            };
            let keys = settings.in_order().map(|one| match &one.query_parameters[0] {
                QueryParameterMutation::Remove(key) => key.clone(),
                QueryParameterMutation::Add { .. } => String::new(),
            });
            keys.collect::<Vec<_>>()
        };
        assert_eq!(order(false), ["filter", "route", "host"]);
        assert_eq!(order(true), ["filter", "host", "route"]);
    }
}
