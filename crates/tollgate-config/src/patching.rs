//! Policies that patch: changes to the configuration as Envoy would get it.
//!
//! What was translated is written as Envoy's resources ([`Tree`]), changed there, and read again as an Envoy configuration is
//! read. So a patch can do whatever an Envoy configuration can say, and what it cannot say is refused in the same words. What no
//! patch has changed stays what it was.

mod config_patch;
mod json_patch;
mod json_path;
mod merge;
mod message;
mod tree;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use tollgate_ir::Resources;

use self::tree::{Tree, name_of, text_of};
pub(crate) use self::{
    config_patch::{
        ApplyTo, Called, CalledChain, ClusterKey, ClusterMatch, ConfigPatch, FilterChainMatch, FilterMatch,
        ListenerMatch, ObjectMatch, Outcome, PatchOperation, PatchSet, RouteMatch, RoutesMatch,
        VirtualHostMatch, cluster_names,
    },
    json_patch::Operation,
    tree::ResourceKind,
};
use crate::{
    Diagnostic, Explanations, Files, Options, Severity, envoy,
    kubernetes::{ObjectRef, Place},
    yaml::{Document, Node},
};

/// A change to resources of a name.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    pub(crate) kind: ResourceKind,
    pub(crate) name: String,
    pub(crate) change: Change,
    /// Where it is written.
    pub(crate) place: Place,
}

/// What becomes of a resource.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// It is added, or put in the place of the one of that name.
    Put(Node),
    /// Something in it changes.
    Edit {
        /// Where: JSON Pointers found by a JSONPath. `None` = at the root.
        json_path: Option<String>,
        /// A JSON Pointer from there.
        path: String,
        operation: Operation,
    },
}

/// Why the patches of a policy were not applied, none of them.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// Resources that do not exist.
    NotFound(Vec<String>),
    /// A patch cannot be applied, or what came of it cannot be served.
    Invalid { message: String, place: Place, help: Option<String> },
}

/// What was translated, while policies change it.
pub(crate) struct Patching<'a> {
    files: &'a dyn Files,
    options: &'a Options,
    tree: Tree,
    touched: Touched,
    /// The filters of listeners before any patch, by the names of both.
    filters: HashSet<(String, Arc<str>)>,
    /// The tree, read again after the last policy.
    read: Option<(Resources, Explanations)>,
}

/// The policy that changed something.
#[derive(Debug, Clone)]
struct By {
    policy: ObjectRef,
    place: Place,
}

/// The names of what was changed.
#[derive(Debug, Clone, Default)]
struct Touched {
    /// Listeners, and which policy was the last to change them.
    listeners: Vec<(String, By)>,
    /// Filters that were added, by listener and name, and which policy did.
    added: HashMap<(String, Arc<str>), By>,
    /// Listeners whose route tables were changed, too.
    routes_of: BTreeSet<String>,
    clusters: BTreeSet<String>,
    /// Listeners that are no more.
    removed: BTreeSet<String>,
}

impl<'a> Patching<'a> {
    /// `resources` are everything that patches may name or refer to.
    pub(crate) fn new(resources: &Resources, files: &'a dyn Files, options: &'a Options) -> Self {
        let filters = filters(resources).collect();
        Self { files, options, tree: Tree::of(resources), touched: Touched::default(), filters, read: None }
    }

    /// Applies the patches of a policy, all or none. What is worth knowing about what came of them is returned.
    ///
    /// # Errors
    /// Why they cannot be applied.
    pub(crate) fn apply(
        &mut self,
        policy: &ObjectRef,
        place: &Place,
        patches: &[Patch],
    ) -> Result<Vec<Diagnostic>, Failure> {
        let mut tree = self.tree.clone();
        let mut touched = self.touched.clone();
        let mut missing = Vec::new();
        let by = By { policy: policy.clone(), place: place.clone() };
        for patch in patches {
            let invalid = |message| Failure::Invalid { message, place: patch.place.clone(), help: None };
            if !edit(&mut tree, patch).map_err(invalid)? {
                missing.push(patch.name.clone());
                continue;
            }
            touched.note(patch, &tree, &by);
        }
        if !missing.is_empty() {
            return Err(Failure::NotFound(missing));
        }
        let locate = |said: &Diagnostic| if is_written(said) { place_of(said, place) } else { place.clone() };
        let (read, said) = self.read(&tree, locate)?;
        for filter in filters(&read.0).filter(|filter| !self.filters.contains(filter)) {
            touched.added.entry(filter).or_insert_with(|| by.clone());
        }
        (self.tree, self.touched, self.read) = (tree, touched, Some(read));
        Ok(said)
    }

    fn read(
        &self,
        tree: &Tree,
        locate: impl Fn(&Diagnostic) -> Place,
    ) -> Result<((Resources, Explanations), Vec<Diagnostic>), Failure> {
        let document = Document { file: "".into(), node: tree.assemble() };
        let (read, said) = envoy::load(&document, self.files, self.options);
        let envoy::Bootstrap { resources, explanations, .. } = read;
        if let Some(error) = said.iter().find(|one| one.severity == Severity::Error) {
            let message = error.message_with_path("static_resources");
            return Err(Failure::Invalid { message, place: locate(error), help: error.help.clone() });
        }
        let said = said.into_iter().filter(is_written);
        let located = |said: Diagnostic| {
            let place = locate(&said).elsewhere(said.place.location(), said.place.path());
            Diagnostic { place, ..said }
        };
        let said = said.map(located).collect();
        Ok(((resources, explanations), said))
    }

    /// Puts what was changed into what was translated.
    pub(crate) fn finish(self, resources: &mut Resources, explanations: &mut Explanations) {
        if let Some((read, explained)) = self.read {
            merge::merge(&self.touched, read, &explained, resources, explanations);
        }
    }
}

/// The filters of all listeners, by the names of both.
fn filters(resources: &Resources) -> impl Iterator<Item = (String, Arc<str>)> {
    resources.listeners.iter().flat_map(|listener| {
        let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
        let filters =
            chains.flat_map(|chain| chain.http.http_filters.iter().chain(&chain.http.upstream_http_filters));
        filters.map(|filter| (listener.name.clone(), Arc::clone(&filter.name)))
    })
}

/// Whether it is about something that a policy says; what was translated has no lines.
fn is_written(diagnostic: &Diagnostic) -> bool {
    diagnostic.place.line() > 0
}

fn place_of(diagnostic: &Diagnostic, policy: &Place) -> Place {
    policy.elsewhere(diagnostic.place.location(), "spec.jsonPatches")
}

/// Changes the resources that a patch names. `false`: there are none.
fn edit(tree: &mut Tree, patch: &Patch) -> Result<bool, String> {
    match &patch.change {
        Change::Put(value) => {
            let own = match patch.kind {
                ResourceKind::ClusterLoadAssignment => text_of(value, "cluster_name"),
                _ => name_of(value),
            };
            if own != patch.name {
                return Err(format!(
                    "the value is called \"{own}\", and the patch is for \"{}\"",
                    patch.name
                ));
            }
            tree.insert(patch.kind, value.clone());
            Ok(true)
        }
        Change::Edit { json_path, path, operation } => {
            let found = tree.find(patch.kind, &patch.name);
            let any = !found.is_empty();
            for resource in found {
                let pointers = match json_path {
                    Some(expression) => json_path::pointers(&tree::json(resource), expression)?,
                    None => vec![String::new()],
                };
                // From the end: what is put in or taken out of a list moves what comes behind.
                for pointer in pointers.iter().rev() {
                    json_patch::apply(resource, &format!("{pointer}{path}"), operation)?;
                }
            }
            Ok(any)
        }
    }
}

impl Touched {
    fn note(&mut self, patch: &Patch, tree: &Tree, by: &By) {
        let names = tree.names(patch.kind, &patch.name);
        let listeners = match patch.kind {
            ResourceKind::Listener => names,
            ResourceKind::RouteConfiguration => {
                let listeners = tree.listeners_of(&names);
                self.routes_of.extend(listeners.iter().cloned());
                listeners
            }
            ResourceKind::Cluster | ResourceKind::ClusterLoadAssignment => {
                self.clusters.extend(names);
                return;
            }
            ResourceKind::Secret => return,
        };
        for name in listeners {
            self.listeners.retain(|(known, ..)| *known != name);
            self.listeners.push((name, by.clone()));
        }
    }
}
