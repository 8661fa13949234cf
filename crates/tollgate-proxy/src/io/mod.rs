//! Bytes on both sides, of clients and of hosts: sockets, TLS or not, reading, bodies of HTTP/2 streams. What every HTTP/2
//! connection stands on, those to processors included, is the crate `http2-io`.

pub(crate) mod http2_body;
pub(crate) mod http2_send;
pub(crate) mod keepalive;
mod maybe_tls;
pub(crate) mod read_buffer;
mod rewind;
mod socket;

pub(crate) use maybe_tls::MaybeTls;
pub(crate) use rewind::Rewind;
pub(crate) use socket::{ListeningSocket, Socket, StdSocket};

/// Makes a byte stream of an enum of byte streams, or of a struct around one: `[bounds] Type: constructors`.
macro_rules! byte_stream {
    ([$($bounds:tt)*] $stream:ty: $($($constructor:ident)::+),+) => {
        impl<$($bounds)*> ::tokio::io::AsyncRead for $stream {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &mut ::tokio::io::ReadBuf<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $($($constructor)::+(stream) => ::std::pin::Pin::new(stream).poll_read(cx, buf)),+
                }
            }
        }

        impl<$($bounds)*> ::tokio::io::AsyncWrite for $stream {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $($($constructor)::+(stream) => ::std::pin::Pin::new(stream).poll_write(cx, buf)),+
                }
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $($($constructor)::+(stream) => ::std::pin::Pin::new(stream).poll_write_vectored(cx, bufs)),+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $($($constructor)::+(stream) => stream.is_write_vectored()),+
                }
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $($($constructor)::+(stream) => ::std::pin::Pin::new(stream).poll_flush(cx)),+
                }
            }

            fn poll_shutdown(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $($($constructor)::+(stream) => ::std::pin::Pin::new(stream).poll_shutdown(cx)),+
                }
            }
        }
    };
}
pub(crate) use byte_stream;
