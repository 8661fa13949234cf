//! Subsets of endpoints: `lb_subset_config`, and the policy of the same settings.

use tollgate_model::cluster::{SelectorFallback, SubsetFallback, SubsetSelector, Subsets};

use crate::{
    envoy::metadata::read_struct,
    schema::{Enumeration, Field, Message, Schema, Value, read, refused},
};

const ONE_LOCALITY: &str = "subsets are chosen without regard to localities";

const FALLBACK: Field = read(
    "fallback_policy",
    "NO_FALLBACK",
    "Where requests without a subset go: NO_FALLBACK, ANY_ENDPOINT or DEFAULT_SUBSET.",
);
const DEFAULT: Field = read("default_subset", "{}", "What the endpoints of the default subset have.");
const SELECTORS: Field =
    read("subset_selectors", "[]", "By which keys there are subsets. Without any there are none.");
const LIST_AS_ANY: Field =
    read("list_as_any", "false", "An endpoint belongs to the subset of every value of a list.");
const PANIC: Field = read("panic_mode_any", "false", "Where the fallback has no endpoint, all are used.");
const METADATA_FALLBACK: Field = read(
    "metadata_fallback_policy",
    "METADATA_NO_FALLBACK",
    "FALLBACK_LIST: the key `fallback_list` holds other metadata, which are merged in one after the other.",
);
const LOCALITY_AWARE: Field = refused("locality_weight_aware", ONE_LOCALITY);
const SCALE: Field = refused("scale_locality_weight", ONE_LOCALITY);

const KEYS: Field = read("keys", "", "Keys of the namespace `envoy.lb`. Required.");
const SELECTOR_FALLBACK: Field = read(
    "fallback_policy",
    "the cluster's",
    "NO_FALLBACK, ANY_ENDPOINT, DEFAULT_SUBSET, or KEYS_SUBSET: look again with fewer keys.",
);
const FALLBACK_KEYS: Field = read("fallback_keys_subset", "[]", "These keys. Required for KEYS_SUBSET.");
const SINGLE: Field = read(
    "single_host_per_subset",
    "false",
    "A subset has one endpoint, the first, whether it is well or not.",
);

pub(in crate::envoy) static LB_SUBSET_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.LbSubsetConfig",
    title: "",
    fields: &[FALLBACK, DEFAULT, SELECTORS, LIST_AS_ANY, PANIC, METADATA_FALLBACK, LOCALITY_AWARE, SCALE],
    unsupported: &[],
};

pub(in crate::envoy) static LB_SUBSET_SELECTOR: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector",
    title: "",
    fields: &[KEYS, SELECTOR_FALLBACK, FALLBACK_KEYS, SINGLE],
    unsupported: &[],
};

pub(in crate::envoy) static SUBSET: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.subset.v3.Subset",
    title: "",
    fields: &[
        read(
            "subset_lb_policy",
            "",
            "How an endpoint of a subset is chosen: RoundRobin, LeastRequest, Random, RingHash or Maglev. Required.",
        ),
        FALLBACK,
        DEFAULT,
        SELECTORS,
        read(
            "allow_redundant_keys",
            "false",
            "Requests may have more keys than a selector; the first selector that has all of its keys decides.",
        ),
        LIST_AS_ANY,
        PANIC,
        METADATA_FALLBACK,
        LOCALITY_AWARE,
        SCALE,
    ],
    unsupported: &[],
};

pub(in crate::envoy) static SUBSET_SELECTOR: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.subset.v3.Subset.LbSubsetSelector",
    title: "",
    fields: &[KEYS, SELECTOR_FALLBACK, FALLBACK_KEYS, SINGLE],
    unsupported: &[],
};

pub(in crate::envoy) static SUBSET_FALLBACK: Enumeration<Option<SubsetFallback>> = Enumeration {
    values: &[
        ("NO_FALLBACK", 0, Some(None)),
        ("ANY_ENDPOINT", 1, Some(Some(SubsetFallback::AnyEndpoint))),
        ("DEFAULT_SUBSET", 2, Some(Some(SubsetFallback::DefaultSubset))),
    ],
};

/// `true`: the list counts.
pub(in crate::envoy) static METADATA_FALLBACK_POLICY: Enumeration<bool> =
    Enumeration { values: &[("METADATA_NO_FALLBACK", 0, Some(false)), ("FALLBACK_LIST", 1, Some(true))] };

/// What a selector says of requests without a subset.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::envoy) enum NamedFallback {
    OfCluster,
    None,
    Of(SubsetFallback),
    KeysSubset,
}

pub(in crate::envoy) static NAMED_FALLBACK: Enumeration<NamedFallback> = Enumeration {
    values: &[
        ("NOT_DEFINED", 0, Some(NamedFallback::OfCluster)),
        ("NO_FALLBACK", 1, Some(NamedFallback::None)),
        ("ANY_ENDPOINT", 2, Some(NamedFallback::Of(SubsetFallback::AnyEndpoint))),
        ("DEFAULT_SUBSET", 3, Some(NamedFallback::Of(SubsetFallback::DefaultSubset))),
        ("KEYS_SUBSET", 4, Some(NamedFallback::KeysSubset)),
    ],
};

/// Reads `lb_subset_config`; `None`: there are no subsets.
pub(super) fn read_subsets_of_cluster(message: &Message<'_>) -> Option<Subsets> {
    read_subsets(&message.message("lb_subset_config", &LB_SUBSET_CONFIG)?, &LB_SUBSET_SELECTOR)
}

/// Reads the settings of a policy; `None`: there are no subsets.
pub(super) fn read_subsets_of_policy(message: &Message<'_>) -> Option<Subsets> {
    let allow_redundant_keys = message.boolean("allow_redundant_keys", false);
    Some(Subsets { allow_redundant_keys, ..read_subsets(message, &SUBSET_SELECTOR)? })
}

fn read_subsets(message: &Message<'_>, selector: &'static Schema) -> Option<Subsets> {
    let selectors = message.list("subset_selectors");
    let selectors: Vec<_> = selectors.iter().filter_map(|value| read_selector(value, selector)).collect();
    let subsets = Subsets {
        fallback: message.enumeration("fallback_policy", &SUBSET_FALLBACK, None),
        default_subset: message
            .get("default_subset")
            .and_then(|value| read_struct(&value))
            .unwrap_or_default(),
        panic_mode_any: message.boolean("panic_mode_any", false),
        list_as_any: message.boolean("list_as_any", false),
        fallback_list: message.enumeration("metadata_fallback_policy", &METADATA_FALLBACK_POLICY, false),
        ..Subsets::new(selectors)
    };
    // Without selectors Envoy has no subsets, and no fallback.
    (!subsets.selectors.is_empty()).then_some(subsets)
}

fn read_selector(value: &Value<'_>, schema: &'static Schema) -> Option<SubsetSelector> {
    let message = value.message(schema)?;
    let names = |field: &'static str| -> Vec<String> {
        let mut names: Vec<String> =
            message.list(field).iter().filter_map(|key| key.non_empty_string()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let keys = names("keys");
    if keys.is_empty() {
        value.error("\"keys\" is missing: at least one");
        return None;
    }
    let fallback_keys = names("fallback_keys_subset");
    let fallback = match message.enumeration("fallback_policy", &NAMED_FALLBACK, NamedFallback::OfCluster) {
        NamedFallback::KeysSubset => {
            if fallback_keys.is_empty() {
                value.error("KEYS_SUBSET needs \"fallback_keys_subset\"");
            } else if fallback_keys.iter().any(|key| !keys.contains(key)) {
                value.error("\"fallback_keys_subset\" has a key that is none of \"keys\"");
            } else if fallback_keys.len() == keys.len() {
                value.error("\"fallback_keys_subset\" must have fewer keys than \"keys\"");
            }
            Some(SelectorFallback::KeysSubset(fallback_keys))
        }
        NamedFallback::OfCluster => None,
        NamedFallback::None => Some(SelectorFallback::NoFallback),
        NamedFallback::Of(fallback) => Some(SelectorFallback::Of(fallback)),
    };
    Some(SubsetSelector { keys, fallback, single_host: message.boolean("single_host_per_subset", false) })
}
