//! Statuses of policies and Backends (6.7, 6.8).

use super::{Configuration, Objects, attachment::Attached};
use crate::{
    kubernetes::{
        Metadata,
        status::{Conditions, Holds, ObjectStatus, OwnStatus, ParentReference, PolicyStatus},
    },
    policies::{Ancestors, AttachedTarget, Chosen, NotAttached, Overriding, Relation},
    translation::Translator,
};

/// The statuses of all policies that are attached to something. `problem` says what is wrong with policies on a
/// gateway, and is told whether a route is meant.
pub(super) fn extension_policies(
    attached: &Attached,
    configuration: &Configuration,
    mut problem: impl FnMut(usize, Chosen, bool) -> Option<String>,
) -> Vec<ObjectStatus> {
    let mut statuses = Vec::new();
    for (index, policy) in attached.policies.iter().enumerate() {
        let mut ancestors = Ancestors::new(&policy.meta);
        for target in &attached.targets[index] {
            let relation = attached.relations.get(index, &target.target);
            let applied = relation.iter().flat_map(|relation| &relation.applied);
            let on_route = target.target.object.kind.ends_with("Route");
            let failure = applied.filter_map(|(gateway, chosen)| problem(*gateway, *chosen, on_route)).next();
            for ancestor in &target.ancestors {
                let Some(conditions) = ancestors.get(ancestor) else { continue };
                accept(conditions, target, failure.as_deref(), &policy.meta);
                if policy.spec.targets.deprecated {
                    let text = "spec.targetRef is deprecated, use spec.targetRefs instead";
                    conditions.set("Warning", true, "DeprecatedField", text, &policy.meta);
                }
                if let Some(relation) = relation {
                    relate(conditions, relation, ancestor, attached, &policy.meta);
                }
            }
        }
        if !ancestors.is_empty() {
            let ancestors = ancestors.finish(&configuration.controller_name);
            statuses.push(ObjectStatus::new(policy.reference(), PolicyStatus { ancestors }));
        }
    }
    statuses
}

/// Sets `Accepted`. What is wrong at one target of an ancestor stays wrong.
fn accept(conditions: &mut Conditions, target: &AttachedTarget, failure: Option<&str>, meta: &Metadata) {
    if conditions.get("Accepted").is_some_and(|accepted| accepted.status == Holds::False) {
        return;
    }
    let (reason, message) = match (target.result, failure) {
        (Err(NotAttached::Conflicted), _) => ("Conflicted", conflict(target)),
        (Err(NotAttached::SectionNotFound), _) => {
            let object = &target.target.object;
            let section = target.target.section.as_deref().unwrap_or_default();
            ("TargetNotFound", format!("No section name {section} found for {object}"))
        }
        (Ok(()), Some(failure)) => ("Invalid", failure.to_owned()),
        (Ok(()), None) => {
            return conditions.set("Accepted", true, "Accepted", "Policy has been accepted.", meta);
        }
    };
    conditions.set("Accepted", false, reason, message, meta);
}

/// EG-41
fn conflict(target: &AttachedTarget) -> String {
    let object = &target.target.object;
    let what = match (&target.target.section, object.kind.ends_with("Route")) {
        (None, _) => format!("{} {}", object.kind, object.name),
        (Some(section), true) => format!("RouteRule {}/{section}", object.name),
        (Some(section), false) => format!("Listener {}/{section}", object.name),
    };
    format!("Unable to target {what}, another EnvoyExtensionPolicy has already attached to it")
}

fn relate(
    conditions: &mut Conditions,
    relation: &Relation,
    ancestor: &ParentReference,
    attached: &Attached,
    meta: &Metadata,
) {
    if !relation.overridden.is_empty() {
        let lists = relation.overridden.iter().map(|(kind, names)| {
            let kind = match kind {
                Overriding::GatewayListeners => "gateway listeners",
                Overriding::ListenerSets => "listenersets",
                Overriding::ListenerSetListeners => "listenerset listeners",
                Overriding::Routes => "routes",
                Overriding::RouteRules => "route rules",
            };
            format!("these {kind}: [{}]", names.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        });
        let lists: Vec<String> = lists.collect();
        let text = format!(
            "This policy is being overridden by other envoyExtensionPolicies for {}",
            lists.join(" and ")
        );
        conditions.set("Overridden", true, "Overridden", text, meta);
    }
    if let Some(parent) = relation.merged_with.get(ancestor) {
        let text = format!("Merged with policy {}", attached.policies[*parent].meta.key);
        conditions.set("Merged", true, "Merged", text, meta);
    }
    if !relation.merged_by.is_empty() {
        let routes: Vec<&str> = relation.merged_by.iter().map(String::as_str).collect();
        let text = format!(
            "This policy is being merged by other envoyExtensionPolicies for these routes: [{}]",
            routes.join(" ")
        );
        conditions.set("Merged", true, "Merged", text, meta);
    }
}

/// The statuses of all Backends.
pub(super) fn backends(translator: &Translator<'_>, configuration: &Configuration) -> Vec<ObjectStatus> {
    let backends = translator.store.of::<Objects>().backends.iter();
    let statuses = backends.map(|backend| {
        let problem = backend.spec.problems.iter().chain(&backend.errors).next();
        let rejected = if configuration.backends_enabled {
            problem.map(|problem| format!("The Backend was not accepted: {problem}"))
        } else {
            let text = "The Backend was not accepted since Backend is not enabled in Envoy Gateway Config"
                .to_owned();
            Some(text)
        };
        let mut conditions = Conditions::default();
        match rejected {
            None => {
                conditions.set("Accepted", true, "Accepted", "The Backend was accepted", &backend.meta);
            }
            // The original has type and reason the wrong way round; strict shows what it shows.
            Some(text) if translator.options.strict => {
                conditions.set("Invalid", false, "Accepted", text, &backend.meta);
            }
            Some(text) => conditions.set("Accepted", false, "Invalid", text, &backend.meta),
        }
        ObjectStatus::new(backend.reference(), OwnStatus { conditions })
    });
    statuses.collect()
}
