//! What changes messages before they are sent (U-1): Envoy has one such extension built in.

use std::collections::BTreeMap;

use extproc::attributes::{MappedAttributeBuilder, MappedAttributes};
use tollgate_cel::computed_attribute;

use super::is_attribute;
use crate::{
    envoy::cluster::TYPED_EXTENSION_CONFIG,
    schema::{Message, Schema, Value, read},
};

pub(in crate::envoy) static MAPPED_ATTRIBUTE_BUILDER: Schema = Schema {
    name: "envoy.extensions.http.ext_proc.processing_request_modifiers.mapped_attribute_builder.v3.MappedAttributeBuilder",
    title: "",
    fields: &[
        read("mapped_request_attributes", "{}", "Attributes by name, instead of request_attributes."),
        read("mapped_response_attributes", "{}", "Attributes by name, instead of response_attributes."),
    ],
    unsupported: &[],
};

/// Reads `processing_request_modifier`.
pub(in crate::envoy) fn read_modifier(value: &Value<'_>) -> Option<MappedAttributeBuilder> {
    let extension = value.message(&TYPED_EXTENSION_CONFIG)?;
    extension.required_string("name");
    let any = extension.required("typed_config")?.any()?;
    if any.type_name != MAPPED_ATTRIBUTE_BUILDER.name {
        any.unsupported("processing request modifier", &[MAPPED_ATTRIBUTE_BUILDER.name]);
        return None;
    }
    let message = any.value.message(&MAPPED_ATTRIBUTE_BUILDER)?;
    Some(MappedAttributeBuilder {
        mapped_request_attributes: read_mapped(&message, "mapped_request_attributes"),
        mapped_response_attributes: read_mapped(&message, "mapped_response_attributes"),
    })
}

fn read_mapped(message: &Message<'_>, name: &'static str) -> MappedAttributes {
    let entries = message.map(name).into_iter();
    let names: BTreeMap<String, String> = entries
        .filter_map(|(name, value)| {
            Some((name.to_owned(), value.string().filter(|text| is_attribute(text, &value))?))
        })
        .collect();
    MappedAttributes::parse_with(names, computed_attribute).unwrap_or_default()
}
