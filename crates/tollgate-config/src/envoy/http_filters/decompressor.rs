//! The filter `decompressor`.

use std::sync::Arc;

use tollgate_ir::FilterConfig;
use tollgate_model::filter::{DecompressionLibrary, Decompressor, DecompressorDirection, FilterSettings};

use super::{ext_authz::RUNTIME_FEATURE_FLAG, kinds::Kind};
use crate::{
    envoy::{Scope, cluster::TYPED_EXTENSION_CONFIG},
    schema::{Message, Schema, Value, harmless, read, refused},
};

pub(in crate::envoy) static DECOMPRESSOR: Schema = Schema {
    name: "envoy.extensions.filters.http.decompressor.v3.Decompressor",
    title: "",
    fields: &[
        read("decompressor_library", "", "Gzip, Brotli or Zstd of decompressors. Required."),
        read("request_direction_config", "on", "What of requests is decompressed."),
        read("response_direction_config", "on", "What of responses is decompressed."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DECOMPRESSOR_COMMON: Schema = Schema {
    name: "envoy.extensions.filters.http.decompressor.v3.Decompressor.CommonDirectionConfig",
    title: "",
    fields: &[
        read("enabled", "true", "Whether anything is decompressed: its `default_value`."),
        read(
            "ignore_no_transform_header",
            "false",
            "Decompress also what has `cache-control: no-transform`.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DECOMPRESSOR_REQUEST: Schema = Schema {
    name: "envoy.extensions.filters.http.decompressor.v3.Decompressor.RequestDirectionConfig",
    title: "",
    fields: &[
        read("common_config", "", "Which messages."),
        read("advertise_accept_encoding", "true", "Add the encoding to `accept-encoding` of requests."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DECOMPRESSOR_RESPONSE: Schema = Schema {
    name: "envoy.extensions.filters.http.decompressor.v3.Decompressor.ResponseDirectionConfig",
    title: "",
    fields: &[read("common_config", "", "Which messages.")],
    unsupported: &[],
};

const OWN_BUFFERS: &str = "the library chooses its buffers";

pub(in crate::envoy) static DECOMPRESSOR_GZIP: Schema = Schema {
    name: "envoy.extensions.compression.gzip.decompressor.v3.Gzip",
    title: "Gzip of decompressors",
    fields: &[
        read(
            "max_inflate_ratio",
            "100",
            "How many times as large a body may become; what is beyond that is left out.",
        ),
        harmless("window_bits", "the largest window is always taken"),
        harmless("chunk_size", OWN_BUFFERS),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DECOMPRESSOR_BROTLI: Schema = Schema {
    name: "envoy.extensions.compression.brotli.decompressor.v3.Brotli",
    title: "Brotli of decompressors",
    fields: &[harmless("disable_ring_buffer_reallocation", OWN_BUFFERS), harmless("chunk_size", OWN_BUFFERS)],
    unsupported: &[],
};

pub(in crate::envoy) static DECOMPRESSOR_ZSTD: Schema = Schema {
    name: "envoy.extensions.compression.zstd.decompressor.v3.Zstd",
    title: "Zstd of decompressors",
    fields: &[
        harmless("chunk_size", OWN_BUFFERS),
        refused("dictionaries", "nobody sends what needs a dictionary without having agreed on one"),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 7] = [
    &DECOMPRESSOR,
    &DECOMPRESSOR_REQUEST,
    &DECOMPRESSOR_RESPONSE,
    &DECOMPRESSOR_COMMON,
    &DECOMPRESSOR_GZIP,
    &DECOMPRESSOR_BROTLI,
    &DECOMPRESSOR_ZSTD,
];

pub(super) const KIND: Kind =
    Kind { settings: &DECOMPRESSOR, read: read_decompressor, per_route: None, upstream: false };

fn read_decompressor(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&DECOMPRESSOR)?;
    let library = message.required("decompressor_library").and_then(|library| read_library(&library));
    let request = message.message("request_direction_config", &DECOMPRESSOR_REQUEST);
    let response = message.message("response_direction_config", &DECOMPRESSOR_RESPONSE);
    let (name, library) = library?;
    Some(FilterConfig::Settings(FilterSettings::Decompressor(Arc::new(Decompressor {
        name,
        library,
        advertise_accept_encoding: request
            .as_ref()
            .is_none_or(|request| request.boolean("advertise_accept_encoding", true)),
        request: request.map(|request| read_direction(&request)).unwrap_or_default(),
        response: response.map(|response| read_direction(&response)).unwrap_or_default(),
    }))))
}

fn read_direction(message: &Message<'_>) -> DecompressorDirection {
    let Some(common) = message.message("common_config", &DECOMPRESSOR_COMMON) else {
        return DecompressorDirection::default();
    };
    let enabled = common.message("enabled", &RUNTIME_FEATURE_FLAG);
    DecompressorDirection {
        enabled: enabled.is_none_or(|flag| flag.boolean("default_value", false)),
        ignore_no_transform_header: common.boolean("ignore_no_transform_header", false),
    }
}

fn read_library(value: &Value<'_>) -> Option<(String, DecompressionLibrary)> {
    let message = value.message(&TYPED_EXTENSION_CONFIG)?;
    let name = message.required_string("name");
    let config = message.required("typed_config")?.any()?;
    let library = if config.type_name == DECOMPRESSOR_GZIP.name {
        let message = config.value.message(&DECOMPRESSOR_GZIP)?;
        let max_inflate_ratio = match message.get("max_inflate_ratio") {
            Some(ratio) => u32::try_from(ratio.integer(1..=1032)?).ok()?,
            None => 100,
        };
        DecompressionLibrary::Gzip { max_inflate_ratio }
    } else if config.type_name == DECOMPRESSOR_BROTLI.name {
        config.value.message(&DECOMPRESSOR_BROTLI)?;
        DecompressionLibrary::Brotli
    } else if config.type_name == DECOMPRESSOR_ZSTD.name {
        config.value.message(&DECOMPRESSOR_ZSTD)?;
        DecompressionLibrary::Zstd
    } else {
        let known = [DECOMPRESSOR_GZIP.name, DECOMPRESSOR_BROTLI.name, DECOMPRESSOR_ZSTD.name];
        config.unsupported("decompression library", &known);
        return None;
    };
    Some((name, library))
}
