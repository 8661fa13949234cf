//! Header changes of routes.

use http::HeaderName;
use tollgate_model::{
    format::Format,
    header::{AppendAction, HeaderAddition, HeaderMutations},
};

use super::format::{HEADER_VALUE, read_header_format};
use crate::schema::{Enumeration, Message, Schema, Value, read};

pub(super) static HEADER_VALUE_OPTION: Schema = Schema {
    name: "envoy.config.core.v3.HeaderValueOption",
    title: "",
    fields: &[
        read("header", "", "The header. Required."),
        read(
            "append_action",
            "APPEND_IF_EXISTS_OR_ADD",
            "When it exists: APPEND_IF_EXISTS_OR_ADD, ADD_IF_ABSENT, OVERWRITE_IF_EXISTS_OR_ADD, \
             OVERWRITE_IF_EXISTS.",
        ),
        read("append", "true", "Old form: true appends, false overwrites. Not together with append_action."),
        read("keep_empty_value", "false", "Add the header even if its value is empty."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 1] = [&HEADER_VALUE_OPTION];

pub(in crate::envoy) static APPEND_ACTION: Enumeration<AppendAction> = Enumeration {
    values: &[
        ("APPEND_IF_EXISTS_OR_ADD", 0, Some(AppendAction::AppendIfExistsOrAdd)),
        ("ADD_IF_ABSENT", 1, Some(AppendAction::AddIfAbsent)),
        ("OVERWRITE_IF_EXISTS_OR_ADD", 2, Some(AppendAction::OverwriteIfExistsOrAdd)),
        ("OVERWRITE_IF_EXISTS", 3, Some(AppendAction::OverwriteIfExists)),
    ],
};

/// Reads the four lists of header changes that every level of a route table has.
pub(super) fn read_header_mutations(message: &Message<'_>) -> HeaderMutations {
    let add = |name| message.list(name).iter().filter_map(read_addition).collect();
    let remove = |name| message.list(name).iter().filter_map(read_removal).collect();
    HeaderMutations {
        request_add: add("request_headers_to_add"),
        request_remove: remove("request_headers_to_remove"),
        response_add: add("response_headers_to_add"),
        response_remove: remove("response_headers_to_remove"),
    }
}

/// Reads a `HeaderValueOption`.
pub(super) fn read_addition(value: &Value<'_>) -> Option<HeaderAddition> {
    let message = value.message(&HEADER_VALUE_OPTION)?;
    let mut append_action =
        message.enumeration("append_action", &APPEND_ACTION, AppendAction::AppendIfExistsOrAdd);
    if let Some(append) = message.get("append") {
        if message.get("append_action").is_some() && append_action != AppendAction::AppendIfExistsOrAdd {
            append.error("\"append\" and \"append_action\" cannot be given together");
        }
        if append.boolean() == Some(false) {
            append_action = AppendAction::OverwriteIfExistsOrAdd;
        }
    }
    let keep_empty_value = message.boolean("keep_empty_value", false);
    let header = message.required("header")?.message(&HEADER_VALUE)?;
    let name = header.required("key").and_then(|key| read_header_name(&key, true));
    let value = match header.get("value") {
        Some(value) => read_header_format(&value),
        None => Some(Format::literal("")),
    };
    Some(HeaderAddition { name: name?, value: value?, append_action, keep_empty_value })
}

fn read_removal(value: &Value<'_>) -> Option<HeaderName> {
    read_header_name(value, true)
}

/// Reads a header name; when routes change headers, pseudo-headers and `host` are out of their reach.
pub(super) fn read_header_name(value: &Value<'_>, changed: bool) -> Option<HeaderName> {
    let name = value.non_empty_string()?;
    if changed && (name.starts_with(':') || name.eq_ignore_ascii_case("host")) {
        value.error(format!("\"{name}\" cannot be changed here"));
        return None;
    }
    match HeaderName::try_from(&name) {
        Ok(name) => Some(name),
        Err(_) => {
            value.error(format!("\"{name}\" is not a header name"));
            None
        }
    }
}
