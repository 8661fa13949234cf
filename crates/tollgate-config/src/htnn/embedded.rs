//! Policies that are written into their target: an annotation of a VirtualService or a Gateway of Istio (3.7).

use super::policy::{FilterPolicy, TargetRef, read_filter_policy};
use crate::{
    diagnostic::Report,
    istio,
    kubernetes::{Metadata, OBJECT, Place},
    schema::{Context, Notation, Value},
    translation::Translator,
    yaml::{self, Content, Location, Node},
};

/// Where the policy stands, and where it stood before; the first one that is there counts.
const ANNOTATIONS: [&str; 2] = ["htnn.mosn.io/filterpolicy", "htnn.mosn.io/httpfilterpolicy"];

/// A policy out of an annotation.
pub(super) struct Embedded {
    pub(super) policy: FilterPolicy,
    /// Why it does not apply.
    pub(super) errors: Vec<String>,
    /// What the original calls it.
    pub(super) name: String,
}

/// The policy that an object carries. What is wrong with it is reported where the object is.
pub(super) fn embedded(carrier: &Metadata, translator: &Translator<'_>) -> Option<Embedded> {
    let (annotation, text) =
        ANNOTATIONS.iter().find_map(|name| Some((*name, carrier.annotations.get(*name)?)))?;
    let path = format!("metadata.annotations[{annotation}]");
    let report = Report::of(carrier.place.whole());
    let parsing = Report::of(carrier.place.whole());
    let mut documents = yaml::parse(text, &parsing);
    let mut errors = Vec::new();
    if let Some(problem) = parsing.finish().into_iter().next() {
        let message = format!("not a policy in JSON: {}", problem.message);
        translator.diagnostics.error(&place(carrier, &path), message.clone(), None);
        errors.push(message);
    }
    let mut document = documents.drain(..).next().unwrap_or_else(nothing);
    put_at(&mut document, carrier.place.location());
    let context = Context {
        report: &report,
        files: translator.files,
        options: translator.options,
        notation: Notation::Kubernetes,
    };
    let read = errors.is_empty().then(|| {
        let object = Value::embedded(context, &document, &path).message(&OBJECT)?;
        read_filter_policy(&object.required("spec")?)
    });
    let said = report.finish();
    let problems = said.iter().filter(|diagnostic| diagnostic.severity == crate::Severity::Error);
    errors.extend(problems.map(|diagnostic| diagnostic.message.clone()));
    translator.diagnostics.extend(said);
    let mut policy = read.flatten().unwrap_or_default();
    policy.target_ref = Some(TargetRef {
        group: istio::GROUP.to_owned(),
        kind: carrier.kind.clone(),
        name: carrier.key.name.clone(),
        namespace: None,
        section_name: None,
        place: place(carrier, &path),
    });
    let name = format!("embedded-{}-{}", carrier.kind.to_ascii_lowercase(), carrier.key.name);
    Some(Embedded { policy, errors, name })
}

fn place(carrier: &Metadata, path: &str) -> Place {
    carrier.place.elsewhere(carrier.place.location(), path)
}

fn nothing() -> Node {
    Node { content: Content::Null, location: Location::default() }
}

/// Places in the annotation say nothing to anybody: everything is where its carrier is.
fn put_at(node: &mut Node, location: Location) {
    node.location = location;
    match &mut node.content {
        Content::Sequence(items) => items.iter_mut().for_each(|item| put_at(item, location)),
        Content::Mapping(entries) => {
            for entry in entries {
                entry.key_location = location;
                put_at(&mut entry.value, location);
            }
        }
        Content::Null | Content::Plain(_) | Content::Quoted(_) => {}
    }
}
