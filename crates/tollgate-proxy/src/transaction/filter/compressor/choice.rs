//! Which encoding a client is given: what it accepts, and what the compressors of the chain have.

use tollgate_model::filter::{Compressor, FilterOverride, FilterSettings};

use crate::transaction::core::Core;

/// What comes of `accept-encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one, by its name.
    Named(&'static str),
    /// This one, because anything is accepted.
    Wildcard(&'static str),
    /// None.
    Identity,
    /// The header says nothing that is of use.
    Invalid,
}

impl Choice {
    pub(super) fn encoding(self) -> Option<&'static str> {
        match self {
            Self::Named(encoding) | Self::Wildcard(encoding) => Some(encoding),
            Self::Identity | Self::Invalid => None,
        }
    }
}

/// Chooses among the compressors of the chain that take the content type.
pub(super) fn choose(accept_encoding: &[u8], content_type: Option<&[u8]>, core: &Core) -> Choice {
    let filters = (0..core.http().http_filters.len()).map(|index| core.filter_override(index));
    let compressors = filters.filter_map(|filter| match filter {
        FilterOverride::Settings(FilterSettings::Compressor(compressor)) => Some(&**compressor),
        _ => None,
    });
    choose_among(accept_encoding, compressors.filter(|one| takes(one, content_type)))
}

fn takes(compressor: &Compressor, content_type: Option<&[u8]>) -> bool {
    content_type.is_none_or(|content_type| compressor.response.direction.takes(content_type))
}

fn choose_among<'a>(accept_encoding: &[u8], compressors: impl Iterator<Item = &'a Compressor>) -> Choice {
    // The first one of an encoding counts.
    let mut offered: Vec<(&'static str, bool)> = Vec::new();
    for compressor in compressors {
        let encoding = compressor.library.encoding();
        if !offered.iter().any(|(known, _)| *known == encoding) {
            offered.push((encoding, compressor.choose_first));
        }
    }
    let accepted: Vec<(&[u8], f32)> = accept_encoding
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
        .filter_map(weighted)
        .collect();
    offered.retain(|(encoding, _)| {
        !accepted.iter().any(|(token, weight)| *weight == 0.0 && *token == encoding.as_bytes())
    });
    if accepted.is_empty() || offered.is_empty() {
        return Choice::Invalid;
    }
    let (mut chosen, mut best) = (Choice::Invalid, 0.0);
    for (token, weight) in accepted {
        let candidate = match token {
            b"identity" => (Choice::Identity, false),
            b"*" => (Choice::Wildcard(offered[0].0), false),
            token => match offered.iter().find(|(encoding, _)| encoding.as_bytes() == token) {
                Some((encoding, first)) => (Choice::Named(encoding), *first),
                None => continue,
            },
        };
        if weight > best || weight == best && weight > 0.0 && candidate.1 {
            (chosen, best) = (candidate.0, weight);
        }
    }
    chosen
}

/// An encoding and its weight; `None` if the weight is no number.
fn weighted(token: &[u8]) -> Option<(&[u8], f32)> {
    let mut parts = token.splitn(2, |byte| *byte == b';');
    let encoding = parts.next().unwrap_or_default().trim_ascii();
    let Some(parameter) = parts.next() else { return Some((encoding, 1.0)) };
    let mut parts = parameter.splitn(2, |byte| *byte == b'=');
    let (name, value) = (parts.next().unwrap_or_default().trim_ascii(), parts.next());
    match value {
        Some(value) if name.eq_ignore_ascii_case(b"q") => {
            Some((encoding, std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()?))
        }
        _ => Some((encoding, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use tollgate_model::filter::{CompressionLibrary, CompressorDirection, ResponseCompression};

    use super::*;

    fn compressor(library: CompressionLibrary, choose_first: bool) -> Compressor {
        Compressor {
            name: String::new(),
            library,
            request: None,
            response: ResponseCompression {
                direction: CompressorDirection {
                    enabled: true,
                    min_content_length: 30,
                    content_types: vec!["text/html".into()],
                    content_type_matchers: Vec::new(),
                },
                counted_apart: false,
                disable_on_etag_header: false,
                weaken_etag_on_compress: false,
                remove_accept_encoding_header: false,
                uncompressible_response_codes: Vec::new(),
            },
            choose_first,
        }
    }

    /// As Envoy 1.40 chooses.
    #[test]
    fn clients_choose() {
        let gzip = compressor(CompressionLibrary::Gzip { level: 6 }, false);
        let brotli = compressor(CompressionLibrary::Brotli { quality: 3, window_bits: 18 }, false);
        let first = compressor(CompressionLibrary::Zstd { level: 3, checksum: false }, true);
        let among = |accept: &str, all: &[&Compressor]| choose_among(accept.as_bytes(), all.iter().copied());
        for (accept, choice) in [
            ("gzip", Choice::Named("gzip")),
            ("br", Choice::Invalid),
            ("*", Choice::Wildcard("gzip")),
            ("identity", Choice::Identity),
            ("gzip;q=0", Choice::Invalid),
            ("gzip;q=0, *", Choice::Invalid),
            ("GZIP", Choice::Invalid),
            ("", Choice::Invalid),
            ("deflate, gzip;q=0.5, identity;q=0.8", Choice::Identity),
            ("gzip;q=x", Choice::Invalid),
            ("gzip;level=9", Choice::Named("gzip")),
        ] {
            assert_eq!(among(accept, &[&gzip]), choice, "{accept}");
        }
        let both = [&brotli, &gzip];
        assert_eq!(among("gzip, br", &both), Choice::Named("gzip"));
        assert_eq!(among("br;q=0.5, gzip;q=0.9", &both), Choice::Named("gzip"));
        assert_eq!(among("*", &both), Choice::Wildcard("br"));
        assert_eq!(among("gzip, br, zstd", &[&brotli, &gzip, &first]), Choice::Named("zstd"));
        assert_eq!(among("gzip", &[]), Choice::Invalid);
    }
}
