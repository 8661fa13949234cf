//! From the text of files to documents, and from documents to objects (CF-1 to CF-16).

use std::{rc::Rc, sync::Arc};

use super::{
    Candidate, Diagnostics, Kind, Metadata, ObjectKey, ObjectRef, ObjectReport, Place, Resources,
    generation::Generations,
    metadata::{METADATA, Written, read_metadata},
};
use crate::{
    Files, Options, Severity,
    diagnostic::Report,
    protobuf::{Context, Dialect, Schema, Value, bookkeeping, read},
    yaml::{Content, Location, Node},
};

/// A document that is no Envoy configuration.
#[derive(Debug)]
pub(crate) struct Document {
    /// Name of its source.
    pub(crate) file: Arc<str>,
    pub(crate) node: Node,
}

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

/// API groups of Kubernetes itself: their kinds are no mistake in a file of ours (CF-11).
const BUILT_IN_GROUPS: [&str; 16] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Reads objects into `resources`; `before` are those of the configuration before. What cannot be read is reported and left out.
pub(crate) fn read_documents(
    documents: Vec<Document>,
    before: &[ObjectReport],
    files: &dyn Files,
    options: &Options,
    diagnostics: &Diagnostics,
    resources: &mut Resources,
) {
    let before = Generations::of(before);
    let mut reader = Reader { before, files, options, diagnostics, resources, order: 0 };
    for document in documents {
        reader.document(&document.file, document.node);
    }
}

struct Reader<'a> {
    before: Generations<'a>,
    files: &'a dyn Files,
    options: &'a Options,
    diagnostics: &'a Diagnostics,
    resources: &'a mut Resources,
    order: usize,
}

/// `apiVersion` and `kind` of a document.
struct Type {
    group: String,
    version: String,
    kind: String,
}

impl Reader<'_> {
    fn document(&mut self, file: &Arc<str>, node: Node) {
        let Some(found) = self.type_of(file, &node) else { return };
        if found.kind == "List" && found.group.is_empty() {
            return self.list(file, node);
        }
        self.order += 1;
        let kind = self.resources_kind(&found);
        let Some(kind) = kind else { return self.unknown(file, &found, node.location) };
        if !kind.versions.contains(&found.version.as_str()) {
            let message = format!("{} has no version \"{}\" here", found.kind, found.version);
            let help = format!("versions that are read: {}", kind.versions.join(", "));
            let place =
                Place { file: Arc::clone(file), location: node.location, path: Arc::from("apiVersion") };
            return self.diagnostics.error(&place, message, Some(help));
        }
        let report = Report::new(Arc::clone(file));
        let Some(meta) = self.metadata(&report, &node, found, kind) else {
            return self.diagnostics.extend(report.finish());
        };
        let (meta, node) = (Rc::new(meta), Rc::new(node));
        self.resources.documents.push((Rc::clone(&meta), Rc::clone(&node)));
        let Reader { files, options, diagnostics, .. } = *self;
        (kind.take)(Candidate { meta, node, report, files, options, diagnostics }, self.resources);
    }

    fn resources_kind(&self, found: &Type) -> Option<&'static Kind> {
        super::resources::kinds().find(|kind| kind.group == found.group && kind.kind == found.kind)
    }

    fn list(&mut self, file: &Arc<str>, node: Node) {
        let report = Report::new(Arc::clone(file));
        let context = Context {
            report: &report,
            files: self.files,
            options: self.options,
            dialect: Dialect::Kubernetes,
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
            dialect: Dialect::Kubernetes,
        };
        let found = only(node, &["apiVersion", "kind"]).and_then(|type_meta| {
            let message = Value::root(context, &type_meta).message(&TYPE_META)?;
            let (api_version, kind) =
                (message.required_string("apiVersion"), message.required_string("kind"));
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            Some(Type { group: group.to_owned(), version: version.to_owned(), kind })
        });
        if found.is_none() && !report.has_errors() {
            let message = "expected a Kubernetes object, a mapping with apiVersion and kind".to_owned();
            report.add(Severity::Error, node.location, "", message, None);
        }
        let refused = report.has_errors();
        self.diagnostics.extend(report.finish());
        found.filter(|_| !refused)
    }

    fn metadata(&self, report: &Report, node: &Node, found: Type, kind: &Kind) -> Option<Metadata> {
        let context =
            Context { report, files: self.files, options: self.options, dialect: Dialect::Kubernetes };
        let place = Place::of(&Value::root(context, node));
        let with_metadata = only(node, &["metadata"])?;
        static METADATA_ONLY: Schema = Schema {
            name: "Object",
            title: "",
            fields: &[read("metadata", "", "Names it.")],
            unsupported: &[],
        };
        debug_assert_eq!(METADATA.name, "ObjectMeta");
        let written = match kind.default_name() {
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

    /// CF-11.
    fn unknown(&self, file: &Arc<str>, found: &Type, location: Location) {
        let place = Place { file: Arc::clone(file), location, path: Arc::from("kind") };
        let Type { group, kind, .. } = found;
        if BUILT_IN_GROUPS.contains(&group.as_str()) {
            self.diagnostics.info(
                &place,
                format!("{kind} is left alone: it has no meaning to a gateway"),
                None,
            );
        } else if super::resources::kinds().any(|known| known.group == group) {
            self.diagnostics.warning(&place, format!("the kind {kind} of {group} is not implemented"), None);
        } else {
            let near = crate::suggestion::nearest(group, super::resources::kinds().map(|known| known.group));
            let help =
                near.filter(|near| !near.is_empty()).map(|near| format!("did you mean the group {near}?"));
            self.diagnostics.warning(&place, format!("the kind {kind} of {group} is not known"), help);
        }
    }
}

/// A mapping with nothing but some of its members.
fn only(node: &Node, keys: &[&str]) -> Option<Node> {
    let Content::Mapping(entries) = &node.content else { return None };
    let kept = entries.iter().filter(|entry| keys.contains(&entry.key.as_str())).cloned().collect();
    Some(Node { content: Content::Mapping(kept), location: node.location })
}
