//! Connections of clients, counted over all workers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tollgate_model::{Snapshot, listener::ConnectionLimits};

/// Counts with the limit of the process. The limits of listeners are in their configuration.
#[derive(Debug)]
pub(crate) struct Connections {
    all: ConnectionCount,
    limit: AtomicU64,
    listeners: Mutex<HashMap<String, ConnectionCount>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { all: ConnectionCount::default(), limit: AtomicU64::new(u64::MAX), listeners: Mutex::default() }
    }
}

/// A number of connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionCount(Arc<AtomicU64>);

/// A connection that was counted, until dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    _listener: Counted,
    _all: Option<Counted>,
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are as many as the process may have.
    GlobalLimit,
    /// There are as many as the listener may have.
    ListenerLimit,
}

#[derive(Debug)]
struct Counted(ConnectionCount);

impl Counted {
    fn try_new(count: &ConnectionCount, limit: u64) -> Option<Self> {
        // A limit that is overstepped is given back at once.
        if count.0.fetch_add(1, Relaxed) >= limit {
            count.0.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Self(count.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

impl Connections {
    /// Lets a connection in, or not.
    pub(crate) fn admit(
        &self,
        listener: &ConnectionCount,
        limits: ConnectionLimits,
    ) -> Result<Admission, Refused> {
        let all = match limits.ignore_global_limit {
            true => None,
            false => Some(Counted::try_new(&self.all, self.limit.load(Relaxed)).ok_or(Refused::GlobalLimit)?),
        };
        let most = limits.max_connections.unwrap_or(u64::MAX);
        let listener = Counted::try_new(listener, most).ok_or(Refused::ListenerLimit)?;
        Ok(Admission { _listener: listener, _all: all })
    }

    /// The count of a listener, the same one for every worker.
    pub(crate) fn of_listener(&self, name: &str) -> ConnectionCount {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.entry(name.to_owned()).or_default().clone()
    }

    /// The share of the limit that is used; 0 without one.
    pub(super) fn pressure(&self) -> f64 {
        match self.limit.load(Relaxed) {
            u64::MAX => 0.0,
            0 => 1.0,
            limit => self.all.0.load(Relaxed) as f64 / limit as f64,
        }
    }

    pub(super) fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(u64::MAX), Relaxed);
    }

    /// Forgets the counts of listeners that are gone with their connections.
    pub(super) fn forget_all_but(&self, snapshot: &Snapshot) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|name, count| {
            Arc::strong_count(&count.0) > 1
                || snapshot.listeners.iter().any(|listener| listener.name == *name)
        });
    }
}
