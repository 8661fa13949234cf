//! Exchanges that wait for a connection.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::{connection::StreamPermit, detached_request::DetachedRequest, endpoint::Endpoint};
use crate::reset::ResetReason;

/// What an exchange that waits gets.
pub(crate) type Outcome = Result<StreamPermit, ResetReason>;

/// One exchange that waits, as the queue and the exchange see it.
#[derive(Default)]
struct Pending {
    state: RefCell<State>,
}

impl Pending {
    /// Until when what was left behind is to be sent.
    fn expiry(&self) -> Option<Instant> {
        match &*self.state.borrow() {
            State::Detached(request) => Some(request.expiry()),
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
    Detached(Box<DetachedRequest>),
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
pub(super) struct PendingRequests {
    next: u64,
    requests: BTreeMap<u64, Rc<Pending>>,
    /// When the first of those whose callers have left runs out of time.
    next_expiry: Option<Instant>,
}

impl PendingRequests {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn push(&mut self, endpoint: Rc<Endpoint>) -> PendingRequest {
        let key = self.next;
        self.next += 1;
        let pending = Rc::<Pending>::default();
        self.requests.insert(key, pending.clone());
        PendingRequest { endpoint, key, pending }
    }

    /// Takes the first that still wants a connection.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Dequeued> {
        loop {
            let (_, pending) = self.requests.pop_first()?;
            if !pending.is_expired(now) {
                return Some(Dequeued(pending));
            }
        }
    }

    /// Forgets those whose time has run out.
    pub(super) fn prune(&mut self, now: Instant) {
        if self.next_expiry.is_some_and(|expiry| expiry <= now) {
            self.requests.retain(|_, pending| !pending.is_expired(now));
            self.next_expiry = self.requests.values().filter_map(|pending| pending.expiry()).min();
        }
    }

    /// Whether there is nobody in the queue, not even one whose time has run out.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Dequeued> + use<> {
        std::mem::take(&mut self.requests).into_values().map(Dequeued)
    }

    /// Forgets one that has left.
    pub(super) fn remove(&mut self, key: u64) {
        self.requests.remove(&key);
    }

    /// One whose caller has left runs out of time then.
    pub(super) fn expires(&mut self, expiry: Instant) {
        self.next_expiry = Some(self.next_expiry.map_or(expiry, |next| next.min(expiry)));
    }
}

/// One that was taken out of the queue and has to be given its outcome.
pub(super) struct Dequeued(Rc<Pending>);

impl Dequeued {
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
            State::Detached(request) => {
                if let Ok(permit) = outcome {
                    request.open(permit);
                }
            }
            State::Ready(_) | State::Taken => {}
        }
    }
}

/// A place in the queue. Dropping it gives the place up, or the connection if there is one already.
pub(crate) struct PendingRequest {
    endpoint: Rc<Endpoint>,
    key: u64,
    pending: Rc<Pending>,
}

impl PendingRequest {
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Outcome> {
        let mut state = self.pending.state.borrow_mut();
        match &mut *state {
            State::Waits(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Ready(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Ready(outcome) => Poll::Ready(outcome),
                _ => Poll::Pending,
            },
            State::Detached(_) | State::Taken => Poll::Pending,
        }
    }

    /// Leaves the place to what the exchange had queued.
    pub(crate) fn detach(self, request: Box<DetachedRequest>) {
        let mut state = self.pending.state.borrow_mut();
        match &*state {
            State::Waits(_) => {
                let expiry = request.expiry();
                *state = State::Detached(request);
                self.endpoint.expires(expiry);
            }
            State::Ready(Ok(_)) => {
                if let State::Ready(Ok(permit)) = std::mem::replace(&mut *state, State::Taken) {
                    drop(state);
                    request.open(permit);
                }
            }
            _ => {}
        }
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        let waits = matches!(&*self.pending.state.borrow(), State::Waits(_));
        if waits {
            self.endpoint.forget(self.key);
        }
    }
}

impl fmt::Debug for PendingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRequest").field("key", &self.key).finish_non_exhaustive()
    }
}
