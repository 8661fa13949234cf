//! Generations of objects across configurations (CF-10).

use std::collections::HashMap;

use serde_json::Value;

use super::{ObjectRef, ObjectReport};
use crate::{schema::to_json, yaml::Node};

/// Members of an object that are no part of its spec.
const NOT_SPEC: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// Objects of the configuration before.
pub(super) struct Generations<'a>(HashMap<ObjectRef, &'a ObjectReport>);

impl<'a> Generations<'a> {
    pub(super) fn of(before: &'a [ObjectReport]) -> Self {
        let reference = |report: &ObjectReport| ObjectRef {
            group: report.group.clone(),
            kind: report.kind.clone(),
            namespace: report.namespace.clone(),
            name: report.name.clone(),
        };
        Self(before.iter().map(|report| (reference(report), report)).collect())
    }

    /// The generation of an object that is read now; `written` is what it says itself. That counts when it is another one than
    /// before, as from an API server; otherwise a changed spec raises it.
    pub(super) fn next(&self, object: &ObjectRef, written: Option<i64>, node: &Node) -> i64 {
        let Some(before) = self.0.get(object) else { return written.unwrap_or(1) };
        let written_before = before.document["metadata"]["generation"].as_i64();
        match written {
            Some(written) if Some(written) != written_before => written,
            _ => {
                let changed = spec(&to_json(node)) != spec(&before.document);
                before.generation.saturating_add(i64::from(changed))
            }
        }
    }
}

fn spec(document: &Value) -> Vec<(&String, &Value)> {
    let members = document.as_object().into_iter().flatten();
    members.filter(|(name, _)| !NOT_SPEC.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Options, Outcome, Source, files::FileSystem, load_after};

    fn gateway(metadata: &str, port: u16) -> String {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: a{metadata}}}\n\
             spec: {{gatewayClassName: eg, listeners: [{{name: http, protocol: HTTP, port: {port}}}]}}\n"
        )
    }

    fn after(before: &Outcome, text: String) -> Outcome {
        let sources = [Source { path: "a.yaml".into(), text }];
        load_after(&before.objects, &sources, &FileSystem, &Options::default())
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
}
