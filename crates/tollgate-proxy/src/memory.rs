//! What requests hold in memory, and a bound of it.
//!
//! Each limit of a buffer is a limit of one request, and peers decide how many requests there are. So every stream says how
//! much it holds: queued bodies, what a filter has collected, what came before it was wanted. The sums are kept for each
//! connection and for each worker, and workers add theirs up. What happens as they grow:
//!
//! 1. Near the bound requests take in no more than they can pass on at once ([`Account::is_pressed`]).
//! 2. At the bound of a connection its largest streams are given up, at the bound of the process the largest of all: they
//!    are answered 503, or reset if a response has begun. Those that hold little go on, so other clients are served.
//!
//! A worker counts for itself, and publishes larger changes. A stream that holds little costs two additions.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
    task::{Context, Waker},
};

use slab::Slab;
use tokio::sync::Notify;

use crate::id::Id;
use crate::stats::{Metrics, ServerMetric};

/// The bound of the process, bytes, unless something else is asked for.
pub(crate) const DEFAULT_LIMIT: usize = 96 * 1024 * 1024;
/// A stream that holds no more than this is never given up.
const SMALL: usize = 16 * 1024;
/// What a worker may gain or lose before it publishes that.
const STEP: usize = 256 * 1024;
/// Bounds of a connection: so many times the limit of one of its streams, between these two.
const STREAMS: usize = 4;
const LEAST_OF_CONNECTION: usize = 16 * 1024 * 1024;
const MOST_OF_CONNECTION: usize = 64 * 1024 * 1024;
/// While memory is short a stream queues no more than this for any peer.
pub(crate) const PRESSED_WATERMARK: usize = 16 * 1024;
/// What a slice of a body costs beside its bytes.
pub(crate) const SLICE: usize = 64;

/// The bound of all workers together.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    limit: usize,
    workers: usize,
    used: AtomicUsize,
    /// A worker that has less than its share has met the bound: those that have more are to give streams up.
    pressed: Vec<(AtomicBool, Notify)>,
}

impl SharedMemory {
    /// A bound of so many bytes.
    pub(crate) fn new(limit: usize, workers: usize) -> Arc<Self> {
        let pressed = (0..workers).map(|_| Default::default()).collect();
        Arc::new(Self { limit, workers: workers.max(1), used: AtomicUsize::new(0), pressed })
    }
}

/// What the requests of one worker hold.
#[derive(Debug)]
pub(crate) struct Memory {
    shared: Arc<SharedMemory>,
    worker: usize,
    used: Cell<usize>,
    /// What the others know of it.
    published: Cell<usize>,
    /// Held by streams that were given up and have not ended yet.
    leaving: Cell<usize>,
    /// Streams that hold more than a little.
    holders: RefCell<Slab<Rc<Holder>>>,
    metrics: Metrics<ServerMetric>,
}

/// A stream that holds more than a little.
#[derive(Debug)]
struct Holder {
    connection: Rc<ConnectionMemory>,
    held: Cell<usize>,
    /// What it held when it was given up.
    given_up: Cell<Option<usize>>,
    waker: RefCell<Waker>,
}

impl Memory {
    pub(crate) fn new(shared: Arc<SharedMemory>, worker: usize, metrics: Metrics<ServerMetric>) -> Rc<Self> {
        Rc::new(Self {
            shared,
            worker,
            used: Cell::new(0),
            published: Cell::new(0),
            leaving: Cell::new(0),
            holders: RefCell::default(),
            metrics,
        })
    }

    /// An account of a connection whose streams may buffer so much each; 0 is no limit.
    pub(crate) fn connection(self: &Rc<Self>, stream_limit: usize) -> Rc<ConnectionMemory> {
        let limit = match stream_limit {
            0 => MOST_OF_CONNECTION,
            limit => limit.saturating_mul(STREAMS).clamp(LEAST_OF_CONNECTION, MOST_OF_CONNECTION),
        };
        let limit = limit.min(self.shared.limit / 2);
        Rc::new(ConnectionMemory {
            id: Id::next(),
            memory: self.clone(),
            limit,
            used: Cell::new(0),
            leaving: Cell::new(0),
            streams: Cell::new(0),
        })
    }

    /// Gives streams up whenever another worker finds that the bound is reached.
    pub(crate) async fn watch(self: Rc<Self>) {
        let Some((pressed, notify)) = self.shared.pressed.get(self.worker) else { return };
        loop {
            notify.notified().await;
            pressed.store(false, Relaxed);
            self.relieve();
        }
    }

    /// Gives up the streams that hold most, until this worker holds less by this share (0 to 1) of what it holds. Those
    /// that hold little go on.
    pub(crate) fn give_up_share(&self, share: f32) {
        let own = self.used.get().saturating_sub(self.leaving.get());
        // A share of it, rounded: it is no more.
        let wanted = (own as f64 * f64::from(share.clamp(0.0, 1.0))) as usize;
        if wanted > 0 {
            self.give_up_of(None, wanted, "overload action");
        }
    }

    /// What all workers hold, without what is about to go.
    fn total(&self) -> usize {
        let others = self.shared.used.load(Relaxed).wrapping_sub(self.published.get());
        others.wrapping_add(self.used.get()).saturating_sub(self.leaving.get())
    }

    fn is_pressed(&self) -> bool {
        // What is about to go is still there.
        self.total() + self.leaving.get() > self.shared.limit / 4 * 3
    }

    fn change(&self, before: usize, after: usize) {
        let used = self.used.get() - before + after;
        self.used.set(used);
        let published = self.published.get();
        if used.abs_diff(published) >= STEP {
            self.published.set(used);
            self.shared.used.fetch_add(used.wrapping_sub(published), AcqRel);
            self.metrics.add(ServerMetric::BufferedBytes, (used as u64).wrapping_sub(published as u64));
        }
    }

    /// Gives streams up if the bound is reached and it is this worker that holds more than its share.
    fn relieve(&self) {
        let (total, limit) = (self.total(), self.shared.limit);
        if total <= limit {
            return;
        }
        let share = limit / self.shared.workers;
        let own = self.used.get().saturating_sub(self.leaving.get());
        if own > share {
            // A little more than is needed, so that not every next byte costs a stream.
            let wanted = (total - limit + limit / 8).min(own - share / 8 * 7);
            self.give_up_of(None, wanted, "process");
        }
        for (worker, (pressed, notify)) in self.shared.pressed.iter().enumerate() {
            if worker != self.worker && own <= share && !pressed.swap(true, Relaxed) {
                notify.notify_one();
            }
        }
    }

    fn give_up_of(&self, connection: Option<Id<ConnectionMemory>>, wanted: usize, bound: &str) {
        let holders = self.holders.borrow();
        let of_connection = |holder: &&Rc<Holder>| connection.is_none_or(|of| of == holder.connection.id);
        let mut largest: Vec<_> = holders
            .iter()
            .map(|(_, holder)| holder)
            .filter(|holder| holder.given_up.get().is_none() && holder.held.get() > SMALL)
            .filter(of_connection)
            .collect();
        largest.sort_unstable_by_key(|holder| std::cmp::Reverse(holder.held.get()));
        let (mut bytes, mut count) = (0, 0);
        for holder in largest {
            if bytes >= wanted {
                break;
            }
            bytes += holder.give_up(self);
            count += 1;
        }
        if count > 0 {
            self.metrics.add(ServerMetric::BufferLimitResets, count as u64);
            tracing::warn!(
                streams = count,
                bytes,
                bound,
                "requests that hold most were given up: buffers have reached their bound"
            );
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shared.used.fetch_sub(self.published.get(), AcqRel);
    }
}

impl Holder {
    fn give_up(&self, memory: &Memory) -> usize {
        let held = self.held.get();
        self.given_up.set(Some(held));
        memory.leaving.set(memory.leaving.get() + held);
        self.connection.leaving.set(self.connection.leaving.get() + held);
        self.waker.borrow().wake_by_ref();
        held
    }
}

/// What the streams of one connection hold.
#[derive(Debug)]
pub(crate) struct ConnectionMemory {
    id: Id<Self>,
    memory: Rc<Memory>,
    limit: usize,
    used: Cell<usize>,
    leaving: Cell<usize>,
    streams: Cell<usize>,
}

impl ConnectionMemory {
    /// An account of one of its streams.
    pub(crate) fn account(self: &Rc<Self>) -> Account {
        self.streams.set(self.streams.get() + 1);
        Account { connection: self.clone(), held: 0, holder: None }
    }

    /// One stream alone has its own limit.
    fn is_pressed(&self) -> bool {
        self.used.get() > self.limit / 4 * 3 && self.streams.get() > 1
    }

    fn relieve(self: &Rc<Self>) {
        let used = self.used.get().saturating_sub(self.leaving.get());
        // One stream alone has its own limit.
        if used > self.limit && self.streams.get() > 1 {
            self.memory.give_up_of(Some(self.id), used - self.limit + self.limit / 8, "connection");
        }
    }
}

/// What one stream holds.
#[derive(Debug)]
pub(crate) struct Account {
    connection: Rc<ConnectionMemory>,
    held: usize,
    /// Its place among those that hold more than a little.
    holder: Option<(usize, Rc<Holder>)>,
}

impl Account {
    /// Notes what the stream holds now. False: it has to give up everything at once; the task is woken when that is so.
    pub(crate) fn set(&mut self, held: usize, cx: &Context<'_>) -> bool {
        if held != self.held {
            self.change(held, cx.waker());
        }
        self.holder.as_ref().is_none_or(|(_, holder)| holder.given_up.get().is_none())
    }

    /// Whether memory is short, or the part of it that the connection may have: the stream should hold no more than it
    /// must.
    pub(crate) fn is_pressed(&self) -> bool {
        self.connection.is_pressed() || self.connection.memory.is_pressed()
    }

    /// Streams of the worker that hold more than a little: those that move much.
    pub(crate) fn moving_streams(&self) -> usize {
        self.connection.memory.holders.borrow().len()
    }

    fn change(&mut self, held: usize, waker: &Waker) {
        let before = std::mem::replace(&mut self.held, held);
        let (connection, memory) = (&self.connection, &self.connection.memory);
        connection.used.set(connection.used.get() - before + held);
        memory.change(before, held);
        match &self.holder {
            Some((_, holder)) => {
                holder.held.set(held);
                let mut known = holder.waker.borrow_mut();
                if !known.will_wake(waker) {
                    known.clone_from(waker);
                }
            }
            None if held > SMALL => {
                let holder = Rc::new(Holder {
                    connection: connection.clone(),
                    held: Cell::new(held),
                    given_up: Cell::new(None),
                    waker: RefCell::new(waker.clone()),
                });
                let place = memory.holders.borrow_mut().insert(holder.clone());
                self.holder = Some((place, holder));
            }
            None => {}
        }
        if held > before && held > SMALL {
            self.connection.relieve();
            self.connection.memory.relieve();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.change(0, Waker::noop());
        let (connection, memory) = (&self.connection, &self.connection.memory);
        connection.streams.set(connection.streams.get() - 1);
        if let Some((place, holder)) = self.holder.take() {
            memory.holders.borrow_mut().remove(place);
            if let Some(bytes) = holder.given_up.get() {
                memory.leaving.set(memory.leaving.get() - bytes);
                connection.leaving.set(connection.leaving.get() - bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
