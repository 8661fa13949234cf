//! The `decompressor` filter: it decompresses what passes.

use serde::Serialize;

/// Settings of the filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decompressor {
    /// Name of the library, part of the names of its counters.
    pub name: String,
    /// What it decompresses.
    pub library: DecompressionLibrary,
    /// What of requests is decompressed.
    pub request: DecompressorDirection,
    /// What of responses is decompressed.
    pub response: DecompressorDirection,
    /// Add the encoding to `accept-encoding` of requests. Default true.
    pub advertise_accept_encoding: bool,
}

/// A form that can be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum DecompressionLibrary {
    /// `gzip`; what is made of a body is at most so many times as large. Default 100.
    Gzip {
        /// That many times.
        max_inflate_ratio: u32,
    },
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl DecompressionLibrary {
    /// `content-encoding`.
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Gzip { .. } => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Its name in the names of counters.
    #[must_use]
    pub const fn stat_name(self) -> &'static str {
        match self {
            Self::Gzip { .. } => "gzip",
            Self::Brotli => "brotli",
            Self::Zstd => "zstd",
        }
    }

    /// How many times as large a body may become.
    #[must_use]
    pub const fn max_inflate_ratio(self) -> u32 {
        match self {
            Self::Gzip { max_inflate_ratio } => max_inflate_ratio,
            Self::Brotli | Self::Zstd => 100,
        }
    }
}

/// Which messages of a direction are decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DecompressorDirection {
    /// Any. Default true.
    pub enabled: bool,
    /// Also those with `cache-control: no-transform`. Default false.
    pub ignore_no_transform_header: bool,
}

impl Default for DecompressorDirection {
    fn default() -> Self {
        Self { enabled: true, ignore_no_transform_header: false }
    }
}
