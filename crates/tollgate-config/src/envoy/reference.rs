//! The reference of the dialect: every message and field, as the reader knows them.

mod extensions;

use std::fmt::Write as _;

use super::{
    access_log, access_log_filter, address, bootstrap, cel, cluster, config_source, data_source, ext_proc,
    format, google_grpc, grpc_service, header, http_connection_manager, http_filters, ip_detection, listener,
    local_reply, management, matcher, matchers, metadata, metadata_key, metadata_matcher, overload,
    per_route, protocol_options, rate_limits, route, runtime, socket_options, status, tcp_proxy, tls,
    watchdog,
};
use crate::schema::{Field, Schema, Support};

/// A part of the reference.
struct Section {
    title: &'static str,
    schemas: Vec<&'static Schema>,
}

fn sections() -> Vec<Section> {
    let section = |title, schemas| Section { title, schemas };
    vec![
        section(
            "Bootstrap",
            [
                &bootstrap::SCHEMAS[..],
                &config_source::SCHEMAS[..],
                &management::SCHEMAS[..],
                &runtime::SCHEMAS[..],
                &overload::SCHEMAS[..],
                &watchdog::SCHEMAS[..],
                &address::SCHEMAS[..],
                &socket_options::SCHEMAS[..],
            ]
            .concat(),
        ),
        section("Listeners", [&listener::SCHEMAS[..], &tcp_proxy::SCHEMAS[..]].concat()),
        section(
            "HTTP connection manager",
            [
                &http_connection_manager::SCHEMAS[..],
                &local_reply::SCHEMAS[..],
                &ip_detection::SCHEMAS[..],
                &protocol_options::SCHEMAS[..],
                &http_filters::SCHEMAS[..],
            ]
            .concat(),
        ),
        section(
            "Access logs",
            [
                &access_log::SCHEMAS[..],
                &access_log_filter::SCHEMAS[..],
                &cel::SCHEMAS[..],
                &metadata_matcher::SCHEMAS[..],
            ]
            .concat(),
        ),
        section(
            "Routes",
            [
                &route::SCHEMAS[..],
                &rate_limits::SCHEMAS[..],
                &matchers::SCHEMAS[..],
                &header::SCHEMAS[..],
                &format::SCHEMAS[..],
                &metadata::SCHEMAS[..],
            ]
            .concat(),
        ),
        section("External processing", [&ext_proc::SCHEMAS[..], &status::SCHEMAS[..]].concat()),
        section("External processing by route", per_route::SCHEMAS.to_vec()),
        section(
            "Other HTTP filters",
            [http_filters::KINDS_SCHEMAS.concat(), matcher::SCHEMAS.to_vec()].concat(),
        ),
        section("gRPC services", [&grpc_service::SCHEMAS[..], &google_grpc::SCHEMAS[..]].concat()),
        section(
            "Clusters",
            [&cluster::SCHEMAS[..], &cluster::health::SCHEMAS[..], &metadata_key::SCHEMAS[..]].concat(),
        ),
        section("TLS", [&tls::SCHEMAS[..], &data_source::SCHEMAS[..]].concat()),
    ]
}

/// Every message that is read.
#[cfg(test)]
pub(crate) fn schemas() -> Vec<&'static Schema> {
    sections().into_iter().flat_map(|section| section.schemas).collect()
}

const INTRODUCTION: &str = "\
# Envoy configuration

Tollgate reads an Envoy bootstrap file (YAML or JSON) as it is. This page lists every field it knows. It is written by
the program itself, so it is always what the reader does.

* A field in a **table works**. Field names may be written in snake_case or lowerCamelCase, enum values by name or
  number, numbers as strings; durations are seconds (`0.2s`). `null` is the same as leaving a field out.
* **Harmless** are fields without a counterpart here that change nothing for anyone who sends or answers requests. They are
  accepted, and named in the output of `tollgate check`, each with the reason.
* **Not implemented** are fields that would change what happens, but protect nothing. They are accepted with a warning that says what
  happens instead. With `--strict` these and the harmless ones are refused.
* **Unsafe to leave out** are fields that would protect or limit something. What sets them is refused.
* **Not supported** are fields that exist in Envoy's API. They, and unknown ones, are refused with their line: nothing
  is accepted silently. All problems of a file are found in one run.

`typed_config` names its type with `@type`; what stands before the last slash does not matter. A message may be wrapped
in `xds.type.v3.TypedStruct`. The `v3alpha` names of the external processing filter are read as `v3`.
";

/// The reference in Markdown.
pub(crate) fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let sections = sections();
    let names: Vec<&str> =
        sections.iter().flat_map(|section| &section.schemas).map(|schema| schema.name).collect();
    text.push_str(&extensions::extensions(&names));
    for Section { title, schemas } in sections {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n## {title}\n");
        for schema in schemas {
            write_schema(&mut text, schema);
        }
    }
    text
}

fn write_schema(text: &mut String, schema: &Schema) {
    let with = |support| schema.fields.iter().filter(move |field| field.support == support);
    let title = if schema.title.is_empty() {
        schema.name.rsplit('.').next().unwrap_or(schema.name)
    } else {
        schema.title
    };
    let _ = write!(text, "\n### {title}\n\n`{}`\n", schema.name);
    let read = || with(Support::Read);
    if read().next().is_some() {
        let _ = write!(text, "\n| Field | Default | Meaning |\n|---|---|---|\n");
        for Field { name, default, note, .. } in read() {
            let default = default.replace('|', "\\|");
            let _ = writeln!(text, "| `{name}` | {default} | {} |", note.replace('|', "\\|"));
        }
    } else if schema.fields.is_empty() {
        let _ = write!(text, "\nIt has no fields.\n");
    }
    let classes = [
        (Support::Harmless, "Harmless"),
        (Support::Unimplemented, "Not implemented"),
        (Support::Protects, "Unsafe to leave out"),
    ];
    for (support, class) in classes {
        if with(support).next().is_some() {
            let _ = write!(text, "\n{class}:\n\n");
        }
        for Field { name, note, .. } in with(support) {
            let _ = writeln!(text, "* `{name}`: {note}");
        }
    }
    let refused: Vec<&Field> = with(Support::Refused).collect();
    if !refused.is_empty() || !schema.unsupported.is_empty() {
        let _ = write!(text, "\nNot supported:\n\n");
        for Field { name, note, .. } in refused {
            let _ = writeln!(text, "* `{name}`: {note}");
        }
        if !schema.unsupported.is_empty() {
            let names: Vec<String> = schema.unsupported.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(text, "* {}", names.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, path::Path};

    use super::*;

    #[test]
    fn the_page_of_the_book_is_what_the_reader_does() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/envoy.md");
        let reference = reference();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(&path, &reference).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == reference, "docs/envoy.md is stale: run the test with UPDATE_REFERENCE=1");
    }

    #[test]
    fn no_field_is_listed_twice_and_every_one_is_explained() {
        for schema in schemas() {
            let mut names = HashSet::new();
            for name in schema.names() {
                assert!(names.insert(name), "{}: {name} is listed twice", schema.name);
            }
            for field in schema.fields {
                assert!(!field.note.is_empty(), "{}: {} is not explained", schema.name, field.name);
            }
        }
    }
}
