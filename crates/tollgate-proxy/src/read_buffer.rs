//! Reading into a buffer that a connection has only while it needs one.

use std::{
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Space for the first read, and the least for any other. The first is on the stack, so an idle connection owns none.
const SMALL: usize = 8 * 1024;
/// Space for one read while a large body arrives.
const LARGE: usize = 128 * 1024;

/// Bytes that were received and not yet understood.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    /// The bytes; taken from the front.
    pub(crate) bytes: BytesMut,
    /// Space for the next read: doubled when a read filled it, halved when it stayed mostly empty.
    space: usize,
    /// The latest read filled its space, so there is probably more.
    filled: bool,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self::from(BytesMut::new())
    }
}

impl From<BytesMut> for ReadBuffer {
    fn from(bytes: BytesMut) -> Self {
        Self { bytes, space: SMALL, filled: false }
    }
}

impl ReadBuffer {
    /// Appends what can be read at once, at most 128 KiB. Zero bytes are the end of the stream.
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_fill_announced(0, stream, cx)
    }

    /// The same when so many bytes were announced: if the latest read shows that they come fast, there is space for them at
    /// once, so that a body is read in few pieces.
    pub(crate) fn poll_fill_announced<S: AsyncRead + Unpin>(
        &mut self,
        announced: usize,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.filled {
            self.space = self.space.max(announced.min(LARGE));
        }
        if self.bytes.capacity() == 0 && self.space == SMALL {
            let mut space = [const { MaybeUninit::uninit() }; SMALL];
            let mut space = ReadBuf::uninit(&mut space);
            ready!(Pin::new(stream).poll_read(cx, &mut space))?;
            self.bytes.extend_from_slice(space.filled());
            self.adapt(space.filled().len(), SMALL);
            return Poll::Ready(Ok(space.filled().len()));
        }
        self.bytes.reserve(self.space);
        let offered = self.bytes.capacity() - self.bytes.len();
        let read = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx))?;
        self.adapt(read, offered);
        Poll::Ready(Ok(read))
    }

    fn adapt(&mut self, read: usize, offered: usize) {
        self.filled = read >= offered;
        if self.filled {
            self.space = (self.space * 2).min(LARGE);
        } else if read < self.space / 4 {
            self.space = (self.space / 2).max(SMALL);
        }
    }

    /// Gives the memory back if nothing is in it; for connections that become idle.
    pub(crate) fn release(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn space_follows_the_stream_and_is_given_back() {
        let mut cx = Context::from_waker(Waker::noop());
        let input = vec![b'x'; 500_000];
        let mut stream = &input[..];
        let mut buffer = ReadBuffer::default();
        let mut total = 0;
        let mut largest = 0;
        loop {
            let Poll::Ready(Ok(read)) = buffer.poll_fill(&mut stream, &mut cx) else {
                panic!("a slice is ready")
            };
            if read == 0 {
                break;
            }
            total += read;
            largest = largest.max(read);
            assert_eq!(buffer.bytes.split().len(), read);
        }
        assert_eq!(total, input.len());
        assert!((LARGE / 2..=2 * LARGE).contains(&largest), "{largest}");
        buffer.release();
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    /// What is only announced gets no memory; what comes fast is read at once.
    #[test]
    fn announced_bytes_have_space_when_they_come() {
        let mut cx = Context::from_waker(Waker::noop());
        let input = vec![b'x'; 40_000];
        let mut buffer = ReadBuffer::default();
        let mut read = |buffer: &mut ReadBuffer, mut from: &[u8]| {
            let Poll::Ready(Ok(read)) = buffer.poll_fill_announced(LARGE, &mut from, &mut cx) else {
                panic!("a slice is ready")
            };
            assert_eq!(buffer.bytes.split().len(), read);
            read
        };
        for _ in 0..3 {
            assert_eq!(read(&mut buffer, &input[..1]), 1);
            assert!(buffer.bytes.capacity() < 2 * SMALL);
        }
        assert!(read(&mut buffer, &input) < 2 * SMALL);
        assert_eq!(read(&mut buffer, &input), input.len());
    }
}
