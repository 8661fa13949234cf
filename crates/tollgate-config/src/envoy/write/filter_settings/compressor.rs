//! The filter `compressor`.

use serde_json::{Value, json};
use tollgate_model::filter::{CompressionLibrary, Compressor, CompressorDirection, CompressorPerRoute};

use crate::envoy::{
    cluster::TYPED_EXTENSION_CONFIG,
    http_filters::{
        compressor::{
            BROTLI, COMMON_DIRECTION_CONFIG, COMPRESSOR, COMPRESSOR_OVERRIDES, COMPRESSOR_PER_ROUTE, GZIP,
            GZIP_LEVEL, REQUEST_DIRECTION_CONFIG, RESPONSE_DIRECTION_CONFIG, RESPONSE_DIRECTION_OVERRIDES,
            ZSTD,
        },
        ext_authz::RUNTIME_FEATURE_FLAG,
    },
    write::{
        matchers::string_matcher,
        out::{Out, extension},
    },
};

pub(super) fn written(settings: &Compressor) -> Value {
    let mut out = Out::new(&COMPRESSOR);
    out.set(
        "compressor_library",
        extension(&TYPED_EXTENSION_CONFIG, &settings.name, library(settings.library)),
    );
    if let Some(request) = &settings.request {
        let mut written = Out::new(&REQUEST_DIRECTION_CONFIG);
        direction(&mut written, request);
        out.set("request_direction_config", written.done());
    }
    let response = &settings.response;
    if response.counted_apart {
        let mut written = Out::new(&RESPONSE_DIRECTION_CONFIG);
        direction(&mut written, &response.direction);
        written.unless("disable_on_etag_header", response.disable_on_etag_header, false);
        written.unless("weaken_etag_on_compress", response.weaken_etag_on_compress, false);
        written.unless("remove_accept_encoding_header", response.remove_accept_encoding_header, false);
        let codes = response.uncompressible_response_codes.iter();
        written.list("uncompressible_response_codes", codes.map(|code| Value::from(code.as_u16())).collect());
        out.set("response_direction_config", written.done());
    }
    out.unless("choose_first", settings.choose_first, false);
    out.any()
}

/// What a level says.
pub(in crate::envoy::write) fn per_route(level: CompressorPerRoute) -> Value {
    let mut out = Out::new(&COMPRESSOR_PER_ROUTE);
    match level {
        CompressorPerRoute::Disabled => out.set("disabled", true),
        CompressorPerRoute::Same => out.set("overrides", json!({})),
        CompressorPerRoute::Response { remove_accept_encoding_header } => {
            let mut response = Out::new(&RESPONSE_DIRECTION_OVERRIDES);
            response.some("remove_accept_encoding_header", remove_accept_encoding_header);
            let mut overrides = Out::new(&COMPRESSOR_OVERRIDES);
            overrides.set("response_direction_config", response.done());
            out.set("overrides", overrides.done());
        }
    }
    out.any()
}

fn direction(out: &mut Out, direction: &CompressorDirection) {
    let mut common = Out::new(&COMMON_DIRECTION_CONFIG);
    if !direction.enabled {
        let mut flag = Out::new(&RUNTIME_FEATURE_FLAG);
        flag.set("default_value", false);
        common.set("enabled", flag.done());
    }
    common.unless("min_content_length", direction.min_content_length, 30);
    common.list("content_type", direction.content_types.iter().map(|name| Value::from(&**name)).collect());
    common.list("content_type_matcher", direction.content_type_matchers.iter().map(string_matcher).collect());
    out.set("common_config", common.done());
}

fn library(library: CompressionLibrary) -> Value {
    match library {
        CompressionLibrary::Gzip { level } => {
            let mut out = Out::new(&GZIP);
            out.name("compression_level", &GZIP_LEVEL, &level, &6);
            out.any()
        }
        CompressionLibrary::Brotli { quality, window_bits } => {
            let mut out = Out::new(&BROTLI);
            out.set("quality", quality);
            out.set("window_bits", window_bits);
            out.any()
        }
        CompressionLibrary::Zstd { level, checksum } => {
            let mut out = Out::new(&ZSTD);
            out.set("compression_level", level);
            out.unless("enable_checksum", checksum, false);
            out.any()
        }
    }
}
