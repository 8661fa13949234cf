//! The filter `decompressor`.

use serde_json::Value;
use tollgate_model::filter::{DecompressionLibrary, Decompressor, DecompressorDirection};

use crate::envoy::{
    cluster::TYPED_EXTENSION_CONFIG,
    http_filters::{
        decompressor::{
            DECOMPRESSOR, DECOMPRESSOR_BROTLI, DECOMPRESSOR_COMMON, DECOMPRESSOR_GZIP, DECOMPRESSOR_REQUEST,
            DECOMPRESSOR_RESPONSE, DECOMPRESSOR_ZSTD,
        },
        ext_authz::RUNTIME_FEATURE_FLAG,
    },
    write::out::{Out, extension},
};

pub(super) fn written(settings: &Decompressor) -> Value {
    let mut out = Out::new(&DECOMPRESSOR);
    let library = match settings.library {
        DecompressionLibrary::Gzip { max_inflate_ratio } => {
            let mut out = Out::new(&DECOMPRESSOR_GZIP);
            out.unless("max_inflate_ratio", max_inflate_ratio, 100);
            out
        }
        DecompressionLibrary::Brotli => Out::new(&DECOMPRESSOR_BROTLI),
        DecompressionLibrary::Zstd => Out::new(&DECOMPRESSOR_ZSTD),
    };
    let library = extension(&TYPED_EXTENSION_CONFIG, &settings.name, library.any());
    out.set("decompressor_library", library);
    let mut request = Out::new(&DECOMPRESSOR_REQUEST);
    direction(&mut request, settings.request);
    request.unless("advertise_accept_encoding", settings.advertise_accept_encoding, true);
    out.unless_empty("request_direction_config", request);
    let mut response = Out::new(&DECOMPRESSOR_RESPONSE);
    direction(&mut response, settings.response);
    out.unless_empty("response_direction_config", response);
    out.any()
}

fn direction(out: &mut Out, direction: DecompressorDirection) {
    let mut common = Out::new(&DECOMPRESSOR_COMMON);
    if !direction.enabled {
        let mut flag = Out::new(&RUNTIME_FEATURE_FLAG);
        flag.set("default_value", false);
        common.set("enabled", flag.done());
    }
    common.unless("ignore_no_transform_header", direction.ignore_no_transform_header, false);
    out.unless_empty("common_config", common);
}
