//! `rate_limits`.

use serde_json::{Value, json};
use tollgate_model::route::{
    EntryValue, HitsAddend, LimitOverride, LimitUnit, RateLimitAction, RateLimitPolicy,
};

use super::{
    matchers::{header_matcher, metadata_key, query_parameter},
    out::Out,
};
use crate::{
    envoy::rate_limits::{
        ACTION, GENERIC_KEY, HEADER_VALUE_MATCH, HITS_ADDEND, MASKED_REMOTE_ADDRESS, META_DATA, OVERRIDE,
        OVERRIDE_DYNAMIC_METADATA, QUERY_PARAMETER_VALUE_MATCH, QUERY_PARAMETERS, RATE_LIMIT,
        RATE_LIMIT_OVERRIDE, REQUEST_HEADERS, SOURCE, UNIT,
    },
    schema::Schema,
};

/// Sets `rate_limits` of a message.
pub(super) fn rate_limits(out: &mut Out, policies: &[RateLimitPolicy]) {
    out.list("rate_limits", policies.iter().map(policy).collect());
}

fn policy(policy: &RateLimitPolicy) -> Value {
    let mut out = Out::new(&RATE_LIMIT);
    out.unless("stage", policy.stage, 0);
    out.list("actions", policy.actions.iter().map(action).collect());
    match &policy.limit {
        None => {}
        Some(limit) => {
            let mut written = Out::new(&OVERRIDE);
            match limit {
                LimitOverride::Metadata(key) => {
                    let mut inner = Out::new(&OVERRIDE_DYNAMIC_METADATA);
                    inner.set("metadata_key", metadata_key(key));
                    written.set("dynamic_metadata", inner.done());
                }
                LimitOverride::Fixed(limit) => {
                    let mut inner = Out::new(&RATE_LIMIT_OVERRIDE);
                    inner.set("requests_per_unit", limit.requests_per_unit);
                    inner.name("unit", &UNIT, &limit.unit, &LimitUnit::Unknown);
                    written.set("rate_limit", inner.done());
                }
            }
            out.set("limit", written.done());
        }
    }
    if let Some(hits) = &policy.hits_addend {
        let mut written = Out::new(&HITS_ADDEND);
        let is_negative = match hits {
            HitsAddend::Number { number, is_negative } => {
                written.set("number", *number);
                *is_negative
            }
            HitsAddend::Format { format, is_negative } => {
                written.set("format", format.source());
                *is_negative
            }
        };
        written.unless("is_negative_hits", is_negative, false);
        out.set("hits_addend", written.done());
    }
    out.unless("apply_on_stream_done", policy.apply_on_stream_done, false);
    out.done()
}

fn action(action: &RateLimitAction) -> Value {
    let mut out = Out::new(&ACTION);
    match action {
        RateLimitAction::SourceCluster => out.set("source_cluster", json!({})),
        RateLimitAction::DestinationCluster => out.set("destination_cluster", json!({})),
        RateLimitAction::RemoteAddress => out.set("remote_address", json!({})),
        RateLimitAction::RequestHeader { name, key, skip_if_absent } => {
            let mut inner = Out::new(&REQUEST_HEADERS);
            inner.set("header_name", name.as_str());
            inner.set("descriptor_key", &**key);
            inner.unless("skip_if_absent", *skip_if_absent, false);
            out.set("request_headers", inner.done());
        }
        RateLimitAction::QueryParameter { name, key, skip_if_absent } => {
            let mut inner = Out::new(&QUERY_PARAMETERS);
            inner.set("query_parameter_name", &**name);
            inner.set("descriptor_key", &**key);
            inner.unless("skip_if_absent", *skip_if_absent, false);
            out.set("query_parameters", inner.done());
        }
        RateLimitAction::MaskedRemoteAddress { ipv4_bits, ipv6_bits } => {
            let mut inner = Out::new(&MASKED_REMOTE_ADDRESS);
            inner.unless("v4_prefix_mask_len", *ipv4_bits, 32);
            inner.unless("v6_prefix_mask_len", *ipv6_bits, 128);
            out.set("masked_remote_address", inner.done());
        }
        RateLimitAction::GenericKey(value) => {
            out.set("generic_key", entry(&GENERIC_KEY, value, "generic_key").done());
        }
        RateLimitAction::HeaderValueMatch { entry: value, expect_match, headers } => {
            let mut inner = entry(&HEADER_VALUE_MATCH, value, "header_match");
            inner.unless("expect_match", *expect_match, true);
            inner.list("headers", headers.iter().map(header_matcher).collect());
            out.set("header_value_match", inner.done());
        }
        RateLimitAction::QueryParameterValueMatch { entry: value, expect_match, parameters } => {
            let mut inner = entry(&QUERY_PARAMETER_VALUE_MATCH, value, "query_match");
            inner.unless("expect_match", *expect_match, true);
            inner.list("query_parameters", parameters.iter().map(query_parameter).collect());
            out.set("query_parameter_value_match", inner.done());
        }
        RateLimitAction::Metadata { key, metadata_key: place, default, of_route, skip_if_absent } => {
            let mut inner = Out::new(&META_DATA);
            inner.set("descriptor_key", &**key);
            inner.set("metadata_key", metadata_key(place));
            inner.text("default_value", default);
            inner.name("source", &SOURCE, of_route, &false);
            inner.unless("skip_if_absent", *skip_if_absent, false);
            out.set("metadata", inner.done());
        }
    }
    out.done()
}

fn entry(schema: &'static Schema, value: &EntryValue, usual_key: &str) -> Out {
    let mut out = Out::new(schema);
    out.set("descriptor_value", &*value.value);
    out.unless("descriptor_key", &*value.key, usual_key);
    out
}
