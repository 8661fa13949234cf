//! The unified matcher, with the inputs of HTTP requests.

use std::collections::BTreeMap;

use tollgate_model::{
    matching::{Conditions, MatchInput, Matcher, MetadataMatcher, OnMatch, Predicate, StringMatcher},
    route::DynamicMetadataCondition,
};

use super::{
    cluster::TYPED_EXTENSION_CONFIG,
    matchers::{read_matched_header, read_string_matcher},
    metadata_matcher::read_value_matcher,
};
use crate::schema::{Any, Schema, Value, read, refused};

pub(super) static MATCHER: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher",
    title: "",
    fields: &[
        read("matcher_list", "", "Conditions, the first that holds counts."),
        read("matcher_tree", "", "Conditions by the value of one input."),
        read("on_no_match", "nothing", "What follows when no condition holds."),
    ],
    unsupported: &[],
};

pub(super) static ON_MATCH: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.OnMatch",
    title: "",
    fields: &[
        read("action", "", "The action. This or matcher is required."),
        read("matcher", "", "Further conditions; if none of them holds, the search goes on behind this one."),
        refused("keep_matching", "write one matcher after the other"),
    ],
    unsupported: &[],
};

pub(super) static MATCHER_LIST: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.MatcherList",
    title: "",
    fields: &[read("matchers", "", "Conditions in order. Required.")],
    unsupported: &[],
};

pub(super) static FIELD_MATCHER: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher",
    title: "",
    fields: &[
        read("predicate", "", "The condition. Required."),
        read("on_match", "", "What follows. Required."),
    ],
    unsupported: &[],
};

pub(super) static PREDICATE: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.MatcherList.Predicate",
    title: "",
    fields: &[
        read("single_predicate", "", "On one input."),
        read("or_matcher", "", "One of several."),
        read("and_matcher", "", "All of several."),
        read("not_matcher", "", "The opposite of another one."),
    ],
    unsupported: &[],
};

pub(super) static SINGLE_PREDICATE: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate",
    title: "",
    fields: &[
        read(
            "input",
            "",
            "HttpRequestHeaderMatchInput, HttpRequestQueryParamMatchInput or DynamicMetadataInput. Required.",
        ),
        read(
            "value_match",
            "",
            "What the value must be. Required; without a value the condition does not hold.",
        ),
        read(
            "custom_match",
            "",
            "For DynamicMetadataInput: Metadata, what the value must be; no value meets nothing but `invert`.",
        ),
    ],
    unsupported: &[],
};

pub(super) static PREDICATE_LIST: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList",
    title: "",
    fields: &[read("predicate", "", "At least two.")],
    unsupported: &[],
};

pub(super) static MATCHER_TREE: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.MatcherTree",
    title: "",
    fields: &[
        read("input", "", "HttpRequestHeaderMatchInput or HttpRequestQueryParamMatchInput. Required."),
        read("exact_match_map", "", "By the whole value. This or prefix_match_map is required."),
        read("prefix_match_map", "", "By the longest of these that the value begins with."),
        refused("custom_match", "use exact_match_map or prefix_match_map"),
    ],
    unsupported: &[],
};

pub(super) static MATCH_MAP: Schema = Schema {
    name: "xds.type.matcher.v3.Matcher.MatcherTree.MatchMap",
    title: "",
    fields: &[read("map", "", "What follows, by value; at least one.")],
    unsupported: &[],
};

pub(super) static REQUEST_HEADER_INPUT: Schema = Schema {
    name: "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
    title: "",
    fields: &[read("header_name", "", "The header; several values are joined with commas. Required.")],
    unsupported: &[],
};

pub(super) static QUERY_PARAMETER_INPUT: Schema = Schema {
    name: "envoy.type.matcher.v3.HttpRequestQueryParamMatchInput",
    title: "",
    fields: &[read("query_param", "", "The parameter; the first value counts, decoded. Required.")],
    unsupported: &[],
};

pub(super) static METADATA_INPUT: Schema = Schema {
    name: "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput",
    title: "",
    fields: &[
        read("filter", "", "The namespace of the metadata. Required."),
        read("path", "", "Keys from outside in. Required."),
    ],
    unsupported: &[],
};

pub(super) static METADATA_INPUT_SEGMENT: Schema = Schema {
    name: "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput.PathSegment",
    title: "",
    fields: &[read("key", "", "A key. Required.")],
    unsupported: &[],
};

pub(super) static METADATA_VALUE: Schema = Schema {
    name: "envoy.extensions.matching.input_matchers.metadata.v3.Metadata",
    title: "",
    fields: &[
        read("value", "", "What the value must be. Required."),
        read("invert", "false", "Holds where there is no such value."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 14] = [
    &MATCHER,
    &ON_MATCH,
    &MATCHER_LIST,
    &FIELD_MATCHER,
    &PREDICATE,
    &SINGLE_PREDICATE,
    &PREDICATE_LIST,
    &MATCHER_TREE,
    &MATCH_MAP,
    &REQUEST_HEADER_INPUT,
    &QUERY_PARAMETER_INPUT,
    &METADATA_INPUT,
    &METADATA_INPUT_SEGMENT,
    &METADATA_VALUE,
];

/// Reads actions.
type ReadAction<'r, A> = &'r dyn Fn(&Any<'_>) -> Option<A>;

/// Reads a `Matcher` whose actions `action` reads.
pub(super) fn read_matcher<A>(value: &Value<'_>, action: ReadAction<'_, A>) -> Option<Matcher<A>> {
    let message = value.message(&MATCHER)?;
    let on_no_match = match message.get("on_no_match") {
        Some(on_match) => Some(Box::new(read_on_match(&on_match, action)?)),
        None => None,
    };
    let conditions = match message.one_of(&["matcher_list", "matcher_tree"]) {
        None => Conditions::None,
        Some(("matcher_list", list)) => Conditions::List(read_list(&list, action)?),
        Some((_, tree)) => read_tree(&tree, action)?,
    };
    Some(Matcher { conditions, on_no_match })
}

fn read_on_match<A>(value: &Value<'_>, action: ReadAction<'_, A>) -> Option<OnMatch<A>> {
    let message = value.message(&ON_MATCH)?;
    let (kind, value) = message.required_one_of(&["action", "matcher"])?;
    if kind == "matcher" {
        return Some(OnMatch::Matcher(read_matcher(&value, action)?));
    }
    let config = value.message(&TYPED_EXTENSION_CONFIG)?.required("typed_config")?.any()?;
    Some(OnMatch::Action(action(&config)?))
}

fn read_list<A>(value: &Value<'_>, action: ReadAction<'_, A>) -> Option<Vec<(Predicate, OnMatch<A>)>> {
    let matchers = value.message(&MATCHER_LIST)?.list("matchers");
    if matchers.is_empty() {
        value.error("\"matchers\" is missing: at least one");
        return None;
    }
    let read_one = |value: &Value<'_>| {
        let message = value.message(&FIELD_MATCHER)?;
        let predicate = message.required("predicate").and_then(|predicate| read_predicate(&predicate));
        let on_match = message.required("on_match").and_then(|on_match| read_on_match(&on_match, action));
        predicate.zip(on_match)
    };
    // Every one is read, so that every problem is found.
    let read: Vec<_> = matchers.iter().map(read_one).collect();
    read.into_iter().collect()
}

fn read_predicate(value: &Value<'_>) -> Option<Predicate> {
    let message = value.message(&PREDICATE)?;
    let kinds = &["single_predicate", "or_matcher", "and_matcher", "not_matcher"];
    let (kind, value) = message.required_one_of(kinds)?;
    Some(match kind {
        "single_predicate" => {
            let message = value.message(&SINGLE_PREDICATE)?;
            let input = message.required("input").and_then(|input| read_any_input(&input));
            match message.required_one_of(&["value_match", "custom_match"])? {
                ("value_match", matcher) => {
                    let matcher: StringMatcher = read_string_matcher(&matcher)?;
                    match input? {
                        Input::Text(input) => Predicate::Single(input, matcher),
                        Input::Metadata { .. } => {
                            value.error_with_help("metadata are no text", "use custom_match with Metadata");
                            return None;
                        }
                    }
                }
                (_, matcher) => read_custom_match(&matcher, input?)?,
            }
        }
        "not_matcher" => Predicate::Not(Box::new(read_predicate(&value)?)),
        kind => {
            let predicates = value.message(&PREDICATE_LIST)?.list("predicate");
            if predicates.len() < 2 {
                value.error("at least two conditions are combined");
                return None;
            }
            let predicates = predicates.iter().map(read_predicate).collect::<Option<Vec<_>>>()?;
            if kind == "or_matcher" { Predicate::Or(predicates) } else { Predicate::And(predicates) }
        }
    })
}

fn read_tree<A>(value: &Value<'_>, action: ReadAction<'_, A>) -> Option<Conditions<A>> {
    let message = value.message(&MATCHER_TREE)?;
    let input = message.required("input").and_then(|input| read_input(&input));
    let (kind, map) = message.required_one_of(&["exact_match_map", "prefix_match_map"])?;
    let entries = map.message(&MATCH_MAP)?.map("map");
    if entries.is_empty() {
        map.error("\"map\" is missing: at least one value");
        return None;
    }
    let read: Vec<_> =
        entries.iter().map(|(key, value)| Some(((*key).to_owned(), read_on_match(value, action)?))).collect();
    let map = read.into_iter().collect::<Option<BTreeMap<_, _>>>()?;
    Some(if kind == "exact_match_map" {
        Conditions::Exact(input?, map)
    } else {
        Conditions::Prefix(input?, map)
    })
}

/// What a condition looks at.
enum Input {
    Text(MatchInput),
    Metadata { namespace: String, path: Vec<String> },
}

/// Reads what a value of metadata must be.
fn read_custom_match(value: &Value<'_>, input: Input) -> Option<Predicate> {
    let config = value.message(&TYPED_EXTENSION_CONFIG)?.required("typed_config")?.any()?;
    if config.type_name != METADATA_VALUE.name {
        config.unsupported("matcher", &[METADATA_VALUE.name]);
        return None;
    }
    let message = config.value.message(&METADATA_VALUE)?;
    let matched = read_value_matcher(&message.required("value")?)?;
    let invert = message.boolean("invert", false);
    let Input::Metadata { namespace, path } = input else {
        value.error_with_help("a header or a parameter is no metadata", "use value_match");
        return None;
    };
    let matcher = MetadataMatcher { namespace, path, value: matched };
    Some(Predicate::Metadata(DynamicMetadataCondition { matcher, invert }))
}

fn read_input(value: &Value<'_>) -> Option<MatchInput> {
    match read_any_input(value)? {
        Input::Text(input) => Some(input),
        Input::Metadata { .. } => {
            value.error("a tree is by headers and parameters only");
            None
        }
    }
}

fn read_any_input(value: &Value<'_>) -> Option<Input> {
    let config = value.message(&TYPED_EXTENSION_CONFIG)?.required("typed_config")?.any()?;
    if config.type_name == REQUEST_HEADER_INPUT.name {
        let name = config.value.message(&REQUEST_HEADER_INPUT)?.required("header_name")?;
        return Some(Input::Text(MatchInput::RequestHeader(read_matched_header(&name)?)));
    }
    if config.type_name == QUERY_PARAMETER_INPUT.name {
        let name = config.value.message(&QUERY_PARAMETER_INPUT)?.required("query_param")?;
        return Some(Input::Text(MatchInput::QueryParameter(name.non_empty_string()?)));
    }
    if config.type_name == METADATA_INPUT.name {
        let message = config.value.message(&METADATA_INPUT)?;
        let namespace = message.required("filter")?.non_empty_string()?;
        let path = message.list("path");
        if path.is_empty() {
            value.error("\"path\" is missing: at least one key");
            return None;
        }
        let key = |segment: &Value<'_>| {
            segment.message(&METADATA_INPUT_SEGMENT)?.required("key")?.non_empty_string()
        };
        return Some(Input::Metadata { namespace, path: path.iter().map(key).collect::<Option<_>>()? });
    }
    config
        .unsupported("input", &[REQUEST_HEADER_INPUT.name, QUERY_PARAMETER_INPUT.name, METADATA_INPUT.name]);
    None
}
