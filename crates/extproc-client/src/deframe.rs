//! Takes gRPC messages out of the bytes of DATA frames.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes before each message: a flag and the length.
const PREFIX: usize = 5;

/// Why a stream carries no messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeframeError {
    /// A flag other than "not compressed" (F-12).
    Flag,
    /// A message larger than accepted (N-7).
    TooLarge,
}

/// Finds the messages in a stream of chunks. A message that lies in one chunk is not copied.
#[derive(Debug)]
pub(crate) struct Deframer {
    max_length: usize,
    chunk: Bytes,
    /// Beginning of a message whose end is in a later chunk, prefix included.
    partial: BytesMut,
}

impl Deframer {
    pub(crate) fn new(max_length: usize) -> Self {
        Self { max_length, chunk: Bytes::new(), partial: BytesMut::new() }
    }

    /// Takes the next chunk. All messages of the one before must have been taken out.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty());
        self.chunk = chunk;
    }

    /// Bytes that do not belong to a message that was taken out.
    pub(crate) fn buffered(&self) -> usize {
        self.chunk.len() + self.partial.len()
    }

    /// The next whole message.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, DeframeError> {
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

    /// The length of the message that begins here, once its prefix is complete.
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, DeframeError> {
        if bytes.first().is_some_and(|flag| *flag != 0) {
            return Err(DeframeError::Flag);
        }
        let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if length > self.max_length { Err(DeframeError::TooLarge) } else { Ok(Some(length)) }
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
                let mut deframer = Deframer::new(100);
                let mut seen: Vec<Bytes> = Vec::new();
                for chunk in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    deframer.push(Bytes::copy_from_slice(chunk));
                    while let Some(message) = deframer.next().unwrap() {
                        seen.push(message);
                    }
                }
                assert_eq!(seen, messages, "cut at {first} and {second}");
                assert_eq!(deframer.buffered(), 0);
            }
        }
    }

    /// F-12, N-7: flags and lengths are judged as soon as they are seen.
    #[test]
    fn bad_frames_are_refused_early() {
        let refused = |bytes: &'static [u8]| {
            let mut deframer = Deframer::new(100);
            deframer.push(Bytes::from_static(bytes));
            deframer.next().unwrap_err()
        };
        assert_eq!(refused(b"h"), DeframeError::Flag);
        assert_eq!(refused(b"\x01\0\0\0\0"), DeframeError::Flag);
        assert_eq!(refused(b"\0\0\0\0\x65"), DeframeError::TooLarge);
        let mut deframer = Deframer::new(100);
        deframer.push(Bytes::from_static(b"\0\0\0\0\x64"));
        assert_eq!(deframer.next(), Ok(None));
    }

    /// What is announced is not what is allocated.
    #[test]
    fn a_message_that_never_comes_costs_nothing() {
        let mut deframer = Deframer::new(64 * 1024 * 1024);
        deframer.push(Bytes::from_static(b"\0\x04\0\0\0abc"));
        assert_eq!(deframer.next(), Ok(None));
        assert!(deframer.partial.capacity() < 1024);
    }
}
