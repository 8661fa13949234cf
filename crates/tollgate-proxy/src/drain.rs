//! The end of a worker: connections are told to finish, and counted until they have.

use std::cell::Cell;

use tokio::sync::{Notify, futures::Notified};

/// Tells the tasks of a worker that it is about to stop, and its thread when they have ended.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    draining: Cell<bool>,
    started: Notify,
    connections: Cell<usize>,
    idle: Notify,
}

impl Drain {
    /// No further requests are wanted.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Tells every task.
    pub(crate) fn start(&self) {
        self.draining.set(true);
        self.started.notify_waiters();
    }

    /// Resolves when draining starts. A caller checks [`is_draining`](Self::is_draining) after creating it.
    pub(crate) fn started(&self) -> Notified<'_> {
        self.started.notified()
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection_opened(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    /// Counts a connection no longer.
    pub(crate) fn connection_closed(&self) {
        self.connections.set(self.connections.get().saturating_sub(1));
        if self.connections.get() == 0 {
            self.idle.notify_waiters();
        }
    }

    /// Connections that are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections.get()
    }

    /// Resolves when no connection is open.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.connections.get() == 0 {
                return;
            }
            idle.await;
        }
    }
}
