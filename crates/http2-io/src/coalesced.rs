//! Merges the many small writes of one driver poll into one, and many small reads, too.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    io::{Error, ErrorKind, IoSlice},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::{
    frames::{Frames, Role},
    limits::{Flood, FrameLimits},
};

/// Bytes collected before a write goes to the stream without waiting for the end of the driver's poll.
const THRESHOLD: usize = 128 * 1024;
/// A slice of at least this size is not copied: it is gathered behind what was collected.
const GATHER: usize = 32 * 1024;
/// Slices gathered in one write.
const MAX_SLICES: usize = 16;
/// Bytes read ahead at most.
const AHEAD: usize = 128 * 1024;
/// A read that finds less than this ends reading ahead.
const FEW: usize = 16 * 1024;
/// Capacity the buffer keeps although it is more than what is being used.
const KEEP: usize = 16 * 1024;

/// A byte stream whose writes are collected and go out together.
///
/// HTTP/2 libraries write every larger frame on its own. Here a write is appended to a buffer and a flush does nothing;
/// whoever drives the connection flushes the [`Flusher`] once after each poll, as [`Driven`](crate::Driven) does. After
/// that the buffer is empty or the stream is not writable and the task will be woken when it is.
///
/// Reads pass through until one fills all the space that it was offered. HTTP/2 libraries offer little space, half a frame
/// at a time; so from then on reads go ahead into a buffer of our own, until they find little.
///
/// A stream that is [`watched`](Self::watched) knows what passes. It fails when the peer sends, or makes us send, too much
/// of what moves nothing, and after a fair amount it is not ready until other tasks had their turn.
pub struct Coalesced<S: AsyncWrite + Unpin> {
    shared: Rc<RefCell<Shared<S>>>,
}

/// Writes out what its [`Coalesced`] stream has collected.
pub struct Flusher<S> {
    shared: Rc<RefCell<Shared<S>>>,
}

struct Shared<S> {
    io: S,
    buffer: BytesMut,
    /// Bytes of the flush that is under way.
    recent: usize,
    /// What a flush has at most as a rule: the buffer gets so much room at once, as growing it step by step copies it again and
    /// again, and is given up when it is much larger. It follows larger flushes at once and smaller ones slowly.
    usual: usize,
    /// The stream took bytes after it was last flushed.
    unflushed: bool,
    /// Read and not yet asked for.
    ahead: BytesMut,
    /// Much is being received.
    reads_ahead: bool,
    /// Bytes received so far.
    received: u64,
    /// A write failed; every further one fails alike.
    failed: Option<(ErrorKind, String)>,
    /// What has passed, if somebody looks.
    frames: Option<Frames>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Coalesced<S> {
    /// Collects the writes to a stream.
    #[must_use]
    pub fn new(io: S) -> (Self, Flusher<S>) {
        Self::with(io, None)
    }

    /// As [`new`](Self::new), for a new HTTP/2 connection whose peer may not send more than the limits.
    #[must_use]
    pub fn watched(io: S, role: Role, limits: FrameLimits) -> (Self, Flusher<S>) {
        Self::with(io, Some(Frames::new(role, limits)))
    }

    fn with(io: S, frames: Option<Frames>) -> (Self, Flusher<S>) {
        let shared = Shared {
            io,
            buffer: BytesMut::new(),
            recent: 0,
            usual: 0,
            unflushed: false,
            ahead: BytesMut::new(),
            reads_ahead: false,
            received: 0,
            failed: None,
            frames,
        };
        let shared = Rc::new(RefCell::new(shared));
        (Self { shared: shared.clone() }, Flusher { shared })
    }
}

impl<S: AsyncWrite + Unpin> Flusher<S> {
    /// Writes out everything collected. Pending means that the stream is not writable; the task will be woken.
    ///
    /// # Errors
    ///
    /// The stream failed; further writes to the [`Coalesced`] fail with the same error.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(frames) = &mut shared.frames {
            frames.begin_turn();
        }
        shared.poll_flush(cx)
    }

    /// Of what the peer has sent, or made us send, too much, if that is why the stream failed.
    #[must_use]
    pub fn flood(&self) -> Option<Flood> {
        self.shared.borrow().frames.as_ref().and_then(Frames::flood)
    }

    /// Bytes that were received so far: whether the peer is alive.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.shared.borrow().received
    }

    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.shared.borrow().buffer.capacity()
    }

    /// Whether nothing is waiting to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.borrow().buffer.is_empty()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Flusher<S> {
    /// Writes what was collected, ends the stream from this side, and reads what still comes until the peer has ended its
    /// own. If a socket with unread bytes were closed, the peer would see a reset instead of an end.
    pub fn poll_linger(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.borrow_mut();
        if ready!(shared.poll_flush(cx)).is_err()
            || ready!(Pin::new(&mut shared.io).poll_shutdown(cx)).is_err()
        {
            return Poll::Ready(());
        }
        let mut space = [0; 4096];
        loop {
            let mut unused = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut shared.io).poll_read(cx, &mut unused));
            if read.is_err() || unused.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Shared<S> {
    fn check(&self) -> Result<(), Error> {
        match &self.failed {
            Some((kind, text)) => Err(Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }

    /// Keeps the outcome of an operation on the stream if it is a failure.
    fn note<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome {
            self.failed = Some((error.kind(), error.to_string()));
            self.buffer = BytesMut::new();
        }
        outcome
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.check()?;
        while !self.buffer.is_empty() {
            ready!(self.poll_write_out(cx, &[]))?;
        }
        if self.unflushed {
            let outcome = ready!(Pin::new(&mut self.io).poll_flush(cx));
            self.note(outcome)?;
            self.unflushed = false;
            self.usual = self.recent.max(self.usual - self.usual / 8);
            if self.buffer.capacity() > KEEP && self.usual < self.buffer.capacity() / 4 {
                self.buffer = BytesMut::new();
            }
            self.recent = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the buffer and then the slices, in one operation; returns how much of the slices was taken.
    fn poll_write_out(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, Error>> {
        let buffered = self.buffer.len();
        let outcome = if slices.is_empty() {
            ready!(Pin::new(&mut self.io).poll_write(cx, &self.buffer))
        } else {
            let mut gathered = [IoSlice::new(&[]); MAX_SLICES];
            let mut used = 0;
            for slice in [IoSlice::new(&self.buffer)].iter().chain(slices) {
                if !slice.is_empty() && used < MAX_SLICES {
                    gathered[used] = *slice;
                    used += 1;
                }
            }
            ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &gathered[..used]))
        };
        let outcome = match outcome {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            other => other,
        };
        let written = self.note(outcome)?;
        self.unflushed = true;
        self.recent += written.min(buffered);
        if let Some(frames) = &mut self.frames {
            frames.taken(buffered, buffered.saturating_sub(written));
        }
        if written < buffered {
            self.buffer.advance(written);
            return Poll::Ready(Ok(0));
        }
        self.buffer.clear();
        Poll::Ready(Ok(written - buffered))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, Error>> {
        self.check()?;
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let gather = slices.iter().any(|slice| slice.len() >= GATHER);
        loop {
            if !gather && (self.buffer.len() + total <= THRESHOLD || self.buffer.is_empty()) {
                if self.buffer.capacity() - self.buffer.len() < total {
                    let usual = self.usual.min(THRESHOLD).saturating_sub(self.buffer.len());
                    self.buffer.reserve(total.max(usual));
                }
                for slice in slices {
                    self.buffer.extend_from_slice(slice);
                }
                self.count_sent(slices, total)?;
                return Poll::Ready(Ok(total));
            }
            let taken = ready!(self.poll_write_out(cx, slices))?;
            if taken > 0 {
                self.count_sent(slices, taken)?;
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// Looks at the first bytes of the slices, which go out.
    fn count_sent(&mut self, slices: &[IoSlice<'_>], mut length: usize) -> Result<(), Error> {
        let Some(frames) = &mut self.frames else { return Ok(()) };
        for slice in slices {
            let part = &slice[..length.min(slice.len())];
            length -= part.len();
            frames.sent(part)?;
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> Shared<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        if self.frames.as_ref().is_some_and(Frames::turn_is_over) {
            // Woken when the runtime has looked at all other sockets.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(self.poll_read_unseen(cx, buf))?;
        if let Some(frames) = &mut self.frames {
            frames.received(&buf.filled()[before..])?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read_unseen(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        let offered = buf.remaining();
        if self.ahead.is_empty() {
            if !self.reads_ahead || offered >= AHEAD {
                let before = buf.filled().len();
                ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
                self.received += (buf.filled().len() - before) as u64;
                self.reads_ahead = offered > 0 && buf.filled().len() - before == offered;
                return Poll::Ready(Ok(()));
            }
            self.ahead.reserve(AHEAD);
            let Poll::Ready(read) = pin!(self.io.read_buf(&mut self.ahead)).poll(cx) else {
                // A connection that waits keeps no buffer.
                self.ahead = BytesMut::new();
                return Poll::Pending;
            };
            let read = read?;
            self.received += read as u64;
            self.reads_ahead = read >= FEW;
        }
        let taken = offered.min(self.ahead.len());
        buf.put_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        if self.ahead.is_empty() && !self.reads_ahead {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        self.shared.borrow_mut().poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        self.shared.borrow_mut().poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        self.shared.borrow_mut().poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the flush happens once, after the driver's poll. Reports an earlier failure.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(self.shared.borrow().check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut shared = self.shared.borrow_mut();
        ready!(shared.poll_flush(cx))?;
        Pin::new(&mut shared.io).poll_shutdown(cx)
    }
}

impl<S: AsyncWrite + Unpin> Drop for Coalesced<S> {
    /// Writes what the stream takes at once, so that a last GOAWAY is not lost. Nobody is left to wait for more.
    fn drop(&mut self) {
        let _ = self.shared.borrow_mut().poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}

impl<S: AsyncWrite + Unpin> fmt::Debug for Coalesced<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesced").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Flusher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flusher").finish_non_exhaustive()
    }
}
