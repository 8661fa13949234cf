//! Takes gRPC messages out of the bytes of a stream.

use bytes::{Buf, Bytes, BytesMut};

use crate::slices::{Gather, Slices};

/// Bytes before each message: a flag and the length.
const PREFIX: usize = 5;

/// Why bytes are no gRPC messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message is compressed, although nobody offered to understand that.
    #[error("the message is compressed")]
    Compressed,
    /// The flag is neither 0 nor 1: probably this is not gRPC at all.
    #[error("not a gRPC message: it begins with byte {0:#04x}")]
    UnknownFlag(u8),
    /// The message is larger than accepted.
    #[error("a message of {length} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Length it announces.
        length: usize,
        /// Most bytes that are accepted.
        limit: usize,
    },
    /// The stream ended within a message.
    #[error("the stream ended within a message, {received} bytes after its beginning")]
    Truncated {
        /// Bytes of it that arrived, its prefix included.
        received: usize,
    },
}

impl DecodeError {
    /// The gRPC status that a stream ends with for this: 8 for a size, 13 for all else (F-12, N-7).
    #[must_use]
    pub const fn grpc_status(self) -> i32 {
        match self {
            Self::TooLarge { .. } => 8,
            Self::Compressed | Self::UnknownFlag(_) | Self::Truncated { .. } => 13,
        }
    }
}

/// Finds the messages in a stream of chunks. Large parts of messages stay where they are in their chunks; of a message
/// whose end has not arrived, no more is held than what has.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    chunk: Bytes,
    partial: Partial,
}

/// A message whose end is in a later chunk.
#[derive(Debug)]
enum Partial {
    /// The first bytes of its prefix, or nothing.
    Prefix { bytes: [u8; PREFIX], length: usize },
    /// Some of its bytes.
    Message { gather: Gather, length: usize },
}

impl Partial {
    const NONE: Self = Self::Prefix { bytes: [0; PREFIX], length: 0 };

    /// Bytes of it that arrived, its prefix included.
    fn received(&self) -> usize {
        match self {
            Self::Prefix { length, .. } => *length,
            Self::Message { gather, .. } => PREFIX + gather.len(),
        }
    }
}

impl Decoder {
    /// A decoder of messages of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, chunk: Bytes::new(), partial: Partial::NONE }
    }

    /// Takes the next chunk. All messages of the one before should have been taken out; what is left is kept.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::from(std::mem::take(&mut self.chunk));
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// Whether there is no message to take out, because nothing is left of the chunks.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        self.chunk.is_empty()
    }

    /// Bytes that do not belong to a message that was taken out.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.chunk.len() + self.partial.received()
    }

    /// The next whole message, without its prefix; `None` until more has arrived.
    ///
    /// # Errors
    /// When the bytes are no messages, as soon as that can be seen. Nothing that follows has a meaning then.
    #[expect(clippy::should_implement_trait, reason = "a decoder goes on after `None`")]
    pub fn next(&mut self) -> Result<Option<Slices>, DecodeError> {
        loop {
            match &mut self.partial {
                Partial::Prefix { bytes, length } => {
                    let taken = (PREFIX - *length).min(self.chunk.len());
                    bytes[*length..*length + taken].copy_from_slice(&self.chunk[..taken]);
                    *length += taken;
                    self.chunk.advance(taken);
                    let Some(length) = message_length(&bytes[..*length], self.limit)? else {
                        return Ok(None);
                    };
                    if self.chunk.len() >= length {
                        self.partial = Partial::NONE;
                        return Ok(Some(self.chunk.split_to(length).into()));
                    }
                    self.partial = Partial::Message { gather: Gather::default(), length };
                }
                Partial::Message { gather, length } => {
                    let missing = *length - gather.len();
                    gather.push(self.chunk.split_to(missing.min(self.chunk.len())));
                    if gather.len() < *length {
                        return Ok(None);
                    }
                    let message = gather.take();
                    self.partial = Partial::NONE;
                    return Ok(Some(message));
                }
            }
        }
    }

    /// Says at the end of the stream whether it ended between two messages.
    ///
    /// # Errors
    /// When it ended within one.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.buffered() {
            0 => Ok(()),
            received => Err(DecodeError::Truncated { received }),
        }
    }
}

/// The length of the message that begins with these bytes, once its prefix is complete.
fn message_length(bytes: &[u8], limit: usize) -> Result<Option<usize>, DecodeError> {
    match bytes.first() {
        None | Some(0 | 1) => {}
        Some(flag) => return Err(DecodeError::UnknownFlag(*flag)),
    }
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if length > limit {
        return Err(DecodeError::TooLarge { length, limit });
    }
    // Of no bytes it does not matter that they are compressed, and Envoy takes them.
    if bytes[0] == 1 && length > 0 {
        return Err(DecodeError::Compressed);
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.push(0);
            bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
            bytes.extend_from_slice(message);
        }
        bytes
    }

    #[test]
    fn messages_survive_every_cut() {
        let messages: [&[u8]; 4] = [b"one", b"", b"three", b"a longer one"];
        let bytes = framed(&messages);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut decoder = Decoder::new(100);
                let mut seen: Vec<Bytes> = Vec::new();
                for chunk in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    decoder.push(Bytes::copy_from_slice(chunk));
                    while let Some(message) = decoder.next().expect("valid") {
                        seen.push(message.into_bytes());
                    }
                }
                assert_eq!(seen, messages, "cut at {first} and {second}");
                assert_eq!(decoder.buffered(), 0);
            }
        }
    }

    /// F-12, N-7: flags and lengths are judged as soon as they are seen.
    #[test]
    fn bad_frames_are_refused_early() {
        let refused = |bytes: &'static [u8]| {
            let mut decoder = Decoder::new(100);
            decoder.push(Bytes::from_static(bytes));
            decoder.next().unwrap_err()
        };
        assert_eq!(refused(b"h"), DecodeError::UnknownFlag(b'h'));
        assert_eq!(refused(b"\x01\0\0\0\x01"), DecodeError::Compressed);
        assert_eq!(refused(b"\0\0\0\0\x65"), DecodeError::TooLarge { length: 101, limit: 100 });
        let mut decoder = Decoder::new(100);
        decoder.push(Bytes::from_static(b"\0\0\0\0\x64"));
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.finish(), Err(DecodeError::Truncated { received: 5 }));
    }

    /// F-12, N-7.
    #[test]
    fn errors_have_a_status() {
        assert_eq!(DecodeError::Compressed.grpc_status(), 13);
        assert_eq!(DecodeError::UnknownFlag(7).grpc_status(), 13);
        assert_eq!(DecodeError::TooLarge { length: 2, limit: 1 }.grpc_status(), 8);
    }

    /// A message in one chunk is a part of that chunk.
    #[test]
    fn whole_messages_are_not_copied() {
        let chunk = Bytes::from(framed(&[b"one", b"two"]));
        let range = chunk.as_ptr_range();
        let mut decoder = Decoder::new(100);
        decoder.push(chunk);
        while let Some(message) = decoder.next().expect("valid") {
            assert!(range.contains(&message.into_bytes().as_ptr()));
        }
        assert_eq!(decoder.finish(), Ok(()));
    }

    /// Chunks may be pushed without taking messages out between them.
    #[test]
    fn chunks_may_pile_up() {
        let mut decoder = Decoder::new(100);
        for chunk in framed(&[b"one", b"two"]).chunks(3) {
            decoder.push(Bytes::copy_from_slice(chunk));
        }
        assert_eq!(decoder.next(), Ok(Some(Bytes::from_static(b"one").into())));
        assert_eq!(decoder.next(), Ok(Some(Bytes::from_static(b"two").into())));
        assert_eq!(decoder.next(), Ok(None));
    }

    /// Nothing is held but what arrived, and large parts of it where they are.
    #[test]
    fn a_message_in_parts_is_not_copied_together() {
        let message = vec![7; 40_000];
        let bytes = Bytes::from(framed(&[&message]));
        let range = bytes.as_ptr_range();
        let mut decoder = Decoder::new(64 * 1024);
        for part in [0..100, 100..20_000, 20_000..bytes.len()] {
            assert_eq!(decoder.next(), Ok(None));
            decoder.push(bytes.slice(part));
        }
        let found = decoder.next().expect("valid").expect("whole");
        assert_eq!(found.iter().filter(|slice| range.contains(&slice.as_ptr())).count(), 2);
        assert_eq!(found.into_bytes(), message);
        assert_eq!(decoder.finish(), Ok(()));
    }
}
