//! How EnvoyFilters are applied, and what becomes of gateways whose patches cannot be.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{EnvoyFilter, clusters, names::called};
use crate::{
    guard::changes_http_filters,
    istio::{
        CONTROLLER, Objects,
        scope::{ROOT_NAMESPACE, Scope, Selectors},
    },
    kubernetes::Object,
    patching::{Called, Failure, Outcome, PatchSet},
    translation::{Patchable, Translator},
};

/// Applies all of them in Istio's order: by priority, those of the root namespace first, the older ones first. Each is applied as
/// a whole or not at all.
pub(in crate::istio) fn apply(translator: &Translator<'_>, patchable: &mut Patchable<'_>) {
    let filters = in_order(translator);
    if filters.is_empty() {
        return;
    }
    let called = served(translator, patchable);
    let selectors = Selectors::new(translator);
    let mut sets = Vec::new();
    // Last of all: no patch opens what is closed.
    let mut closed = Vec::new();
    let mut applied: Vec<&Arc<Object<EnvoyFilter>>> = Vec::new();
    for filter in filters {
        let closes = changes_http_filters(&filter.node);
        let (reference, place) = (filter.reference(), &filter.meta.place);
        if filter.spec.patches.is_empty() && filter.errors.is_empty() {
            let message = format!("{reference} has no effect: none of its patches is for gateways");
            translator.diagnostics.info(place, message, None);
            continue;
        }
        let listeners = listeners(filter, patchable, &selectors, translator);
        if listeners.is_empty() {
            let message = format!("{reference} has no effect: it is for no gateway of this configuration");
            translator.diagnostics.warning(place, message, None);
            continue;
        }
        if let Some(error) = filter.errors.first() {
            if closes {
                let reason = format!("{reference} cannot be applied: {error}");
                closed.push((listeners, reason, place.clone()));
            }
            continue;
        }
        clusters::add(&filter.spec.patches, &reference, place, translator);
        sets.push(PatchSet {
            policy: reference,
            place: place.clone(),
            patches: filter.spec.patches.clone(),
            listeners,
        });
        applied.push(filter);
    }
    let outcomes = if sets.is_empty() {
        Vec::new()
    } else {
        let mut patching = patchable.begin();
        let (outcomes, said) = patching.apply_sets(&sets, &called);
        translator.diagnostics.extend(said);
        patchable.end(patching);
        outcomes
    };
    for ((set, filter), outcome) in sets.iter().zip(applied).zip(outcomes) {
        match outcome {
            Outcome::Applied { idle } => {
                for patch in idle.into_iter().filter_map(|number| set.patches.get(number)) {
                    let message = format!(
                        "this patch of {} changes nothing: nothing that is served matches it",
                        set.policy
                    );
                    translator.diagnostics.warning(&patch.place, message, None);
                }
            }
            Outcome::Failed(failure) => {
                let (message, at, help) = match failure {
                    Failure::Invalid { message, place, help } => (message, place, help),
                    Failure::NotFound(names) => {
                        (format!("{} not found", names.join(", ")), set.place.clone(), None)
                    }
                };
                let closes = changes_http_filters(&filter.node);
                let consequence = if closes { ": its gateways answer 500" } else { "" };
                let text = format!("{} cannot be applied{consequence}: {message}", set.policy);
                translator.diagnostics.error(&at, text, help);
                if closes {
                    let reason = format!("{} cannot be applied: {message}", set.policy);
                    closed.push((set.listeners.clone(), reason, at));
                }
            }
        }
    }
    for (listeners, reason, place) in closed {
        patchable.close_listeners(&listeners, &reason, &place);
    }
}

fn in_order<'t>(translator: &Translator<'t>) -> Vec<&'t Arc<Object<EnvoyFilter>>> {
    let mut filters = translator.store.of::<Objects>().envoy_filters.by_age();
    // Those of one age are sorted by their names already.
    filters.sort_by_key(|filter| (filter.spec.priority, filter.meta.key.namespace != ROOT_NAMESPACE));
    filters
}

/// The listeners of Istio's gateways, and what it calls them.
fn served(translator: &Translator<'_>, patchable: &Patchable<'_>) -> HashMap<String, Called> {
    let of_istio = || patchable.listeners().filter(|(_, listener)| listener.controller.is(&CONTROLLER));
    let ports: Vec<u16> = of_istio().map(|(_, listener)| listener.port).collect();
    of_istio().map(|(name, listener)| (name.to_owned(), called(listener, &ports, translator))).collect()
}

/// The listeners of gateways that an EnvoyFilter is for.
fn listeners(
    filter: &Object<EnvoyFilter>,
    patchable: &Patchable<'_>,
    selectors: &Selectors,
    translator: &Translator<'_>,
) -> BTreeSet<String> {
    let scope = Scope::of(&filter.meta, &filter.node);
    let of_istio = patchable.listeners().filter(|(_, listener)| listener.controller.is(&CONTROLLER));
    let concerned = of_istio.filter(|(_, listener)| {
        let owners = listener.chains.iter().flatten().map(|(owner, _)| owner);
        owners.chain(&listener.gateways).any(|gateway| {
            scope.concerns(gateway, selectors, translator)
                || (filter.spec.only_gateways && scope.is_beside(gateway))
        })
    });
    concerned.map(|(name, _)| name.to_owned()).collect()
}
