//! Bytes on both sides: sockets, reading, bodies of HTTP/2 streams.

pub(crate) mod http2_body;
pub(crate) mod keepalive;
pub(crate) mod read_buffer;
mod socket;

pub(crate) use socket::{ListeningSocket, Socket, StdSocket};

/// Makes an enum of byte streams a byte stream.
macro_rules! byte_stream {
    ($stream:ty { $($variant:ident),+ }) => {
        impl ::tokio::io::AsyncRead for $stream {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &mut ::tokio::io::ReadBuf<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => ::std::pin::Pin::new(stream).poll_read(cx, buf)),+
                }
            }
        }

        impl ::tokio::io::AsyncWrite for $stream {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => ::std::pin::Pin::new(stream).poll_write(cx, buf)),+
                }
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => ::std::pin::Pin::new(stream).poll_write_vectored(cx, bufs)),+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $(Self::$variant(stream) => stream.is_write_vectored()),+
                }
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => ::std::pin::Pin::new(stream).poll_flush(cx)),+
                }
            }

            fn poll_shutdown(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => ::std::pin::Pin::new(stream).poll_shutdown(cx)),+
                }
            }
        }
    };
}
pub(crate) use byte_stream;
