//! Generations of objects across configurations (CF-10).

use std::{collections::HashMap, sync::Arc};

use super::{ObjectRef, ObjectReport, Stored, naming::Type};
use crate::{
    schema::plain_value,
    yaml::{Content, Entry, Node},
};

/// Members of an object that are no part of its spec.
const NOT_SPEC: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// Objects of the configuration before.
pub(super) struct Generations<'a> {
    by_name: HashMap<ObjectRef, &'a Stored>,
    /// By their place among all documents.
    by_order: HashMap<usize, &'a Stored>,
}

impl<'a> Generations<'a> {
    pub(super) fn of(before: &'a [ObjectReport]) -> Self {
        let stored = || before.iter().map(ObjectReport::stored);
        Self {
            by_name: stored().map(|object| (object.reference(), object)).collect(),
            by_order: stored().map(|object| (object.meta.order, object)).collect(),
        }
    }

    /// The object of a document that is the very same one as before, in the same place: it need not be read again.
    pub(super) fn unchanged(
        &self,
        found: &Type,
        order: usize,
        file: &Arc<str>,
        node: &Node,
    ) -> Option<&'a Stored> {
        let known = *self.by_order.get(&order)?;
        let meta = &known.meta;
        (meta.kind == found.kind && meta.place.file() == Some(file) && *known.node == *node).then_some(known)
    }

    /// The generation of an object that is read now; `written` is what it says itself. That counts when it is another one than
    /// before, as from an API server; otherwise a changed spec raises it.
    pub(super) fn next(&self, object: &ObjectRef, written: Option<i64>, node: &Node) -> i64 {
        let Some(before) = self.by_name.get(object) else { return written.unwrap_or(1) };
        match written {
            Some(written) if Some(written) != generation(&before.node) => written,
            _ => {
                let changed = !same_members(&spec(node), &spec(&before.node));
                before.meta.generation.saturating_add(i64::from(changed))
            }
        }
    }
}

/// The generation that a document names.
fn generation(node: &Node) -> Option<i64> {
    node.member("metadata")?.member("generation")?.text()?.parse().ok()
}

fn spec(node: &Node) -> Vec<&Entry> {
    let Content::Mapping(entries) = &node.content else { return Vec::new() };
    entries.iter().filter(|entry| !NOT_SPEC.contains(&entry.key.as_str())).collect()
}

/// Whether mappings say the same, in whatever order and wherever it is written.
fn same_members(one: &[&Entry], other: &[&Entry]) -> bool {
    let by_key: HashMap<&str, &Node> = other.iter().map(|entry| (&*entry.key, &entry.value)).collect();
    one.len() == other.len()
        && one.iter().all(|entry| by_key.get(&*entry.key).is_some_and(|value| same(&entry.value, value)))
}

fn same(one: &Node, other: &Node) -> bool {
    match (&one.content, &other.content) {
        (Content::Null, Content::Null) => true,
        (Content::Quoted(one), Content::Quoted(other)) => one == other,
        (Content::Plain(one), Content::Plain(other)) => {
            one == other || plain_value(one) == plain_value(other)
        }
        (Content::Plain(plain), Content::Quoted(text)) | (Content::Quoted(text), Content::Plain(plain)) => {
            plain_value(plain).as_str() == Some(text)
        }
        (Content::Sequence(one), Content::Sequence(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Content::Mapping(one), Content::Mapping(other)) => {
            same_members(&one.iter().collect::<Vec<_>>(), &other.iter().collect::<Vec<_>>())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Before, Options, Outcome, Source, files::FileSystem, load_after};

    fn gateway(metadata: &str, port: u16) -> String {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: a{metadata}}}\n\
             spec: {{gatewayClassName: eg, listeners: [{{name: http, protocol: HTTP, port: {port}}}]}}\n"
        )
    }

    fn after(before: &Outcome, text: String) -> Outcome {
        let sources = [Source { path: "a.yaml".into(), text }];
        load_after(
            Before { objects: &before.objects, snapshot: None },
            &sources,
            &FileSystem,
            &Options::default(),
        )
    }

    /// The generation of the object and the one that its conditions tell.
    fn generations(outcome: &Outcome) -> [i64; 2] {
        let object = &outcome.objects[0];
        let condition = &object.status.as_ref().unwrap()["conditions"][0];
        [object.generation, condition["observedGeneration"].as_i64().unwrap()]
    }

    /// CF-10
    #[test]
    fn another_spec_raises_the_generation() {
        let first = after(&Outcome::default(), gateway("", 80));
        assert_eq!(generations(&first), [1, 1]);
        let labels = after(&first, gateway(", labels: {a: b}", 80));
        assert_eq!(generations(&labels), [1, 1], "labels are no part of the spec");
        let port = after(&labels, gateway("", 81));
        assert_eq!(generations(&port), [2, 2]);
        let comment = after(&port, format!("# As before.\n{}", gateway("", 81)));
        assert_eq!(generations(&comment), [2, 2]);
        assert_eq!(generations(&after(&comment, gateway("", 80))), [3, 3]);
        // Another object has nothing to do with it.
        let other = after(&port, gateway("", 82).replace("name: a", "name: b"));
        assert_eq!(generations(&other), [1, 1]);
    }

    /// CF-10
    #[test]
    fn a_generation_that_is_written_counts_when_it_is_new() {
        let first = after(&Outcome::default(), gateway(", generation: 7", 80));
        assert_eq!(generations(&first), [7, 7]);
        let next = after(&first, gateway(", generation: 9", 81));
        assert_eq!(generations(&next), [9, 9]);
        // Edited by hand: the number is that of another spec.
        let edited = after(&next, gateway(", generation: 9", 82));
        assert_eq!(generations(&edited), [10, 10]);
        assert_eq!(generations(&after(&edited, gateway("", 82))), [10, 10]);
        // Created anew at an API server.
        assert_eq!(generations(&after(&edited, gateway(", generation: 1", 82))), [1, 1]);
    }

    #[test]
    fn what_is_the_same_is_not_read_again() {
        let text = |port: u16| {
            gateway("", port) + "---\n" + &gateway(", unknown: 1", 82).replace("name: a", "name: b")
        };
        let first = after(&Outcome::default(), text(80));
        assert!(!first.diagnostics.is_empty(), "something is said about the second one");
        let documents = |outcome: &Outcome| -> Vec<_> {
            outcome.objects.iter().map(|object| Arc::clone(&object.stored().node)).collect()
        };
        let again = after(&first, text(80));
        let pairs = documents(&first).into_iter().zip(documents(&again));
        assert!(pairs.into_iter().all(|(one, other)| Arc::ptr_eq(&one, &other)));
        assert_eq!(again.diagnostics, first.diagnostics, "it is said again");
        let changed = after(&again, text(81));
        let same: Vec<bool> = documents(&again)
            .iter()
            .zip(&documents(&changed))
            .map(|(one, other)| Arc::ptr_eq(one, other))
            .collect();
        assert_eq!(same, [false, true]);
        assert_eq!(changed.objects[0].generation, 2);
    }
}
