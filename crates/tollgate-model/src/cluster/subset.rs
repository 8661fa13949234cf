//! Subsets of the endpoints of a cluster.

use std::collections::BTreeMap;

use extproc::messages::Struct;
use serde::Serialize;

/// The namespace of metadata in which subsets are named.
pub const SUBSET_NAMESPACE: &str = "envoy.lb";

/// In this list of the namespace routes and filters say what else will do.
pub const FALLBACK_LIST: &str = "fallback_list";

/// How the endpoints of a cluster are divided into subsets. A request goes to the subset whose values it has, under exactly
/// the keys of a selector.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subsets {
    /// By which keys; never empty.
    pub selectors: Vec<SubsetSelector>,
    /// What becomes of requests without a subset. Default none: they find no endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<SubsetFallback>,
    /// What endpoints of the default subset have in their metadata. Default nothing: it has all endpoints.
    #[serde(serialize_with = "crate::metadata::serialize_struct")]
    pub default_subset: Struct,
    /// Where the fallback has no endpoint, all are used. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub panic_mode_any: bool,
    /// An endpoint belongs to the subset of every value of a list. Default false: the list is one value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub list_as_any: bool,
    /// The first object of [`FALLBACK_LIST`] that has an endpoint counts, merged with the rest. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fallback_list: bool,
    /// Requests may have more keys than a selector; the first selector that has all of its keys decides. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_redundant_keys: bool,
}

impl Subsets {
    /// Subsets by these keys, with nothing but defaults.
    #[must_use]
    pub fn new(selectors: Vec<SubsetSelector>) -> Self {
        Self {
            selectors,
            fallback: None,
            default_subset: Struct { fields: BTreeMap::new() },
            panic_mode_any: false,
            list_as_any: false,
            fallback_list: false,
            allow_redundant_keys: false,
        }
    }
}

/// Keys that make subsets together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubsetSelector {
    /// The keys, ascending and each once; never empty.
    pub keys: Vec<String>,
    /// What becomes of requests with these keys and without a subset. Default: what the cluster says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<SelectorFallback>,
    /// Every subset has one endpoint, the first one that belongs to it, and that is used even when it is not well. Default
    /// false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub single_host: bool,
}

/// Where requests without a subset go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubsetFallback {
    /// To any endpoint.
    AnyEndpoint,
    /// To one of the default subset.
    DefaultSubset,
}

/// Where requests with the keys of a selector and without a subset go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SelectorFallback {
    /// Nowhere.
    NoFallback,
    /// To an endpoint of the whole cluster.
    Of(SubsetFallback),
    /// To a subset of fewer keys: these ones, ascending and each once.
    KeysSubset(Vec<String>),
}
