//! Byte streams and the adapter that merges writes.

mod coalesced;
mod driven;
mod frames;
#[cfg(test)]
mod tests;

use tokio::io::{AsyncRead, AsyncWrite};

pub use coalesced::{Coalesced, Flusher};
pub use driven::Driven;
pub use frames::{Flood, FrameLimits, Role};

/// A byte stream to a peer: a socket, or TLS on one.
pub trait Io: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Io for S {}
