//! From the text of files to documents, and from documents to objects (CF-1 to CF-16).

use std::sync::Arc;

use super::{
    Candidate, Catalogue, Diagnostics, Kind, Metadata, ObjectKey, ObjectRef, ObjectReport, ObjectStore,
    Place, Stored,
    generation::Generations,
    metadata::{METADATA, Written, read_metadata},
    naming::{Mistake, Named, Type},
    store::Unknown,
};
use crate::{
    Diagnostic, Files, Options, Severity,
    diagnostic::Report,
    schema::{Context, Notation, Schema, Value, bookkeeping, read},
    suggestion::{did_you_mean, nearest},
    yaml::{Content, Document, Location, Node},
};

/// `apiVersion` and `kind`; everything else is looked at when these are known.
static TYPE_META: Schema = Schema {
    name: "TypeMeta",
    title: "",
    fields: &[
        read("apiVersion", "", "API group and version. Required."),
        read("kind", "", "What it is. Required."),
    ],
    unsupported: &[],
};

/// `kind: List`.
static LIST: Schema = Schema {
    name: "List",
    title: "",
    fields: &[
        read("apiVersion", "", "`v1`."),
        read("kind", "", "`List`."),
        bookkeeping("metadata"),
        read("items", "[]", "Objects."),
    ],
    unsupported: &[],
};

/// Reads objects into a store; `before` are those of the configuration before. What cannot be read is reported and left out.
pub(crate) fn read_documents(
    documents: Vec<Document>,
    catalogue: &Catalogue,
    before: &[ObjectReport],
    files: &dyn Files,
    options: &Options,
    diagnostics: &Diagnostics,
    store: &mut ObjectStore,
) {
    let before = Generations::of(before);
    let mut reader = Reader { catalogue, before, files, options, diagnostics, store, order: 0 };
    for document in documents {
        reader.document(&document.file, document.node);
    }
}

struct Reader<'a> {
    catalogue: &'a Catalogue,
    before: Generations<'a>,
    files: &'a dyn Files,
    options: &'a Options,
    diagnostics: &'a Diagnostics,
    store: &'a mut ObjectStore,
    order: usize,
}

impl Reader<'_> {
    fn document(&mut self, file: &Arc<str>, node: Node) {
        let Some(found) = self.type_of(file, &node) else { return };
        if found.kind == "List" && found.group.is_empty() {
            return self.list(file, node);
        }
        self.order += 1;
        if let Some(known) = self.before.unchanged(&found, self.order, file, &node) {
            return self.add(known.clone());
        }
        let (kind, mistake) = match Named::of(&found, self.catalogue) {
            Named::Known(kind, mistake) => (kind, mistake),
            other => return self.not_read(file, &found, node, other),
        };
        let report = Report::new(Arc::clone(file));
        if let Some(Mistake { member, message, help }) = mistake {
            let location = member_location(&node, member);
            report.add_exposing(location, member, message, help);
        }
        let found = Type { group: kind.group.to_owned(), kind: kind.kind.to_owned(), ..found };
        let Some(meta) = self.metadata(&report, &node, found, kind) else {
            // Nobody can tell what the object would have protected.
            return self.diagnostics.extend(exposing_unless(kind.is_core(), report.finish()));
        };
        let (meta, node) = (Arc::new(meta), Arc::new(node));
        let Reader { files, options, .. } = *self;
        let notation = if kind.is_core() { Notation::CoreKubernetes } else { Notation::Kubernetes };
        let stored = (kind.take)(Candidate { meta, node, report, files, options, notation });
        self.add(stored);
    }

    fn add(&mut self, object: Stored) {
        self.diagnostics.extend(object.said().to_vec());
        let (reference, place) = (object.reference(), object.meta.place.clone());
        if let Some(replaced) = self.store.add(object) {
            let message = format!("{reference} is defined twice; this one replaces the one at {replaced}");
            self.diagnostics.warning(&place, message, None);
        }
    }

    fn list(&mut self, file: &Arc<str>, node: Node) {
        let report = Report::new(Arc::clone(file));
        let context = Context {
            report: &report,
            files: self.files,
            options: self.options,
            notation: Notation::CoreKubernetes,
        };
        // What the list itself says wrong is reported; its items are taken out of it rather than copied.
        if let Some(list) = Value::root(context, &node).message(&LIST) {
            list.list("items");
        }
        self.diagnostics.extend(report.finish());
        let Content::Mapping(entries) = node.content else { return };
        for entry in entries.into_iter().filter(|entry| entry.key == "items") {
            let Content::Sequence(items) = entry.value.content else { continue };
            for item in items {
                self.document(file, item);
            }
        }
    }

    fn type_of(&self, file: &Arc<str>, node: &Node) -> Option<Type> {
        let report = Report::new(Arc::clone(file));
        let context = Context {
            report: &report,
            files: self.files,
            options: self.options,
            notation: Notation::CoreKubernetes,
        };
        let found = only(node, &["apiVersion", "kind"]).and_then(|type_meta| {
            let message = Value::root(context, &type_meta).message(&TYPE_META)?;
            let kind = message.required_string("kind");
            let api_version = message.get("apiVersion").and_then(|version| version.non_empty_string());
            Some(Type::new(&api_version.unwrap_or_default(), kind))
        });
        if found.is_none() && !report.has_errors() {
            let message = "expected a Kubernetes object, a mapping with apiVersion and kind".to_owned();
            report.add(Severity::Error, node.location, "", message, None);
        }
        let refused = report.has_errors();
        self.diagnostics.extend(exposing_unless(false, report.finish()));
        found.filter(|_| !refused)
    }

    fn metadata(&self, report: &Report, node: &Node, found: Type, kind: &Kind) -> Option<Metadata> {
        let context =
            Context { report, files: self.files, options: self.options, notation: Notation::CoreKubernetes };
        let place = Place::of(&Value::root(context, node));
        let with_metadata = only(node, &["metadata"])?;
        static METADATA_ONLY: Schema = Schema {
            name: "Object",
            title: "",
            fields: &[read("metadata", "", "Names it.")],
            unsupported: &[],
        };
        debug_assert_eq!(METADATA.name, "ObjectMeta");
        let written = match kind.default_name {
            Some(name) if with_metadata.content == Content::Mapping(Vec::new()) => Written::named(name),
            _ => read_metadata(&Value::root(context, &with_metadata).message(&METADATA_ONLY)?)?,
        };
        let namespace = if kind.cluster_scoped {
            String::new()
        } else {
            written.namespace.unwrap_or_else(|| self.options.namespace.clone())
        };
        let key = ObjectKey::new(namespace, written.name);
        let generation =
            self.before.next(&ObjectRef::new(&found.group, &found.kind, &key), written.generation, node);
        Some(Metadata {
            group: found.group,
            kind: found.kind,
            key,
            labels: written.labels,
            annotations: written.annotations,
            creation_timestamp: written.creation_timestamp,
            generation,
            order: self.order,
            place,
        })
    }

    /// What is no object of ours (CF-11).
    fn not_read(&mut self, file: &Arc<str>, found: &Type, node: Node, named: Named) {
        let place = |member: &str| Place::in_file(Arc::clone(file), member_location(&node, member), member);
        let Type { group, kind, .. } = found;
        match named {
            Named::Known(..) => {}
            Named::BuiltIn => {
                let message = format!("ignored: a gateway has no use for a {kind}");
                let of_group = self.catalogue.kinds().filter(|known| known.group == group);
                let near = nearest(kind, of_group.map(|known| known.kind));
                self.diagnostics.info(&place("kind"), message, near.map(did_you_mean));
            }
            Named::NotImplemented => {
                let message = format!("the kind {kind} of {group} is not implemented: it has no effect");
                self.diagnostics.warning(&place("kind"), message, None);
            }
            Named::Foreign => {
                let message = format!("the kind {kind} of {group} is not known: it has no effect");
                self.diagnostics.warning(&place("kind"), message, None);
            }
            Named::Unknown(Mistake { member, message, help }) => {
                let place = place(member);
                self.diagnostics.exposing(&place, message, help);
                let key = key_of(&node, &self.options.namespace);
                let (name, namespace) = (format!("{kind} {key}"), key.namespace);
                self.store.unknown.push(Unknown { name, namespace, place, node });
            }
        }
    }
}

/// The key of an object in a document that is of no known kind.
fn key_of(node: &Node, default_namespace: &str) -> ObjectKey {
    let metadata = node.member("metadata");
    let of = |name| metadata.and_then(|metadata| metadata.member(name)).and_then(Node::text);
    ObjectKey::new(of("namespace").unwrap_or(default_namespace), of("name").unwrap_or_default())
}

/// Where a member of a document is written; the document itself when it has no such member.
fn member_location(node: &Node, name: &str) -> Location {
    node.member(name).unwrap_or(node).location
}

/// Problems because of which an object is not known, which may have protected something.
fn exposing_unless(harmless: bool, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let exposing = |diagnostic: Diagnostic| {
        let exposes = diagnostic.exposes || (!harmless && diagnostic.severity == Severity::Error);
        Diagnostic { exposes, ..diagnostic }
    };
    diagnostics.into_iter().map(exposing).collect()
}

/// A mapping with nothing but some of its members.
fn only(node: &Node, keys: &[&str]) -> Option<Node> {
    let Content::Mapping(entries) = &node.content else { return None };
    let kept = entries.iter().filter(|entry| keys.contains(&entry.key.as_str())).cloned().collect();
    Some(Node { content: Content::Mapping(kept), location: node.location })
}
