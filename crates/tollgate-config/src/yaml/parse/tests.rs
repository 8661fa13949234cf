use super::*;
use crate::Diagnostic;

fn read(text: &str) -> (Vec<Node>, Vec<Diagnostic>) {
    let report = Report::new("test.yaml");
    let documents = parse(text, &report);
    (documents, report.finish())
}

fn good(text: &str) -> Node {
    let (mut documents, diagnostics) = read(text);
    assert_eq!(diagnostics, []);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn messages(text: &str) -> Vec<String> {
    read(text)
        .1
        .iter()
        .map(|one| format!("{}:{}: {}", one.place.line(), one.place.column(), one.message))
        .collect()
}

fn entries(node: &Node) -> Vec<(&str, &Content)> {
    let Content::Mapping(entries) = &node.content else { panic!("{node:?}") };
    entries.iter().map(|entry| (entry.key.as_str(), &entry.value.content)).collect()
}

#[test]
fn scalars_keep_their_text_and_their_quotes() {
    let node = good("a: on\nb: 'on'\nc: 010\nd: |\n  x\n  y\ne:\nf: ~\ng: null\nh: \"null\"\n");
    assert_eq!(
        entries(&node),
        [
            ("a", &Content::Plain("on".into())),
            ("b", &Content::Quoted("on".into())),
            ("c", &Content::Plain("010".into())),
            ("d", &Content::Quoted("x\ny\n".into())),
            ("e", &Content::Null),
            ("f", &Content::Null),
            ("g", &Content::Null),
            ("h", &Content::Quoted("null".into())),
        ]
    );
}

#[test]
fn every_node_knows_its_place() {
    let Content::Mapping(entries) = good("# comment\nkey:\n  - ä: value\n").content else { panic!() };
    assert_eq!(entries[0].key_location, Location { line: 2, column: 1, length: 3 });
    let Content::Sequence(items) = &entries[0].value.content else { panic!() };
    let Content::Mapping(inner) = &items[0].content else { panic!() };
    assert_eq!(inner[0].value.location, Location { line: 3, column: 8, length: 5 });
}

#[test]
fn json_is_read_with_tabs_too() {
    let node = good("{\n\t\"a\": [1,\t{\"b\": null}]\n}\n");
    assert_eq!(entries(&node).len(), 1);
}

#[test]
fn several_documents_are_read_and_empty_ones_skipped() {
    let (documents, diagnostics) = read("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n");
    assert_eq!(diagnostics, []);
    assert_eq!(documents.iter().map(|node| entries(node)[0].0).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_key_given_twice_is_refused_with_its_line() {
    // CF-4; all of them are found.
    assert_eq!(
        messages("a: 1\nb: {c: 1, c: 2}\na: 2\n"),
        [
            "2:11: the key \"c\" is given twice in the same mapping",
            "3:1: the key \"a\" is given twice in the same mapping"
        ]
    );
}

#[test]
fn anchors_are_expanded_and_merge_keys_are_ordinary() {
    let node = good("a: &x {k: 1}\nb: *x\nc: {<<: *x}\n");
    let all = entries(&node);
    assert_eq!(all[0].1, all[1].1);
    let Content::Mapping(merged) = all[2].1 else { panic!() };
    assert_eq!(merged[0].key, "<<");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
    }
    assert!(messages(&text)[0].contains("more than 1000000 values"));
}

#[test]
fn deep_nesting_is_refused() {
    let text = "[".repeat(200) + &"]".repeat(200);
    assert!(messages(&text)[0].contains("nested deeper than 128 levels"));
}

#[test]
fn what_is_not_yaml_is_reported_with_its_place() {
    let found = messages("a: [1,\nb: 2\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("not valid YAML"), "{found:?}");
    // CF-15
    assert_eq!(
        messages("a: b\nnamespace: {{< reuse \"x\" >}}\n"),
        ["2:12: the document still contains template placeholders"]
    );
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(entries(&good("\u{feff}a: 1\n"))[0].0, "a");
}

/// Aliases of a large scalar: each level has ten times the bytes of the one before, and few nodes.
#[test]
fn aliases_of_large_scalars_are_refused() {
    let mut text = format!("a0: &a0 {}\n", "x".repeat(100_000));
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let report = Report::new("a.yaml");
    assert!(parse(&text, &report).is_empty());
    let said = report.finish();
    assert!(said[0].message.contains("stand for more than"), "{said:?}");
}

/// Anchors within anchors keep a copy each.
#[test]
fn nested_anchors_of_large_scalars_are_refused() {
    let mut text = String::new();
    for level in 0..100 {
        text += &format!("{}- &a{level}\n", "  ".repeat(level));
    }
    text += &format!("{}- {}\n", "  ".repeat(100), "x".repeat(1_000_000));
    let report = Report::new("a.yaml");
    assert!(parse(&text, &report).is_empty());
    assert!(report.finish()[0].message.contains("stand for more than"));
}

/// The limit of values is that of a document, as dumps of clusters are many.
#[test]
fn many_documents_may_have_many_values() {
    let document = format!("---\na: [{}1]\n", "1,".repeat(600_000));
    let report = Report::new("a.yaml");
    assert_eq!(parse(&document.repeat(2), &report).len(), 2);
}

#[test]
fn a_tab_is_marked_where_it_is() {
    let said = |text: &str| {
        let report = Report::new("a.yaml");
        parse(text, &report);
        let said = report.finish().remove(0);
        (said.place.line(), said.place.column(), said.message, said.help.unwrap_or_default())
    };
    let (line, column, message, help) = said("a:\n  b: 1\n\tc: 2\n");
    assert_eq!((line, column, &*help), (3, 1, "indent with spaces"), "{message}");
    let (.., help) = said("a: {port_value: ${PORT}}\n");
    assert!(help.starts_with("environment variables are not substituted"), "{help}");
    let (.., help) = said("a: b: c\n");
    assert_eq!(help, "put the value in quotes");
}
