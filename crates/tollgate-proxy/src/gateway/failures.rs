//! Workers that die.

use std::{sync::Arc, thread};

use tokio::{runtime::Handle, sync::watch};

use crate::{
    listener::Balance,
    stats::{ServerMetric, WorkerStats},
};

/// How many workers have died.
#[derive(Debug)]
pub(super) struct Failures(watch::Sender<usize>);

/// Notices the end of a worker's thread by a panic.
#[derive(Debug)]
pub(super) struct Watched {
    index: usize,
    balance: Arc<Balance>,
    failures: watch::Sender<usize>,
}

impl Failures {
    /// None yet. They are counted by a task on the control thread.
    pub(super) fn new(stats: &WorkerStats, control: &Handle) -> Self {
        let failures = watch::Sender::new(0);
        let mut seen = failures.subscribe();
        let metrics = stats.server();
        control.spawn(async move {
            while seen.changed().await.is_ok() {
                metrics.set(ServerMetric::WorkersFailed, *seen.borrow_and_update() as u64);
            }
        });
        Self(failures)
    }

    /// Belongs on the stack of a worker's thread.
    pub(super) fn watch(&self, index: usize, balance: Arc<Balance>) -> Watched {
        Watched { index, balance, failures: self.0.clone() }
    }

    /// Waits for the first one.
    pub(super) async fn first(&self) {
        if self.0.subscribe().wait_for(|failed| *failed > 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(
                worker = self.index,
                "a worker has died, which is a bug; its connections are lost"
            );
            self.balance.retire(self.index);
            self.failures.send_modify(|failed| *failed += 1);
        }
    }
}
