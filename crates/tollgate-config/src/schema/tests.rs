//! The rules of protobuf's JSON mapping, as Envoy applies them (EN-2, EN-5, EN-6, 1.3).

use std::time::Duration;

use super::*;
use crate::{Diagnostic, FileSystem, Severity, yaml};

static MESSAGE: Schema = Schema {
    name: "test.Message",
    title: "",
    fields: &[
        read("text", "", "A string."),
        read("flag", "", "A boolean."),
        read("number", "", "A number."),
        read("long_name", "", "A field with several words."),
        read("timeout", "", "A duration."),
        read("data", "", "Bytes."),
        read("colour", "", "An enum."),
        read("items", "", "A list."),
        read("entries", "", "A map."),
        read("inner", "", "A message."),
        read("config", "", "An Any."),
        read("version_2_name", "", "A field with a number."),
        harmless("quiet", "it is quiet"),
        refused("loud", "use quiet"),
    ],
    unsupported: &["forgotten"],
};

static COLOUR: Enumeration<char> =
    Enumeration { values: &[("RED", 0, Some('r')), ("GREEN", 1, Some('g')), ("ULTRAVIOLET", 7, None)] };

fn open<T>(text: &str, strict: bool, read: impl FnOnce(&Message<'_>) -> T) -> (Option<T>, Vec<Diagnostic>) {
    let report = Report::new("test.yaml");
    let documents = yaml::parse(text, &report);
    let options = Options { strict, ..Options::default() };
    let context =
        Context { report: &report, files: &FileSystem, options: &options, notation: Notation::Protobuf };
    let message = Value::root(context, &documents[0]).message(&MESSAGE);
    let found = message.as_ref().map(read);
    drop(message);
    (found, report.finish())
}

/// Reads a message without problems.
fn good<T>(text: &str, read: impl FnOnce(&Message<'_>) -> T) -> T {
    let (found, diagnostics) = open(text, false, read);
    assert_eq!(diagnostics, []);
    found.unwrap()
}

/// What is said while a message is read: `line:column path: message`.
fn said<T>(text: &str, read: impl FnOnce(&Message<'_>) -> T) -> Vec<String> {
    let (_, diagnostics) = open(text, false, read);
    let show = |one: &Diagnostic| {
        format!("{}:{} {}: {}", one.place.line(), one.place.column(), one.place.path(), one.message)
    };
    diagnostics.iter().map(show).collect()
}

#[test]
fn names_are_snake_case_or_lower_camel_case() {
    assert_eq!(good("long_name: a", |message| message.string("long_name")), "a");
    assert_eq!(good("longName: a", |message| message.string("long_name")), "a");
    assert_eq!(good("version2Name: a", |message| message.string("version_2_name")), "a");
    for other in ["LongName", "long_Name", "longname", "long-name", "LONG_NAME"] {
        let said = said(&format!("{other}: a"), |message| message.string("long_name"));
        assert_eq!(said, [format!("1:1 {other}: unknown field \"{other}\" in Message")]);
    }
    assert_eq!(
        said("{long_name: a, longName: b}", |_| ()),
        ["1:16 longName: \"long_name\" and \"longName\" are the same field"]
    );
}

#[test]
fn what_is_not_read_is_reported_when_the_message_is_opened() {
    assert_eq!(
        said("{quiet: 1, loud: 1, forgotten: 1, unheard: 1}", |_| ()),
        [
            "1:2 quiet: \"quiet\" has no effect",
            "1:12 loud: \"loud\" is not supported",
            "1:21 forgotten: \"forgotten\" is not supported",
            "1:35 unheard: unknown field \"unheard\" in Message",
        ]
    );
    let (_, diagnostics) = open("{quiet: 1, loud: 1}", true, |_| ());
    assert!(diagnostics.iter().all(|one| one.severity == Severity::Error));
    assert_eq!(diagnostics[0].message, "\"quiet\" has no effect (refused by strict)");
    assert_eq!(diagnostics[1].help.as_deref(), Some("use quiet"));
}

#[test]
fn a_refused_field_may_say_what_it_says_by_being_absent() {
    assert_eq!(said("{loud: false, forgotten: []}", |_| ()), Vec::<String>::new());
    assert_eq!(said("{loud: '', forgotten: ~}", |_| ()), Vec::<String>::new());
    assert_eq!(said("{loud: {}}", |_| ()), ["1:2 loud: \"loud\" is not supported"]);
}

#[test]
fn what_was_explained_is_not_called_missing_too() {
    assert_eq!(
        said("txet: a", |message| message.required_string("text")),
        ["1:1 txet: unknown field \"txet\" in Message"]
    );
    assert_eq!(said("loud: 1", |message| message.required_one_of(&["text", "flag"]).is_some()).len(), 1);
    assert_eq!(said("flag: true", |message| message.required_string("text")), ["1:1 : \"text\" is missing"]);
}

#[test]
fn null_is_absent() {
    // CF-6
    assert!(good("{text: ~, inner: null}", |message| message.get("text").is_none()
        && message.get("inner").is_none()));
    assert!(good("inner: {}", |message| message.message("inner", &MESSAGE).is_some()));
}

#[test]
fn booleans_are_those_of_yaml_and_of_strings() {
    for yes in ["true", "True", "yes", "on", "y", "'true'", "\"yes\"", "'1'", "tRUE"] {
        assert!(good(&format!("flag: {yes}"), |message| message.boolean("flag", false)), "{yes}");
    }
    for no in ["false", "no", "off", "n", "'0'"] {
        assert!(!good(&format!("flag: {no}"), |message| message.boolean("flag", true)), "{no}");
    }
    assert_eq!(
        said("flag: 1", |message| message.boolean("flag", false)),
        ["1:7 flag: expected true or false, found 1"]
    );
    assert_eq!(said("flag: maybe", |message| message.boolean("flag", false)).len(), 1);
}

#[test]
fn numbers_may_be_strings_and_have_bounds() {
    for ten in ["10", "'10'", "\"1e1\"", "1e1", "10.0", "0xa", "012"] {
        assert_eq!(good(&format!("number: {ten}"), |message| message.u32("number")), Some(10), "{ten}");
    }
    let problem = |text: &str| said(&format!("number: {text}"), |message| message.u32("number"))[0].clone();
    assert_eq!(problem("4294967296"), "1:9 number: 4294967296 is not between 0 and 4294967295");
    assert_eq!(problem("-1"), "1:9 number: -1 is not between 0 and 4294967295");
    assert_eq!(problem("1.5"), "1:9 number: expected a whole number, found 1.5");
    assert_eq!(problem("true"), "1:9 number: expected a whole number, found true");
    assert_eq!(problem("[1]"), "1:9 number: expected a whole number, found a list");
    assert_eq!(
        problem("99999999999999999999999"),
        "1:9 number: 99999999999999999999999 is not between 0 and 4294967295"
    );
}

#[test]
fn durations_are_strings_or_messages() {
    assert_eq!(
        good("timeout: 0.25s", |message| message.duration("timeout")),
        Some(Duration::from_millis(250))
    );
    let message = "timeout: {seconds: 1, nanos: 5}";
    assert_eq!(good(message, |message| message.duration("timeout")), Some(Duration::new(1, 5)));
    assert_eq!(good("timeout: 0s", |message| message.timeout("timeout", Some(Duration::MAX))), None);
    assert_eq!(good("{}", |message| message.timeout("timeout", Some(Duration::MAX))), Some(Duration::MAX));
    assert_eq!(said("timeout: [1]", |message| message.duration("timeout")).len(), 1);
}

#[test]
fn enums_are_names_or_numbers() {
    let colour = |message: &Message<'_>| message.enumeration("colour", &COLOUR, 'x');
    assert_eq!(good("colour: GREEN", colour), 'g');
    assert_eq!(good("colour: 1", colour), 'g');
    assert_eq!(good("colour: '1'", colour), 'g');
    assert_eq!(good("{}", colour), 'x');
    assert_eq!(said("colour: grün", colour), ["1:9 colour: unknown value grün"]);
    assert_eq!(said("colour: 2", colour), ["1:9 colour: unknown value 2"]);
    assert_eq!(said("colour: ULTRAVIOLET", colour), ["1:9 colour: \"ULTRAVIOLET\" is not supported"]);
    assert_eq!(said("colour: 7", colour), ["1:9 colour: \"ULTRAVIOLET\" is not supported"]);
}

/// As Envoy's reader does: but what stands between words is no part of the case.
#[test]
fn enums_are_names_in_any_case() {
    static POLICY: Enumeration<char> = Enumeration { values: &[("ROUND_ROBIN", 0, Some('r'))] };
    let policy = |message: &Message<'_>| message.enumeration("colour", &POLICY, 'x');
    for text in ["round_robin", "Round_Robin", "ROUND_robin"] {
        assert_eq!(good(&format!("colour: {text}"), policy), 'r');
    }
    for text in ["round-robin", "roundRobin", "round_robin "] {
        assert_eq!(
            said(&format!("colour: '{text}'"), policy),
            [format!("1:9 colour: unknown value \"{text}\"")]
        );
    }
}

#[test]
fn bytes_are_base64() {
    assert_eq!(good("data: aGk=", |message| message.get("data")?.bytes()), Some(b"hi".to_vec()));
    assert_eq!(said("data: '!'", |message| message.get("data")?.bytes()), ["1:7 data: expected base64"]);
}

#[test]
fn a_single_value_is_a_list_of_one() {
    assert_eq!(good("items: [a, b]", |message| message.strings("items")), ["a", "b"]);
    assert_eq!(good("items: a", |message| message.strings("items")), ["a"]);
    assert_eq!(
        said("items: [a, 5, ~]", |message| message.strings("items")),
        ["1:12 items[1]: expected a string, found 5", "1:15 items[2]: expected a value, found nothing"]
    );
}

#[test]
fn maps_have_their_keys_in_the_path() {
    let read = |message: &Message<'_>| -> Vec<(String, Option<String>)> {
        message.map("entries").iter().map(|(key, value)| ((*key).to_owned(), value.string())).collect()
    };
    assert_eq!(good("entries: {a: x, b.c: z, d: ~}", read).len(), 2);
    assert_eq!(said("entries: {b.c: 1}", read), ["1:16 entries[\"b.c\"]: expected a string, found 1"]);
    assert_eq!(said("entries: [a]", read), ["1:10 entries: expected a mapping, found a list"]);
}

#[test]
fn of_a_oneof_there_is_one() {
    let read = |message: &Message<'_>| message.one_of(&["text", "flag", "number"]).map(|(name, _)| name);
    assert_eq!(good("flag: true", read), Some("flag"));
    assert_eq!(good("{}", read), None);
    assert_eq!(
        said("{text: a, number: 1}", read),
        ["1:19 number: \"text\" and \"number\" cannot be given together"]
    );
}

#[test]
fn an_any_is_known_by_its_type() {
    let read = |message: &Message<'_>| {
        let any = message.get("config")?.any()?;
        Some((any.type_name.clone(), any.value.message(&MESSAGE)?.string("text")))
    };
    let expected = Some(("test.Message".to_owned(), "a".to_owned()));
    assert_eq!(good("config: {'@type': type.googleapis.com/test.Message, text: a}", read), expected);
    assert_eq!(good("config: {'@type': test.Message, text: a}", read), expected);
    assert_eq!(good("config: {'@type': x/y/test.Message, text: a}", read), expected);
    for wrapper in ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"] {
        let text = format!("config: {{'@type': t/{wrapper}, type_url: t/test.Message, value: {{text: a}}}}");
        assert_eq!(good(&text, read), expected);
    }
    assert_eq!(said("config: {text: a}", read), ["1:9 config: \"@type\" is missing"]);
    assert_eq!(said("config: {'@type': t/xds.type.v3.TypedStruct}", read).len(), 1);
    // Only an Any has a type.
    assert_eq!(said("'@type': t", |_| ()), ["1:1 @type: unknown field \"@type\" in Message"]);
}

#[test]
fn problems_in_a_text_are_shown_at_their_character() {
    let at = |text: &str| {
        said(text, |message| message.get("text").map(|text| text.error_at(2, "here")))[0].clone()
    };
    assert_eq!(at("text: abcd"), "1:9 text: here");
    assert_eq!(at("text: 'abcd'"), "1:10 text: here");
    // With escapes the place in the file is not known.
    assert_eq!(at("text: \"a\\tcd\""), "1:7 text: here");
}
