//! A bound socket, TCP or Unix, with or without TLS.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    pin::Pin,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
};

use crate::{ListenAddress, UnixAddress};

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
    /// Device and inode of the file.
    file: Option<(u64, u64)>,
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
            ListenAddress::Unix(UnixAddress { path, mode, owner }) => {
                let listener = match UnixListener::bind(path) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        remove_abandoned(path, error).await?;
                        UnixListener::bind(path)?
                    }
                    result => result?,
                };
                let socket = UnixSocket { listener, path: path.clone(), file: identity(path) };
                if let Some((user, group)) = owner {
                    chown(path, Some(*user), *group)?;
                }
                if let Some(mode) = mode {
                    fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
                }
                Ok((Self::Unix(socket), address.clone()))
            }
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // It fails when the peer has closed already, which whoever reads will notice.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY cannot be set");
                }
                Ok(Box::pin(stream))
            }
            Self::Unix(socket) => Ok(Box::pin(socket.listener.accept().await?.0)),
        }
    }
}

/// Removes a socket that nobody serves any more. A file of another kind is somebody's data.
async fn remove_abandoned(path: &Path, in_use: io::Error) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(in_use.kind(), format!("{} exists and is not a socket", path.display())));
    }
    match UnixStream::connect(path).await {
        Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(in_use),
    }
}

/// Device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Somebody else's file may be there by now. Gone already is as good.
        if self.file.is_some() && identity(&self.path) == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }
}
