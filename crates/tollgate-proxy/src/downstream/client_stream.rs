//! The bytes of a client connection, with or without TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::{noted::Noted, record::ConnectionRecord};
use crate::io::{MaybeTls, Rewind, Socket};

/// A client connection, with or without TLS.
pub(super) type Transport = MaybeTls<TlsStream<Noted<Rewind<Socket>>>>;

/// A client connection whose bytes are counted.
#[derive(Debug)]
pub(super) struct ClientStream {
    transport: Transport,
    /// Where its bytes are counted, if somebody wants to know.
    record: Option<Rc<ConnectionRecord>>,
}

impl ClientStream {
    pub(super) fn new(transport: Transport, record: Option<Rc<ConnectionRecord>>) -> Self {
        Self { transport, record }
    }

    /// Bounds what the kernel holds unsent.
    pub(super) fn limit_unsent(&self, bytes: u32) {
        match &self.transport {
            MaybeTls::Plain(socket) => socket.limit_unsent(bytes),
            MaybeTls::Tls(stream) => stream.get_ref().0.get_ref().get_ref().limit_unsent(bytes),
        }
    }

    fn count_sent(&self, written: &Poll<io::Result<usize>>) {
        if let (Some(record), Poll::Ready(Ok(bytes))) = (&self.record, written) {
            record.sent(*bytes);
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.transport).poll_read(cx, buf);
        if let Some(record) = &this.record {
            match &read {
                Poll::Ready(Ok(())) => record.received(buf.filled().len() - before),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => record.reset(),
                _ => {}
            }
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.transport).poll_write(cx, buf);
        this.count_sent(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.transport).poll_write_vectored(cx, bufs);
        this.count_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}
