//! The client's side of xDS, the protocol in which control planes deliver configurations, without I/O.
//!
//! * A [`Channel`] is one stream, lost and opened again as often as it takes: in the state-of-the-world or the delta form, aggregated
//!   or for one kind. It keeps subscriptions, versions and nonces, answers every response, and waits between two tries.
//! * A [`Discovery`] has the resources of all channels. It reads each by itself, keeps the last good one of those that are refused,
//!   asks for what resources need (a cluster its endpoints, a listener its routes), and lets a resource work only when it has
//!   what it needs, or has waited for it long enough.
//!
//! It is no transport, and knows nothing of what is in a resource: a [`Reader`] reads it.
//!
//! ```
//! use std::time::Instant;
//!
//! use bytes::Bytes;
//! use tollgate_xds::{Action, Channel, Discovery, Kind, Read, Reader, Settings, Variant};
//!
//! /// Takes every resource as it is, without what it needs.
//! struct Anything;
//!
//! impl Reader for Anything {
//!     type Value = Bytes;
//!
//!     fn read(&mut self, _: Kind, _: &str, body: &Bytes) -> Result<Read<Bytes>, String> {
//!         Ok(Read::new(body.clone()))
//!     }
//! }
//!
//! let channel = Channel::new(Settings::aggregated(Variant::Delta, Bytes::new()));
//! let mut discovery = Discovery::new(Anything, vec![channel], Instant::now());
//! let (id, action) = discovery.poll_action().expect("a stream is to be opened");
//! assert_eq!(action, Action::Open);
//! discovery.handle_opened(id);
//! // Clusters are asked for first.
//! assert!(matches!(discovery.poll_action(), Some((_, Action::Send { kind: Kind::Cluster, .. }))));
//! assert!(discovery.poll_action().is_none());
//! ```

mod backoff;
mod channel;
mod discovery;
mod kind;
pub mod proto;
#[cfg(any(test, feature = "server"))]
pub mod server;
mod variant;

pub use channel::{Action, Channel, Handled, Incoming, Refusal, Settings, Update, Variant};
pub use discovery::{
    ChannelId, Discovery, Entry, Need, Numbers, Read, Reader, Refused, Resource, Timeouts, Way,
};
pub use kind::{AGGREGATED_DELTA, AGGREGATED_SOTW, Kind};
