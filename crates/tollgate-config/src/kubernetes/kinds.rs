//! What kinds there are, and taking an object of one in.

use std::sync::Arc;

use super::{Metadata, Object, ObjectStore, Objects, Stored, core};
use crate::{
    Diagnostic, Files, Options, Severity,
    diagnostic::Report,
    schema::{Context, Message, Notation, Schema, Value, bookkeeping, read},
    yaml::Node,
};

/// A kind of object that is read.
pub(crate) struct Kind {
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    /// Versions that are read, all into the same form.
    pub(crate) versions: &'static [&'static str],
    /// Whether objects belong to no namespace.
    pub(crate) cluster_scoped: bool,
    /// What an object without `metadata` is called, where that is allowed: a configuration file has the form of an object
    /// and no name.
    pub(crate) default_name: Option<&'static str>,
    /// Reads an object, for the set that it belongs to.
    pub(crate) take: fn(Candidate<'_>) -> Stored,
}

/// Every kind that is known.
pub(crate) struct Catalogue {
    kinds: Vec<&'static Kind>,
    /// Kinds that exist, are not read, and protect nothing at a gateway: group and kind.
    not_implemented: Vec<(&'static str, &'static str)>,
}

impl Catalogue {
    /// These kinds and those of Kubernetes itself.
    pub(crate) fn new(
        kinds: impl IntoIterator<Item = &'static Kind>,
        not_implemented: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        Self {
            kinds: core::KINDS.iter().chain(kinds).collect(),
            not_implemented: not_implemented.into_iter().collect(),
        }
    }

    /// Every kind that is read.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static Kind> + '_ {
        self.kinds.iter().copied()
    }

    /// Whether a kind is one that exists and need not be read.
    pub(super) fn is_not_implemented(&self, group: &str, kind: &str) -> bool {
        self.not_implemented.contains(&(group, kind))
    }
}

/// The members that most objects have.
pub(crate) static OBJECT: Schema = Schema {
    name: "Object",
    title: "",
    fields: &[
        read("apiVersion", "", "API group and version. Required."),
        read("kind", "", "What it is. Required."),
        read("metadata", "", "Names it. Required."),
        read("spec", "", "What it asks for."),
        bookkeeping("status"),
    ],
    unsupported: &[],
};

/// An object that is about to be read.
pub(crate) struct Candidate<'a> {
    pub(crate) meta: Arc<Metadata>,
    pub(super) node: Arc<Node>,
    pub(super) report: Report,
    pub(super) files: &'a dyn Files,
    pub(super) options: &'a Options,
    pub(super) notation: Notation,
}

/// Where a store keeps the objects of a kind.
pub(crate) type SetOf<T> = fn(&mut ObjectStore) -> &mut Objects<T>;

impl Candidate<'_> {
    /// Warns of the object as a whole.
    pub(crate) fn warn(&self, message: String) {
        self.report.add(Severity::Warning, self.meta.place.location(), "", message, None);
    }

    /// Reads an object that has a `spec`, for the set of its kind.
    pub(crate) fn store<T: Send + Sync + 'static>(
        self,
        objects: SetOf<T>,
        read: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> Stored {
        self.store_as(objects, &OBJECT, |object| read(&object.required("spec")?))
    }

    /// Reads an object of other members, for the set of its kind.
    pub(crate) fn store_as<T: Send + Sync + 'static>(
        self,
        objects: SetOf<T>,
        schema: &'static Schema,
        read: impl FnOnce(&Message<'_>) -> Option<T>,
    ) -> Stored {
        let Self { meta, node, report, files, options, notation } = self;
        #[cfg(test)]
        crate::schema::coverage::begin_object(&meta.group, &meta.kind);
        let context = Context { report: &report, files, options, notation };
        let spec = Value::root(context, &node).message(schema).and_then(|object| read(&object));
        let said = report.finish();
        let errors = said
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(|diagnostic| diagnostic.message_with_path(""))
            .collect();
        let Some(spec) = spec else {
            // Nothing of the object is known, and so not what it would have protected.
            let exposes = notation == Notation::Kubernetes;
            let said = said.into_iter().map(|one| Diagnostic { exposes: one.exposes || exposes, ..one });
            return Stored::unreadable(meta, node, said.collect());
        };
        let object = Arc::new(Object { meta: Arc::clone(&meta), spec, errors, node: Arc::clone(&node) });
        let put = move |store: &mut ObjectStore| {
            let replaced = objects(store).insert(Arc::clone(&object))?;
            Some(replaced.meta.place.clone())
        };
        Stored::new(meta, node, said, put)
    }
}
