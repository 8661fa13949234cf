//! The targets of policies, as they are written, and the objects that there are.

use std::collections::{BTreeMap, HashMap};

use super::nodes::At;
use crate::{
    kubernetes::{Diagnostics, ObjectKey, ObjectRef, Stored},
    suggestion::nearest,
    translation::Systems,
    yaml::{Content, Node},
};

/// A target of a policy.
pub(crate) struct Target {
    pub(crate) object: ObjectRef,
    /// Where its name is written.
    pub(super) name_at: At,
    /// A listener or a rule, and where that is written.
    pub(super) section: Option<(String, At)>,
}

/// The objects that a policy of `namespace` names, whether they are written as a list or not.
pub(crate) fn targets(policy: &Node, namespace: &str) -> Vec<Target> {
    let Some(spec) = policy.member("spec") else { return Vec::new() };
    let mut found = Vec::new();
    for name in ["targetRef", "targetRefs"] {
        let Some(value) = spec.member(name) else { continue };
        if matches!(value.content, Content::Mapping(_)) {
            found.extend(read(value, &format!("spec.{name}"), namespace));
        }
        let listed = value.items().iter().enumerate();
        found
            .extend(listed.filter_map(|(at, target)| read(target, &format!("spec.{name}[{at}]"), namespace)));
    }
    found
}

/// The sections that the parts of a policy of HTNN are for.
pub(super) fn sub_sections(policy: &Node) -> Vec<(String, At)> {
    let parts = policy.member("spec").and_then(|spec| spec.member("subPolicies"));
    let named = parts.map(Node::items).unwrap_or_default().iter().enumerate().filter_map(|(index, part)| {
        let section = part.member("sectionName")?;
        let path = format!("spec.subPolicies[{index}].sectionName");
        Some((section.text()?.to_owned(), At { location: section.location, path }))
    });
    named.collect()
}

/// Whether a policy says by labels what it is for.
pub(super) fn has_selectors(policy: &Node) -> bool {
    policy
        .member("spec")
        .and_then(|spec| spec.member("targetSelectors"))
        .is_some_and(|found| !found.items().is_empty())
}

/// Whether targets of a policy are written in another form than its schema has, so that it was read without them.
pub(super) fn are_misplaced(policy: &Node) -> bool {
    let Some(spec) = policy.member("spec") else { return false };
    let is_list = |name| spec.member(name).map(|value| matches!(value.content, Content::Sequence(_)));
    is_list("targetRef") == Some(true) || is_list("targetRefs") == Some(false)
}

fn read(target: &Node, path: &str, namespace: &str) -> Option<Target> {
    let of = |name| target.member(name).filter(|node| node.text().is_some_and(|text| !text.is_empty()));
    let at = |name: &str, node: &Node| At { location: node.location, path: format!("{path}.{name}") };
    let (kind, name) = (of("kind")?, of("name")?);
    let group = of("group").and_then(Node::text).unwrap_or_default();
    Some(Target {
        object: ObjectRef::new(group, kind.text()?, &ObjectKey::new(namespace, name.text()?)),
        name_at: at("name", name),
        section: of("sectionName")
            .and_then(|section| Some((section.text()?.to_owned(), at("sectionName", section)))),
    })
}

/// All objects by their names.
pub(super) struct World<'a> {
    objects: HashMap<ObjectRef, &'a Node>,
    /// Names by group, kind and namespace.
    names: BTreeMap<(&'a str, &'a str, &'a str), Vec<&'a str>>,
    /// Kinds that policies are attached to.
    kinds: Vec<(&'static str, &'static str)>,
}

impl<'a> World<'a> {
    pub(super) fn new(documents: &'a [Stored], systems: &Systems) -> Self {
        let kinds = systems.iter().flat_map(|system| system.targets.iter().copied()).collect();
        let mut world = Self { objects: HashMap::new(), names: BTreeMap::new(), kinds };
        for Stored { meta, node, .. } in documents {
            let key = (&*meta.group, &*meta.kind, &*meta.key.namespace);
            world.names.entry(key).or_default().push(&meta.key.name);
            world.objects.insert(ObjectRef::new(&meta.group, &meta.kind, &meta.key), node);
        }
        world
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Option<&'a Node> {
        self.objects.get(object).copied()
    }

    /// Whether there are objects of this kind that policies are attached to.
    pub(super) fn is_kind(&self, object: &ObjectRef) -> bool {
        self.kinds.contains(&(&*object.group, &*object.kind))
    }

    /// The object that was probably meant by one that does not exist: of a similar kind and a similar name.
    pub(super) fn similar(&self, object: &ObjectRef, diagnostics: &Diagnostics) -> Option<ObjectRef> {
        let kinds: Vec<(&str, &str)> = if self.is_kind(object) {
            vec![(&object.group, &object.kind)]
        } else {
            let meant = nearest(&object.kind, self.kinds.iter().map(|(_, kind)| *kind))?;
            self.kinds.iter().copied().filter(|(_, kind)| *kind == meant).collect()
        };
        kinds.into_iter().find_map(|(group, kind)| {
            let names = self.names.get(&(group, kind, &*object.namespace))?;
            let exact = names.iter().find(|name| **name == object.name).copied();
            let name = exact.or_else(|| diagnostics.nearest(&object.name, names.iter().copied()))?;
            Some(ObjectRef::new(group, kind, &ObjectKey::new(&*object.namespace, name)))
        })
    }
}
