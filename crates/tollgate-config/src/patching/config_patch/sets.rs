//! Sets of patches that are applied together, and what came of each.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{ApplyTo, Called, ConfigPatch, PatchOperation, clusters, listeners, routes};
use crate::{
    Diagnostic, Explanations,
    kubernetes::{ObjectRef, Place},
    patching::{
        By, Failure, Patching, Touched, filters, is_written,
        tree::{Tree, name_of},
    },
    yaml::{Content, Location, Node},
};
use tollgate_ir::Resources;

/// The patches of an object.
#[derive(Debug)]
pub(crate) struct PatchSet {
    pub(crate) policy: ObjectRef,
    /// The object.
    pub(crate) place: Place,
    pub(crate) patches: Vec<ConfigPatch>,
    /// The listeners that they are for, by name.
    pub(crate) listeners: BTreeSet<String>,
}

/// What came of a set.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was applied, and of these of its patches nothing came.
    Applied { idle: Vec<usize> },
    /// None of it was applied.
    Failed(Failure),
}

/// A patch, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered<'p> {
    pub(super) set: usize,
    pub(super) number: usize,
    pub(super) patch: &'p ConfigPatch,
}

impl Numbered<'_> {
    pub(super) fn key(&self) -> (usize, usize) {
        (self.set, self.number)
    }

    pub(super) fn problem(&self, message: String) -> Problem {
        Problem { message, place: self.patch.place.clone() }
    }
}

/// Why a patch cannot be applied.
#[derive(Debug)]
pub(super) struct Problem {
    message: String,
    place: Place,
}

/// The patches of some kind, in their order.
pub(super) fn of<'p>(patches: &[Numbered<'p>], apply_to: ApplyTo) -> impl Iterator<Item = Numbered<'p>> {
    patches.iter().copied().filter(move |one| one.patch.apply_to == apply_to)
}

/// What patches have changed.
#[derive(Debug, Default)]
pub(super) struct Effects {
    applied: BTreeSet<(usize, usize)>,
    /// The last set that changed something since the last look.
    last: Option<usize>,
    pub(super) clusters: BTreeSet<String>,
    /// Filters that were put in, by listener and name, and by which set.
    pub(super) filters: HashMap<(String, Arc<str>), usize>,
    /// Listeners that were changed, and which set was the last to do it.
    listeners: BTreeMap<String, usize>,
    /// Those whose routes were, too.
    routes_of: BTreeSet<String>,
    removed: BTreeSet<String>,
}

impl Effects {
    /// Something came of a patch.
    pub(super) fn note(&mut self, one: Numbered<'_>) {
        self.applied.insert(one.key());
        self.last = self.last.max(Some(one.set));
    }
}

type Tried = (Tree, Effects, (Resources, Explanations), Vec<Diagnostic>);

impl Patching<'_> {
    /// Applies sets of patches in their order, each as a whole or not at all: of one that cannot be applied nothing is. What is
    /// worth knowing is returned, too.
    pub(crate) fn apply_sets(
        &mut self,
        sets: &[PatchSet],
        called: &HashMap<String, Called>,
    ) -> (Vec<Outcome>, Vec<Diagnostic>) {
        let mut failures: HashMap<usize, Failure> = HashMap::new();
        let every: Vec<usize> = (0..sets.len()).collect();
        let tried = match self.try_sets(sets, &every, called) {
            Ok(tried) => Some(tried),
            Err(_) => {
                // One after the other: so it is known which one it is.
                let (mut accepted, mut last) = (Vec::new(), None);
                for index in every {
                    accepted.push(index);
                    match self.try_sets(sets, &accepted, called) {
                        Ok(tried) => last = Some(tried),
                        Err(failure) => {
                            accepted.pop();
                            failures.insert(index, failure);
                        }
                    }
                }
                last
            }
        };
        let (applied, said) = match tried {
            Some((tree, effects, read, said)) => {
                let applied = effects.applied.clone();
                self.touched.take_over(effects, sets);
                (self.tree, self.read) = (tree, Some(read));
                (applied, said)
            }
            None => Default::default(),
        };
        let outcomes = sets.iter().enumerate().map(|(index, set)| match failures.remove(&index) {
            Some(failure) => Outcome::Failed(failure),
            None => {
                let idle = (0..set.patches.len()).filter(|number| !applied.contains(&(index, *number)));
                Outcome::Applied { idle: idle.collect() }
            }
        });
        (outcomes.collect(), said)
    }

    fn try_sets(
        &self,
        sets: &[PatchSet],
        chosen: &[usize],
        called: &HashMap<String, Called>,
    ) -> Result<Tried, Failure> {
        let mut tree = self.tree.clone();
        let mut effects = Effects::default();
        patch(&mut tree, sets, chosen, called, &mut effects)
            .map_err(|Problem { message, place }| Failure::Invalid { message, place, help: None })?;
        let whose = |diagnostic: &Diagnostic| {
            let location = diagnostic.place.location();
            let wrote = |index: &&usize| {
                let values = sets[**index].patches.iter().filter_map(|patch| patch.value.as_ref());
                is_written(diagnostic) && values.into_iter().any(|value| has(value, location))
            };
            let set = chosen.iter().find(wrote).or_else(|| chosen.last()).map(|index| &sets[*index]);
            set.map_or_else(
                || diagnostic.place.clone(),
                |set| match is_written(diagnostic) {
                    true => set.place.elsewhere(location, "spec.configPatches"),
                    false => set.place.clone(),
                },
            )
        };
        let (read, said) = self.read(&tree, whose)?;
        let new = filters(&read.0).filter(|filter| !self.filters.contains(filter));
        let last = chosen.last().copied().unwrap_or(0);
        for filter in new {
            effects.filters.entry(filter).or_insert(last);
        }
        Ok((tree, effects, read, said))
    }
}

/// Whether something in a value is written there.
fn has(node: &Node, location: Location) -> bool {
    node.location == location
        || match &node.content {
            Content::Sequence(items) => items.iter().any(|item| has(item, location)),
            Content::Mapping(entries) => {
                entries.iter().any(|entry| entry.key_location == location || has(&entry.value, location))
            }
            _ => false,
        }
}

fn numbered<'p>(sets: &'p [PatchSet], chosen: &[usize]) -> Vec<Numbered<'p>> {
    let of_set = |index: &usize| {
        let set = *index;
        let patches = sets[set].patches.iter().enumerate();
        patches.map(move |(number, patch)| Numbered { set, number, patch })
    };
    chosen.iter().flat_map(of_set).collect()
}

fn patch(
    tree: &mut Tree,
    sets: &[PatchSet],
    chosen: &[usize],
    called: &HashMap<String, Called>,
    effects: &mut Effects,
) -> Result<(), Problem> {
    let mut kept = Vec::new();
    for mut listener in std::mem::take(&mut tree.listeners) {
        let name = name_of(&listener).to_owned();
        let own: Vec<usize> =
            chosen.iter().copied().filter(|index| sets[*index].listeners.contains(&name)).collect();
        let patches = numbered(sets, &own);
        let Some(called) = called.get(&name).filter(|_| !patches.is_empty()) else {
            kept.push(listener);
            continue;
        };
        effects.last = None;
        if !listeners::patch(&mut listener, called, &patches, effects)? {
            effects.removed.insert(name);
            continue;
        }
        let of_listener = effects.last.take();
        let mut index = 0;
        tree.each_table(&mut listener, |table| {
            let chain = called.chains.get(index).or_else(|| called.chains.last()).cloned();
            index += 1;
            routes::patch(table, called, &chain.unwrap_or_default(), &patches, effects)
        })?;
        if effects.last.is_some() {
            effects.routes_of.insert(name.clone());
        }
        if let Some(set) = of_listener.max(effects.last) {
            effects.listeners.insert(name, set);
        }
        kept.push(listener);
    }
    let everybodys: Vec<usize> =
        chosen.iter().copied().filter(|index| !sets[*index].listeners.is_empty()).collect();
    let patches = numbered(sets, &everybodys);
    for one in of(&patches, ApplyTo::Listener) {
        if one.patch.operation == PatchOperation::Add {
            let Some(value) = &one.patch.value else { continue };
            effects.note(one);
            effects.listeners.insert(name_of(value).to_owned(), one.set);
            effects.routes_of.insert(name_of(value).to_owned());
            kept.push(value.clone());
        }
    }
    tree.listeners = kept;
    clusters::patch_all(&mut tree.clusters, &patches, effects)
}

impl Touched {
    fn take_over(&mut self, effects: Effects, sets: &[PatchSet]) {
        let by = |set: usize| By { policy: sets[set].policy.clone(), place: sets[set].place.clone() };
        for (name, set) in effects.listeners {
            self.listeners.retain(|(known, ..)| *known != name);
            self.listeners.push((name, by(set)));
        }
        self.routes_of.extend(effects.routes_of);
        self.clusters.extend(effects.clusters);
        self.removed.extend(effects.removed);
        for (filter, set) in effects.filters {
            self.added.entry(filter).or_insert_with(|| by(set));
        }
    }
}
