//! Routes that answer themselves.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tollgate_model::route::{DirectResponse, RedirectAction, RedirectPath, RedirectPort};

use super::{
    Table,
    action::read_regex_substitution,
    schema::{DIRECT_RESPONSE_ACTION, REDIRECT_ACTION},
};
use crate::{
    envoy::{data_source::read_data_source, format::read_header_format, local_reply::read_body_format},
    schema::{Enumeration, Value},
};

pub(in crate::envoy) static RESPONSE_CODE: Enumeration<StatusCode> = Enumeration {
    values: &[
        ("MOVED_PERMANENTLY", 0, Some(StatusCode::MOVED_PERMANENTLY)),
        ("FOUND", 1, Some(StatusCode::FOUND)),
        ("SEE_OTHER", 2, Some(StatusCode::SEE_OTHER)),
        ("TEMPORARY_REDIRECT", 3, Some(StatusCode::TEMPORARY_REDIRECT)),
        ("PERMANENT_REDIRECT", 4, Some(StatusCode::PERMANENT_REDIRECT)),
    ],
};

pub(super) fn read_redirect(value: &Value<'_>) -> Option<RedirectAction> {
    let message = value.message(&REDIRECT_ACTION)?;
    let scheme = match message.one_of(&["https_redirect", "scheme_redirect"]) {
        Some(("https_redirect", value)) => value.boolean()?.then(|| "https".to_owned()),
        Some((_, value)) => value.header_text().filter(|scheme| !scheme.is_empty()),
        None => None,
    };
    let path = match message.one_of(&["path_redirect", "prefix_rewrite", "regex_rewrite", "path_rewrite"]) {
        Some(("path_redirect", value)) => value.header_text().map(RedirectPath::Path),
        Some(("prefix_rewrite", value)) => value.header_text().map(RedirectPath::Prefix),
        Some(("regex_rewrite", value)) => read_regex_substitution(&value).map(RedirectPath::Regex),
        Some((_, value)) => read_header_format(&value).map(RedirectPath::Format),
        None => None,
    };
    let port = message.get("port_redirect").and_then(|port| port.port(0)).filter(|port| *port != 0);
    Some(RedirectAction {
        scheme,
        host: Some(message.header_text("host_redirect")).filter(|host| !host.is_empty()),
        port: port.map_or(RedirectPort::OfRequest, RedirectPort::Always),
        path,
        response_code: message.enumeration("response_code", &RESPONSE_CODE, StatusCode::MOVED_PERMANENTLY),
        strip_query: message.boolean("strip_query", false),
    })
}

pub(super) fn read_direct_response(value: &Value<'_>, table: &Table<'_>) -> Option<DirectResponse> {
    let message = value.message(&DIRECT_RESPONSE_ACTION)?;
    let status = message
        .required("status")
        .and_then(|status| status.integer(200..=599))
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let mut body = Bytes::new();
    if let Some(source) = message.get("body")
        && let Some(content) = read_data_source(&source)
    {
        let limit = table.max_direct_response_body_size;
        if content.len() > limit {
            source.error_with_help(
                format!("the body has {} bytes; at most {limit} are allowed", content.len()),
                "raise max_direct_response_body_size_bytes of the route configuration",
            );
        }
        body = Bytes::from(content);
    }
    let body_format = message.get("body_format").and_then(|format| read_body_format(&format)).map(Arc::new);
    Some(DirectResponse { status: status?, body, body_format })
}
