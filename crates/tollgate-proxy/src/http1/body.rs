//! Bodies: from bytes of the connection to pieces of a message.

use bytes::{Buf, Bytes, BytesMut};
use extproc::remove_fields;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use super::{
    BodyLength, CodecError, HeadLimits,
    ahead::Ahead,
    scan::{Found, HeadScan, LineEnds},
};
use crate::io::read_buffer::LARGE;

/// Longest chunk-size line, extensions included.
const MAX_CHUNK_LINE: usize = 4096;
/// Largest chunk: what every length that a peer may count with can hold.
const MAX_CHUNK: u64 = i64::MAX as u64;
/// Chunks that have arrived together are joined up to this size: a message to a processor costs far more than a copy.
const MAX_JOINED: usize = LARGE;

/// Chunks that are joined at a time, and bytes of lines before them.
const MOST_CHUNKS: usize = 512;
const MOST_LINES: usize = 8 * 1024;
/// Chunks up to this size are copied behind others at once.
const SMALL_CHUNK: u64 = 1024;

/// What the next bytes of a body are.
#[derive(Debug, PartialEq)]
pub(crate) enum Decoded {
    /// A piece, never empty.
    Data(Bytes),
    /// The body is complete; bytes that follow belong to the next message.
    End,
    /// Trailers, which also complete the body.
    Trailers(HeaderMap),
    /// More bytes are needed.
    NeedMore,
}

/// Decodes one body.
#[derive(Debug)]
pub(crate) struct BodyDecoder {
    state: State,
    limits: HeadLimits,
    /// How far [`completes_within`](Self::completes_within) has looked since the last piece was taken.
    ahead: Ahead,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers(HeadScan),
    Done,
}

impl BodyDecoder {
    /// A decoder for a body framed as the head said; `limits` are for trailers.
    pub(crate) fn new(length: BodyLength, limits: HeadLimits) -> Self {
        let state = match length {
            BodyLength::Empty => State::Done,
            BodyLength::Length(length) => State::Length(length),
            BodyLength::Chunked => State::ChunkSize,
            BodyLength::UntilClose | BodyLength::Raw => State::UntilClose,
        };
        Self { state, limits, ahead: Ahead::default() }
    }

    /// The end was reached: `decode` returned `End` or `Trailers`, or there is no body.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The body is framed by the end of the connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// Bytes that are certain to follow before anything else does: what is left of the body or of a chunk.
    pub(crate) fn announced(&self) -> usize {
        match self.state {
            State::Length(remaining) | State::ChunkData(remaining) => {
                usize::try_from(remaining).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }

    /// The next piece, taken from the front of `buffer`; whole pieces are split off without copying.
    ///
    /// After an error the connection cannot be used further.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, CodecError> {
        self.ahead = Ahead::default();
        match &mut self.state {
            State::Done => Ok(Decoded::End),
            State::Length(0) => {
                self.state = State::Done;
                Ok(Decoded::End)
            }
            _ if buffer.is_empty() => Ok(Decoded::NeedMore),
            State::Length(remaining) => Ok(Decoded::Data(take(buffer, remaining))),
            State::UntilClose => Ok(Decoded::Data(buffer.split().freeze())),
            _ => self.decode_chunked(buffer),
        }
    }

    /// The connection ended. `Ok` if that completes the body; its end has then been seen by `decode`'s caller as
    /// [`Decoded::End`].
    pub(crate) fn end_of_input(&mut self) -> Result<Decoded, CodecError> {
        match self.state {
            State::UntilClose | State::Done | State::Length(0) => {
                self.state = State::Done;
                Ok(Decoded::End)
            }
            _ => Err(CodecError::Malformed),
        }
    }

    /// The rest of the body is in `buffer`, so that nothing more has to be received. Each byte is looked at once, however
    /// often this is asked while the buffer grows.
    pub(crate) fn completes_within(&mut self, buffer: &[u8]) -> bool {
        match &self.state {
            State::Done => true,
            State::Length(remaining) => *remaining <= buffer.len() as u64,
            State::UntilClose => false,
            state => self.ahead.completes(state, buffer, &self.limits),
        }
    }

    fn decode_chunked(&mut self, buffer: &mut BytesMut) -> Result<Decoded, CodecError> {
        let mut pieces = Pieces::default();
        let (mut chunks, mut lines) = (0, 0);
        loop {
            match &mut self.state {
                // Many tiny chunks cost much more than their bytes. The rest waits for the next call.
                State::ChunkSize if chunks >= MOST_CHUNKS || lines >= MOST_LINES => {
                    if !pieces.is_empty() {
                        return Ok(pieces.finish());
                    }
                    (chunks, lines) = (0, 0);
                }
                State::ChunkSize => match chunk_size(buffer) {
                    Ok(Some((size, line))) => {
                        buffer.advance(line);
                        chunks += 1;
                        lines += line;
                        self.state = if size == 0 {
                            State::Trailers(HeadScan::default())
                        } else {
                            State::ChunkData(size)
                        };
                    }
                    Ok(None) => return Ok(pieces.finish()),
                    // What came before the error is delivered first; the bad line is still there next time.
                    Err(error) => return pieces.finish_or(error),
                },
                State::ChunkData(remaining) => {
                    if buffer.is_empty() || pieces.is_full(*remaining) {
                        return Ok(pieces.finish());
                    }
                    pieces.take(buffer, remaining);
                    if *remaining == 0 {
                        self.state = State::ChunkEnd;
                    }
                }
                State::ChunkEnd => match buffer.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        self.state = State::ChunkSize;
                    }
                    [] | [b'\r'] => return Ok(pieces.finish()),
                    _ => return pieces.finish_or(CodecError::Malformed),
                },
                State::Trailers(_) if !pieces.is_empty() => return Ok(pieces.finish()),
                State::Trailers(scan) => {
                    let decoded = trailers(scan, buffer, &self.limits)?;
                    if decoded != Decoded::NeedMore {
                        self.state = State::Done;
                    }
                    return Ok(decoded);
                }
                State::Length(_) | State::UntilClose | State::Done => return Ok(Decoded::End),
            }
        }
    }
}

/// Takes what there is, but not more than remains of the body or chunk.
fn take(buffer: &mut BytesMut, remaining: &mut u64) -> Bytes {
    let length = usize::try_from(*remaining).unwrap_or(usize::MAX).min(buffer.len());
    *remaining -= length as u64;
    if length == buffer.len() { buffer.split().freeze() } else { buffer.split_to(length).freeze() }
}

/// Pieces of chunks that arrived together.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    joined: BytesMut,
}

impl Pieces {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.joined.is_empty()
    }

    fn is_full(&self, next: u64) -> bool {
        !self.is_empty()
            && next.saturating_add((self.first.len() + self.joined.len()) as u64) > MAX_JOINED as u64
    }

    /// Takes what there is of a chunk. A small one behind others is only copied.
    fn take(&mut self, buffer: &mut BytesMut, remaining: &mut u64) {
        if self.is_empty() || *remaining > SMALL_CHUNK {
            return self.add(take(buffer, remaining));
        }
        let length = buffer.len().min(*remaining as usize);
        if !self.first.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&buffer[..length]);
        buffer.advance(length);
        *remaining -= length as u64;
    }

    fn add(&mut self, piece: Bytes) {
        if self.is_empty() {
            self.first = piece;
            return;
        }
        if !self.first.is_empty() {
            self.joined.reserve(self.first.len() + piece.len());
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn finish(self) -> Decoded {
        if self.is_empty() {
            Decoded::NeedMore
        } else if self.joined.is_empty() {
            Decoded::Data(self.first)
        } else {
            Decoded::Data(self.joined.freeze())
        }
    }

    fn finish_or(self, error: CodecError) -> Result<Decoded, CodecError> {
        if self.is_empty() { Err(error) } else { Ok(self.finish()) }
    }
}

/// The size of the next chunk and the length of its line, once the line is complete.
pub(super) fn chunk_size(buffer: &[u8]) -> Result<Option<(u64, usize)>, CodecError> {
    let Some(end) = memchr::memchr(b'\n', &buffer[..buffer.len().min(MAX_CHUNK_LINE)]) else {
        return if buffer.len() >= MAX_CHUNK_LINE { Err(CodecError::Malformed) } else { early_check(buffer) };
    };
    let line = buffer[..end].strip_suffix(b"\r").ok_or(CodecError::Malformed)?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    // Only space and tab are white space here: a peer that ends the line at a stray CR would be a byte apart.
    let blanks = line[digits..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let extensions = &line[digits + blanks..];
    let extensions_are_valid = extensions.is_empty()
        || (extensions[0] == b';'
            && extensions.iter().all(|byte| *byte == b'\t' || (0x20..0x7f).contains(byte)));
    if !(1..=16).contains(&digits) || !extensions_are_valid {
        return Err(CodecError::Malformed);
    }
    let digits = std::str::from_utf8(&line[..digits]).map_err(|_| CodecError::Malformed)?;
    let size = u64::from_str_radix(digits, 16).map_err(|_| CodecError::Malformed)?;
    if size > MAX_CHUNK {
        return Err(CodecError::Malformed);
    }
    Ok(Some((size, end + 1)))
}

/// An incomplete line that cannot become a chunk size is refused at once.
fn early_check(buffer: &[u8]) -> Result<Option<(u64, usize)>, CodecError> {
    match buffer.first() {
        Some(byte) if !byte.is_ascii_hexdigit() => Err(CodecError::Malformed),
        _ => Ok(None),
    }
}

fn trailers(scan: &mut HeadScan, buffer: &mut BytesMut, limits: &HeadLimits) -> Result<Decoded, CodecError> {
    match buffer.as_ref() {
        [b'\r', b'\n', ..] => {
            buffer.advance(2);
            return Ok(Decoded::End);
        }
        [] | [b'\r'] => return Ok(Decoded::NeedMore),
        [b'\r' | b'\n', ..] => return Err(CodecError::Malformed),
        _ => {}
    }
    let Found::Complete(length) = scan.scan(buffer, limits, LineEnds::Strict)? else {
        return Ok(Decoded::NeedMore);
    };
    let section = buffer.split_to(length).freeze();
    parse_trailers(&section, limits).map(Decoded::Trailers)
}

pub(super) fn parse_trailers(section: &Bytes, limits: &HeadLimits) -> Result<HeaderMap, CodecError> {
    let mut lines = vec![httparse::EMPTY_HEADER; limits.max_count + 1];
    let parsed = match httparse::parse_headers(section, &mut lines) {
        Ok(httparse::Status::Complete((length, parsed))) if length == section.len() => parsed,
        Ok(_) => return Err(CodecError::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(CodecError::TooManyHeaders),
        Err(httparse::Error::HeaderValue) => return Err(CodecError::InvalidCharacters),
        Err(_) => return Err(CodecError::Malformed),
    };
    if parsed.len() > limits.max_count {
        return Err(CodecError::TooManyHeaders);
    }
    let mut trailers = HeaderMap::with_capacity(parsed.len());
    for line in parsed {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| CodecError::Malformed)?;
        let value = HeaderValue::from_maybe_shared(section.slice_ref(line.value))
            .map_err(|_| CodecError::InvalidCharacters)?;
        trailers.try_append(name, value).map_err(|_| CodecError::TooManyHeaders)?;
    }
    drop_framing(&mut trailers);
    Ok(trailers)
}

/// Framing and routing must not be changed from a trailer (RFC 9110 section 6.5.1).
pub(crate) fn drop_framing(trailers: &mut HeaderMap) {
    remove_fields(trailers, &[CONTENT_LENGTH, TRANSFER_ENCODING, HOST]);
}
