//! The bytes of a client connection, with or without TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::io::{Socket, byte_stream};

/// A stream some bytes of which were read already and are given again.
#[derive(Debug)]
pub(super) struct Rewind<T> {
    first: Bytes,
    rest: T,
}

impl<T> Rewind<T> {
    pub(super) fn new(first: Bytes, rest: T) -> Self {
        Self { first, rest }
    }
}

/// A client connection.
#[derive(Debug)]
pub(super) enum ClientStream {
    Plain(Socket),
    Tls(Box<TlsStream<Rewind<Socket>>>),
}

impl ClientStream {
    /// Bounds what the kernel holds unsent.
    pub(super) fn limit_unsent(&self, bytes: u32) {
        match self {
            Self::Plain(socket) => socket.limit_unsent(bytes),
            Self::Tls(stream) => stream.get_ref().0.rest.limit_unsent(bytes),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewind<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.rest).poll_read(cx, buf);
        }
        let length = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..length]);
        self.first.advance(length);
        if self.first.is_empty() {
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewind<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.rest.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_shutdown(cx)
    }
}

byte_stream!(ClientStream { Plain, Tls });
