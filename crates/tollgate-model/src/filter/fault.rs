//! The `fault` filter: requests wait or are answered, and responses are slow, on purpose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use extproc::messages::Struct;
use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::{matching::HeaderMatcher, metadata::serialize_struct, route::Fraction};

/// Settings of the filter.
#[derive(Debug, PartialEq, Serialize)]
pub struct Fault {
    /// Requests wait.
    pub delay: Option<FaultPart<Duration>>,
    /// Requests are answered.
    pub abort: Option<FaultPart<AbortStatus>>,
    /// The body of those answers. Default `fault filter abort`.
    pub abort_body: String,
    /// Responses are slow: bytes a second.
    pub response_rate: Option<FaultPart<u64>>,
    /// Only requests that go to this cluster; empty = all.
    pub upstream_cluster: String,
    /// Only requests that all of these match.
    pub headers: Vec<HeaderMatcher>,
    /// Only requests of these nodes (`x-envoy-downstream-service-node`); empty = of all.
    pub downstream_nodes: Vec<String>,
    /// How many requests may have faults at once; `None` = any number.
    pub max_active_faults: Option<u32>,
    /// Dynamic metadata of requests with faults.
    #[serde(serialize_with = "serialize_struct")]
    pub metadata: Struct,
    /// Requests that have faults.
    #[serde(skip)]
    pub active: ActiveFaults,
}

/// A kind of fault, and for which share of the requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultPart<T> {
    /// What is done; `None`: the request says it.
    pub fixed: Option<T>,
    /// The share of the requests.
    pub percentage: Fraction,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AbortStatus {
    /// With this status.
    Http(#[serde(serialize_with = "status")] StatusCode),
    /// With this status of gRPC.
    Grpc(u32),
}

fn status<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// How many requests have faults, in all workers. It is no setting.
#[derive(Debug, Clone, Default)]
pub struct ActiveFaults(Arc<AtomicU32>);

impl PartialEq for ActiveFaults {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A request has a fault, until this is dropped.
#[derive(Debug)]
pub struct ActiveFault(Arc<AtomicU32>);

impl ActiveFaults {
    /// One more, if there are not that many yet.
    #[must_use]
    pub fn begin(&self, most: Option<u32>) -> Option<ActiveFault> {
        let most = most.unwrap_or(u32::MAX);
        let more = |now: u32| (now < most).then_some(now + 1);
        self.0.try_update(Relaxed, Relaxed, more).ok()?;
        Some(ActiveFault(Arc::clone(&self.0)))
    }
}

impl Drop for ActiveFault {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_not_more_than_are_allowed() {
        let faults = ActiveFaults::default();
        assert!(faults.begin(Some(0)).is_none());
        let first = faults.begin(Some(1));
        assert!(first.is_some() && faults.begin(Some(1)).is_none());
        drop(first);
        assert!(faults.begin(Some(1)).is_some());
        assert!(faults.begin(None).is_some());
    }
}
