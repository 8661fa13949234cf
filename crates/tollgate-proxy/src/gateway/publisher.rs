//! Putting a configuration in force, on the control thread.
//!
//! A connection can be accepted by one worker and handed to another at any moment, so that no worker may hear of an
//! address that another one does not know. An update therefore has steps, each of which ends when every worker has done
//! it: take the configuration in, with all addresses old and new; open the new addresses and close the old ones; forget
//! the old ones. Most updates have only the first.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};
use tollgate_model::{Snapshot, listener::BindAddress, shared::same, update::Difference};

use super::{
    Update,
    addresses::Addresses,
    watchdog::Pulses,
    worker_thread::{Command, Done},
};
use crate::{
    configuration::{AddressId, Adoption},
    stats::Stats,
    upstream::SharedClusters,
};

/// How long an update waits for the first addresses of new names.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// After an update, metrics that nobody counts on any more are looked for: first so much later, then less and less often.
const FIRST_FORGET: Duration = Duration::from_secs(1);
/// And at last so often.
const LAST_FORGET: Duration = Duration::from_secs(60);

/// Tells the workers what to serve.
#[derive(Debug)]
pub(super) struct Publisher {
    workers: Vec<mpsc::Sender<Command>>,
    stats: Arc<Stats>,
    pulses: Arc<Pulses>,
    control: Handle,
    /// Tells those who call management servers.
    to_calls: watch::Sender<Arc<SharedClusters>>,
    /// Held for as long as an update takes.
    addresses: tokio::sync::Mutex<Addresses>,
    in_force: Mutex<InForce>,
}

/// What everybody may look at.
#[derive(Debug, Clone)]
struct InForce {
    adoption: Arc<Adoption>,
    local_addresses: Vec<(String, BindAddress)>,
}

impl Publisher {
    /// `adoption` is what the workers have already.
    pub(super) fn new(
        workers: Vec<mpsc::Sender<Command>>,
        stats: Arc<Stats>,
        pulses: Arc<Pulses>,
        addresses: Addresses,
        adoption: Arc<Adoption>,
        control: Handle,
        to_calls: watch::Sender<Arc<SharedClusters>>,
    ) -> Self {
        let in_force = InForce { adoption, local_addresses: addresses.local() };
        Self {
            workers,
            stats,
            pulses,
            control,
            to_calls,
            addresses: tokio::sync::Mutex::new(addresses),
            in_force: Mutex::new(in_force),
        }
    }

    /// The configuration in force.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.in_force().adoption.snapshot.clone()
    }

    /// Where connections are accepted.
    pub(super) fn local_addresses(&self) -> Vec<(String, BindAddress)> {
        self.in_force().local_addresses.clone()
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a configuration in the place of the one in force.
    pub(super) async fn update(&self, snapshot: Arc<Snapshot>) -> Update {
        let mut addresses = self.addresses.lock().await;
        let before = self.in_force().adoption.clone();
        let plan = addresses.plan(&snapshot);
        if plan.is_empty() && same(&before.snapshot, &snapshot) {
            return Update { difference: Difference::default(), failures: Vec::new() };
        }
        let difference = Difference::between(&before.snapshot, &snapshot);
        let shared = before.shared.succeeded_by(&snapshot, &self.control);
        if tokio::time::timeout(LOOKUP_LIMIT, shared.initialized()).await.is_err() {
            tracing::warn!("some names of new clusters have no addresses yet");
        }

        let mut plan = plan.bind(&mut addresses, self.workers.len());
        addresses.assign(&snapshot);
        let (with_listeners, overload) = (addresses.with_listeners(), before.overload.clone());
        overload.configure(snapshot.clone());
        self.pulses.configure(&snapshot.watchdog);
        let adoption = Arc::new(Adoption::new(snapshot, shared, with_listeners, overload));
        let kept = adoption.clone();
        self.tell_all(|done| Command::Adopt { adoption: kept.clone(), done }).await;

        let mut opening: Vec<Vec<_>> = self.workers.iter().map(|_| Vec::new()).collect();
        let mut dead: Vec<AddressId> = Vec::new();
        for address in std::mem::take(&mut plan.bound) {
            let id = address.id();
            match address.listen() {
                Ok((id, sockets)) => {
                    for (worker, socket) in opening.iter_mut().zip(sockets) {
                        worker.push((id, socket));
                    }
                }
                Err(failure) => {
                    dead.push(id);
                    plan.failures.push(failure);
                }
            }
        }
        if !plan.closing.is_empty() || opening.iter().any(|sockets| !sockets.is_empty()) {
            let mut opening = opening.into_iter();
            self.tell_all(|done| Command::Accept {
                opening: opening.next().unwrap_or_default(),
                closing: plan.closing.clone(),
                done,
            })
            .await;
        }
        plan.closing.append(&mut dead);
        if !plan.closing.is_empty() {
            self.tell_all(|done| Command::Forget { addresses: plan.closing.clone(), done }).await;
            addresses.remove(&plan.closing);
        }
        for file in &plan.files {
            if let Err(error) = std::fs::remove_file(file) {
                tracing::debug!(file = %file.display(), %error, "the file of a closed socket stays");
            }
        }
        *self.in_force() = InForce { adoption: adoption.clone(), local_addresses: addresses.local() };
        self.to_calls.send_replace(adoption.shared.of_management(&adoption.snapshot));
        // Only now, when no worker uses it for new requests: freeing a large configuration takes time.
        drop(before);
        self.stats.forget_all_but(&adoption.snapshot);
        self.control.spawn(forget_later(Arc::downgrade(&self.stats), Arc::downgrade(&adoption)));
        Update { difference, failures: plan.failures }
    }

    /// Gives every worker a command and waits until all have carried it out. A worker that is gone has nothing to do.
    async fn tell_all(&self, mut command: impl FnMut(Done) -> Command) {
        let mut answers = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (done, answer) = oneshot::channel();
            if worker.send(command(done)).await.is_ok() {
                answers.push(answer);
            }
        }
        for answer in answers {
            let _ = answer.await;
        }
    }
}

/// Forgets what connections of earlier configurations counted on, which may take long to end, until the configuration is in force no
/// longer.
async fn forget_later(stats: Weak<Stats>, adoption: Weak<Adoption>) {
    let mut wait = FIRST_FORGET;
    loop {
        tokio::time::sleep(wait).await;
        let (Some(stats), Some(adoption)) = (stats.upgrade(), adoption.upgrade()) else { return };
        stats.forget_all_but(&adoption.snapshot);
        wait = (wait * 2).min(LAST_FORGET);
    }
}
