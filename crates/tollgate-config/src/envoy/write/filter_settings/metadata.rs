//! The filters `set_metadata` and `header_to_metadata`.

use serde_json::Value;
use tollgate_model::{
    filter::{
        HeaderToMetadata, HeaderToMetadataRule, MetadataKind, MetadataSource, MetadataTarget, SetMetadata,
        TargetValue,
    },
    matching::Substitution,
};

use crate::envoy::{
    http_filters::{
        header_to_metadata::{HEADER_TO_METADATA, IS_BASE64, KEY_VALUE, KINDS_OF_VALUES, RULE},
        set_metadata::{METADATA_ENTRY, SET_METADATA},
    },
    route::REGEX_MATCH_AND_SUBSTITUTE,
    write::{
        matchers::{pattern, structure},
        out::Out,
        rewrite::substitution_of_library,
    },
};

pub(super) fn set_metadata(settings: &SetMetadata) -> Value {
    let mut out = Out::new(&SET_METADATA);
    let entries = settings.metadata.iter().map(|entry| {
        let mut out = Out::new(&METADATA_ENTRY);
        out.set("metadata_namespace", &*entry.namespace);
        out.unless("allow_overwrite", entry.allow_overwrite, false);
        out.set("value", structure(&entry.value));
        out.done()
    });
    out.list("metadata", entries.collect());
    out.any()
}

pub(super) fn header_to_metadata(settings: &HeaderToMetadata) -> Value {
    let mut out = Out::new(&HEADER_TO_METADATA);
    out.list("request_rules", settings.request_rules.iter().map(rule).collect());
    out.list("response_rules", settings.response_rules.iter().map(rule).collect());
    out.text("stat_prefix", &settings.stat_prefix);
    out.any()
}

fn rule(rule: &HeaderToMetadataRule) -> Value {
    let mut out = Out::new(&RULE);
    match &rule.source {
        MetadataSource::Header { name, remove } => {
            out.set("header", name.as_str());
            out.unless("remove", *remove, false);
        }
        MetadataSource::Pseudo(name) => out.set("header", name.as_str()),
        MetadataSource::Cookie(name) => out.set("cookie", &**name),
    }
    out.some("on_header_present", rule.on_present.as_ref().map(target));
    out.some("on_header_missing", rule.on_missing.as_ref().map(target));
    out.done()
}

fn target(target: &MetadataTarget) -> Value {
    let mut out = Out::new(&KEY_VALUE);
    out.set("metadata_namespace", &*target.namespace);
    out.set("key", &*target.key);
    match &target.value {
        TargetValue::Found => {}
        TargetValue::Fixed(value) => out.set("value", &**value),
        TargetValue::Rewritten(rewrite) => out.set("regex_value_rewrite", substitution(rewrite)),
    }
    out.name("type", &KINDS_OF_VALUES, &target.kind, &MetadataKind::String);
    out.name("encode", &IS_BASE64, &target.base64, &false);
    out.done()
}

fn substitution(rewrite: &Substitution) -> Value {
    let mut out = Out::new(&REGEX_MATCH_AND_SUBSTITUTE);
    out.set("pattern", pattern(&rewrite.written));
    out.text("substitution", &substitution_of_library(&rewrite.substitution));
    out.done()
}
