//! What a policy is attached to: `targetRef`, `targetRefs` and `targetSelectors` (6.2).

use crate::{
    gateway_api,
    kubernetes::selector::{SELECTOR, read_selector},
    policies::{SelectedNamespaces, TargetRef, TargetSelector, Targets},
    schema::{Enumeration, Message, Schema, Value, read},
    suggestion::{did_you_mean, nearest},
};

static TARGET_REF: Schema = Schema {
    name: "LocalPolicyTargetReferenceWithSectionName",
    title: "",
    fields: &[
        read("group", "", "`gateway.networking.k8s.io`. Required."),
        read("kind", "", "Gateway, ListenerSet or a kind of route. Required."),
        read("name", "", "Name of the object. Required."),
        read("sectionName", "the whole object", "Name of a listener or of a rule."),
    ],
    unsupported: &[],
};

static TARGET_SELECTOR: Schema = Schema {
    name: "TargetSelector",
    title: "",
    fields: &[
        read("group", "gateway.networking.k8s.io", "API group of the objects."),
        read("kind", "", "Gateway, ListenerSet or a kind of route. Required."),
        read("namespaces", "from: Same", "Where the objects live."),
        read("matchLabels", "{}", "Labels that have to have these values."),
        read("matchExpressions", "[]", "Conditions, all of which have to hold."),
    ],
    unsupported: &[],
};

static TARGET_NAMESPACES: Schema = Schema {
    name: "TargetSelectorNamespaces",
    title: "",
    fields: &[
        read("from", "Same", "Same, All or Selector."),
        read("selector", "", "For Selector: the labels of the namespaces."),
    ],
    unsupported: &[],
};

#[derive(Debug, Clone, Copy)]
enum Origin {
    Same,
    All,
    Selector,
}

static FROM: Enumeration<Origin> = Enumeration {
    values: &[
        ("Same", 0, Some(Origin::Same)),
        ("All", 1, Some(Origin::All)),
        ("Selector", 2, Some(Origin::Selector)),
    ],
};

const KINDS: [&str; 7] =
    ["Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TCPRoute", "UDPRoute", "TLSRoute"];

/// Reads the targets of a policy (EG-1 to EG-4).
pub(super) fn read_targets(spec: &Message<'_>) -> Targets {
    let single = spec.get("targetRef");
    let listed = spec.list("targetRefs");
    let selectors = spec.list("targetSelectors");
    if single.is_some() == (!listed.is_empty() || !selectors.is_empty()) {
        spec.value().error_exposing("either targetRef or targetRefs must be used", None);
    }
    let mut targets = Targets { deprecated: single.is_some(), ..Targets::default() };
    targets.refs.extend(single.and_then(|target| read_target(&target, "targetRef")));
    targets.refs.extend(listed.iter().filter_map(|target| read_target(target, "targetRefs[*]")));
    targets.selectors.extend(selectors.iter().filter_map(read_target_selector));
    targets
}

/// Reads one object.
pub(super) fn read_target(value: &Value<'_>, field: &str) -> Option<TargetRef> {
    let message = value.message(&TARGET_REF)?;
    check_group(value, &message.required_string("group"), field);
    let kind = message.required_string("kind");
    let known = check_kind(value, &kind, field);
    let name = message.required_string("name");
    let section = Some(message.string("sectionName")).filter(|name| !name.is_empty());
    let group = gateway_api::GROUP.to_owned();
    (known && !name.is_empty()).then_some(TargetRef { group, kind, name, section })
}

fn read_target_selector(value: &Value<'_>) -> Option<TargetSelector> {
    let message = value.message(&TARGET_SELECTOR)?;
    if message.get("group").is_some() {
        check_group(value, &message.string("group"), "targetSelectors[*]");
    }
    let kind = message.required_string("kind");
    let known = check_kind(value, &kind, "targetSelectors[*]");
    let namespaces = match message.message("namespaces", &TARGET_NAMESPACES) {
        None => SelectedNamespaces::Same,
        Some(namespaces) => match namespaces.enumeration("from", &FROM, Origin::Same) {
            Origin::Same => SelectedNamespaces::Same,
            Origin::All => SelectedNamespaces::All,
            Origin::Selector => {
                let selector = namespaces.required("selector")?.message(&SELECTOR)?;
                SelectedNamespaces::Matching(read_selector(&selector))
            }
        },
    };
    known.then(|| TargetSelector {
        group: gateway_api::GROUP.to_owned(),
        kind,
        namespaces,
        labels: read_selector(&message),
        section: None,
    })
}

/// EG-2
fn check_group(value: &Value<'_>, group: &str, field: &str) {
    if group != gateway_api::GROUP {
        let message = format!("this policy can only have a {field}.group of {}", gateway_api::GROUP);
        value.error_exposing(message, None);
    }
}

/// EG-3
fn check_kind(value: &Value<'_>, kind: &str, field: &str) -> bool {
    let known = KINDS.contains(&kind);
    if !known {
        let message = format!("this policy can only have a {field}.kind of {}", KINDS.join("/"));
        value.error_exposing(message, nearest(kind, KINDS).map(did_you_mean));
    }
    known
}

/// Whether something else than routes is meant (EG-4).
pub(super) fn name_a_non_route(targets: &Targets) -> bool {
    let mut kinds = targets.refs.iter().map(|target| &target.kind);
    let mut selected = targets.selectors.iter().map(|target| &target.kind);
    kinds.any(|kind| !kind.ends_with("Route")) || selected.any(|kind| !kind.ends_with("Route"))
}
