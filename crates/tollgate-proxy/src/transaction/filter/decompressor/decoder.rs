//! The libraries that decompress.

use std::io::{self, Write};

use brotli::DecompressorWriter;
use bytes::Bytes;
use extproc::Slices;
use flate2::write::GzDecoder;
use tollgate_model::filter::DecompressionLibrary;
use zstd::stream::write::Decoder as ZstdDecoder;

/// Bytes of the buffer that the brotli library is given.
const BROTLI_BUFFER: usize = 4096;

/// Decompresses a body, piece by piece.
pub(super) struct Decoder {
    library: Library,
    max_inflate_ratio: u64,
    taken: u64,
    made: u64,
}

enum Library {
    Gzip(Box<GzDecoder<Bounded>>),
    Brotli(Box<DecompressorWriter<Bounded>>),
    Zstd(Box<ZstdDecoder<'static, Bounded>>),
    /// What follows is left out: the body is not what it says, or grows too much.
    Failed,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("taken", &self.taken)
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

/// Takes so many bytes and no more.
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    room: u64,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let length = data.len() as u64;
        let rest = self.room.checked_sub(length);
        self.room = rest.ok_or_else(|| io::Error::other("the body grows too much"))?;
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Library {
    fn out(&mut self) -> Option<&mut Bounded> {
        match self {
            Self::Gzip(decoder) => Some(decoder.get_mut()),
            Self::Brotli(decoder) => Some(decoder.get_mut()),
            Self::Zstd(decoder) => Some(decoder.get_mut()),
            Self::Failed => None,
        }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let (mut written, writer): (_, &mut dyn Write) = match self {
            Self::Gzip(decoder) => (0, &mut **decoder),
            Self::Brotli(decoder) => (0, &mut **decoder),
            Self::Zstd(decoder) => (0, &mut **decoder),
            Self::Failed => return Ok(()),
        };
        while written < piece.len() {
            match writer.write(&piece[written..])? {
                // What follows the end is nothing.
                0 => break,
                more => written += more,
            }
        }
        writer.flush()
    }
}

impl Decoder {
    pub(super) fn new(library: DecompressionLibrary) -> io::Result<Self> {
        let out = Bounded::default();
        Ok(Self {
            max_inflate_ratio: u64::from(library.max_inflate_ratio()),
            library: match library {
                DecompressionLibrary::Gzip { .. } => Library::Gzip(Box::new(GzDecoder::new(out))),
                DecompressionLibrary::Brotli => {
                    Library::Brotli(Box::new(DecompressorWriter::new(out, BROTLI_BUFFER)))
                }
                DecompressionLibrary::Zstd => Library::Zstd(Box::new(ZstdDecoder::new(out)?)),
            },
            taken: 0,
            made: 0,
        })
    }

    /// Decompresses a piece. The error comes once, with what was made before it.
    pub(super) fn push(&mut self, data: &Slices) -> (Bytes, Result<(), io::Error>) {
        let mut made = Vec::new();
        for piece in data.iter() {
            self.taken += piece.len() as u64;
            let room = (self.taken * self.max_inflate_ratio).saturating_sub(self.made);
            let Some(out) = self.library.out() else { continue };
            out.room = room;
            let result = self.library.write(piece);
            if let Some(out) = self.library.out() {
                self.made += out.bytes.len() as u64;
                made.append(&mut out.bytes);
            }
            if let Err(error) = result {
                self.library = Library::Failed;
                return (made.into(), Err(error));
            }
        }
        (made.into(), Ok(()))
    }

    /// Bytes that came, and bytes that were made of them.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.taken, self.made)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    fn library() -> DecompressionLibrary {
        DecompressionLibrary::Gzip { max_inflate_ratio: 100 }
    }

    #[test]
    fn pieces() {
        let all = gzip(b"hello world");
        let mut decoder = Decoder::new(library()).unwrap();
        let mut made = Vec::new();
        for piece in all.chunks(3) {
            let (bytes, result) = decoder.push(&Bytes::copy_from_slice(piece).into());
            assert!(result.is_ok());
            made.extend_from_slice(&bytes);
        }
        assert_eq!((&made[..], decoder.totals()), (&b"hello world"[..], (all.len() as u64, 11)));
    }

    #[test]
    fn what_grows_too_much_ends() {
        let all = gzip(&vec![b'x'; 1_000_000]);
        let most = all.len() as u64 * 100;
        let mut decoder = Decoder::new(library()).unwrap();
        let (bytes, result) = decoder.push(&all.into());
        assert!(result.is_err() && bytes.len() as u64 <= most, "{} of {most}", bytes.len());
        let (more, result) = decoder.push(&Bytes::from_static(b"more").into());
        assert!(more.is_empty() && result.is_ok());
    }

    #[test]
    fn what_is_none_ends() {
        for library in [library(), DecompressionLibrary::Brotli, DecompressionLibrary::Zstd] {
            let mut decoder = Decoder::new(library).unwrap();
            let (bytes, result) = decoder.push(&Bytes::from_static(b"this is nothing of the kind").into());
            assert!(bytes.is_empty() && result.is_err(), "{library:?}");
        }
    }
}
