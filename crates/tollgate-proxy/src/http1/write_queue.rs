//! Bytes on their way to a socket.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use extproc::Slices;
use tokio::io::AsyncWrite;

/// Pieces up to this size are copied together; larger ones keep their memory and are gathered by `writev`.
const COPY_LIMIT: usize = 8 * 1024;
const MAX_SLICES: usize = 32;
/// The buffer grows by so much at least: most heads fit.
const GROWTH: usize = 1024;

/// A queue of bytes: heads and small pieces are gathered in one buffer, large pieces are kept as they are.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    segments: VecDeque<Bytes>,
    tail: BytesMut,
    queued: usize,
    /// Bytes of the first segment that were written: their memory is free when all of it is.
    written: usize,
}

impl WriteQueue {
    /// Bytes that are not written yet.
    pub(crate) fn len(&self) -> usize {
        self.queued
    }

    /// Bytes of memory that it keeps.
    pub(crate) fn memory(&self) -> usize {
        self.queued + self.written
    }

    /// Nothing is left to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Appends a copy.
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        self.queued += bytes.len();
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.tail.reserve(bytes.len().max(GROWTH));
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Appends a piece, without copying when it is large.
    pub(crate) fn put(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_LIMIT {
            self.put_slice(&bytes);
            return;
        }
        self.queued += bytes.len();
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
        self.segments.push_back(bytes);
    }

    /// Appends a piece, without copying its large slices.
    pub(crate) fn put_slices(&mut self, slices: Slices) {
        slices.into_iter().for_each(|slice| self.put(slice));
    }

    /// Gives memory back; for connections that become idle.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Writes until the queue is empty, then flushes the stream.
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = ready!(self.poll_write(io, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(io).poll_flush(cx)
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.segments.is_empty() {
            return Pin::new(io).poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut used = 0;
        let pieces = self.segments.iter().map(AsRef::as_ref).chain(std::iter::once(self.tail.as_ref()));
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        if Pin::new(&mut *io).is_write_vectored() {
            Pin::new(io).poll_write_vectored(cx, &slices[..used])
        } else {
            Pin::new(io).poll_write(cx, &slices[0])
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.queued -= written;
        while let Some(front) = self.segments.front_mut() {
            if written < front.len() {
                front.advance(written);
                self.written += written;
                return;
            }
            written -= front.len();
            self.written = 0;
            self.segments.pop_front();
        }
        if written == self.tail.len() {
            self.tail.clear();
        } else {
            self.tail.advance(written);
        }
    }
}
