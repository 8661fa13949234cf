//! The filter `header_to_metadata`.

use std::sync::Arc;

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    filter::{
        FilterSettings, HeaderToMetadata, HeaderToMetadataRule, MetadataKind, MetadataSource, MetadataTarget,
        TargetValue,
    },
    header::FieldName,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{Scope, header::read_header_name, route::read_regex_substitution},
    schema::{Enumeration, Message, Schema, Value, read},
};

pub(in crate::envoy) static HEADER_TO_METADATA: Schema = Schema {
    name: "envoy.extensions.filters.http.header_to_metadata.v3.Config",
    title: "Config of header_to_metadata",
    fields: &[
        read("request_rules", "[]", "Rules for request headers, in order."),
        read("response_rules", "[]", "Rules for response headers, in order."),
        read(
            "stat_prefix",
            "",
            "Counters are kept under `http_filter_name.<stat_prefix>.`; empty = there are none.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RULE: Schema = Schema {
    name: "envoy.extensions.filters.http.header_to_metadata.v3.Config.Rule",
    title: "Rule of header_to_metadata",
    fields: &[
        read("header", "", "Name of a header or pseudo-header. This or cookie is required."),
        read("cookie", "", "Name of a cookie."),
        read(
            "on_header_present",
            "",
            "What is set where there is a value. This or on_header_missing is required.",
        ),
        read("on_header_missing", "", "What is set where there is none."),
        read("remove", "false", "Remove the header."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static KEY_VALUE: Schema = Schema {
    name: "envoy.extensions.filters.http.header_to_metadata.v3.Config.KeyValuePair",
    title: "KeyValuePair of header_to_metadata",
    fields: &[
        read("metadata_namespace", "envoy.filters.http.header_to_metadata", "The namespace."),
        read("key", "", "The key in it. Required."),
        read("value", "", "This value instead of the one that was found."),
        read("regex_value_rewrite", "", "Rewrites the value that was found."),
        read("type", "STRING", "STRING, NUMBER or PROTOBUF_VALUE."),
        read("encode", "NONE", "BASE64: the value is base64-coded."),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 3] = [&HEADER_TO_METADATA, &RULE, &KEY_VALUE];

pub(in crate::envoy) static KINDS_OF_VALUES: Enumeration<MetadataKind> = Enumeration {
    values: &[
        ("STRING", 0, Some(MetadataKind::String)),
        ("NUMBER", 1, Some(MetadataKind::Number)),
        ("PROTOBUF_VALUE", 2, Some(MetadataKind::ProtobufValue)),
    ],
};

pub(in crate::envoy) static IS_BASE64: Enumeration<bool> =
    Enumeration { values: &[("NONE", 0, Some(false)), ("BASE64", 1, Some(true))] };

pub(super) const KIND: Kind = Kind {
    settings: &HEADER_TO_METADATA,
    read: read_header_to_metadata,
    per_route: Some(PerRoute { settings: &HEADER_TO_METADATA, read: read_per_route }),
    upstream: false,
};

fn read_header_to_metadata(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    read_config(value).map(|settings| FilterConfig::Settings(FilterSettings::HeaderToMetadata(settings)))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let settings = read_config(value)?;
    if settings.request_rules.is_empty() && settings.response_rules.is_empty() {
        value.error("a route has to give request_rules or response_rules");
    }
    Some(Override::Settings(FilterSettings::HeaderToMetadata(settings)))
}

fn read_config(value: &Value<'_>) -> Option<Arc<HeaderToMetadata>> {
    let message = value.message(&HEADER_TO_METADATA)?;
    let rules = |name| message.list(name).iter().filter_map(read_rule).collect();
    Some(Arc::new(HeaderToMetadata {
        request_rules: rules("request_rules"),
        response_rules: rules("response_rules"),
        stat_prefix: message.string("stat_prefix"),
    }))
}

fn read_rule(value: &Value<'_>) -> Option<HeaderToMetadataRule> {
    let message = value.message(&RULE)?;
    let source = read_source(&message);
    let target = |name| message.get(name).map(|target| read_target(&target));
    let (on_present, on_missing) = (target("on_header_present"), target("on_header_missing"));
    if on_present.is_none() && on_missing.is_none() {
        value.error("one of \"on_header_present\" and \"on_header_missing\" is missing");
    }
    let on_missing = match on_missing {
        None => None,
        Some(target) => {
            let target = target?;
            if !matches!(target.value, TargetValue::Fixed(_)) {
                value.error("\"on_header_missing\" needs a value");
            }
            Some(target)
        }
    };
    let on_present = match on_present {
        None => None,
        Some(target) => Some(target?),
    };
    Some(HeaderToMetadataRule { source: source?, on_present, on_missing })
}

fn read_source(message: &Message<'_>) -> Option<MetadataSource> {
    let remove = message.boolean("remove", false);
    let (kind, value) = message.required_one_of(&["header", "cookie"])?;
    if kind == "cookie" {
        if remove {
            value.error("cookies cannot be removed");
        }
        return Some(MetadataSource::Cookie(value.non_empty_string()?));
    }
    let text = value.non_empty_string()?;
    match FieldName::parse(&text) {
        Some(FieldName::Field(_)) => {
            Some(MetadataSource::Header { name: read_header_name(&value, false)?, remove })
        }
        Some(pseudo) => {
            if remove {
                value.error(format!("\"{text}\" cannot be removed: no message can be sent without it"));
            }
            Some(MetadataSource::Pseudo(pseudo))
        }
        None => {
            value.error(format!("\"{text}\" is not a header name"));
            None
        }
    }
}

fn read_target(value: &Value<'_>) -> Option<MetadataTarget> {
    let message = value.message(&KEY_VALUE)?;
    let namespace = message.string("metadata_namespace");
    let key = message.required("key").and_then(|key| key.non_empty_string());
    let fixed = message.string("value");
    let rewrite = message.get("regex_value_rewrite");
    let value = match (fixed.is_empty(), rewrite) {
        (true, None) => TargetValue::Found,
        (false, None) => TargetValue::Fixed(fixed),
        (true, Some(rewrite)) => TargetValue::Rewritten(read_regex_substitution(&rewrite)?),
        (false, Some(rewrite)) => {
            rewrite.error("\"value\" and \"regex_value_rewrite\" cannot be given together");
            return None;
        }
    };
    Some(MetadataTarget {
        namespace: if namespace.is_empty() { DEFAULT_NAMESPACE.to_owned() } else { namespace },
        key: key?,
        value,
        kind: message.enumeration("type", &KINDS_OF_VALUES, MetadataKind::String),
        base64: message.enumeration("encode", &IS_BASE64, false),
    })
}

const DEFAULT_NAMESPACE: &str = "envoy.filters.http.header_to_metadata";
