//! Files with problems: all of them are found, each with its place.

use super::*;

#[test]
fn all_problems_of_a_file_are_found_in_one_run() {
    // EN-3
    insta::assert_snapshot!(diagnostics(include_str!("problems.yaml")));
}

#[test]
fn a_diagnostic_is_json() {
    let outcome = load("node: {idd: a}\n");
    assert_eq!(
        serde_json::to_string(&outcome.diagnostics).unwrap(),
        r#"[{"severity":"error","file":"gateway.yaml","line":1,"column":8,"path":"node.idd","message":"unknown field \"idd\" in Node","help":"did you mean \"id\"?"}]"#
    );
}

#[test]
fn the_kind_of_a_value_is_checked() {
    assert_eq!(said("node: []\n"), ["error: expected a mapping, found a list"]);
    assert_eq!(said("node: {id: 3}\n"), ["error: expected a string, found 3 [write it in quotes: \"3\"]"]);
    // CF-2
    assert_eq!(said("node: {id: on}\n"), ["error: expected a string, found on [write it in quotes: \"on\"]"]);
    assert_eq!(said("node: {id: 1.5, cluster: 'on'}\n"), Vec::<String>::new());
    assert_eq!(said("static_resources: {listeners: [~]}\n"), ["error: expected a value, found nothing"]);
    // CF-6
    assert_eq!(said("node: ~\nadmin:\nstatic_resources: {}\n"), Vec::<String>::new());
}

#[test]
fn a_field_has_one_spelling_in_a_file() {
    // EN-2
    assert_eq!(
        said("staticResources: {}\nstatic_resources: {}\n"),
        ["error: \"staticResources\" and \"static_resources\" are the same field [remove one of them]"]
    );
    assert_eq!(
        said("StaticResources: {}\n"),
        ["error: unknown field \"StaticResources\" in Bootstrap [did you mean \"static_resources\"?]"]
    );
}

#[test]
fn what_is_no_envoy_configuration_is_said_to_be_none() {
    assert_eq!(said(""), ["error: the file is empty"]);
    assert_eq!(said("# nothing\n"), ["error: the file is empty"]);
    assert_eq!(said("- a\n"), ["error: expected a mapping, found a list"]);
    assert_eq!(said("apiVersion: v1\nkind: Service\n"), ["error: \"metadata\" is missing"]);
    assert_eq!(
        said("node: {}\n---\nnode: {}\n"),
        ["error: there is a second document; an Envoy configuration is one document"]
    );
    assert!(said("node: {\n")[0].starts_with("error: not valid YAML: "));
    let two = [
        Source { path: "a.yaml".into(), text: "node: {}\n".into() },
        Source { path: "b.yaml".into(), text: "node: {}\n".into() },
    ];
    let outcome = load_with(&two, &TestFiles, &Options::default());
    assert!(outcome.snapshot.is_none());
    assert_eq!(outcome.diagnostics[0].place.file(), Some("b.yaml"));
}
