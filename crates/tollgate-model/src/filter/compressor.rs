//! The `compressor` filter: it compresses what passes.

use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::matching::StringMatcher;

/// Settings of the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compressor {
    /// Name of the library, part of the names of its counters.
    pub name: String,
    /// How it compresses.
    pub library: CompressionLibrary,
    /// What of requests is compressed; `None` = nothing.
    pub request: Option<CompressorDirection>,
    /// What of responses is compressed.
    pub response: ResponseCompression,
    /// Prefer it to others with the same q value in `accept-encoding`. Default false: the first one there.
    pub choose_first: bool,
}

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CompressionLibrary {
    /// `gzip`.
    Gzip {
        /// From 1, fast, to 9, small. Default 6.
        level: u32,
    },
    /// `br`.
    Brotli {
        /// From 0, fast, to 11, small. Default 3.
        quality: u32,
        /// Size of the window as a power of two, 10 to 24. Default 18.
        window_bits: u32,
    },
    /// `zstd`.
    Zstd {
        /// From 1, fast, to 22, small. Default 3.
        level: i32,
        /// Add a checksum. Default false.
        checksum: bool,
    },
}

impl CompressionLibrary {
    /// `content-encoding`.
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Gzip { .. } => "gzip",
            Self::Brotli { .. } => "br",
            Self::Zstd { .. } => "zstd",
        }
    }

    /// Its name in the names of counters.
    #[must_use]
    pub const fn stat_name(self) -> &'static str {
        match self {
            Self::Gzip { .. } => "gzip",
            Self::Brotli { .. } => "brotli",
            Self::Zstd { .. } => "zstd",
        }
    }
}

/// What of messages of one direction is compressed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompressorDirection {
    /// Whether anything is. Default true.
    pub enabled: bool,
    /// Bodies that are known to be shorter are not, bytes. Default 30.
    pub min_content_length: u64,
    /// Of these content types. A message without one is compressed. Default those of texts.
    pub content_types: Vec<String>,
    /// Or of these.
    pub content_type_matchers: Vec<StringMatcher>,
}

/// What of responses is compressed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResponseCompression {
    /// As for requests.
    pub direction: CompressorDirection,
    /// The settings are in a message of their own, so that the names of counters have a part `response`.
    pub counted_apart: bool,
    /// Leave responses with `etag` as they are. Default false: a strong one is removed.
    pub disable_on_etag_header: bool,
    /// Make a strong `etag` a weak one instead of removing it. Default false.
    pub weaken_etag_on_compress: bool,
    /// Leave `accept-encoding` out of requests, so that upstreams do not compress. Default false.
    pub remove_accept_encoding_header: bool,
    /// Statuses whose responses are not compressed.
    #[serde(serialize_with = "statuses")]
    pub uncompressible_response_codes: Vec<StatusCode>,
}

/// What a level says about the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CompressorPerRoute {
    /// Responses are not compressed.
    Disabled,
    /// Responses are compressed.
    Response {
        /// Leave `accept-encoding` out of requests, or not; `None` = as the filter says.
        remove_accept_encoding_header: Option<bool>,
    },
    /// Nothing is different.
    Same,
}

impl Compressor {
    /// The settings below a level that says this.
    #[must_use]
    pub fn with(&self, level: &CompressorPerRoute) -> Self {
        let mut changed = self.clone();
        match *level {
            CompressorPerRoute::Disabled => changed.response.direction.enabled = false,
            CompressorPerRoute::Response { remove_accept_encoding_header } => {
                changed.response.direction.enabled = true;
                if let Some(remove) = remove_accept_encoding_header {
                    changed.response.remove_accept_encoding_header = remove;
                }
            }
            CompressorPerRoute::Same => {}
        }
        changed
    }

    /// Content types that are compressed where none are named.
    pub const CONTENT_TYPES: [&'static str; 19] = [
        "text/html",
        "text/plain",
        "text/css",
        "application/javascript",
        "application/x-javascript",
        "text/javascript",
        "text/x-javascript",
        "text/ecmascript",
        "text/js",
        "text/jscript",
        "text/x-js",
        "application/ecmascript",
        "application/x-json",
        "application/xml",
        "application/json",
        "image/svg+xml",
        "text/xml",
        "application/xhtml+xml",
        "application/grpc-web",
    ];
}

impl CompressorDirection {
    /// Whether bodies of a content type are compressed.
    #[must_use]
    pub fn takes(&self, content_type: &[u8]) -> bool {
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        self.content_types.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(media_type))
            || self.content_type_matchers.iter().any(|matcher| matcher.matches(media_type))
    }
}

fn statuses<S: Serializer>(statuses: &[StatusCode], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(statuses.iter().map(StatusCode::as_u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_compared_without_parameters() {
        let direction = CompressorDirection {
            enabled: true,
            min_content_length: 30,
            content_types: vec!["text/html".into()],
            content_type_matchers: Vec::new(),
        };
        for (content_type, is_taken) in [
            ("text/html", true),
            ("TEXT/HTML ; charset=utf-8", true),
            ("text/htm", false),
            ("", false),
            ("text/html2", false),
        ] {
            assert_eq!(direction.takes(content_type.as_bytes()), is_taken, "{content_type}");
        }
    }
}
