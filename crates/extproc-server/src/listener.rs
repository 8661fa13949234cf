//! A bound socket, TCP or Unix, with or without TLS.

use std::{fs, io, path::PathBuf, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
};

use crate::ListenAddress;

/// An accepted connection.
pub(crate) type Connection = Pin<Box<dyn Stream>>;

/// Both directions of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A bound socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// A Unix socket whose file goes with it.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Binds, and says to what: the port is known then.
    pub(crate) async fn bind(address: &ListenAddress) -> io::Result<(Self, ListenAddress)> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let bound = ListenAddress::Tcp(listener.local_addr()?);
                Ok((Self::Tcp(listener), bound))
            }
            ListenAddress::Unix(path) => {
                let listener = match UnixListener::bind(path) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        match UnixStream::connect(path).await {
                            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {}
                            _ => return Err(error),
                        }
                        fs::remove_file(path)?;
                        UnixListener::bind(path)?
                    }
                    result => result?,
                };
                Ok((Self::Unix(UnixSocket { listener, path: path.clone() }), address.clone()))
            }
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::pin(stream))
            }
            Self::Unix(socket) => Ok(Box::pin(socket.listener.accept().await?.0)),
        }
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}
