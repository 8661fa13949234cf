//! Sockets: TCP and Unix, listening and connected.

use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tollgate_model::socket::TcpOptions;

use super::keepalive;

/// A connected socket that belongs to no runtime, on its way to a worker.
#[derive(Debug)]
pub(crate) enum StdSocket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl TryFrom<StdSocket> for Socket {
    type Error = io::Error;

    fn try_from(socket: StdSocket) -> io::Result<Self> {
        Ok(match socket {
            StdSocket::Tcp(socket) => Self::Tcp(TcpStream::from_std(socket)?),
            StdSocket::Unix(socket) => Self::Unix(UnixStream::from_std(socket)?),
        })
    }
}

impl Socket {
    /// Takes the socket off its runtime.
    pub(crate) fn into_std(self) -> io::Result<StdSocket> {
        Ok(match self {
            Self::Tcp(socket) => StdSocket::Tcp(socket.into_std()?),
            Self::Unix(socket) => StdSocket::Unix(socket.into_std()?),
        })
    }

    /// The peer's and our own address; `None` on a Unix socket.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match self {
            Self::Tcp(socket) => (socket.peer_addr().ok(), socket.local_addr().ok()),
            Self::Unix(_) => (None, None),
        }
    }

    /// What the client wanted to connect to, if iptables redirected it here.
    pub(crate) fn original_destination(&self) -> Option<SocketAddr> {
        let Self::Tcp(socket) = self else { return None };
        let own = socket.local_addr().ok()?;
        let socket = socket2::SockRef::from(socket);
        let found = if own.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
        found.ok()?.as_socket().filter(|found| *found != own)
    }

    /// Sets the options that the listener's connections have.
    pub(crate) fn set_options(&self, options: &TcpOptions) {
        if let Self::Tcp(socket) = self {
            keepalive::apply(options, socket);
        }
    }

    /// Bounds what the kernel holds unsent, so that a large response does not delay small frames behind it.
    pub(crate) fn limit_unsent(&self, bytes: u32) {
        if let Self::Tcp(socket) = self
            && let Err(error) = socket2::SockRef::from(socket).set_tcp_notsent_lowat(bytes)
        {
            tracing::debug!(%error, "cannot limit unsent bytes");
        }
    }
}

super::byte_stream!([] Socket: Self::Tcp, Self::Unix);

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl ListeningSocket {
    /// Registers a bound and listening socket with the current runtime.
    pub(crate) fn new(socket: socket2::Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        if socket.domain()? == socket2::Domain::UNIX {
            Ok(Self::Unix(UnixListener::from_std(socket.into())?))
        } else {
            Ok(Self::Tcp(TcpListener::from_std(socket.into())?))
        }
    }

    /// Where it listens, for logs.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
            }
            Self::Unix(listener) => listener.local_addr().map_or_else(
                |error| error.to_string(),
                |address| address.as_pathname().map_or_else(String::new, |path| path.display().to_string()),
            ),
        }
    }

    /// The next connection, with the options that all connections have.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(|(socket, _)| {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "cannot set TCP_NODELAY");
                }
                Socket::Tcp(socket)
            }),
            Self::Unix(listener) => listener.poll_accept(cx).map_ok(|(socket, _)| Socket::Unix(socket)),
        }
    }
}
