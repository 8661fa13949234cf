//! The libraries that compress.

use std::io::{self, Write};

use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use bytes::Bytes;
use extproc::Slices;
use flate2::{Compression, write::GzEncoder};
use tollgate_model::filter::CompressionLibrary;
use zstd::stream::write::Encoder as ZstdEncoder;

/// Compresses a body, piece by piece.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<'static, Vec<u8>>>),
    /// The end was written.
    Finished,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
            Self::Finished => "Finished",
        })
    }
}

/// Bytes of the buffer that the brotli library is given.
const BROTLI_BUFFER: usize = 4096;

impl Encoder {
    pub(super) fn new(library: CompressionLibrary) -> io::Result<Self> {
        Ok(match library {
            CompressionLibrary::Gzip { level } => {
                Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(level)))
            }
            CompressionLibrary::Brotli { quality, window_bits } => {
                let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
                let parameters = BrotliEncoderParams {
                    quality: whole(quality),
                    lgwin: whole(window_bits),
                    ..BrotliEncoderParams::default()
                };
                Self::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER, &parameters)))
            }
            CompressionLibrary::Zstd { level, checksum } => {
                let mut encoder = ZstdEncoder::new(Vec::new(), level)?;
                encoder.include_checksum(checksum)?;
                Self::Zstd(Box::new(encoder))
            }
        })
    }

    /// Compresses a piece. What comes of it, the receiver can read at once.
    pub(super) fn push(&mut self, data: &Slices) -> io::Result<Bytes> {
        Ok(match self {
            Self::Gzip(encoder) => {
                write(encoder, data)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Brotli(encoder) => {
                write(encoder, data)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                write(encoder, data)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Finished => Vec::new(),
        }
        .into())
    }

    /// What ends the body, behind the last piece.
    pub(super) fn finish(&mut self, data: &Slices) -> io::Result<Bytes> {
        Ok(match std::mem::replace(self, Self::Finished) {
            Self::Gzip(mut encoder) => {
                write_all(&mut encoder, data)?;
                encoder.finish()?
            }
            Self::Brotli(mut encoder) => {
                write_all(&mut encoder, data)?;
                encoder.into_inner()
            }
            Self::Zstd(mut encoder) => {
                write_all(&mut encoder, data)?;
                encoder.finish()?
            }
            Self::Finished => Vec::new(),
        }
        .into())
    }
}

fn write_all(encoder: &mut impl Write, data: &Slices) -> io::Result<()> {
    data.iter().try_for_each(|piece| encoder.write_all(piece))
}

fn write(encoder: &mut impl Write, data: &Slices) -> io::Result<()> {
    write_all(encoder, data)?;
    encoder.flush()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn decoded(library: CompressionLibrary, compressed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match library {
            CompressionLibrary::Gzip { .. } => {
                flate2::read::GzDecoder::new(compressed).read_to_end(&mut plain)
            }
            CompressionLibrary::Brotli { .. } => {
                brotli::Decompressor::new(compressed, 4096).read_to_end(&mut plain)
            }
            CompressionLibrary::Zstd { .. } => {
                zstd::stream::read::Decoder::new(compressed).unwrap().read_to_end(&mut plain)
            }
        }
        .unwrap();
        plain
    }

    #[test]
    fn every_library_gives_back_what_it_was_given() {
        for library in [
            CompressionLibrary::Gzip { level: 6 },
            CompressionLibrary::Brotli { quality: 3, window_bits: 18 },
            CompressionLibrary::Zstd { level: 3, checksum: true },
        ] {
            let mut encoder = Encoder::new(library).unwrap();
            let first = encoder.push(&Bytes::from_static(b"abcabcabc").into()).unwrap();
            assert!(!first.is_empty(), "{library:?}");
            let last = encoder.finish(&Bytes::from_static(b"def").into()).unwrap();
            assert_eq!(decoded(library, &[first, last].concat()), b"abcabcabcdef", "{library:?}");
            assert!(encoder.finish(&Slices::default()).unwrap().is_empty());
        }
    }
}
