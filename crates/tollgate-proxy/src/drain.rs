//! The end of connections: they are asked to finish, and counted until they have.

use std::cell::Cell;

use tokio::sync::{Notify, futures::Notified};

/// How soon connections are to end. Requests under way go on in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Haste {
    /// Clients are to go elsewhere for a while: connections end with their next request, and may wait for it.
    WithNextRequest,
    /// What they belong to was removed from the configuration: they end with their next request, which might be on its
    /// way already, or when none comes for a while.
    AfterNextRequest,
    /// The worker is about to stop: they end as soon as no request is under way.
    WhenIdle,
}

/// Tells connections, or what accepts them, to end.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    haste: Cell<Option<Haste>>,
    started: Notify,
}

impl Drain {
    /// No further requests are wanted.
    pub(crate) fn is_draining(&self) -> bool {
        self.haste.get().is_some()
    }

    /// How soon connections are to end; `None` = they may stay.
    pub(crate) fn haste(&self) -> Option<Haste> {
        self.haste.get()
    }

    /// Tells every task; the greater haste counts.
    pub(crate) fn start(&self, haste: Haste) {
        if self.haste.get() < Some(haste) {
            self.haste.set(Some(haste));
            self.started.notify_waiters();
        }
    }

    /// Further requests are wanted again, unless it was more than [`Haste::WithNextRequest`] that was asked for.
    pub(crate) fn take_back(&self) {
        if self.haste.get() == Some(Haste::WithNextRequest) {
            self.haste.set(None);
        }
    }

    /// Resolves when draining starts, or becomes more hasty. A caller checks [`haste`](Self::haste) after creating it.
    pub(crate) fn started(&self) -> Notified<'_> {
        self.started.notified()
    }
}

/// Counts the open connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct OpenConnections {
    count: Cell<usize>,
    none: Notify,
}

impl OpenConnections {
    /// Counts a connection.
    pub(crate) fn opened(&self) {
        self.count.set(self.count.get() + 1);
    }

    /// Counts a connection no longer.
    pub(crate) fn closed(&self) {
        self.count.set(self.count.get().saturating_sub(1));
        if self.count.get() == 0 {
            self.none.notify_waiters();
        }
    }

    /// Connections that are open.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Resolves when none is open.
    pub(crate) async fn none(&self) {
        loop {
            let none = self.none.notified();
            if self.count.get() == 0 {
                return;
            }
            none.await;
        }
    }
}
