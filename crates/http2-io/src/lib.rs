//! What every HTTP/2 connection stands on, whichever side it is: the `h2` library speaks the protocol, this crate moves its
//! bytes.
//!
//! * [`Coalesced`] collects the many small writes of a connection into one, and [`Driven`] writes them out after each poll;
//! * [`FrameLimits`]: a watched stream counts frames as their bytes pass, and fails when the peer sends, or has us send, too
//!   much of what moves nothing ([`Flood`]);
//! * [`keepalive`]: PINGs that find connections whose peer is gone.
//!
//! It opens no socket, knows no TLS and no request: those who use it bring a byte stream ([`Io`]) and drive the connection on
//! the thread that they are on.
//!
//! ```
//! # #[tokio::main(flavor = "local")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use http2_io::{Coalesced, Driven, FrameLimits, Role};
//!
//! let (ours, _theirs) = tokio::io::duplex(64 * 1024);
//! let (stream, flusher) = Coalesced::watched(ours, Role::Client, FrameLimits::default());
//! let (_requests, connection) = h2::client::handshake(stream).await?;
//! // Drives the connection until it ends; its writes go out once after each poll.
//! let driver = tokio::task::spawn_local(Driven::new(connection, flusher));
//! # driver.abort();
//! # Ok(())
//! # }
//! ```

mod coalesced;
mod driven;
mod frames;
pub mod keepalive;
mod limits;
#[cfg(test)]
mod tests;

use tokio::io::{AsyncRead, AsyncWrite};

pub use coalesced::{Coalesced, Flusher};
pub use driven::Driven;
pub use frames::Role;
pub use keepalive::KeepAlive;
pub use limits::{Flood, FrameLimits};

/// A byte stream to a peer: a socket, or TLS on one.
pub trait Io: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Io for S {}
