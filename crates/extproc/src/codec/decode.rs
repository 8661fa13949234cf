//! Takes gRPC messages out of the bytes of a stream.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes before each message: a flag and the length.
const PREFIX: usize = 5;
/// Memory for a message whose end has not arrived, as a multiple of what has; but a message of usual size gets its own at
/// once, because growing copies.
const GROWTH: usize = 4;
const USUAL: usize = 160 * 1024;

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

/// Finds the messages in a stream of chunks. A message that lies in one chunk is not copied; of one that does not, no
/// more is allocated than 160 KiB or four times of what has arrived.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    chunk: Bytes,
    /// Beginning of a message whose end is in a later chunk, prefix included.
    partial: BytesMut,
}

impl Decoder {
    /// A decoder of messages of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, chunk: Bytes::new(), partial: BytesMut::new() }
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

    /// Bytes that do not belong to a message that was taken out.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.chunk.len() + self.partial.len()
    }

    /// The next whole message, without its prefix; `None` until more has arrived.
    ///
    /// # Errors
    /// When the bytes are no messages, as soon as that can be seen. Nothing that follows has a meaning then.
    #[expect(clippy::should_implement_trait, reason = "a decoder goes on after `None`")]
    pub fn next(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if self.partial.is_empty()
            && let Some(length) = self.length(&self.chunk)?
            && self.chunk.len() >= PREFIX + length
        {
            self.chunk.advance(PREFIX);
            return Ok(Some(self.chunk.split_to(length)));
        }
        while !self.chunk.is_empty() {
            let wanted = match self.length(&self.partial)? {
                Some(length) => PREFIX + length,
                None => PREFIX,
            };
            let missing = (wanted - self.partial.len()).min(self.chunk.len());
            if self.partial.capacity() < self.partial.len() + missing {
                // None can make us hold much that was only announced.
                let room = wanted.min(USUAL.max(GROWTH * (self.partial.len() + missing)));
                self.partial.reserve(room - self.partial.len());
            }
            self.partial.extend_from_slice(&self.chunk[..missing]);
            self.chunk.advance(missing);
            if let Some(length) = self.length(&self.partial)?
                && self.partial.len() == PREFIX + length
            {
                self.partial.advance(PREFIX);
                return Ok(Some(self.partial.split().freeze()));
            }
        }
        Ok(None)
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

    /// The length of the message that begins here, once its prefix is complete.
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        match bytes.first() {
            None | Some(0) => {}
            Some(1) => return Err(DecodeError::Compressed),
            Some(flag) => return Err(DecodeError::UnknownFlag(*flag)),
        }
        let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if length > self.limit {
            return Err(DecodeError::TooLarge { length, limit: self.limit });
        }
        Ok(Some(length))
    }
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
                        seen.push(message);
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
        assert_eq!(refused(b"\x01\0\0\0\0"), DecodeError::Compressed);
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
            assert!(range.contains(&message.as_ptr()));
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
        assert_eq!(decoder.next(), Ok(Some(Bytes::from_static(b"one"))));
        assert_eq!(decoder.next(), Ok(Some(Bytes::from_static(b"two"))));
        assert_eq!(decoder.next(), Ok(None));
    }

    /// What is announced is not what is allocated.
    #[test]
    fn a_message_that_never_comes_costs_nothing() {
        let mut decoder = Decoder::new(64 * 1024 * 1024);
        decoder.push(Bytes::from_static(b"\0\x04\0\0\0abc"));
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.partial.capacity() < 1024);
    }
}
