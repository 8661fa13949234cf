//! The data plane: listeners, connections, the filter chain, upstreams.
//!
//! A request travels: connection (TLS, HTTP/1.1 or HTTP/2; `downstream`) -> `transaction` (one HTTP request and its
//! response: route match, filter chain, timers) -> `upstream` (clusters, pools, exchanges) and back. Each worker is one
//! thread with its own runtime, listeners, pools and processor connections; what it writes for a request, no other
//! worker writes.

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
