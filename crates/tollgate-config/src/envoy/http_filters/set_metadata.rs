//! The filter `set_metadata`.

use std::sync::Arc;

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::filter::{FilterSettings, MetadataEntry, SetMetadata};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{Scope, metadata::read_struct},
    schema::{Schema, Value, read, refused},
};

pub(in crate::envoy) static SET_METADATA: Schema = Schema {
    name: "envoy.extensions.filters.http.set_metadata.v3.Config",
    title: "Config of set_metadata",
    fields: &[
        read("metadata", "[]", "What is set, in order. What a route says comes behind what the filter says."),
        read("metadata_namespace", "", "Old form of one entry with allow_overwrite: its namespace."),
        read("value", "", "Old form of one entry with allow_overwrite: its values."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static METADATA_ENTRY: Schema = Schema {
    name: "envoy.extensions.filters.http.set_metadata.v3.Metadata",
    title: "Metadata of set_metadata",
    fields: &[
        read("metadata_namespace", "", "The namespace. Required."),
        read(
            "allow_overwrite",
            "false",
            "A namespace that is there already takes the values in, lists at their ends; else it stays as it is.",
        ),
        read("value", "", "The values."),
        refused("typed_value", "use value"),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 2] = [&SET_METADATA, &METADATA_ENTRY];

pub(super) const KIND: Kind = Kind {
    settings: &SET_METADATA,
    read: read_set_metadata,
    per_route: Some(PerRoute { settings: &SET_METADATA, read: read_per_route }),
    upstream: false,
};

fn read_set_metadata(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    read_config(value).map(|settings| FilterConfig::Settings(FilterSettings::SetMetadata(settings)))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    read_config(value).map(|settings| Override::Settings(FilterSettings::SetMetadata(settings)))
}

fn read_config(value: &Value<'_>) -> Option<Arc<SetMetadata>> {
    let message = value.message(&SET_METADATA)?;
    let mut metadata = Vec::new();
    let namespace = message.string("metadata_namespace");
    if let Some(value) = message.get("value").and_then(|value| read_struct(&value))
        && !namespace.is_empty()
    {
        metadata.push(MetadataEntry { namespace, allow_overwrite: true, value });
    }
    for entry in message.list("metadata") {
        let Some(message) = entry.message(&METADATA_ENTRY) else { continue };
        let namespace = message.required("metadata_namespace").and_then(|name| name.non_empty_string());
        let allow_overwrite = message.boolean("allow_overwrite", false);
        // Without values there is nothing to set, not even the namespace.
        let value = message.get("value").and_then(|value| read_struct(&value));
        if let (Some(namespace), Some(value)) = (namespace, value) {
            metadata.push(MetadataEntry { namespace, allow_overwrite, value });
        }
    }
    Some(Arc::new(SetMetadata { metadata, by_route: Vec::new() }))
}
