//! The unified matcher: conditions on requests that lead to an action.

use std::{borrow::Cow, collections::BTreeMap};

use extproc::{RequestHeaders, metadata::DynamicMetadata};
use http::HeaderValue;
use serde::Serialize;

use super::StringMatcher;
use crate::{
    header::FieldName,
    route::{DynamicMetadataCondition, split_parameter, split_path},
};

/// A tree of conditions with an action at each end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matcher<A> {
    /// The conditions.
    pub conditions: Conditions<A>,
    /// What follows when none of them holds. Default nothing.
    pub on_no_match: Option<Box<OnMatch<A>>>,
}

/// Conditions of one level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Conditions<A> {
    /// None, so none holds.
    None,
    /// The first of these that holds counts; one whose own conditions lead nowhere does not.
    List(Vec<(Predicate, OnMatch<A>)>),
    /// By the whole value of an input.
    Exact(MatchInput, BTreeMap<String, OnMatch<A>>),
    /// By the longest of these that the value of an input begins with.
    Prefix(MatchInput, BTreeMap<String, OnMatch<A>>),
}

/// What follows from a condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum OnMatch<A> {
    /// An action.
    Action(A),
    /// Further conditions.
    Matcher(Matcher<A>),
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Predicate {
    /// An input has a value that passes.
    Single(MatchInput, StringMatcher),
    /// One of these holds.
    Or(Vec<Self>),
    /// All of these hold.
    And(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// About dynamic metadata.
    Metadata(DynamicMetadataCondition),
}

/// What conditions are held against.
#[derive(Debug, Clone, Copy)]
pub struct MatchFacts<'r> {
    /// The head of the request.
    pub request: &'r RequestHeaders,
    /// What filters have set so far; `None` = nothing.
    pub metadata: Option<&'r DynamicMetadata>,
}

impl<'r> From<&'r RequestHeaders> for MatchFacts<'r> {
    /// Without metadata.
    fn from(request: &'r RequestHeaders) -> Self {
        Self { request, metadata: None }
    }
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum MatchInput {
    /// The values of a request header, joined with commas.
    RequestHeader(FieldName),
    /// The first value of a query parameter, decoded.
    QueryParameter(String),
}

impl MatchInput {
    /// The value in a request; `None` when there is none.
    fn value<'r>(&self, request: &'r RequestHeaders) -> Option<Cow<'r, [u8]>> {
        match self {
            Self::RequestHeader(FieldName::Field(name)) => {
                let mut values = request.fields.get_all(name).iter().map(HeaderValue::as_bytes);
                let first = values.next()?;
                let rest: Vec<&[u8]> = values.collect();
                if rest.is_empty() {
                    return Some(Cow::Borrowed(first));
                }
                Some(Cow::Owned([&[first][..], &rest].concat().join(&b","[..])))
            }
            Self::RequestHeader(name) => name.first_in_request(request).map(Cow::Borrowed),
            Self::QueryParameter(name) => {
                let (_, query) = split_path(request.path.as_bytes());
                let mut parameters = query.split(|byte| *byte == b'&').map(split_parameter);
                let found = parameters.find(|(key, _)| decoded(key) == name.as_bytes());
                found.map(|(_, value)| Cow::Owned(decoded(value)))
            }
        }
    }
}

/// Decodes `%XX`; what is not two digits stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let coded = match rest {
            [b'%', high, low, ..] => digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &after[2..] } else { after };
    }
    bytes
}

impl Predicate {
    fn holds(&self, facts: MatchFacts<'_>) -> bool {
        match self {
            Self::Single(input, matcher) => {
                input.value(facts.request).is_some_and(|value| matcher.matches(&value))
            }
            Self::Or(any) => any.iter().any(|predicate| predicate.holds(facts)),
            Self::And(all) => all.iter().all(|predicate| predicate.holds(facts)),
            Self::Not(predicate) => !predicate.holds(facts),
            Self::Metadata(condition) => condition.holds(facts.metadata),
        }
    }
}

impl<A> OnMatch<A> {
    fn find(&self, facts: MatchFacts<'_>) -> Option<&A> {
        match self {
            Self::Action(action) => Some(action),
            Self::Matcher(matcher) => matcher.find(facts),
        }
    }

    fn try_map<B, E>(&self, map: &mut impl FnMut(&A) -> Result<B, E>) -> Result<OnMatch<B>, E> {
        Ok(match self {
            Self::Action(action) => OnMatch::Action(map(action)?),
            Self::Matcher(matcher) => OnMatch::Matcher(matcher.try_map(map)?),
        })
    }

    fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a A)) {
        match self {
            Self::Action(action) => visit(action),
            Self::Matcher(matcher) => matcher.visit(visit),
        }
    }
}

impl<A> Matcher<A> {
    /// The action that a request leads to.
    pub fn find<'r>(&self, facts: impl Into<MatchFacts<'r>>) -> Option<&A> {
        let facts = facts.into();
        let request = facts.request;
        let found = match &self.conditions {
            Conditions::None => None,
            Conditions::List(list) => {
                let mut holding = list.iter().filter(|(predicate, _)| predicate.holds(facts));
                holding.find_map(|(_, on_match)| on_match.find(facts))
            }
            Conditions::Exact(input, map) => input
                .value(request)
                .and_then(|value| map.get(std::str::from_utf8(&value).ok()?))
                .and_then(|on_match| on_match.find(facts)),
            Conditions::Prefix(input, map) => input.value(request).and_then(|value| {
                let begins = map.iter().filter(|(prefix, _)| value.starts_with(prefix.as_bytes()));
                begins.max_by_key(|(prefix, _)| prefix.len()).and_then(|(_, on_match)| on_match.find(facts))
            }),
        };
        found.or_else(|| self.on_no_match.as_ref()?.find(facts))
    }

    /// The same conditions with other actions.
    ///
    /// # Errors
    /// The first one of `map`.
    pub fn try_map<B, E>(&self, map: &mut impl FnMut(&A) -> Result<B, E>) -> Result<Matcher<B>, E> {
        let conditions = match &self.conditions {
            Conditions::None => Conditions::None,
            Conditions::List(list) => {
                let list = list.iter().map(|(predicate, on)| Ok((predicate.clone(), on.try_map(map)?)));
                Conditions::List(list.collect::<Result<_, E>>()?)
            }
            Conditions::Exact(input, entries) => Conditions::Exact(input.clone(), try_map(entries, map)?),
            Conditions::Prefix(input, entries) => Conditions::Prefix(input.clone(), try_map(entries, map)?),
        };
        let on_no_match = match &self.on_no_match {
            Some(on_match) => Some(Box::new(on_match.try_map(map)?)),
            None => None,
        };
        Ok(Matcher { conditions, on_no_match })
    }

    /// Shows every action.
    pub fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a A)) {
        match &self.conditions {
            Conditions::None => {}
            Conditions::List(list) => list.iter().for_each(|(_, on_match)| on_match.visit(visit)),
            Conditions::Exact(_, map) | Conditions::Prefix(_, map) => {
                map.values().for_each(|on_match| on_match.visit(visit));
            }
        }
        if let Some(on_match) = &self.on_no_match {
            on_match.visit(visit);
        }
    }
}

fn try_map<A, B, E>(
    entries: &BTreeMap<String, OnMatch<A>>,
    map: &mut impl FnMut(&A) -> Result<B, E>,
) -> Result<BTreeMap<String, OnMatch<B>>, E> {
    entries.iter().map(|(key, on_match)| Ok((key.clone(), on_match.try_map(map)?))).collect()
}

#[cfg(test)]
mod tests {
    use extproc::messages::{Struct, Value, value::Kind};
    use http::{HeaderMap, Method};

    use super::*;
    use crate::matching::{MetadataMatcher, ValueMatcher};

    fn request(path: &'static str, fields: &[(&'static str, &'static str)]) -> RequestHeaders {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        RequestHeaders {
            method: Method::GET,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("a"),
            path: HeaderValue::from_static(path),
            fields: map,
        }
    }

    fn header(name: &str) -> MatchInput {
        MatchInput::RequestHeader(FieldName::parse(name).unwrap())
    }

    fn is(name: &str, value: &str) -> Predicate {
        Predicate::Single(header(name), StringMatcher::Exact(value.to_owned()))
    }

    fn tree(conditions: Conditions<u8>) -> Matcher<u8> {
        Matcher { conditions, on_no_match: Some(Box::new(OnMatch::Action(0))) }
    }

    #[test]
    fn the_first_condition_that_leads_somewhere_counts() {
        let nowhere = Matcher {
            conditions: Conditions::List(vec![(is("x-b", "2"), OnMatch::Action(2))]),
            on_no_match: None,
        };
        let matcher = tree(Conditions::List(vec![
            (is("x-a", "1"), OnMatch::Matcher(nowhere)),
            (is("x-a", "1"), OnMatch::Action(1)),
        ]));
        assert_eq!(matcher.find(&request("/", &[("x-a", "1")])), Some(&1));
        assert_eq!(matcher.find(&request("/", &[("x-a", "1"), ("x-b", "2")])), Some(&2));
        assert_eq!(matcher.find(&request("/", &[])), Some(&0));
    }

    #[test]
    fn maps() {
        let exact = Conditions::Exact(header("x-a"), [("1,2".to_owned(), OnMatch::Action(1))].into());
        let exact = tree(exact);
        assert_eq!(exact.find(&request("/", &[("x-a", "1"), ("x-a", "2")])), Some(&1));
        assert_eq!(exact.find(&request("/", &[("x-a", "1")])), Some(&0));
        let entries = [("/a".to_owned(), OnMatch::Action(1)), ("/a/b".to_owned(), OnMatch::Action(2))];
        let prefix = tree(Conditions::Prefix(header(":path"), entries.into()));
        assert_eq!(prefix.find(&request("/a/c", &[])), Some(&1));
        assert_eq!(prefix.find(&request("/a/b/c", &[])), Some(&2));
        assert_eq!(prefix.find(&request("/c", &[])), Some(&0));
    }

    #[test]
    fn predicates() {
        let holds =
            |predicate: Predicate, fields: &[_]| predicate.holds((&request("/?q=%31&q=2", fields)).into());
        assert!(!holds(is("x-a", "1"), &[]));
        assert!(holds(Predicate::Not(Box::new(is("x-a", "1"))), &[]));
        assert!(holds(Predicate::Or(vec![is("x-a", "2"), is("x-a", "1")]), &[("x-a", "1")]));
        assert!(!holds(Predicate::And(vec![is("x-a", "2"), is("x-a", "1")]), &[("x-a", "1")]));
        let query = MatchInput::QueryParameter("q".to_owned());
        assert!(holds(Predicate::Single(query, StringMatcher::Exact("1".to_owned())), &[]));
    }

    #[test]
    fn actions_are_mapped_and_visited() {
        let matcher = tree(Conditions::List(vec![(is("x-a", "1"), OnMatch::Action(1))]));
        let mapped: Matcher<u16> =
            matcher.try_map(&mut |action| Ok::<_, ()>(u16::from(*action) + 10)).unwrap();
        let mut seen = Vec::new();
        mapped.visit(&mut |action| seen.push(*action));
        assert_eq!(seen, [11, 10]);
        assert_eq!(matcher.try_map(&mut |action| Err::<(), _>(*action)).unwrap_err(), 1);
    }

    #[test]
    fn metadata_hold_as_they_are_now() {
        let disabled = |invert| {
            let matcher = MetadataMatcher {
                namespace: "off".into(),
                path: vec!["processor".into()],
                value: ValueMatcher::Bool(true),
            };
            Predicate::Metadata(DynamicMetadataCondition { matcher, invert })
        };
        let mut metadata = DynamicMetadata::default();
        let request = request("/", &[]);
        let holds = |predicate: Predicate, metadata: &DynamicMetadata| {
            predicate.holds(MatchFacts { request: &request, metadata: Some(metadata) })
        };
        assert!(holds(disabled(true), &metadata) && !holds(disabled(false), &metadata));
        let on = Value { kind: Some(Kind::BoolValue(true)) };
        assert!(metadata.set("off", Struct { fields: [("processor".to_owned(), on)].into() }));
        assert!(!holds(disabled(true), &metadata) && holds(disabled(false), &metadata));
    }
}
