//! The neutral model of a gateway configuration.
//!
//! A [`Snapshot`] is everything the data plane needs, compiled and complete: listeners, virtual hosts, routes,
//! filter chains, clusters and processors. It knows no file format and no dialect, does no I/O, and never changes
//! once built; a new configuration is a new snapshot.
//!
//! ```
//! use tollgate_model::{Snapshot, snapshot::Node, update::Difference};
//!
//! let one = Snapshot::default();
//! let node = Node { id: "gateway".to_owned(), ..Node::default() };
//! let other = Snapshot { node, ..Snapshot::default() };
//! assert_eq!(Difference::between(&one, &other).to_string(), "node or admin address");
//! ```

pub mod access_log;
pub mod cluster;
pub mod cors;
pub mod filter;
pub mod format;
pub mod header;
pub mod http_connection_manager;
pub mod ip_detection;
pub mod jwt;
pub mod listener;
pub mod local_reply;
pub mod management;
pub mod matching;
pub mod metadata;
pub mod overload;
pub mod processor;
pub mod route;
pub mod shared;
pub mod snapshot;
pub mod socket;
pub mod tcp_proxy;
pub mod tls;
pub mod update;
pub mod watchdog;

pub use snapshot::Snapshot;
