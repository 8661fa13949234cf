//! `src/schema/descriptors.txt` is what Envoy's own descriptors say: the program carries them, and this reads them out of it.
//! It has to be the program itself, not the script that a Python environment has for it.
//!
//! After an update of Envoy, write the table anew:
//!
//! ```text
//! ENVOY=path/to/site-packages/envoy/_bin/envoy UPDATE_DESCRIPTORS=1 cargo test -p tollgate-config --test descriptors -- --ignored
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use prost::Message;

/// `google.protobuf.FileDescriptorProto`, as far as the table needs it.
#[derive(Clone, PartialEq, Message)]
struct FileDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    messages: Vec<MessageDescriptor>,
    #[prost(message, repeated, tag = "5")]
    enums: Vec<EnumDescriptor>,
    #[prost(string, tag = "12")]
    syntax: String,
}

#[derive(Clone, PartialEq, Message)]
struct MessageDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<FieldDescriptor>,
    #[prost(message, repeated, tag = "3")]
    messages: Vec<Self>,
    #[prost(message, repeated, tag = "4")]
    enums: Vec<EnumDescriptor>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    oneofs: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct MessageOptions {
    #[prost(bool, tag = "7")]
    map_entry: bool,
}

#[derive(Clone, PartialEq, Message)]
struct FieldDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    number: i32,
    #[prost(int32, tag = "4")]
    label: i32,
    #[prost(int32, tag = "5")]
    kind: i32,
    #[prost(string, tag = "6")]
    type_name: String,
    #[prost(int32, optional, tag = "9")]
    oneof: Option<i32>,
    #[prost(bool, tag = "17")]
    proto3_optional: bool,
}

#[derive(Clone, PartialEq, Message)]
struct EnumDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    values: Vec<EnumValue>,
}

#[derive(Clone, PartialEq, Message)]
struct EnumValue {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "2")]
    number: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

const INTRODUCTION: &str = "\
# The messages of Envoy's API: number, name and type of each field; enums with their values.
# Made from the descriptors that Envoy 1.40.0 carries; tests/descriptors.rs says how to make it again.
# * is a list, {string} a map with such keys, ? a scalar that knows whether it is set, = an enum, |x a member of the oneof x.
# ~ stands for the package (or message) that the message is in, ~~ for the message itself.
";

/// The messages and enums that are looked at, and all that they refer to.
const ROOTS: [&str; 7] = [
    "envoy.config.",
    "envoy.extensions.",
    "envoy.service.discovery.v3.",
    "envoy.service.runtime.v3.",
    "envoy.type.",
    "udpa.type.v1.",
    "xds.",
];

/// Types that protobuf's JSON form writes in ways of their own; the code knows them.
const OWN: &str = ".google.protobuf.";

#[derive(Default)]
struct Types {
    /// Lines of each message, and the types that it refers to.
    messages: BTreeMap<String, (Vec<String>, Vec<String>)>,
    enums: BTreeMap<String, Vec<String>>,
}

impl Types {
    fn add_enum(&mut self, scope: &str, one: &EnumDescriptor) {
        let lines = one.values.iter().map(|value| format!("{} {}", value.number, value.name));
        self.enums.insert(format!("{scope}.{}", one.name), lines.collect());
    }

    fn add_message(&mut self, scope: &str, message: &MessageDescriptor) {
        let name = format!("{scope}.{}", message.name);
        let maps: BTreeMap<String, &MessageDescriptor> = message
            .messages
            .iter()
            .filter(|inner| inner.options.as_ref().is_some_and(|options| options.map_entry))
            .map(|inner| (format!(".{name}.{}", inner.name), inner))
            .collect();
        let mut references = Vec::new();
        let mut fields: Vec<&FieldDescriptor> = message.fields.iter().collect();
        fields.sort_by_key(|field| field.number);
        let lines = fields.into_iter().map(|field| {
            let (mark, of) = match maps.get(&field.type_name) {
                Some(map) => (format!("{{{}}}", scalar(map.fields[0].kind)), &map.fields[1]),
                None if field.label == 3 => ("*".to_owned(), field),
                None if field.proto3_optional => ("?".to_owned(), field),
                None => (String::new(), field),
            };
            let kind = match of.kind {
                11 | 14 => {
                    references.push(of.type_name.trim_start_matches('.').to_owned());
                    format!("{}{}", if of.kind == 14 { "=" } else { "" }, of.type_name)
                }
                kind => scalar(kind).to_owned(),
            };
            let oneof = match field.oneof {
                Some(index) if !field.proto3_optional => {
                    format!(" |{}", message.oneofs[usize::try_from(index).expect("an index")].name)
                }
                _ => String::new(),
            };
            format!("{} {} {mark}{kind}{oneof}", field.number, field.name)
        });
        let lines = lines.collect();
        self.messages.insert(name.clone(), (lines, references));
        for inner in &message.messages {
            if !maps.contains_key(&format!(".{name}.{}", inner.name)) {
                self.add_message(&name, inner);
            }
        }
        for one in &message.enums {
            self.add_enum(&name, one);
        }
    }

    /// The names of the messages and enums that can be reached.
    fn reachable(&self) -> BTreeSet<&str> {
        let is_old = |name: &str| name.split('.').any(|part| part.starts_with("v2"));
        let is_root = |name: &&str| ROOTS.iter().any(|root| name.starts_with(root)) && !is_old(name);
        let mut open: Vec<&str> =
            self.messages.keys().chain(self.enums.keys()).map(String::as_str).filter(is_root).collect();
        let mut found = BTreeSet::new();
        while let Some(name) = open.pop() {
            if name.starts_with(&OWN[1..]) || !found.insert(name) {
                continue;
            }
            if let Some((_, references)) = self.messages.get(name) {
                open.extend(references.iter().map(String::as_str));
            }
        }
        found
    }

    fn table(&self) -> String {
        let mut text = INTRODUCTION.to_owned();
        for name in self.reachable() {
            let (mark, lines) = match (self.messages.get(name), self.enums.get(name)) {
                (Some((lines, _)), _) => ("", lines),
                (None, Some(lines)) => ("=", lines),
                (None, None) => panic!("{name} is not in the program"),
            };
            let package = name.rsplit_once('.').expect("a package").0;
            text.push_str(&format!("{mark}{name}\n"));
            for line in lines {
                let own = format!(".{name}.");
                let beside = format!(".{package}.");
                let line = line.replace(&own, "~~").replace(&beside, "~");
                text.push_str(&format!(" {line}\n"));
            }
        }
        text
    }
}

/// The name of a scalar type.
fn scalar(kind: i32) -> &'static str {
    match kind {
        1 => "double",
        2 => "float",
        3 => "int64",
        4 => "uint64",
        5 => "int32",
        6 => "fixed64",
        7 => "fixed32",
        8 => "bool",
        9 => "string",
        12 => "bytes",
        13 => "uint32",
        15 => "sfixed32",
        16 => "sfixed64",
        17 => "sint32",
        18 => "sint64",
        other => panic!("{other} is no scalar type"),
    }
}

/// The end of the tag and the value at `at`, and the number of the field.
fn field_at(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let (tag, mut at) = varint(bytes, at)?;
    match tag & 7 {
        0 => at = varint(bytes, at)?.1,
        2 => {
            let (length, start) = varint(bytes, at)?;
            at = start.checked_add(usize::try_from(length).ok()?)?;
        }
        _ => return None,
    }
    (at <= bytes.len()).then_some((tag >> 3, at))
}

fn varint(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}

/// The descriptor that begins at `at`: its last field is the syntax.
fn descriptor_at(bytes: &[u8], at: usize) -> Option<FileDescriptor> {
    let mut end = at;
    loop {
        let (number, next) = field_at(bytes, end)?;
        end = next;
        match number {
            12 => break,
            1..=11 => {}
            _ => return None,
        }
    }
    FileDescriptor::decode(bytes.get(at..end)?).ok().filter(|file| file.syntax == "proto3")
}

/// The descriptors in a program.
fn descriptors(program: &[u8]) -> Types {
    let mut types = Types::default();
    let needle = b".proto\x12";
    for at in 0..program.len().saturating_sub(needle.len()) {
        if &program[at..at + needle.len()] != needle {
            continue;
        }
        // The name of the file stands before, and its length before that.
        let name_end = at + needle.len() - 1;
        let start = (8..128).find_map(|length: usize| {
            let start = name_end.checked_sub(length + 2)?;
            let is_start = program[start] == 0x0a && usize::from(program[start + 1]) == length;
            is_start.then_some(start)
        });
        let Some(file) = start.and_then(|start| descriptor_at(program, start)) else { continue };
        for message in &file.messages {
            types.add_message(&file.package, message);
        }
        for one in &file.enums {
            types.add_enum(&file.package, one);
        }
    }
    types
}

#[test]
#[ignore = "needs Envoy: the variable ENVOY has to name its binary"]
fn the_table_is_what_envoy_says() {
    let envoy = env::var_os("ENVOY").expect("ENVOY names the binary of Envoy");
    let table = descriptors(&fs::read(envoy).expect("the binary")).table();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema/descriptors.txt");
    if env::var_os("UPDATE_DESCRIPTORS").is_some() {
        fs::write(&path, &table).expect("the table");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let new = table.lines().zip(kept.lines()).find(|(new, old)| new != old);
    assert!(table == kept, "the table is not Envoy's: {new:?}; write it anew with UPDATE_DESCRIPTORS=1");
}
