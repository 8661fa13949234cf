//! Spreading connections over workers exactly.
//!
//! The kernel spreads connections over SO_REUSEPORT sockets by a hash, which leaves workers unequal. A worker that
//! already has more connections than the emptiest one passes a new connection on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use crate::{configuration::AddressId, io::StdSocket};

/// Connections on their way to a worker that has not taken them yet.
const HANDED_OVER: usize = 256;

/// How many connections each worker has, and the ways to them.
#[derive(Debug)]
pub(crate) struct Balance {
    workers: Box<[WorkerLoad]>,
}

/// One worker's part, on its own cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct WorkerLoad {
    connections: AtomicUsize,
    inbox: mpsc::Sender<Accepted>,
}

/// A connection that was passed to another worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The socket.
    pub(crate) socket: StdSocket,
    /// The address it was accepted at.
    pub(crate) address: AddressId,
    /// Its place in the count.
    pub(crate) token: ConnectionToken,
}

/// Counts one connection of a worker until it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionToken {
    balance: Arc<Balance>,
    worker: usize,
}

impl Balance {
    /// For that many workers; each gets the receiver of its index.
    pub(crate) fn new(workers: usize) -> (Arc<Self>, Vec<mpsc::Receiver<Accepted>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(HANDED_OVER)).unzip();
        let workers =
            senders.into_iter().map(|inbox| WorkerLoad { connections: AtomicUsize::new(0), inbox }).collect();
        (Arc::new(Self { workers }), receivers)
    }

    /// Chooses who serves a new connection: the worker that accepted it, unless another one has fewer.
    ///
    /// `Err`: the caller serves it. `Ok`: serve it through [`hand_over`](Self::hand_over) with this token.
    pub(crate) fn place(self: &Arc<Self>, accepted_by: usize) -> ConnectionToken {
        let load = |index: usize| self.workers[index].connections.load(Ordering::Relaxed);
        let emptiest = (0..self.workers.len()).min_by_key(|index| load(*index)).unwrap_or(accepted_by);
        let worker = if load(accepted_by) > load(emptiest) { emptiest } else { accepted_by };
        self.token(worker)
    }

    /// A worker takes no connections any more.
    pub(crate) fn retire(&self, worker: usize) {
        self.workers[worker].connections.store(usize::MAX / 2, Ordering::Relaxed);
    }

    /// Passes a connection to the worker of its token. When that worker does not keep up, the connection comes back.
    pub(crate) fn hand_over(&self, accepted: Accepted) -> Result<(), Accepted> {
        let worker = accepted.token.worker;
        self.workers[worker].inbox.try_send(accepted).map_err(|error| match error {
            mpsc::error::TrySendError::Full(accepted) | mpsc::error::TrySendError::Closed(accepted) => {
                accepted
            }
        })
    }

    /// Counts a connection for a worker.
    pub(crate) fn token(self: &Arc<Self>, worker: usize) -> ConnectionToken {
        self.workers[worker].connections.fetch_add(1, Ordering::Relaxed);
        ConnectionToken { balance: self.clone(), worker }
    }
}

impl ConnectionToken {
    /// The worker that serves the connection.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for ConnectionToken {
    fn drop(&mut self) {
        self.balance.workers[self.worker].connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_between_workers_is_never_more_than_one() {
        let (balance, _inboxes) = Balance::new(3);
        let mut tokens = Vec::new();
        for round in 0..50 {
            // The kernel gives everything to the same worker.
            tokens.push(balance.place(1));
            if round % 7 == 0 {
                tokens.swap_remove(round / 2);
                continue;
            }
            let counts: Vec<usize> =
                balance.workers.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).collect();
            assert_eq!(counts.iter().sum::<usize>(), tokens.len());
        }
        tokens.clear();
        for _ in 0..31 {
            tokens.push(balance.place(2));
            let counts: Vec<usize> =
                balance.workers.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).collect();
            let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
            assert!(spread <= 1, "{counts:?}");
        }
    }

    #[test]
    fn a_worker_keeps_what_it_accepts_while_it_is_not_above_the_others() {
        let (balance, _inboxes) = Balance::new(2);
        let first = balance.place(1);
        assert_eq!(first.worker(), 1);
        assert_eq!(balance.place(1).worker(), 0);
    }
}
