//! `rate_limits` of routes, virtual hosts and filters: what of a request rate limits look at.

use tollgate_model::{
    format::{Format, Formatters},
    route::{EntryValue, HitsAddend, Limit, LimitOverride, LimitUnit, RateLimitAction, RateLimitPolicy},
};

use super::{
    format::parse_format,
    matchers::{read_header_matcher, read_matched_header, read_query_parameter_matcher},
    metadata_key::read_metadata_key,
};
use crate::schema::{Enumeration, Message, Schema, Value, harmless, read, refused};

pub(super) static RATE_LIMIT: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit",
    title: "RateLimit of routes",
    fields: &[
        read("stage", "0", "Filters with this stage use it, at most 10."),
        read("actions", "", "The entries of the descriptor; if one cannot be made there is none. Required."),
        read("limit", "that of the service", "A limit that the descriptor brings along."),
        read(
            "hits_addend",
            "1",
            "How much of the limit a request takes; it counts in policies of filters alone.",
        ),
        read("apply_on_stream_done", "false", "Told to the service when request and response are over."),
        harmless("disable_key", "there is no runtime that would change it"),
        refused("x_ratelimit_option", "use enable_x_ratelimit_headers of the filter"),
    ],
    unsupported: &[],
};

pub(super) static ACTION: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action",
    title: "RateLimit.Action",
    fields: &[
        read("source_cluster", "", "`source_cluster`: node.cluster."),
        read("destination_cluster", "", "`destination_cluster`: where the request goes."),
        read("request_headers", "", "The value of a header."),
        read("query_parameters", "", "The value of a query parameter."),
        read("remote_address", "", "`remote_address`: the client's address."),
        read("masked_remote_address", "", "`masked_remote_address`: the network of the client's address."),
        read("generic_key", "", "A text."),
        read("header_value_match", "", "A text, if headers match."),
        read("query_parameter_value_match", "", "A text, if query parameters match."),
        read("metadata", "", "A string of metadata."),
        refused("dynamic_metadata", "use metadata"),
        refused("remote_address_match", "use masked_remote_address"),
        refused("extension", "use one of the other actions"),
    ],
    unsupported: &[],
};

pub(super) static EMPTY_ACTIONS: [Schema; 3] = [
    Schema {
        name: "envoy.config.route.v3.RateLimit.Action.SourceCluster",
        title: "RateLimit.Action.SourceCluster",
        fields: &[],
        unsupported: &[],
    },
    Schema {
        name: "envoy.config.route.v3.RateLimit.Action.DestinationCluster",
        title: "RateLimit.Action.DestinationCluster",
        fields: &[],
        unsupported: &[],
    },
    Schema {
        name: "envoy.config.route.v3.RateLimit.Action.RemoteAddress",
        title: "RateLimit.Action.RemoteAddress",
        fields: &[],
        unsupported: &[],
    },
];

pub(super) static REQUEST_HEADERS: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action.RequestHeaders",
    title: "RateLimit.Action.RequestHeaders",
    fields: &[
        read("header_name", "", "The header. Required."),
        read("descriptor_key", "", "Key of the entry. Required."),
        read("skip_if_absent", "false", "Without the header only the entry is missing, not the descriptor."),
    ],
    unsupported: &[],
};

pub(super) static QUERY_PARAMETERS: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action.QueryParameters",
    title: "RateLimit.Action.QueryParameters",
    fields: &[
        read("query_parameter_name", "", "The parameter. Required."),
        read("descriptor_key", "", "Key of the entry. Required."),
        read(
            "skip_if_absent",
            "false",
            "Without the parameter only the entry is missing, not the descriptor.",
        ),
    ],
    unsupported: &[],
};

pub(super) static MASKED_REMOTE_ADDRESS: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress",
    title: "RateLimit.Action.MaskedRemoteAddress",
    fields: &[
        read("v4_prefix_mask_len", "32", "Bits that count of an IPv4 address."),
        read("v6_prefix_mask_len", "128", "Bits that count of an IPv6 address."),
    ],
    unsupported: &[],
};

const VALUE: &str = "The value, as it is written. Required.";
const NEVER_EMPTY: &str = "the value is never empty";

pub(super) static GENERIC_KEY: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action.GenericKey",
    title: "RateLimit.Action.GenericKey",
    fields: &[
        read("descriptor_value", "", VALUE),
        read("descriptor_key", "generic_key", "Key of the entry."),
        harmless("default_value", NEVER_EMPTY),
    ],
    unsupported: &[],
};

pub(super) static HEADER_VALUE_MATCH: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action.HeaderValueMatch",
    title: "RateLimit.Action.HeaderValueMatch",
    fields: &[
        read("descriptor_value", "", VALUE),
        read("descriptor_key", "header_match", "Key of the entry."),
        harmless("default_value", NEVER_EMPTY),
        read("expect_match", "true", "Whether the headers have to match, or must not."),
        read("headers", "", "All of these. Required."),
    ],
    unsupported: &[],
};

pub(super) static QUERY_PARAMETER_VALUE_MATCH: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch",
    title: "RateLimit.Action.QueryParameterValueMatch",
    fields: &[
        read("descriptor_value", "", VALUE),
        read("descriptor_key", "query_match", "Key of the entry."),
        harmless("default_value", NEVER_EMPTY),
        read("expect_match", "true", "Whether the parameters have to match, or must not."),
        read("query_parameters", "", "All of these. Required."),
    ],
    unsupported: &[],
};

pub(super) static META_DATA: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Action.MetaData",
    title: "RateLimit.Action.MetaData",
    fields: &[
        read("descriptor_key", "", "Key of the entry. Required."),
        read("metadata_key", "", "Where the string is. Required."),
        read("default_value", "", "The value if there is none."),
        read("source", "DYNAMIC", "DYNAMIC, or ROUTE_ENTRY for static metadata of the route."),
        read("skip_if_absent", "false", "Without a value only the entry is missing, not the descriptor."),
    ],
    unsupported: &[],
};

pub(super) static OVERRIDE: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Override",
    title: "RateLimit.Override",
    fields: &[
        read("dynamic_metadata", "", "An object with requests_per_unit and unit."),
        read("rate_limit", "", "This limit."),
    ],
    unsupported: &[],
};

pub(super) static OVERRIDE_DYNAMIC_METADATA: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Override.DynamicMetadata",
    title: "RateLimit.Override.DynamicMetadata",
    fields: &[read("metadata_key", "", "Where it is. Required.")],
    unsupported: &[],
};

pub(super) static RATE_LIMIT_OVERRIDE: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.Override.RateLimitOverride",
    title: "RateLimit.Override.RateLimitOverride",
    fields: &[
        read("requests_per_unit", "", "So many requests. Required."),
        read("unit", "UNKNOWN", "SECOND, MINUTE, HOUR, DAY, MONTH or YEAR."),
    ],
    unsupported: &[],
};

pub(super) static HITS_ADDEND: Schema = Schema {
    name: "envoy.config.route.v3.RateLimit.HitsAddend",
    title: "RateLimit.HitsAddend",
    fields: &[
        read("number", "", "So much. This or format is required."),
        read("format", "", "One `%OPERATOR%` that becomes a number."),
        read("is_negative_hits", "false", "It is given back."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 16] = [
    &RATE_LIMIT,
    &ACTION,
    &EMPTY_ACTIONS[0],
    &EMPTY_ACTIONS[1],
    &EMPTY_ACTIONS[2],
    &REQUEST_HEADERS,
    &QUERY_PARAMETERS,
    &MASKED_REMOTE_ADDRESS,
    &GENERIC_KEY,
    &HEADER_VALUE_MATCH,
    &QUERY_PARAMETER_VALUE_MATCH,
    &META_DATA,
    &OVERRIDE,
    &OVERRIDE_DYNAMIC_METADATA,
    &RATE_LIMIT_OVERRIDE,
    &HITS_ADDEND,
];

/// Where metadata is: whether it is that of the route.
pub(super) static SOURCE: Enumeration<bool> = Enumeration {
    values: &[
        ("DYNAMIC", 0, Some(false)),
        ("ROUTE_ENTRY", 1, Some(true)),
        ("CLUSTER_ENTRY", 2, None),
        ("CLUSTER_LOCALITY_ENTRY", 3, None),
    ],
};

pub(super) static UNIT: Enumeration<LimitUnit> = Enumeration {
    values: &[
        ("UNKNOWN", 0, Some(LimitUnit::Unknown)),
        ("SECOND", 1, Some(LimitUnit::Second)),
        ("MINUTE", 2, Some(LimitUnit::Minute)),
        ("HOUR", 3, Some(LimitUnit::Hour)),
        ("DAY", 4, Some(LimitUnit::Day)),
        ("MONTH", 5, Some(LimitUnit::Month)),
        ("YEAR", 6, Some(LimitUnit::Year)),
    ],
};

/// Reads `rate_limits` of a route or a virtual host.
pub(super) fn read_rate_limits(message: &Message<'_>) -> Vec<RateLimitPolicy> {
    message.list("rate_limits").iter().filter_map(read_rate_limit).collect()
}

/// Reads `rate_limits` of a filter, which have no stage.
pub(super) fn read_own_rate_limits(message: &Message<'_>) -> Vec<RateLimitPolicy> {
    let policies = message.list("rate_limits");
    for policy in &policies {
        if let Some(stage) = policy.member("stage") {
            stage.error_with_help("\"stage\" is not supported here", "all policies of a filter are used");
        }
    }
    policies.iter().filter_map(read_rate_limit).collect()
}

fn read_rate_limit(value: &Value<'_>) -> Option<RateLimitPolicy> {
    let message = value.message(&RATE_LIMIT)?;
    let stage = match message.get("stage") {
        Some(stage) => u32::try_from(stage.integer(0..=10)?).ok()?,
        None => 0,
    };
    let actions = message.list("actions");
    if actions.is_empty() {
        value.error("\"actions\" is missing: one at least");
    }
    let actions: Option<_> = actions.iter().map(read_action).collect();
    let limit = match message.get("limit") {
        Some(limit) => Some(read_override(&limit)?),
        None => None,
    };
    let hits_addend = match message.get("hits_addend") {
        Some(hits) => Some(read_hits_addend(&hits)?),
        None => None,
    };
    let apply_on_stream_done = message.boolean("apply_on_stream_done", false);
    Some(RateLimitPolicy { stage, actions: actions?, limit, hits_addend, apply_on_stream_done })
}

fn read_action(value: &Value<'_>) -> Option<RateLimitAction> {
    let message = value.message(&ACTION)?;
    let kinds = [
        "source_cluster",
        "destination_cluster",
        "remote_address",
        "request_headers",
        "query_parameters",
        "masked_remote_address",
        "generic_key",
        "header_value_match",
        "query_parameter_value_match",
        "metadata",
    ];
    let (kind, said) = message.required_one_of(&kinds)?;
    Some(match kind {
        "source_cluster" => {
            said.message(&EMPTY_ACTIONS[0])?;
            RateLimitAction::SourceCluster
        }
        "destination_cluster" => {
            said.message(&EMPTY_ACTIONS[1])?;
            RateLimitAction::DestinationCluster
        }
        "remote_address" => {
            said.message(&EMPTY_ACTIONS[2])?;
            RateLimitAction::RemoteAddress
        }
        "request_headers" => {
            let message = said.message(&REQUEST_HEADERS)?;
            RateLimitAction::RequestHeader {
                name: message.required("header_name").and_then(|name| read_matched_header(&name))?,
                key: required_text(&message, "descriptor_key")?,
                skip_if_absent: message.boolean("skip_if_absent", false),
            }
        }
        "query_parameters" => {
            let message = said.message(&QUERY_PARAMETERS)?;
            RateLimitAction::QueryParameter {
                name: required_text(&message, "query_parameter_name")?,
                key: required_text(&message, "descriptor_key")?,
                skip_if_absent: message.boolean("skip_if_absent", false),
            }
        }
        "masked_remote_address" => {
            let message = said.message(&MASKED_REMOTE_ADDRESS)?;
            let bits = |name, most: u8| match message.get(name) {
                Some(bits) => u8::try_from(bits.integer(0..=i64::from(most))?).ok(),
                None => Some(most),
            };
            RateLimitAction::MaskedRemoteAddress {
                ipv4_bits: bits("v4_prefix_mask_len", 32)?,
                ipv6_bits: bits("v6_prefix_mask_len", 128)?,
            }
        }
        "generic_key" => {
            RateLimitAction::GenericKey(read_entry(&said.message(&GENERIC_KEY)?, "generic_key")?)
        }
        "header_value_match" => {
            let message = said.message(&HEADER_VALUE_MATCH)?;
            let headers = message.list("headers");
            if headers.is_empty() {
                said.error("\"headers\" is missing: one at least");
            }
            RateLimitAction::HeaderValueMatch {
                entry: read_entry(&message, "header_match")?,
                expect_match: message.boolean("expect_match", true),
                headers: headers.iter().map(read_header_matcher).collect::<Option<_>>()?,
            }
        }
        "query_parameter_value_match" => {
            let message = said.message(&QUERY_PARAMETER_VALUE_MATCH)?;
            let parameters = message.list("query_parameters");
            if parameters.is_empty() {
                said.error("\"query_parameters\" is missing: one at least");
            }
            RateLimitAction::QueryParameterValueMatch {
                entry: read_entry(&message, "query_match")?,
                expect_match: message.boolean("expect_match", true),
                parameters: parameters.iter().map(read_query_parameter_matcher).collect::<Option<_>>()?,
            }
        }
        _ => {
            let message = said.message(&META_DATA)?;
            RateLimitAction::Metadata {
                key: required_text(&message, "descriptor_key")?,
                metadata_key: message.required("metadata_key").and_then(|key| read_metadata_key(&key))?,
                default: message.string("default_value"),
                of_route: message.enumeration("source", &SOURCE, false),
                skip_if_absent: message.boolean("skip_if_absent", false),
            }
        }
    })
}

fn required_text(message: &Message<'_>, name: &'static str) -> Option<String> {
    message.required(name).and_then(|text| text.non_empty_string())
}

fn read_entry(message: &Message<'_>, usual_key: &str) -> Option<EntryValue> {
    let value = required_text(message, "descriptor_value");
    let key = match message.string("descriptor_key") {
        key if key.is_empty() => usual_key.to_owned(),
        key => key,
    };
    Some(EntryValue { key, value: value? })
}

fn read_override(value: &Value<'_>) -> Option<LimitOverride> {
    let message = value.message(&OVERRIDE)?;
    match message.required_one_of(&["dynamic_metadata", "rate_limit"])? {
        ("dynamic_metadata", said) => {
            let key = said.message(&OVERRIDE_DYNAMIC_METADATA)?.required("metadata_key")?;
            read_metadata_key(&key).map(LimitOverride::Metadata)
        }
        (_, said) => {
            let message = said.message(&RATE_LIMIT_OVERRIDE)?;
            let unit = message.enumeration("unit", &UNIT, LimitUnit::Unknown);
            let requests_per_unit = message.u32("requests_per_unit").unwrap_or(0);
            Some(LimitOverride::Fixed(Limit { requests_per_unit, unit }))
        }
    }
}

fn read_hits_addend(value: &Value<'_>) -> Option<HitsAddend> {
    let message = value.message(&HITS_ADDEND)?;
    let is_negative = message.boolean("is_negative_hits", false);
    match (message.get("number"), message.get("format")) {
        (Some(number), None) => {
            let number = u64::try_from(number.integer(0..=1_000_000_000)?).ok()?;
            Some(HitsAddend::Number { number, is_negative })
        }
        (None, Some(format)) => {
            let text = format.non_empty_string()?;
            let format: Format = parse_format(&format, &text, Formatters::default())?;
            Some(HitsAddend::Format { format, is_negative })
        }
        _ => {
            value.error("either \"number\" or \"format\" is required");
            None
        }
    }
}
