//! Byte streams to hosts: sockets, and TLS on them.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Waker},
};

use tokio::io::AsyncWrite;
use tokio_rustls::client::TlsStream;

use crate::io::{MaybeTls, Socket, byte_stream};

/// An established stream to a host.
#[derive(Debug)]
pub(in crate::upstream) struct Transport(MaybeTls<TlsStream<Socket>>);

impl Transport {
    /// Cleartext.
    pub(in crate::upstream) fn raw(socket: Socket) -> Self {
        Self(MaybeTls::Plain(socket))
    }

    /// TLS.
    pub(in crate::upstream) fn tls(stream: TlsStream<Socket>) -> Self {
        Self(MaybeTls::Tls(Box::new(stream)))
    }

    /// Our side; `None` on a Unix socket.
    pub(in crate::upstream) fn local_address(&self) -> Option<SocketAddr> {
        let socket = match &self.0 {
            MaybeTls::Plain(socket) => socket,
            MaybeTls::Tls(stream) => stream.get_ref().0,
        };
        socket.addresses().1
    }
}

impl Drop for Transport {
    /// Says goodbye as TLS wants it, as far as the socket takes it at once. Clients are not told so: to them it would
    /// mean that a response which breaks off is complete.
    fn drop(&mut self) {
        if let MaybeTls::Tls(stream) = &mut self.0 {
            let _ = Pin::new(stream.as_mut()).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

byte_stream!([] Transport: Self);
