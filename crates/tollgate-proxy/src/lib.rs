//! The data plane: listeners, connections, the filter chain, upstreams.
//!
//! A request travels: connection (TLS, HTTP/1.1 or HTTP/2; `downstream`) -> `transaction` (one HTTP request and its
//! response: route match, filter chain, timers) -> `upstream` (clusters, pools) and back. Each worker is one thread
//! with its own runtime, listeners, pools and processor connections; nothing on the request path is shared.

#[allow(dead_code, reason = "the transaction makes it reachable")]
mod date;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod downstream;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod drain;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod gateway;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod handler;
#[allow(dead_code, unused_imports, reason = "upstreams use the other half")]
mod http1;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod listener;
#[allow(dead_code, reason = "the transaction gives them")]
mod local_reply;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod read_buffer;
#[allow(dead_code, reason = "access logs show them")]
mod response_flags;
#[allow(dead_code, unused_imports, reason = "workers count on it")]
mod stats;
mod stream;
mod stream_info;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod timer;
mod transaction;
#[allow(dead_code, unused_imports, reason = "the transaction drives it")]
mod upstream;
#[allow(dead_code, reason = "the transaction makes it reachable")]
mod worker;

pub use gateway::{Gateway, Options, StartError};
pub use stats::Stats;
