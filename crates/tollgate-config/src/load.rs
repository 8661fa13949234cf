//! From sources to an outcome: which documents are an Envoy configuration and which are Kubernetes objects.

mod merge;

use std::sync::Arc;

use self::merge::merge;
use crate::{
    Files, ObjectReport, Options, Reading, Severity, Source,
    diagnostic::Report,
    envoy,
    kubernetes::{Diagnostics, Document, ObjectStore, Place, add_hints, read_documents, report_objects},
    systems,
    translation::{Systems, Translator, translate},
    yaml::{self, Content, Location, Node},
};

/// A source and its documents.
struct Parsed {
    file: Arc<str>,
    documents: Vec<Node>,
}

/// Reads and translates everything that `sources` hold; `before` are the objects of the configuration before.
pub(crate) fn read(
    sources: &[Source],
    before: &[ObjectReport],
    files: &dyn Files,
    options: &Options,
) -> Reading {
    read_as(systems::all(), sources, before, files, options)
}

/// The same with the systems that are understood.
pub(crate) fn read_as(
    systems: &Systems,
    sources: &[Source],
    before: &[ObjectReport],
    files: &dyn Files,
    options: &Options,
) -> Reading {
    let diagnostics = Diagnostics::new(options);
    let mut unreadable = false;
    let mut parsed = Vec::new();
    for source in sources {
        let file: Arc<str> = Arc::from(&*source.path);
        let report = Report::new(Arc::clone(&file));
        let documents = yaml::parse(&source.text, &report);
        // What is not YAML may have been anything: nothing can be said about the rest without it.
        unreadable |= report.has_errors();
        diagnostics.extend(report.finish());
        parsed.push(Parsed { file, documents });
    }
    let (bootstraps, objects) = sort(parsed);
    let read_nothing = bootstraps.is_empty() && objects.is_empty();
    if read_nothing && !unreadable {
        unreadable = true;
        report_nothing(sources, &diagnostics);
    }

    let mut refused = false;
    let mut native: Option<(envoy::Bootstrap, Document)> = None;
    for document in bootstraps {
        if let Some((_, first)) = &native {
            let message = if first.file == document.file {
                "there is a second document; an Envoy configuration is one document".to_owned()
            } else {
                format!(
                    "there are two Envoy configurations, in {} and in {}; it has to be one document",
                    first.file, document.file
                )
            };
            let place = Place::in_file(document.file, document.node.location, "");
            diagnostics.error(&place, message, None);
            refused = true;
            break;
        }
        let (bootstrap, said) = envoy::load(&document, files, options);
        refused |= said.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        diagnostics.extend(said);
        native = Some((bootstrap, document));
    }
    let (bootstrap, native) = native.unzip();
    let envoy::Bootstrap { resources: mut ir, mut explanations, surroundings } =
        bootstrap.unwrap_or_default();
    let mut reports = Vec::new();
    let mut store = ObjectStore::default();
    if !objects.is_empty() {
        let catalogue = systems.catalogue();
        read_documents(objects, catalogue, before, files, options, &diagnostics, &mut store);
        let translator = Translator::new(systems, &store, &ir, files, options, &diagnostics);
        let mut translated = translate(translator);
        reports = report_objects(&store, std::mem::take(&mut translated.statuses));
        let merged = merge(&mut ir, translated, native.as_ref(), &diagnostics);
        explanations.extend(merged.explanations);
        refused |= merged.conflict;
    }
    let mut diagnostics = diagnostics.finish();
    add_hints(&mut diagnostics, &store);
    let resources = Some(ir).filter(|_| !unreadable && !refused);
    Reading { resources, diagnostics, readable: !unreadable, objects: reports, explanations, surroundings }
}

/// Envoy configurations and Kubernetes objects (EN-1). A document that could be neither is taken for what the others are.
fn sort(parsed: Vec<Parsed>) -> (Vec<Document>, Vec<Document>) {
    let any_object = parsed.iter().flat_map(|source| &source.documents).any(is_kubernetes_object);
    let (mut bootstraps, mut objects) = (Vec::new(), Vec::new());
    for Parsed { file, documents } in parsed {
        for node in documents {
            let is_object = is_kubernetes_object(&node) || (any_object && !is_bootstrap(&node));
            let list = if is_object { &mut objects } else { &mut bootstraps };
            list.push(Document { file: Arc::clone(&file), node });
        }
    }
    (bootstraps, objects)
}

fn has_any(node: &Node, keys: &[&str]) -> bool {
    let Content::Mapping(entries) = &node.content else { return false };
    entries.iter().any(|entry| keys.contains(&entry.key.as_str()))
}

fn is_kubernetes_object(node: &Node) -> bool {
    has_any(node, &["apiVersion", "kind"])
}

fn is_bootstrap(node: &Node) -> bool {
    let members = [
        "static_resources",
        "staticResources",
        "dynamic_resources",
        "dynamicResources",
        "admin",
        "node",
        "layered_runtime",
        "layeredRuntime",
    ];
    has_any(node, &members)
}

/// There is nothing in any source.
fn report_nothing(sources: &[Source], diagnostics: &Diagnostics) {
    let message = match sources {
        [] => "there is no YAML or JSON file to read",
        [_] => "the file is empty",
        _ => "all files are empty",
    };
    let file = sources.first().map_or("", |source| &*source.path);
    let location = Location { line: 1, column: 1, length: 1 };
    diagnostics.error(&Place::in_file(file, location, ""), message, None);
}
