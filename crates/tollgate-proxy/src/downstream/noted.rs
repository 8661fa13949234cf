//! A socket of which some bytes are noted as they pass.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are noted of what was read: no ClientHello that is accepted is longer.
const LONGEST_NOTE: usize = 96 * 1024;

/// A stream that notes what is read or written while somebody wants to know. Nothing is noted at first.
#[derive(Debug)]
pub(super) struct Noted<T> {
    inner: T,
    read: Option<Vec<u8>>,
    /// With how much of it is wanted.
    written: Option<(Vec<u8>, usize)>,
}

impl<T> Noted<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, read: None, written: None }
    }

    /// The stream itself.
    pub(super) fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The stream itself, for good.
    pub(super) fn into_inner(self) -> T {
        self.inner
    }

    /// From now on notes what is read.
    pub(super) fn note_read(&mut self) {
        self.read = Some(Vec::new());
    }

    /// From now on notes the first bytes that are written, at most so many.
    pub(super) fn note_written(&mut self, most: usize) {
        self.written = Some((Vec::new(), most));
    }

    /// What was read, if it was noted; no more is.
    pub(super) fn take_read(&mut self) -> Option<Vec<u8>> {
        self.read.take()
    }

    /// What was written first, if it was noted; no more is.
    pub(super) fn take_written(&mut self) -> Option<Vec<u8>> {
        self.written.take().map(|(note, _)| note)
    }

    fn note_sent<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, sent: &Poll<io::Result<usize>>) {
        let (Some((note, most)), Poll::Ready(Ok(sent))) = (&mut self.written, sent) else { return };
        let mut room = (*sent).min(most.saturating_sub(note.len()));
        for piece in pieces {
            let length = piece.len().min(room);
            note.extend_from_slice(&piece[..length]);
            room -= length;
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Noted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(note) = &mut self.read {
            let new = &buf.filled()[before..];
            let room = LONGEST_NOTE.saturating_sub(note.len());
            note.extend_from_slice(&new[..new.len().min(room)]);
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Noted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note_sent(std::iter::once(buf), &sent);
        sent
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note_sent(bufs.iter().map(|piece| &**piece), &sent);
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
