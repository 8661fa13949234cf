//! Precedence, merging and conflicts without any system.

use super::{Ancestors, Attachments, Level, Target, TargetView};
use crate::{
    kubernetes::{Metadata, ObjectKey, ObjectRef, Place, status::ParentReference},
    place::Location,
};

fn object(kind: &str, name: &str) -> ObjectRef {
    ObjectRef::new("example.com", kind, &ObjectKey::new("default", name))
}

fn target(object: &ObjectRef, section: Option<&str>) -> Target {
    Target { object: object.clone(), section: section.map(str::to_owned) }
}

#[test]
fn the_most_specific_level_counts_and_there_the_first_policy() {
    let (gateway, route) = (object("Gateway", "edge"), object("HTTPRoute", "app"));
    let mut attachments = Attachments::default();
    attachments.attach(0, target(&gateway, None));
    attachments.attach(1, target(&route, Some("rule")));
    attachments.attach(2, target(&route, None));
    attachments.attach(3, target(&route, None));
    let at = |object, section| TargetView { object, section };
    let levels = [
        (Level::Rule, at(&route, Some("rule"))),
        (Level::Route, at(&route, None)),
        (Level::Gateway, at(&gateway, None)),
    ];
    assert_eq!(attachments.most_specific(&levels), Some((1, 0)));
    assert_eq!(attachments.most_specific(&levels[1..]), Some((2, 0)));
    assert_eq!(attachments.at(at(&route, None)), [2, 3]);
    assert!(attachments.at(at(&route, Some("other"))).is_empty());
    assert_eq!(attachments.most_specific(&[(Level::Rule, at(&route, Some("other")))]), None);
}

#[test]
fn policies_of_routes_are_merged_with_that_of_the_gateway() {
    let (gateway, route) = (object("Gateway", "edge"), object("HTTPRoute", "app"));
    let mut attachments = Attachments::default();
    attachments.attach(0, target(&gateway, None));
    attachments.attach(1, target(&route, None));
    let at = |object| TargetView { object, section: None };
    let levels = [(Level::Route, at(&route)), (Level::Gateway, at(&gateway))];
    let parent = |merges| attachments.choose(&levels, |_| merges).unwrap().0.parent;
    assert_eq!((parent(true), parent(false)), (Some(0), None));
    let of_gateway = attachments.choose(&levels[1..], |_| true).unwrap().0;
    assert_eq!((of_gateway.policy, of_gateway.parent), (0, None));
}

#[test]
fn a_status_has_room_for_sixteen_ancestors() {
    let place = Place::in_file("a.yaml", Location::default(), "");
    let meta = Metadata {
        group: String::new(),
        kind: "Policy".to_owned(),
        key: ObjectKey::new("default", "policy"),
        labels: Default::default(),
        annotations: Default::default(),
        creation_timestamp: None,
        generation: 1,
        order: 0,
        place,
    };
    let mut ancestors = Ancestors::new(&meta);
    let reference = |number: usize| ParentReference::to(&object("HTTPRoute", &number.to_string()));
    assert!((0..16).all(|number| ancestors.get(&reference(number)).is_some()));
    assert!(ancestors.get(&reference(16)).is_none());
    assert!(ancestors.get(&reference(3)).is_some(), "a known one stays");
    let entries = ancestors.finish("example.com/controller");
    assert_eq!(entries.len(), 16);
    assert!(entries[15].conditions.get("Aggregated").is_some());
}
