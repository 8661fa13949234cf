//! Compressed bodies.

use std::{io::Write, mem};

use bytes::Bytes;
use extproc::Queue;
use flate2::write::{GzDecoder, ZlibDecoder};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
};

use super::{Body, DEFAULT_LIMIT, TooLarge, transform::Transform};
use crate::{BoxError, Result};

/// A message with its body decompressed, as its `content-encoding` says, which is removed. Messages that are not compressed
/// stay as they are.
///
/// ```
/// use extproc_server::{Next, Request, Response, Result, decompressed};
///
/// async fn redact(request: Request, next: Next) -> Result<Response> {
///     let (mut head, body) = next.run(request).await?.into_parts();
///     let body = decompressed(&mut head.headers, body)?;
///     Ok(Response::from_parts(head, body.map_text(|text| text.replace("secret", "***"))))
/// }
/// ```
///
/// # Errors
///
/// If the encoding is another one than `gzip` and `deflate`. Remove `accept-encoding` from requests to prevent it.
pub fn decompressed(headers: &mut HeaderMap, body: Body) -> Result<Body> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    let encoding = encoding.to_str()?.trim().to_ascii_lowercase();
    let decoder = match encoding.as_str() {
        "" | "identity" => return Ok(body),
        "gzip" | "x-gzip" => Decoder::Gzip(GzDecoder::new(Vec::new())),
        "deflate" => Decoder::Deflate(ZlibDecoder::new(Vec::new())),
        other => {
            return Err(format!("the body is compressed with {other}; gzip and deflate can be read").into());
        }
    };
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(body.transformed(decoder))
}

enum Decoder {
    Gzip(GzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    Done,
}

/// Bytes that are decompressed in one go, so that a small piece that becomes a large one is noticed in time.
const STEP: usize = 1 << 10;

impl Decoder {
    fn write(&mut self, data: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(match self {
            Self::Gzip(decoder) => {
                decoder.write_all(data)?;
                mem::take(decoder.get_mut())
            }
            Self::Deflate(decoder) => {
                decoder.write_all(data)?;
                mem::take(decoder.get_mut())
            }
            Self::Done => Vec::new(),
        })
    }
}

impl Transform for Decoder {
    fn push(&mut self, data: Bytes, out: &mut Queue<Bytes>) -> Result<()> {
        let mut size = 0;
        for step in data.chunks(STEP) {
            let plain = self.write(step)?;
            size += plain.len();
            // One kilobyte becomes a megabyte at most, and a piece of the gateway's is small.
            if size > 16 * DEFAULT_LIMIT {
                return Err(TooLarge { limit: 16 * DEFAULT_LIMIT }.into());
            }
            if !plain.is_empty() {
                out.push_back(plain.into());
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Queue<Bytes>) -> Result<()> {
        let rest = match mem::replace(self, Self::Done) {
            Self::Gzip(decoder) => decoder.finish()?,
            Self::Deflate(decoder) => decoder.finish()?,
            Self::Done => Vec::new(),
        };
        if !rest.is_empty() {
            out.push_back(rest.into());
        }
        Ok(())
    }
}
