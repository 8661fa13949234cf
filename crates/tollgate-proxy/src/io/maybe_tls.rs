//! A socket, or TLS on one.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Socket, byte_stream};

/// A socket, or TLS on one. `T` is the TLS stream, which differs between the two sides of a connection.
#[derive(Debug)]
pub(crate) enum MaybeTls<T> {
    Plain(Socket),
    Tls(Box<T>),
}

byte_stream!([T: AsyncRead + AsyncWrite + Unpin] MaybeTls<T>: Self::Plain, Self::Tls);
