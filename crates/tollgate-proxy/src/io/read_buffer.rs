//! Reading into a buffer that a connection has only while it needs one.

use std::{
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Space for the first read, and the least for any other; what Envoy reads at a time. The first is on the stack, so an idle
/// connection owns none.
pub(crate) const SMALL: usize = 16 * 1024;
/// Space for one read while a large body arrives, and what a piece of a body is read to at most.
pub(crate) const LARGE: usize = 128 * 1024;

/// What a buffer is read to when its connection has a limit of buffered bytes: as in Envoy, reads of 16 KiB until that is
/// reached. Zero is no limit.
pub(crate) fn read_limit(buffer_limit: usize) -> usize {
    match buffer_limit {
        0 => LARGE,
        limit => limit.next_multiple_of(SMALL).min(LARGE),
    }
}

/// How much the next read may take when so many bytes are held: whole reads of 16 KiB, below the limit. Zero: what is held
/// has to be used first.
pub(crate) fn read_room(held: usize, limit: usize) -> usize {
    limit.saturating_sub(held) / SMALL * SMALL
}

/// Makes room for a read of so many bytes, or of 16 KiB at least.
///
/// Pieces of what was read keep the whole buffer alive, and they may wait for long. So what is left of a buffer is used
/// first, and a new one is not larger than it has to be.
pub(crate) fn make_room(bytes: &mut BytesMut, space: usize) {
    let (length, spare) = (bytes.len(), bytes.capacity() - bytes.len());
    if spare >= space || bytes.try_reclaim(space) || spare >= SMALL {
        return;
    }
    if length >= LARGE {
        // A head that keeps growing is not copied for each read.
        bytes.reserve(space);
        return;
    }
    let mut larger = BytesMut::with_capacity(length + space);
    larger.extend_from_slice(bytes);
    *bytes = larger;
}

/// Bytes of memory that a buffer has for itself, if that is much, or of what is in it.
pub(crate) fn held(bytes: &BytesMut) -> usize {
    if bytes.capacity() > 2 * SMALL { bytes.capacity() } else { bytes.len() }
}

/// Bytes that were received and not yet understood.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    /// The bytes; taken from the front.
    pub(crate) bytes: BytesMut,
    /// Space for the next read: doubled when a read filled it, halved when it stayed mostly empty.
    space: usize,
    /// The latest read filled its space, so there is probably more.
    filled: bool,
    /// What the reads of a body may fill it to.
    pub(crate) limit: usize,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self::from(BytesMut::new())
    }
}

impl From<BytesMut> for ReadBuffer {
    fn from(bytes: BytesMut) -> Self {
        Self { bytes, space: SMALL, filled: false, limit: LARGE }
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
        let most = read_room(self.bytes.len(), self.limit).max(SMALL);
        make_room(&mut self.bytes, self.space.min(most));
        let offered = (self.bytes.capacity() - self.bytes.len()).min(most);
        let read = ready!(pin!(stream.read_buf(&mut (&mut self.bytes).limit(offered))).poll(cx))?;
        self.adapt(read, offered);
        Poll::Ready(Ok(read))
    }

    /// Whether more has probably arrived already, and may be read.
    pub(crate) fn wants_more(&self) -> bool {
        self.filled && read_room(self.bytes.len(), self.limit) > 0
    }

    fn adapt(&mut self, read: usize, offered: usize) {
        self.filled = read >= offered;
        if self.filled {
            self.space = (self.space * 2).min(LARGE);
        } else if read < self.space / 4 {
            self.space = (self.space / 2).max(SMALL);
        }
    }

    /// Bytes of memory it has, if that is much, or of what is in it.
    pub(crate) fn held(&self) -> usize {
        held(&self.bytes)
    }

    /// Gives the memory back if nothing is in it; for connections that become idle.
    pub(crate) fn release(&mut self) {
        if self.bytes.is_empty() {
            *self = Self { limit: self.limit, ..Self::default() };
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

    /// Pieces that wait keep little more alive than themselves.
    #[test]
    fn buffers_are_used_up() {
        let mut cx = Context::from_waker(Waker::noop());
        let input = vec![b'x'; 3_000_000];
        let mut buffer = ReadBuffer::default();
        let mut waiting = Vec::new();
        let mut buffers = 0;
        let mut end = std::ptr::null();
        // What comes at a time is never what there is room for.
        for mut piece in input.chunks(30_000) {
            while let Poll::Ready(Ok(1..)) = buffer.poll_fill_announced(LARGE, &mut piece, &mut cx) {
                let piece = buffer.bytes.split().freeze();
                if piece.as_ptr() != end {
                    buffers += piece.len() + buffer.bytes.capacity();
                }
                end = piece.as_ptr_range().end;
                waiting.push(piece);
            }
        }
        assert_eq!(waiting.iter().map(|piece| piece.len()).sum::<usize>(), input.len());
        assert!(buffers < input.len() / 4 * 5, "{buffers}");
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
