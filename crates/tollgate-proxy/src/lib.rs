//! The data plane: listeners, connections, the filter chain, upstreams.
//!
//! A request travels: connection (TLS, HTTP/1.1 or HTTP/2; `downstream`) -> `transaction` (one HTTP request and its
//! response: route match, filter chain, timers) -> `upstream` (clusters, pools, exchanges) and back. Each worker is one
//! thread with its own runtime, listeners, pools and processor connections; what it writes for a request, no other
//! worker writes.
//!
//! It serves a [`Snapshot`](tollgate_model::Snapshot), whatever that was made of: it reads no configuration and no files of it,
//! and what a processor's reply means is decided in `extproc`.
//!
//! ```
//! use std::{num::NonZeroUsize, sync::Arc};
//!
//! use tollgate_model::{Snapshot, snapshot::Node};
//! use tollgate_proxy::{Gateway, Options};
//!
//! let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
//! // Nothing is listened on yet.
//! let gateway = Gateway::start(&Arc::new(Snapshot::default()), options)?;
//! let node = Node { id: "edge".to_owned(), ..Node::default() };
//! let next = Snapshot { node, ..Snapshot::default() };
//! let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
//! let update = runtime.block_on(gateway.update(next)).expect("it runs");
//! assert_eq!(update.difference.to_string(), "node or admin address");
//! assert_eq!(gateway.snapshot().node.id, "edge");
//! # Ok::<(), tollgate_proxy::StartError>(())
//! ```

mod access_log;
mod arrival;
mod attributes;
mod base64;
mod certificate;
mod configuration;
mod connection_manager;
mod date;
mod downstream;
mod drain;
mod format;
mod gateway;
mod handler;
mod header_names;
mod http1;
mod id;
mod incident;
mod io;
mod listener;
mod local_reply;
mod memory;
mod meter;
mod overload;
mod proxy_status;
mod recording;
mod response_flags;
mod retry;
mod route_headers;
mod session;
mod stats;
mod stream;
mod stream_info;
mod timer;
mod tls_info;
mod transaction;
mod turn;
mod upstream;
mod worker;

pub use access_log::AccessLogs;
pub use certificate::CertificateFacts;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use http1::fuzzing as fuzzing_http1;

pub use arrival::{Arrival, Refusal, body_buffer_limit, try_request};
pub use downstream::filter_chain::{ConnectionFacts, choose as choose_filter_chain};
pub use extproc_client::GrpcStatus;
pub use gateway::{
    BindError, Calls, CallsThread, Gateway, GrpcStream, Leaving, Options, StartError, StreamEvent, Update,
    UpdateError, Updater,
};
pub use recording::{
    AlreadyRecording, Party, RecordedExchange, RecordedMessage, Recorder, Recording, RecordingLimits,
};
pub use stats::{DiscoveryStats, DiscoveryType, Outcome, QUANTILES, Stat, StatValue, Stats};
pub use upstream::{HealthFlags, HealthReports, NameLookup, NameLookups};
