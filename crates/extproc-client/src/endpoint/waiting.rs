//! Exchanges that wait for a connection.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::Endpoint;
use crate::{connection::Slot, orphan::Orphan, reset::ResetReason};

/// What an exchange that waits gets.
pub(crate) type Outcome = Result<Slot, ResetReason>;

/// One exchange that waits, as the queue and the exchange see it.
#[derive(Default)]
struct Cell {
    state: RefCell<State>,
}

impl Cell {
    /// Until when what was left behind is to be sent.
    fn expiry(&self) -> Option<Instant> {
        match &*self.state.borrow() {
            State::Orphaned(orphan) => Some(orphan.expiry()),
            _ => None,
        }
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expiry().is_some_and(|expiry| now >= expiry)
    }
}

enum State {
    /// The exchange is alive and will be woken.
    Waits(Option<Waker>),
    /// The exchange's caller has left; what it had queued is sent nevertheless.
    Orphaned(Box<Orphan>),
    Ready(Outcome),
    Taken,
}

impl Default for State {
    fn default() -> Self {
        Self::Waits(None)
    }
}

/// The queue of an endpoint, first come first served.
#[derive(Default)]
pub(super) struct Queue {
    next: u64,
    cells: BTreeMap<u64, Rc<Cell>>,
    /// When the first of those whose callers have left runs out of time.
    next_expiry: Option<Instant>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn push(&mut self, endpoint: Rc<Endpoint>) -> Waiting {
        let key = self.next;
        self.next += 1;
        let cell = Rc::<Cell>::default();
        self.cells.insert(key, cell.clone());
        Waiting { endpoint, key, cell }
    }

    /// Takes the first that still wants a connection.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Waiter> {
        loop {
            let (_, cell) = self.cells.pop_first()?;
            if !cell.is_expired(now) {
                return Some(Waiter(cell));
            }
        }
    }

    /// Forgets those whose time has run out.
    pub(super) fn prune(&mut self, now: Instant) {
        if self.next_expiry.is_some_and(|expiry| expiry <= now) {
            self.cells.retain(|_, cell| !cell.is_expired(now));
            self.next_expiry = self.cells.values().filter_map(|cell| cell.expiry()).min();
        }
    }

    /// Whether there is nobody in the queue, not even one whose time has run out.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        std::mem::take(&mut self.cells).into_values().map(Waiter)
    }

    fn remove(&mut self, key: u64) {
        self.cells.remove(&key);
    }
}

/// One that was taken out of the queue and has to be given its outcome.
pub(super) struct Waiter(Rc<Cell>);

impl Waiter {
    /// Hands the outcome over. The endpoint's pool must not be borrowed.
    pub(super) fn deliver(self, outcome: Outcome) {
        let state = std::mem::replace(&mut *self.0.state.borrow_mut(), State::Taken);
        match state {
            State::Waits(waker) => {
                *self.0.state.borrow_mut() = State::Ready(outcome);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Orphaned(orphan) => {
                if let Ok(slot) = outcome {
                    orphan.open(slot);
                }
            }
            State::Ready(_) | State::Taken => {}
        }
    }
}

/// A place in the queue. Dropping it gives the place up, or the connection if there is one already.
pub(crate) struct Waiting {
    endpoint: Rc<Endpoint>,
    key: u64,
    cell: Rc<Cell>,
}

impl Waiting {
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Outcome> {
        let mut state = self.cell.state.borrow_mut();
        match &mut *state {
            State::Waits(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Ready(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Ready(outcome) => Poll::Ready(outcome),
                _ => Poll::Pending,
            },
            State::Orphaned(_) | State::Taken => Poll::Pending,
        }
    }

    /// Leaves the place to what the exchange had queued.
    pub(crate) fn orphan(self, orphan: Box<Orphan>) {
        let mut state = self.cell.state.borrow_mut();
        match &*state {
            State::Waits(_) => {
                let expiry = orphan.expiry();
                *state = State::Orphaned(orphan);
                let mut pool = self.endpoint.pool.borrow_mut();
                let next = &mut pool.queue.next_expiry;
                *next = Some(next.map_or(expiry, |next| next.min(expiry)));
            }
            State::Ready(Ok(_)) => {
                if let State::Ready(Ok(slot)) = std::mem::replace(&mut *state, State::Taken) {
                    drop(state);
                    orphan.open(slot);
                }
            }
            _ => {}
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waits = matches!(&*self.cell.state.borrow(), State::Waits(_));
        if waits {
            self.endpoint.pool.borrow_mut().queue.remove(self.key);
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("key", &self.key).finish_non_exhaustive()
    }
}
