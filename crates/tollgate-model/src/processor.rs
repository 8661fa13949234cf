//! External processing, and the processors that it talks to.

use std::{
    fmt,
    ops::{Deref, RangeInclusive},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;

pub use crate::filter::{FilterOverride, HttpFilter};
use crate::{cluster::Cluster, format::Format};

/// An external processing filter as it applies to a request. `C` is a cluster, ready for connections or as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtProc<C = Cluster> {
    /// Every rule of the exchange.
    #[serde(skip)]
    pub plan: Arc<extproc::Plan>,
    /// Who is spoken to.
    pub grpc_service: GrpcService<C>,
}

/// Which external processing filter of the process it is. What runs it is kept by this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtProcId(u64);

/// An external processing filter of a snapshot: its settings with a number. All routes with the same settings share one.
///
/// The number says which object it is, not what it is like: filters with the same settings are equal. One that does not
/// change in an update stays the same object.
#[derive(Serialize)]
#[serde(transparent)]
pub struct ExtProcFilter {
    #[serde(skip)]
    id: ExtProcId,
    settings: ExtProc,
}

impl ExtProcFilter {
    /// A filter with these settings, and a number that no other one has.
    #[must_use]
    pub fn new(settings: ExtProc) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: ExtProcId(NEXT.fetch_add(1, Ordering::Relaxed)), settings }
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> ExtProcId {
        self.id
    }
}

impl Deref for ExtProcFilter {
    type Target = ExtProc;

    fn deref(&self) -> &ExtProc {
        &self.settings
    }
}

impl PartialEq for ExtProcFilter {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl fmt::Debug for ExtProcFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

/// A gRPC service and how it is called.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrpcService<C = Cluster> {
    /// Where it is.
    pub target: GrpcTarget<C>,
    /// The target URI of `google_grpc`, as configured. None for `envoy_grpc`.
    pub target_uri: Option<String>,
    /// `:authority` of the calls.
    pub authority: String,
    /// Metadata added to each call, in order; values are evaluated on the request (N-3).
    pub initial_metadata: Vec<(String, Format)>,
    /// Largest reply accepted, bytes. Default 64 MiB (EN-23).
    pub max_receive_message_length: usize,
    /// Leave `x-forwarded-for` and `x-envoy-internal` out of the call (N-2). True for `google_grpc`.
    pub skip_envoy_headers: bool,
    /// Reopening of streams that failed before the processor answered (N-5).
    pub retry_policy: Option<GrpcRetryPolicy>,
}

impl<T, E> GrpcService<Cluster<T, E>> {
    /// How access logs name it (G-2): by its cluster, or by the target URI of `google_grpc`.
    #[must_use]
    pub fn destination(&self) -> &str {
        match (&self.target_uri, &self.target) {
            (Some(uri), _) => uri,
            (None, GrpcTarget::EnvoyGrpc(name)) => name,
            (None, GrpcTarget::GoogleGrpc(cluster)) => &cluster.name,
        }
    }
}

/// Where a processor is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum GrpcTarget<C = Cluster> {
    /// `envoy_grpc`: a cluster of the snapshot, by name. A name that does not exist fails each exchange (F-9).
    EnvoyGrpc(String),
    /// `google_grpc`: a target of its own.
    GoogleGrpc(Arc<C>),
}

/// Reopening of failed streams (N-5): when any of the conditions holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrpcRetryPolicy {
    /// gRPC codes of a response head that are tried again.
    pub retriable_codes: Vec<u8>,
    /// HTTP statuses that are tried again.
    pub retriable_statuses: Vec<RangeInclusive<u16>>,
    /// No connection could be established.
    pub connect_failure: bool,
    /// The stream broke before there was a response head, for whatever reason.
    pub reset: bool,
    /// The processor refused the stream.
    pub refused_stream: bool,
    /// Tries after the first. Default 1.
    pub num_retries: u32,
    /// First back-off. Default 25 ms.
    pub base_interval: Duration,
    /// Longest back-off. Default 250 ms.
    pub max_interval: Duration,
}
