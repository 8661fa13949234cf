//! Subsets of endpoints.

use serde_json::Value;
use tollgate_model::cluster::{SelectorFallback, SubsetSelector, Subsets};

use crate::envoy::{
    cluster::subset::{
        METADATA_FALLBACK_POLICY, NAMED_FALLBACK, NamedFallback, SUBSET, SUBSET_FALLBACK, SUBSET_SELECTOR,
    },
    write::{matchers::structure, out::Out},
};

/// The policy of these subsets; `child` chooses within them.
pub(super) fn policy(subsets: &Subsets, child: Value) -> Out {
    let mut out = Out::new(&SUBSET);
    out.set("subset_lb_policy", child);
    out.list("subset_selectors", subsets.selectors.iter().map(selector).collect());
    out.name("fallback_policy", &SUBSET_FALLBACK, &subsets.fallback, &None);
    if !subsets.default_subset.fields.is_empty() {
        out.set("default_subset", structure(&subsets.default_subset));
    }
    out.unless("panic_mode_any", subsets.panic_mode_any, false);
    out.unless("list_as_any", subsets.list_as_any, false);
    out.name("metadata_fallback_policy", &METADATA_FALLBACK_POLICY, &subsets.fallback_list, &false);
    out.unless("allow_redundant_keys", subsets.allow_redundant_keys, false);
    out
}

fn selector(selector: &SubsetSelector) -> Value {
    let texts = |keys: &[String]| keys.iter().map(|key| Value::from(key.as_str())).collect();
    let mut out = Out::new(&SUBSET_SELECTOR);
    out.list("keys", texts(&selector.keys));
    let fallback = match &selector.fallback {
        None => NamedFallback::OfCluster,
        Some(SelectorFallback::NoFallback) => NamedFallback::None,
        Some(SelectorFallback::Of(fallback)) => NamedFallback::Of(*fallback),
        Some(SelectorFallback::KeysSubset(keys)) => {
            out.list("fallback_keys_subset", texts(keys));
            NamedFallback::KeysSubset
        }
    };
    out.name("fallback_policy", &NAMED_FALLBACK, &fallback, &NamedFallback::OfCluster);
    out.unless("single_host_per_subset", selector.single_host, false);
    out.done()
}
