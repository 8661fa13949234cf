//! Bytes, by hand and in any form.

use proptest::prelude::*;

use super::{
    Problem, decode, encode,
    format::{FIXED32, VARINT, put_bytes, put_tag, put_varint},
};
use crate::{
    diagnostic::Report,
    schema::descriptors::{Cardinality, Descriptor, FieldDescriptor, Kind, Scalar, values_of},
    yaml::{self, Content, Entry, Location, Node},
};

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const ENDPOINT: &str = "envoy.config.endpoint.v3.LocalityLbEndpoints";

/// A tree in YAML.
fn tree(text: &str) -> Node {
    let report = Report::new("text");
    let mut documents = yaml::parse(text, &report);
    assert!(!report.has_errors(), "{:?}", report.finish());
    documents.remove(0)
}

/// A tree without places, all of it in the form that comes of bytes: keys, and scalars with or without quotes.
fn shown(node: &Node) -> String {
    match &node.content {
        Content::Null => "null".to_owned(),
        Content::Plain(text) => text.clone(),
        Content::Quoted(text) => format!("{text:?}"),
        Content::Sequence(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        Content::Mapping(entries) => {
            let entries = entries.iter().map(|entry| format!("{}: {}", entry.key, shown(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// What is read, and what is said about it.
fn read(name: &str, bytes: &[u8]) -> (Option<String>, Vec<String>) {
    let report = Report::new("bytes");
    let node = decode(name, bytes, &report);
    let said = report.finish().into_iter().map(|one| format!("{}: {}", one.place.path(), one.message));
    (node.as_ref().map(shown), said.collect())
}

/// A tree as it comes back.
fn through_bytes(name: &str, text: &str) -> String {
    let bytes = encode(name, &tree(text)).unwrap();
    let (read, said) = read(name, &bytes);
    assert_eq!(said, Vec::<String>::new());
    read.unwrap()
}

#[test]
fn every_form_of_a_value() {
    let text = "{name: a, type: STRICT_DNS, connectTimeout: 0.25s, per_connection_buffer_limit_bytes: 0x10, \
                circuit_breakers: {thresholds: {max_connections: '7', track_remaining: yes}}, \
                wait_for_warm_on_init: false, upstream_http_protocol_options: {auto_sni: true}, \
                common_lb_config: {healthy_panic_threshold: {value: 12.5}}, \
                typed_extension_protocol_options: {x: {'@type': t/google.protobuf.Struct, value: {a: [1, null, b, 1.5, true]}}}, \
                filters: [{name: f, typed_config: {'@type': t/not.known, value: AQI=}}]}";
    assert_eq!(
        through_bytes(CLUSTER, text),
        "{name: \"a\", type: \"STRICT_DNS\", connect_timeout: \"0.25s\", \
         per_connection_buffer_limit_bytes: 16, \
         circuit_breakers: {thresholds: [{max_connections: 7, track_remaining: true}]}, \
         common_lb_config: {healthy_panic_threshold: {value: 12.5}}, \
         typed_extension_protocol_options: {x: {@type: \"t/google.protobuf.Struct\", value: {a: [1, null, \"b\", 1.5, true]}}}, \
         filters: [{name: \"f\", typed_config: {@type: \"t/not.known\", value: \"AQI=\"}}], \
         upstream_http_protocol_options: {auto_sni: true}, wait_for_warm_on_init: false}"
    );
}

#[test]
fn messages_that_name_their_types_are_read_through() {
    let text = "{name: f, typed_config: {'@type': t/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor, \
                grpc_service: {envoy_grpc: {cluster_name: p}, timeout: 1s}}}";
    let name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";
    assert_eq!(
        through_bytes(name, text),
        "{name: \"f\", typed_config: {@type: \"t/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor\", \
         grpc_service: {envoy_grpc: {cluster_name: \"p\"}, timeout: \"1s\"}}}"
    );
    let text =
        "{name: f, typed_config: {'@type': t/xds.type.v3.TypedStruct, type_url: t/a.b, value: {x: {y: -1}}}}";
    assert_eq!(
        through_bytes(name, text),
        "{name: \"f\", typed_config: {@type: \"t/xds.type.v3.TypedStruct\", type_url: \"t/a.b\", value: {x: {y: -1}}}}"
    );
}

#[test]
fn unknown_fields_are_reported_with_number_and_path() {
    let mut inner = Vec::new();
    put_tag(&mut inner, 900, VARINT);
    put_varint(&mut inner, 1);
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 1, b"name");
    put_bytes(&mut bytes, 10, &inner);
    let (read, said) = read(CLUSTER, &bytes);
    assert_eq!(read.as_deref(), Some("{name: \"name\", circuit_breakers: {}}"));
    assert_eq!(said, ["circuit_breakers.900: unknown field number 900 in CircuitBreakers"]);
}

#[test]
fn the_last_member_of_a_oneof_counts_and_messages_are_merged() {
    // type, then cluster_type: they are a oneof.
    let mut bytes = Vec::new();
    put_tag(&mut bytes, 2, VARINT);
    put_varint(&mut bytes, 3);
    put_bytes(&mut bytes, 38, b"\x0a\x01x");
    assert_eq!(read(CLUSTER, &bytes).0.as_deref(), Some("{cluster_type: {name: \"x\"}}"));
    put_tag(&mut bytes, 2, VARINT);
    put_varint(&mut bytes, 99);
    assert_eq!(read(CLUSTER, &bytes).0.as_deref(), Some("{type: 99}"));
    // connect_timeout twice: 1 s, and 1 ns.
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 4, &[0x08, 1]);
    put_bytes(&mut bytes, 4, &[0x10, 1]);
    assert_eq!(read(CLUSTER, &bytes).0.as_deref(), Some("{connect_timeout: \"1.000000001s\"}"));
}

#[test]
fn lists_of_numbers_are_read_packed_and_one_by_one() {
    let name = "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector";
    assert!(Descriptor::of(name).is_some());
    let codes = "envoy.config.route.v3.RetryPolicy";
    let field = Descriptor::of(codes).unwrap().fields.iter().find(|f| f.name == "retriable_status_codes");
    let number = field.unwrap().number;
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, number, &[0xf7, 3, 1]);
    put_tag(&mut bytes, number, VARINT);
    put_varint(&mut bytes, 2);
    assert_eq!(read(codes, &bytes).0.as_deref(), Some("{retriable_status_codes: [503, 1, 2]}"));
}

#[test]
fn durations_have_a_sign_and_bounds() {
    let duration = |seconds: i64, nanos: i64| {
        let mut time = Vec::new();
        for (number, value) in [(1, seconds), (2, nanos)] {
            put_tag(&mut time, number, VARINT);
            put_varint(&mut time, value as u64);
        }
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, 4, &time);
        read(CLUSTER, &bytes)
    };
    assert_eq!(duration(-1, -500_000_000).0.as_deref(), Some("{connect_timeout: \"-1.5s\"}"));
    assert_eq!(duration(0, -1).0.as_deref(), Some("{connect_timeout: \"-0.000000001s\"}"));
    assert_eq!(duration(1, -1).0, None);
    assert_eq!(duration(1, 1_000_000_000).1.len(), 1);
    for text in ["{connect_timeout: -1.5s}", "{connect_timeout: {seconds: 3, nanos: 5}}"] {
        encode(CLUSTER, &tree(text)).unwrap();
    }
}

#[test]
fn what_is_no_message_is_refused() {
    let refused = |bytes: &[u8]| {
        let (read, said) = read(CLUSTER, bytes);
        assert_eq!(read, None);
        said.join("; ")
    };
    assert_eq!(refused(&[0x0a, 5, b'a']), ": the message ends too early");
    assert_eq!(refused(&[0x0a, 1, 0xff]), "name: a text that is not UTF-8");
    assert_eq!(refused(&[0x0b]), ": a field has an unknown wire type");
    assert_eq!(refused(&[0x02, 0]), ": a field has no valid number");
    assert_eq!(refused(&[0x08, 1]), "name: not of the type that this field has");
    assert_eq!(refused(&[0xff; 20]), ": a number is too long");
    let mut bytes = Vec::new();
    put_tag(&mut bytes, 4, FIXED32);
    bytes.extend_from_slice(&[0; 4]);
    assert_eq!(refused(&bytes), "connect_timeout: a number where a text or a message should be");
    assert_eq!(refused(&vec![0; super::MAX_BYTES + 1]), ": larger than 16777216 bytes");
    assert_eq!(read("no.such.Type", &[]).1, [": the message type no.such.Type is not known"]);
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    // A value in a list in a value ...
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 3, b"x");
    for _ in 0..60 {
        let (mut list, mut value) = (Vec::new(), Vec::new());
        put_bytes(&mut list, 1, &bytes);
        put_bytes(&mut value, 6, &list);
        bytes = value;
    }
    let (read_value, said) = read("google.protobuf.Value", &bytes);
    assert_eq!(read_value, None);
    assert!(said[0].ends_with("nested deeper than 100 messages"), "{said:?}");
    let many = vec![0_u8; 2_000_000];
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 7, &many);
    let (list, said) = read("envoy.config.route.v3.RetryPolicy", &bytes);
    assert_eq!(list, None);
    assert!(said[0].contains("more than 1000000 values"), "{said:?}");
}

#[test]
fn what_does_not_belong_into_a_message_is_not_written() {
    let refused = |text: &str| encode(CLUSTER, &tree(text)).unwrap_err();
    let problem = |path: &str, message: &str| Problem { path: path.to_owned(), message: message.to_owned() };
    assert_eq!(refused("{nam: a}"), problem("nam", &format!("unknown field \"nam\" in {CLUSTER}")));
    assert_eq!(refused("{name: 1}"), problem("name", "expected a string, found 1"));
    assert_eq!(refused("{connect_timeout: soon}"), problem("connect_timeout", "expected a time, found soon"));
    assert_eq!(
        refused("{dns_lookup_family: V5}"),
        problem("dns_lookup_family", &format!("expected a value of {CLUSTER}.DnsLookupFamily, found V5"))
    );
    assert_eq!(
        refused("{filters: [{typed_config: {'@type': t/x}}]}"),
        problem("filters[0].typed_config", "the message type x is not known")
    );
    assert_eq!(
        refused("{filters: [{typed_config: {a: b}}]}"),
        problem("filters[0].typed_config", "\"@type\" is missing")
    );
}

/// A tree of a type in the form that bytes give, made of choices.
struct Choices<'c> {
    choices: std::slice::Iter<'c, u32>,
}

impl Choices<'_> {
    fn next(&mut self) -> u32 {
        self.choices.next().copied().unwrap_or_default()
    }

    fn message(&mut self, name: &str, depth: usize) -> Content {
        if let Some(content) = self.well_known(name, depth) {
            return content;
        }
        let descriptor = Descriptor::of(name).unwrap();
        let mut taken: Vec<&str> = Vec::new();
        let mut entries = Vec::new();
        for field in &descriptor.fields {
            let is_taken = field.oneof.is_some_and(|oneof| taken.contains(&oneof));
            if depth > 5 || is_taken || self.next() % 4 != 1 {
                continue;
            }
            taken.extend(field.oneof);
            entries.push(entry(field.name, self.field(field, depth)));
        }
        Content::Mapping(entries)
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Content {
        let count = 1 + self.next() % 3;
        match field.cardinality {
            Cardinality::Single | Cardinality::Optional => self.value(&field.kind, depth),
            Cardinality::Repeated => {
                Content::Sequence((0..count).map(|_| node(self.value(&field.kind, depth))).collect())
            }
            Cardinality::Map(key) => {
                let key = |index: u32| match key {
                    Scalar::String => format!("key {index}"),
                    Scalar::Bool => (index == 0).to_string(),
                    _ => index.to_string(),
                };
                let count = count.min(2);
                Content::Mapping(
                    (0..count).map(|index| entry(&key(index), self.value(&field.kind, depth))).collect(),
                )
            }
        }
    }

    fn value(&mut self, kind: &Kind, depth: usize) -> Content {
        match kind {
            Kind::Message(name) => self.message(name, depth + 1),
            Kind::Enum(name) => match values_of(name) {
                Some(values) => {
                    let index = self.next() as usize % values.len();
                    // Of two names for one number the first is given.
                    let number = values[index].0;
                    let name = values.iter().find(|(other, _)| *other == number).unwrap().1;
                    Content::Quoted(name.to_owned())
                }
                None => Content::Plain("0".to_owned()),
            },
            Kind::Scalar(scalar) => self.scalar(*scalar),
        }
    }

    fn scalar(&mut self, scalar: Scalar) -> Content {
        let wide = u64::from(self.next()) << 32 | u64::from(self.next());
        let text = match scalar {
            Scalar::Double => (f64::from(wide as i32) / 8.0).to_string(),
            Scalar::Float => (wide as i16 as f32 / 8.0).to_string(),
            Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => (wide as i32).to_string(),
            Scalar::Uint32 | Scalar::Fixed32 => (wide as u32).to_string(),
            Scalar::Int64 | Scalar::Sint64 | Scalar::Sfixed64 => (wide as i64).to_string(),
            Scalar::Uint64 | Scalar::Fixed64 => wide.to_string(),
            Scalar::Bool => (wide % 2 == 1).to_string(),
            Scalar::String => return Content::Quoted(format!("text \u{e9} {}", wide % 100)),
            Scalar::Bytes => {
                return Content::Quoted(crate::schema::base64::encode(
                    &wide.to_le_bytes()[..wide as usize % 8],
                ));
            }
        };
        // What JSON's numbers cannot hold is in quotes.
        match text.parse::<i128>() {
            Ok(number) if number.unsigned_abs() > 1 << 53 => Content::Quoted(text),
            _ => Content::Plain(text),
        }
    }

    fn well_known(&mut self, name: &str, depth: usize) -> Option<Content> {
        let is_deep = depth > 5;
        Some(match name.strip_prefix("google.protobuf.")? {
            "Any" if is_deep => Content::Mapping(Vec::new()),
            "Any" => {
                let types =
                    [CLUSTER, ENDPOINT, "google.protobuf.Duration", "not.known", "xds.type.v3.TypedStruct"];
                let name = types[self.next() as usize % types.len()];
                let mut entries =
                    vec![entry("@type", Content::Quoted(format!("type.googleapis.com/{name}")))];
                match name {
                    "google.protobuf.Duration" => entries.push(entry("value", self.message(name, depth + 1))),
                    "not.known" => entries.push(entry("value", self.scalar(Scalar::Bytes))),
                    name => {
                        let Content::Mapping(fields) = self.message(name, depth + 1) else { unreachable!() };
                        entries.extend(fields);
                    }
                }
                Content::Mapping(entries)
            }
            "Duration" => Content::Quoted(format!("{}.000{}s", self.next(), 1 + self.next() % 9)),
            "Timestamp" => Content::Quoted(format!("20{:02}-02-28T01:02:03Z", self.next() % 100)),
            "Struct" => {
                let count = self.next() % 3;
                let value = "google.protobuf.Value";
                let entries =
                    (0..count).map(|index| entry(&format!("k{index}"), self.message(value, depth + 1)));
                Content::Mapping(entries.collect())
            }
            "ListValue" => {
                let count = self.next() % 3;
                let items = (0..count).map(|_| node(self.message("google.protobuf.Value", depth + 1)));
                Content::Sequence(items.collect())
            }
            "Value" => match self.next() % if is_deep { 4 } else { 6 } {
                0 => Content::Null,
                1 => self.scalar(Scalar::Double),
                2 => self.scalar(Scalar::String),
                3 => self.scalar(Scalar::Bool),
                4 => self.message("google.protobuf.Struct", depth + 1),
                _ => self.message("google.protobuf.ListValue", depth + 1),
            },
            "Empty" => Content::Mapping(Vec::new()),
            "BoolValue" => self.scalar(Scalar::Bool),
            "BytesValue" => self.scalar(Scalar::Bytes),
            "DoubleValue" => self.scalar(Scalar::Double),
            "FloatValue" => self.scalar(Scalar::Float),
            "Int32Value" => self.scalar(Scalar::Int32),
            "Int64Value" => self.scalar(Scalar::Int64),
            "StringValue" => self.scalar(Scalar::String),
            "UInt32Value" => self.scalar(Scalar::Uint32),
            "UInt64Value" => self.scalar(Scalar::Uint64),
            other => panic!("{other}"),
        })
    }
}

fn node(content: Content) -> Node {
    Node { content, location: Location::default() }
}

fn entry(key: &str, value: Content) -> Entry {
    Entry { key: key.to_owned(), key_location: Location::default(), value: node(value) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any message of the API is read as it was written.
    #[test]
    fn a_tree_is_what_its_bytes_say(
        which in any::<prop::sample::Index>(),
        choices in prop::collection::vec(any::<u32>(), 0..400),
    ) {
        let mut names: Vec<&str> = Descriptor::all().map(|descriptor| descriptor.name).collect();
        names.sort_unstable();
        let name = which.get(&names);
        let tree = node(Choices { choices: choices.iter() }.message(name, 0));
        let bytes = encode(name, &tree).unwrap();
        let report = Report::new("bytes");
        let again = decode(name, &bytes, &report);
        prop_assert!(!report.has_errors(), "{:?}", report.finish());
        prop_assert_eq!(again.unwrap(), tree);
    }

    /// Bytes never do harm, and what is read of them is written and read in the same way.
    #[test]
    fn any_bytes_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut names: Vec<&str> = Descriptor::all().map(|descriptor| descriptor.name).collect();
        names.sort_unstable();
        let name = which.get(&names);
        let report = Report::new("bytes");
        match decode(name, &bytes, &report) {
            Some(tree) => {
                let written = encode(name, &tree).unwrap();
                let report = Report::new("bytes");
                prop_assert_eq!(shown(&decode(name, &written, &report).unwrap()), shown(&tree));
                prop_assert!(!report.has_errors());
            }
            None => prop_assert!(report.has_errors()),
        }
    }
}
