//! Where a host is.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// An address that can be connected to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::upstream) enum Address {
    /// TCP.
    Socket(SocketAddr),
    /// Unix socket.
    Pipe(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Pipe(path) => path.display().fmt(f),
        }
    }
}
