//! Writing a status over one that is there: what others wrote stays.

use serde_json::{Map, Value};

use super::Status;

impl Status {
    /// The status as it is written over another one, by a controller that goes by `names`: entries of other controllers stay, and
    /// so do conditions of types that it does not write and the times of conditions that do not change.
    pub(crate) fn over(&self, written: &Value, names: &[&str]) -> Value {
        let mut merged = self.to_json();
        let (Some(members), Some(before)) = (merged.as_object_mut(), written.as_object()) else {
            return merged;
        };
        for (name, before) in before {
            match members.get_mut(name) {
                None => {
                    members.insert(name.clone(), before.clone());
                }
                Some(own) => merge(name, own, before, names),
            }
        }
        merged
    }
}

fn merge(name: &str, own: &mut Value, before: &Value, names: &[&str]) {
    let (Some(own), Some(before)) = (own.as_array_mut(), before.as_array()) else { return };
    match name {
        "conditions" => merge_conditions(own, before),
        "parents" => merge_relations(own, before, "parentRef", names),
        "ancestors" => merge_relations(own, before, "ancestorRef", names),
        // Nobody else writes about listeners; theirs are conditions.
        "listeners" => {
            for listener in own {
                let known = before.iter().find(|known| known["name"] == listener["name"]);
                merge_conditions_of(listener, known);
            }
        }
        _ => {}
    }
}

/// Entries about related objects: those of other controllers stay in front, where they were.
fn merge_relations(own: &mut Vec<Value>, before: &[Value], reference: &str, names: &[&str]) {
    let is_ours = |entry: &Value| entry["controllerName"].as_str().is_some_and(|name| names.contains(&name));
    let same = |one: &Value, other: &Value| {
        one["controllerName"] == other["controllerName"] && one[reference] == other[reference]
    };
    for entry in own.iter_mut() {
        let known = before.iter().find(|known| same(known, entry));
        merge_conditions_of(entry, known);
    }
    let others = before.iter().filter(|entry| !is_ours(entry)).cloned();
    *own = others.chain(own.drain(..)).collect();
}

fn merge_conditions_of(entry: &mut Value, known: Option<&Value>) {
    let before = known.and_then(|known| known["conditions"].as_array());
    if let (Some(own), Some(before)) = (entry["conditions"].as_array_mut(), before) {
        merge_conditions(own, before);
    }
}

fn merge_conditions(own: &mut Vec<Value>, before: &[Value]) {
    for known in before {
        let Some(condition) = own.iter_mut().find(|condition| condition["type"] == known["type"]) else {
            own.push(known.clone());
            continue;
        };
        let unchanged = condition["status"] == known["status"];
        let time = known.get("lastTransitionTime").filter(|_| unchanged);
        if let (Some(members), Some(time)) = (condition.as_object_mut() as Option<&mut Map<_, _>>, time) {
            members.insert("lastTransitionTime".to_owned(), time.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        kubernetes::{
            Metadata, ObjectKey, ObjectRef, Place,
            status::{Conditions, OwnStatus, ParentReference, ParentStatus, RouteStatus, Status},
        },
        place::Location,
    };

    fn conditions(holds: bool) -> Conditions {
        let meta = Metadata {
            group: String::new(),
            kind: "HTTPRoute".to_owned(),
            key: ObjectKey::new("default", "app"),
            labels: Default::default(),
            annotations: Default::default(),
            creation_timestamp: None,
            generation: 2,
            order: 0,
            place: Place::in_file("a.yaml", Location::default(), ""),
        };
        let mut conditions = Conditions::default();
        conditions.set("Accepted", holds, "Accepted", "", &meta);
        conditions
    }

    #[test]
    fn entries_of_other_controllers_stay_and_our_own_are_replaced() {
        let parent_ref =
            ParentReference::to(&ObjectRef::new("g", "Gateway", &ObjectKey::new("default", "edge")));
        let controller_name = "example.com/ours".to_owned();
        let parents = vec![ParentStatus { parent_ref, controller_name, conditions: conditions(true) }];
        let status = Status::from(RouteStatus { parents });
        let own = |time: &str, holds: &str| {
            json!({
                "parentRef": {"group": "g", "kind": "Gateway", "namespace": "default", "name": "edge"},
                "controllerName": "example.com/ours",
                "conditions": [{"type": "Accepted", "status": holds, "lastTransitionTime": time}],
            })
        };
        let of_others = json!({"parentRef": {"name": "mesh"}, "controllerName": "example.com/others"});
        let gone = json!({"parentRef": {"name": "gone"}, "controllerName": "example.com/ours"});
        let written = json!({ "parents": [gone, of_others, own("2026-01-01T00:00:00Z", "True")] });
        let merged = status.over(&written, &["example.com/ours"]);
        let parents = merged["parents"].as_array().unwrap();
        assert_eq!(parents.len(), 2, "{merged}");
        assert_eq!(parents[0], of_others);
        let condition = &parents[1]["conditions"][0];
        assert_eq!(condition["observedGeneration"], 2);
        assert_eq!(condition["lastTransitionTime"], "2026-01-01T00:00:00Z");
        // What was otherwise before has changed now.
        let written = json!({ "parents": [own("2026-01-01T00:00:00Z", "False")] });
        let merged = status.over(&written, &["example.com/ours"]);
        assert_eq!(merged["parents"][0]["conditions"][0].get("lastTransitionTime"), None);
    }

    #[test]
    fn conditions_of_other_types_stay() {
        let status = Status::from(OwnStatus { conditions: conditions(false) });
        let written = json!({ "conditions": [{"type": "Audited", "status": "True"}], "extra": 1 });
        let merged = status.over(&written, &[]);
        let types: Vec<&str> = merged["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["type"].as_str().unwrap())
            .collect();
        assert_eq!((types, &merged["extra"]), (vec!["Accepted", "Audited"], &json!(1)));
    }
}
