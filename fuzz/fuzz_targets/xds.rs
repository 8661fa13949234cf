//! Configurations in the shape of Envoy's and of Kubernetes': real ones, changed here and there.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Number, Value};

#[path = "support/load.rs"]
mod load;

const BASES: [&str; 7] = [
    include_str!("../../crates/tollgate-config/src/envoy/tests/everything.yaml"),
    include_str!("../../crates/tollgate-config/src/envoy/tests/levels.yaml"),
    include_str!("../../crates/tollgate-config/src/envoy_gateway/tests/everything.yaml"),
    include_str!("../../crates/tollgate-config/src/translation/tests/inputs/cf_31_every_dialect.yaml"),
    include_str!("../../crates/tollgate-config/tests/gateway_api/everything_else.yaml"),
    include_str!("../../examples/demo/htnn.yaml"),
    include_str!("../../examples/demo/kgateway.yaml"),
];

/// The documents of each base.
static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let read = |text: &&str| {
        serde_saphyr::from_multiple::<Value>(text).map_or(Value::Null, |documents| {
            Value::Array(documents.into_iter().filter(|document| !document.is_null()).collect())
        })
    };
    BASES.iter().map(read).collect()
});

/// Every word of the reference: names of fields, of messages, of values.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let text = tollgate_config::reference();
    let mut words: Vec<String> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    words.extend(
        [
            "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "0.0.0.0/0",
            "1s",
            "-1s",
            "1e400",
            "%REQ(A)%",
        ]
        .map(str::to_owned),
    );
    words.sort();
    words.dedup();
    words
});

#[derive(Debug, Arbitrary)]
struct Input {
    base: u8,
    edits: Vec<Edit>,
}

#[derive(Debug, Arbitrary)]
struct Edit {
    /// Which value, in the order in which they are written.
    at: u16,
    change: Change,
}

#[derive(Debug, Arbitrary)]
enum Change {
    Null,
    Bool(bool),
    Number(i64),
    Fraction(f64),
    Text(String),
    /// A word of the reference.
    Word(u16),
    EmptyList,
    EmptyMap,
    /// A list with the value so many times.
    Repeat(u8),
    /// A member with a name from the reference, with a copy of another value.
    Insert(u16, u16),
    /// A copy of another value.
    Copy(u16),
    /// Without its first member.
    Shorten,
    /// So many lists around it.
    Wrap(u8),
}

fuzz_target!(|input: Input| {
    let mut root = DOCUMENTS[usize::from(input.base) % DOCUMENTS.len()].clone();
    for edit in input.edits.iter().take(12) {
        apply(&mut root, edit);
    }
    let Value::Array(documents) = root else { return };
    let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    let text = texts.join("\n---\n");
    // Copies of copies grow.
    if text.len() <= 1 << 18 {
        load::load(&text);
    }
});

fn apply(root: &mut Value, edit: &Edit) {
    let size = count(root);
    let index = |number: u16| usize::from(number) % size;
    let copy = |root: &mut Value, number: u16| {
        get(root, &mut index(number)).map_or(Value::Null, |value| value.clone())
    };
    let word = |number: u16| WORDS[usize::from(number) % WORDS.len()].clone();
    let other = match edit.change {
        Change::Insert(_, from) | Change::Copy(from) => copy(root, from),
        _ => Value::Null,
    };
    let Some(value) = get(root, &mut index(edit.at)) else { return };
    match &edit.change {
        Change::Null => *value = Value::Null,
        Change::Bool(bool) => *value = Value::Bool(*bool),
        Change::Number(number) => *value = (*number).into(),
        Change::Fraction(number) => *value = Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Change::Text(text) => *value = Value::String(text.clone()),
        Change::Word(number) => *value = Value::String(word(*number)),
        Change::EmptyList => *value = Value::Array(Vec::new()),
        Change::EmptyMap => *value = Value::Object(Map::new()),
        Change::Repeat(times) => *value = Value::Array(vec![value.clone(); usize::from(times % 8)]),
        Change::Insert(name, _) => match value {
            Value::Object(members) => drop(members.insert(word(*name), other)),
            Value::Array(values) => values.push(other),
            _ => *value = other,
        },
        Change::Copy(_) => *value = other,
        Change::Shorten => match value {
            Value::Object(members) => {
                drop(members.keys().next().cloned().and_then(|key| members.remove(&key)))
            }
            Value::Array(values) if !values.is_empty() => drop(values.remove(0)),
            _ => *value = Value::Null,
        },
        Change::Wrap(times) => {
            for _ in 0..*times {
                *value = Value::Array(vec![value.take()]);
            }
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// The value with that number.
fn get<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(values) => values.iter_mut().find_map(|value| get(value, number)),
        Value::Object(members) => members.values_mut().find_map(|value| get(value, number)),
        _ => None,
    }
}
