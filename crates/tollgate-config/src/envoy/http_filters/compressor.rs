//! The filter `compressor`.

use std::sync::Arc;

use http::StatusCode;
use tollgate_ir::{FilterConfig, Override};
use tollgate_model::filter::{
    CompressionLibrary, Compressor, CompressorDirection, CompressorPerRoute, FilterSettings,
    ResponseCompression,
};

use super::{
    ext_authz::RUNTIME_FEATURE_FLAG,
    kinds::{Kind, PerRoute},
};
use crate::{
    envoy::{Scope, cluster::TYPED_EXTENSION_CONFIG, matchers::read_string_matcher},
    schema::{Enumeration, Message, Schema, Value, harmless, read, refused},
};

pub(in crate::envoy) static COMPRESSOR: Schema = Schema {
    name: "envoy.extensions.filters.http.compressor.v3.Compressor",
    title: "",
    fields: &[
        read("compressor_library", "", "Gzip, Brotli or Zstd. Required."),
        read("request_direction_config", "nothing", "What of requests is compressed."),
        read("response_direction_config", "{}", "What of responses is compressed."),
        read("choose_first", "false", "Prefer it to other compressors that clients like as much."),
        refused("content_length", "use response_direction_config.common_config.min_content_length"),
        refused("content_type", "use response_direction_config.common_config.content_type"),
        refused("disable_on_etag_header", "use response_direction_config.disable_on_etag_header"),
        refused(
            "remove_accept_encoding_header",
            "use response_direction_config.remove_accept_encoding_header",
        ),
        refused("runtime_enabled", "use response_direction_config.common_config.enabled"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COMMON_DIRECTION_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig",
    title: "Compressor.CommonDirectionConfig",
    fields: &[
        read("enabled", "true", "Whether anything is compressed."),
        read("min_content_length", "30", "Bodies that are known to be shorter are not compressed."),
        read("content_type", "texts", "Content types that are compressed."),
        read("content_type_matcher", "[]", "Further content types."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static REQUEST_DIRECTION_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig",
    title: "Compressor.RequestDirectionConfig",
    fields: &[read("common_config", "{}", "What is compressed.")],
    unsupported: &[],
};

pub(in crate::envoy) static RESPONSE_DIRECTION_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig",
    title: "Compressor.ResponseDirectionConfig",
    fields: &[
        read("common_config", "{}", "What is compressed."),
        read("disable_on_etag_header", "false", "Leave responses with `etag` as they are."),
        read("weaken_etag_on_compress", "false", "Make a strong `etag` a weak one; otherwise it is removed."),
        read("remove_accept_encoding_header", "false", "Leave `accept-encoding` out of requests."),
        read("uncompressible_response_codes", "[]", "Statuses whose responses are not compressed."),
        refused(
            "status_header_enabled",
            "remove it: there is no header that says why nothing was compressed",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COMPRESSOR_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
    title: "",
    fields: &[
        read("disabled", "", "true: responses are not compressed. This or overrides is required."),
        read("overrides", "", "What is different here."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COMPRESSOR_OVERRIDES: Schema = Schema {
    name: "envoy.extensions.filters.http.compressor.v3.CompressorOverrides",
    title: "",
    fields: &[
        read("response_direction_config", "", "Responses are compressed, and this is different."),
        refused("compressor_library", "use a compressor filter of its own"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RESPONSE_DIRECTION_OVERRIDES: Schema = Schema {
    name: "envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides",
    title: "",
    fields: &[read(
        "remove_accept_encoding_header",
        "the filter's",
        "Leave `accept-encoding` out of requests.",
    )],
    unsupported: &[],
};

const OWN_BUFFERS: &str = "the library chooses its buffers";

pub(in crate::envoy) static GZIP: Schema = Schema {
    name: "envoy.extensions.compression.gzip.compressor.v3.Gzip",
    title: "Gzip of compressors",
    fields: &[
        read("compression_level", "DEFAULT_COMPRESSION", "BEST_SPEED to BEST_COMPRESSION."),
        harmless("compression_strategy", "the library has one"),
        harmless("memory_level", OWN_BUFFERS),
        harmless("window_bits", OWN_BUFFERS),
        harmless("chunk_size", OWN_BUFFERS),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static BROTLI: Schema = Schema {
    name: "envoy.extensions.compression.brotli.compressor.v3.Brotli",
    title: "Brotli of compressors",
    fields: &[
        read("quality", "3", "0 to 11."),
        read("window_bits", "18", "10 to 24."),
        harmless("encoder_mode", "the library finds it out"),
        harmless("input_block_bits", OWN_BUFFERS),
        harmless("chunk_size", OWN_BUFFERS),
        harmless("disable_literal_context_modeling", "the library decides on it"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static ZSTD: Schema = Schema {
    name: "envoy.extensions.compression.zstd.compressor.v3.Zstd",
    title: "Zstd of compressors",
    fields: &[
        read("compression_level", "3", "1 to 22."),
        read("enable_checksum", "false", "Add a checksum."),
        harmless("strategy", "the level decides on it"),
        harmless("chunk_size", OWN_BUFFERS),
        refused("dictionary", "clients have no dictionaries"),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 10] = [
    &COMPRESSOR,
    &COMPRESSOR_PER_ROUTE,
    &COMPRESSOR_OVERRIDES,
    &RESPONSE_DIRECTION_OVERRIDES,
    &REQUEST_DIRECTION_CONFIG,
    &RESPONSE_DIRECTION_CONFIG,
    &COMMON_DIRECTION_CONFIG,
    &GZIP,
    &BROTLI,
    &ZSTD,
];

pub(in crate::envoy) static GZIP_LEVEL: Enumeration<u32> = Enumeration {
    values: &[
        ("DEFAULT_COMPRESSION", 0, Some(6)),
        ("BEST_SPEED", 1, Some(1)),
        ("COMPRESSION_LEVEL_1", 1, Some(1)),
        ("COMPRESSION_LEVEL_2", 2, Some(2)),
        ("COMPRESSION_LEVEL_3", 3, Some(3)),
        ("COMPRESSION_LEVEL_4", 4, Some(4)),
        ("COMPRESSION_LEVEL_5", 5, Some(5)),
        ("COMPRESSION_LEVEL_6", 6, Some(6)),
        ("COMPRESSION_LEVEL_7", 7, Some(7)),
        ("COMPRESSION_LEVEL_8", 8, Some(8)),
        ("COMPRESSION_LEVEL_9", 9, Some(9)),
        ("BEST_COMPRESSION", 9, Some(9)),
    ],
};

pub(super) const KIND: Kind = Kind {
    settings: &COMPRESSOR,
    read: read_compressor,
    per_route: Some(PerRoute { settings: &COMPRESSOR_PER_ROUTE, read: read_per_route }),
    upstream: false,
};

fn read_compressor(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&COMPRESSOR)?;
    let library = message.required("compressor_library").and_then(|library| read_library(&library));
    let request = match message.message("request_direction_config", &REQUEST_DIRECTION_CONFIG) {
        Some(direction) => Some(read_direction(&direction)?),
        None => None,
    };
    let response = match message.message("response_direction_config", &RESPONSE_DIRECTION_CONFIG) {
        Some(config) => ResponseCompression {
            direction: read_direction(&config)?,
            counted_apart: true,
            disable_on_etag_header: config.boolean("disable_on_etag_header", false),
            weaken_etag_on_compress: config.boolean("weaken_etag_on_compress", false),
            remove_accept_encoding_header: config.boolean("remove_accept_encoding_header", false),
            uncompressible_response_codes: config
                .list("uncompressible_response_codes")
                .iter()
                .filter_map(|code| StatusCode::from_u16(u16::try_from(code.integer(200..=599)?).ok()?).ok())
                .collect(),
        },
        None => ResponseCompression {
            direction: usual_direction(),
            counted_apart: false,
            disable_on_etag_header: false,
            weaken_etag_on_compress: false,
            remove_accept_encoding_header: false,
            uncompressible_response_codes: Vec::new(),
        },
    };
    let (name, library) = library?;
    let choose_first = message.boolean("choose_first", false);
    let settings = Compressor { name, library, request, response, choose_first };
    Some(FilterConfig::Settings(FilterSettings::Compressor(Arc::new(settings))))
}

fn usual_direction() -> CompressorDirection {
    CompressorDirection {
        enabled: true,
        min_content_length: 30,
        content_types: Compressor::CONTENT_TYPES.iter().map(|name| (*name).to_owned()).collect(),
        content_type_matchers: Vec::new(),
    }
}

fn read_direction(message: &Message<'_>) -> Option<CompressorDirection> {
    let usual = usual_direction();
    let Some(common) = message.message("common_config", &COMMON_DIRECTION_CONFIG) else { return Some(usual) };
    let enabled = common.message("enabled", &RUNTIME_FEATURE_FLAG);
    let content_types = common.strings("content_type");
    let matchers = common.list("content_type_matcher");
    let matchers: Option<Vec<_>> = matchers.iter().map(read_string_matcher).collect();
    let content_type_matchers = matchers?;
    let has_types = !content_types.is_empty() || !content_type_matchers.is_empty();
    Some(CompressorDirection {
        enabled: enabled.is_none_or(|flag| flag.boolean("default_value", false)),
        min_content_length: common.u32("min_content_length").map_or(usual.min_content_length, u64::from),
        content_types: if has_types { content_types } else { usual.content_types },
        content_type_matchers,
    })
}

fn read_library(value: &Value<'_>) -> Option<(String, CompressionLibrary)> {
    let message = value.message(&TYPED_EXTENSION_CONFIG)?;
    let name = message.required_string("name");
    let config = message.required("typed_config")?.any()?;
    let number = |message: &Message<'_>, name, range, usual: u32| match message.get(name) {
        Some(number) => u32::try_from(number.integer(range)?).ok(),
        None => Some(usual),
    };
    let library = if config.type_name == GZIP.name {
        let message = config.value.message(&GZIP)?;
        CompressionLibrary::Gzip { level: message.enumeration("compression_level", &GZIP_LEVEL, 6) }
    } else if config.type_name == BROTLI.name {
        let message = config.value.message(&BROTLI)?;
        CompressionLibrary::Brotli {
            quality: number(&message, "quality", 0..=11, 3)?,
            window_bits: number(&message, "window_bits", 10..=24, 18)?,
        }
    } else if config.type_name == ZSTD.name {
        let message = config.value.message(&ZSTD)?;
        let level = number(&message, "compression_level", 1..=22, 3)?;
        CompressionLibrary::Zstd {
            level: i32::try_from(level).ok()?,
            checksum: message.boolean("enable_checksum", false),
        }
    } else {
        config.unsupported("compression library", &[GZIP.name, BROTLI.name, ZSTD.name]);
        return None;
    };
    Some((name, library))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&COMPRESSOR_PER_ROUTE)?;
    let (kind, said) = message.required_one_of(&["disabled", "overrides"])?;
    if kind == "disabled" {
        if !said.boolean()? {
            said.error_with_help("must be true", "overrides says what is different");
        }
        return Some(Override::Compressor(CompressorPerRoute::Disabled));
    }
    let overrides = said.message(&COMPRESSOR_OVERRIDES)?;
    let response = overrides.message("response_direction_config", &RESPONSE_DIRECTION_OVERRIDES);
    Some(Override::Compressor(match response {
        Some(response) => CompressorPerRoute::Response {
            remove_accept_encoding_header: response
                .get("remove_accept_encoding_header")
                .and_then(|remove| remove.boolean()),
        },
        None => CompressorPerRoute::Same,
    }))
}
