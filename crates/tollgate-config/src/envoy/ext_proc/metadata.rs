//! Dynamic metadata that travels with an exchange (section 14).

use extproc::MetadataNamespaces;
use tollgate_ir::MetadataOverrides;

use crate::schema::{Schema, Value, read};

pub(in crate::envoy) static METADATA_OPTIONS: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.MetadataOptions",
    title: "",
    fields: &[
        read("forwarding_namespaces", "{}", "Namespaces sent to the processor."),
        read("receiving_namespaces", "{}", "Namespaces accepted from the processor."),
        read(
            "cluster_metadata_forwarding_namespaces",
            "{}",
            "Namespaces of the chosen cluster's metadata sent to the processor.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static METADATA_NAMESPACES: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.MetadataOptions.MetadataNamespaces",
    title: "",
    fields: &[
        read("untyped", "[]", "Namespaces of `filter_metadata`."),
        read("typed", "[]", "Namespaces of `typed_filter_metadata`."),
    ],
    unsupported: &[],
};

/// Reads `MetadataOptions`.
pub(in crate::envoy) fn read_metadata_options(value: &Value<'_>) -> Option<MetadataOverrides> {
    let message = value.message(&METADATA_OPTIONS)?;
    let namespaces = |name| {
        let namespaces = message.message(name, &METADATA_NAMESPACES)?;
        Some(MetadataNamespaces {
            untyped: namespaces.strings("untyped"),
            typed: namespaces.strings("typed"),
        })
    };
    Some(MetadataOverrides {
        forwarding: namespaces("forwarding_namespaces"),
        receiving: namespaces("receiving_namespaces"),
        cluster_forwarding: namespaces("cluster_metadata_forwarding_namespaces"),
    })
}
