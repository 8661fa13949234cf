//! Addresses for people.

use std::fmt;

use tollgate_model::listener::BindAddress;

/// Writes `127.0.0.1:10000`, or the path of a Unix socket.
pub(crate) struct Address<'a>(pub(crate) &'a BindAddress);

impl fmt::Display for Address<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BindAddress::Socket(address) => address.fmt(formatter),
            BindAddress::Pipe { path, .. } => path.display().fmt(formatter),
        }
    }
}
