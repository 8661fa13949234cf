//! Byte streams to hosts: sockets, and TLS on them.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Waker},
};

use tokio::io::AsyncWrite;
use tokio_rustls::client::TlsStream;

use crate::io::{Socket, byte_stream};

/// An established stream to a host.
#[derive(Debug)]
pub(in crate::upstream) enum Transport {
    /// Cleartext.
    Raw(Socket),
    /// TLS.
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Our side; `None` on a Unix socket.
    pub(in crate::upstream) fn local_address(&self) -> Option<SocketAddr> {
        let socket = match self {
            Self::Raw(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        };
        socket.addresses().1
    }
}

impl Drop for Transport {
    /// Says goodbye as TLS wants it, as far as the socket takes it at once.
    fn drop(&mut self) {
        if let Self::Tls(stream) = self {
            let _ = Pin::new(stream.as_mut()).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

byte_stream!(Transport { Raw, Tls });
