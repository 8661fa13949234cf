//! The table, and the schemas held against it.

use super::*;
use crate::envoy::schemas;

#[test]
fn every_line_of_the_table_is_understood() {
    let lines: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
    let is_member = |line: &&&str| line.starts_with(' ');
    let members = lines.iter().filter(is_member).count();
    let fields: usize = Descriptor::all().map(|descriptor| descriptor.fields.len()).sum();
    let values: usize = DESCRIPTORS.enums.values().map(Vec::len).sum();
    assert_eq!(fields + values, members);
    assert_eq!(DESCRIPTORS.messages.len() + DESCRIPTORS.enums.len(), lines.len() - members);
    assert!(fields > 4_000, "{fields}");
}

#[test]
fn every_type_that_a_field_has_is_known() {
    let missing = |kind: &Kind| match kind {
        Kind::Scalar(_) => None,
        Kind::Message(name) => {
            let is_known = Descriptor::of(name).is_some() || name.starts_with("google.protobuf.");
            (!is_known).then(|| name.clone())
        }
        Kind::Enum(name) => {
            let is_known = values_of(name).is_some() || name.starts_with("google.protobuf.");
            (!is_known).then(|| name.clone())
        }
    };
    let fields = Descriptor::all().flat_map(|descriptor| &descriptor.fields);
    let missing: Vec<String> = fields.filter_map(|field| missing(&field.kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn fields_are_found_by_their_numbers() {
    let address = Descriptor::of("envoy.config.core.v3.SocketAddress").unwrap();
    let port = address.field(3).unwrap();
    assert_eq!((port.name, port.oneof), ("port_value", Some("port_specifier")));
    assert_eq!(port.kind, Kind::Scalar(Scalar::Uint32));
    assert!(address.field(1000).is_none());
    let host = Descriptor::of("envoy.config.route.v3.VirtualHost").unwrap();
    let configs = host.fields.iter().find(|field| field.name == "typed_per_filter_config").unwrap();
    assert_eq!(configs.cardinality, Cardinality::Map(Scalar::String));
    assert_eq!(configs.kind, Kind::Message("google.protobuf.Any".to_owned()));
    let types = values_of("envoy.config.cluster.v3.Cluster.DiscoveryType").unwrap();
    assert!(types.contains(&(3, "EDS")));
}

/// Fields that older versions of the API had and Envoy has dropped: they are listed to be refused with an advice.
const DROPPED: [&str; 5] = [
    "envoy.config.cluster.v3.Cluster.hosts",
    "envoy.config.cluster.v3.Cluster.tls_context",
    "envoy.extensions.filters.http.ext_proc.v3.ExtProcOverrides.request_properties",
    "envoy.extensions.filters.http.ext_proc.v3.ExtProcOverrides.response_properties",
    "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor.async_mode",
];

/// What a schema lists is in Envoy's API, and nothing of that is missing: so whatever is not supported is called by its name.
#[test]
fn schemas_have_the_fields_of_the_api() {
    let mut wrong = Vec::new();
    for schema in schemas() {
        let Some(descriptor) = Descriptor::of(schema.name) else {
            wrong.push(format!("{} is no message", schema.name));
            continue;
        };
        for name in schema.names() {
            let full_name = format!("{}.{name}", schema.name);
            let exists = descriptor.fields.iter().any(|field| field.name == name);
            if exists == DROPPED.contains(&&*full_name) {
                wrong.push(format!("{full_name} {}", if exists { "exists" } else { "does not exist" }));
            }
        }
        for field in &descriptor.fields {
            if !schema.names().any(|name| name == field.name) {
                wrong.push(format!("{}.{} is missing", schema.name, field.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
