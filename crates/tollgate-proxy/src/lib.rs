//! The data plane: listeners, connections, the filter chain, upstreams.
//!
//! A request travels: connection (TLS, HTTP/1.1 or HTTP/2; `downstream`) -> `transaction` (one HTTP request and its
//! response: route match, filter chain, timers) -> `upstream` (clusters, pools) and back. Each worker is one thread
//! with its own runtime, listeners, pools and processor connections; nothing on the request path is shared.

#[allow(dead_code, unused_imports, reason = "connections and upstreams use it")]
mod http1;
#[allow(dead_code, reason = "the transaction gives them")]
mod local_reply;
#[allow(dead_code, reason = "access logs show them")]
mod response_flags;
mod stream;
mod stream_info;
#[allow(dead_code, unused_imports, reason = "the transaction drives it")]
mod upstream;
