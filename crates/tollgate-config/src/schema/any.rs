//! `Any`: a message that names its type (EN-5, EN-6).

use super::{Value, definition::Schema, read};
use crate::yaml::Content;

/// A message that names its type.
pub(crate) struct Any<'a> {
    /// Full name of the type, without the prefix up to the last slash.
    pub(crate) type_name: String,
    /// Where the name is written.
    pub(crate) type_value: Value<'a>,
    /// The message.
    pub(crate) value: Value<'a>,
}

static TYPED_STRUCT: Schema = Schema {
    name: "xds.type.v3.TypedStruct",
    title: "",
    fields: &[
        read("type_url", "", "Type of the message in `value`."),
        read("value", "", "The message. Required."),
    ],
    unsupported: &[],
};

impl<'a> Value<'a> {
    /// A message that names its type by `@type`; one wrapped in a `TypedStruct` is unwrapped.
    pub(crate) fn any(&self) -> Option<Any<'a>> {
        let Content::Mapping(entries) = &self.node.content else { return self.expected("a mapping") };
        let Some(entry) = entries.iter().find(|entry| entry.key == "@type") else {
            self.error_with_help(
                "\"@type\" is missing",
                "name the type of the message: \"@type\": type.googleapis.com/...",
            );
            return None;
        };
        let type_value = self.child(&entry.value, format!("{}[\"@type\"]", self.path));
        let type_name = type_name(&type_value)?;
        let value = Self { in_any: true, ..self.clone() };
        if !matches!(type_name.as_str(), "xds.type.v3.TypedStruct" | "udpa.type.v1.TypedStruct") {
            return Some(Any { type_name, type_value, value });
        }
        let wrapper = value.message(&TYPED_STRUCT)?;
        let type_value = wrapper.required("type_url")?;
        let type_name = self::type_name(&type_value)?;
        let value = wrapper.required("value")?;
        Some(Any { type_name, type_value, value: Self { in_any: true, ..value } })
    }
}

fn type_name(value: &Value<'_>) -> Option<String> {
    let url = value.non_empty_string()?;
    Some(url.rsplit('/').next().unwrap_or(&url).to_owned())
}

impl Any<'_> {
    /// Reports that this type cannot be used here.
    pub(crate) fn unsupported(&self, what: &str, supported: &[&str]) {
        let name = &self.type_name;
        let is_v2 =
            ["v2", "v2alpha", "v2alpha1"].iter().any(|version| name.split('.').any(|part| part == *version));
        let help = if is_v2 {
            "this is a type of the v2 API, which Envoy does not accept any more; use its v3 form".to_owned()
        } else if supported.is_empty() {
            "nothing is supported here".to_owned()
        } else {
            match crate::suggestion::nearest(name, supported.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("supported: {}", supported.join(", ")),
            }
        };
        self.type_value.error_with_help(format!("unsupported {what} \"{name}\""), help);
    }
}
