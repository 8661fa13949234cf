//! What answers of the gateway's own look like.

use std::path::Path;

use bytes::Bytes;
use http::StatusCode;
use tollgate_model::{
    access_log::LogFormat,
    format::Format,
    local_reply::{BodyFormat, LocalReplies, ReplyMapper},
};

use super::{
    access_log::{read_formatters, read_json_format},
    access_log_filter::read_filter,
    data_source::read_data_source,
    format::parse_format,
    header::read_addition,
};
use crate::schema::{Schema, Value, harmless, read, refused};

pub(super) static LOCAL_REPLY_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig",
    title: "",
    fields: &[
        read("mappers", "[]", "Changes of some answers; the first one that applies counts."),
        read("body_format", "%LOCAL_REPLY_BODY%", "What every body becomes."),
    ],
    unsupported: &[],
};

pub(super) static RESPONSE_MAPPER: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper",
    title: "",
    fields: &[
        read("filter", "", "Which answers it is about. Required."),
        read("status_code", "", "Status instead of the one that it has, 200 to 599."),
        read("body", "", "Body instead of the one that it has."),
        read("body_format_override", "", "What the body becomes, instead of body_format."),
        read("headers_to_add", "[]", "Header changes."),
    ],
    unsupported: &[],
};

pub(super) static BODY_FORMAT: Schema = Schema {
    name: "envoy.config.core.v3.SubstitutionFormatString",
    title: "SubstitutionFormatString of bodies",
    fields: &[
        read("text_format", "", "Text with `%OPERATOR%`s; `%LOCAL_REPLY_BODY%` is the body that was there."),
        read("text_format_source", "", "The same, from a DataSource."),
        read("json_format", "", "A JSON object with operators in its strings."),
        read("content_type", "text/plain or application/json", "Content type of the body."),
        harmless("json_format_options", "properties are always sorted"),
        refused("omit_empty_values", "what is missing is written as \"-\" or null"),
        read("formatters", "[]", "Extensions with operators of their own."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 3] = [&LOCAL_REPLY_CONFIG, &RESPONSE_MAPPER, &BODY_FORMAT];

/// Reads a `LocalReplyConfig`.
pub(super) fn read_local_replies(value: &Value<'_>) -> LocalReplies {
    let Some(message) = value.message(&LOCAL_REPLY_CONFIG) else { return LocalReplies::default() };
    LocalReplies {
        mappers: message.list("mappers").iter().filter_map(read_mapper).collect(),
        body_format: message.get("body_format").and_then(|format| read_body_format(&format)),
    }
}

fn read_mapper(value: &Value<'_>) -> Option<ReplyMapper> {
    let message = value.message(&RESPONSE_MAPPER)?;
    let filter = message.required("filter").and_then(|filter| read_filter(&filter));
    let status = message.get("status_code").and_then(|status| status.integer(200..=599));
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let body = message.get("body").and_then(|body| read_data_source(&body)).map(Bytes::from);
    let body_format = message.get("body_format_override").and_then(|format| read_body_format(&format));
    let headers = message.list("headers_to_add").iter().filter_map(read_addition).collect();
    Some(ReplyMapper { filter: filter?, status, body, body_format, headers })
}

/// Reads a `SubstitutionFormatString` that makes a body.
pub(in crate::envoy) fn read_body_format(value: &Value<'_>) -> Option<BodyFormat> {
    let message = value.message(&BODY_FORMAT)?;
    let files = |path: &str| value.context.files.read(Path::new(path)).map_err(|error| error.to_string());
    let formatters = read_formatters(&message.list("formatters"), &files);
    let content_type = Some(message.header_text("content_type")).filter(|text| !text.is_empty());
    let format = match message.required_one_of(&["text_format", "text_format_source", "json_format"])? {
        ("json_format", value) => LogFormat::Json(read_json_format(&value, formatters)?),
        (kind, value) => {
            let text = match kind {
                "text_format" => value.string()?,
                _ => read_text(&value)?,
            };
            let format = match text.is_empty() {
                true => Some(Format::literal("")),
                false => parse_format(&value, &text, formatters),
            };
            LogFormat::Text(format?)
        }
    };
    Some(BodyFormat { format, content_type })
}

fn read_text(value: &Value<'_>) -> Option<String> {
    let text = String::from_utf8(read_data_source(value)?).ok();
    if text.is_none() {
        value.error("not UTF-8");
    }
    text
}
