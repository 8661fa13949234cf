//! Streams whose exchange is over and that are brought to their end without anyone waiting (L-5, V-6).

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use h2::{Reason, SendStream};
use slab::Slab;
use tokio::time::Instant;

use super::Slot;
use crate::{payload::Payload, receive::Receive};

/// How often streams are checked for deadlines at most.
const GRANULARITY: Duration = Duration::from_millis(50);
/// How long a peer has to end a stream that was half-closed after having been left open.
const DEFERRED_GRACE: Duration = Duration::from_secs(1);

/// What is left of an exchange: an open stream and its place on the connection.
pub(crate) struct Leftover {
    pub(crate) send: SendStream<Payload>,
    pub(crate) receive: Receive,
    /// An empty payload of the exchange, for the half-close.
    pub(crate) nothing: Payload,
    /// Given up when the stream has ended.
    pub(crate) slot: Slot,
}

/// What happens to a leftover stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is half-closed, and reset as soon as that has been written (L-5 a).
    Reset,
    /// It is half-closed, and reset if the peer has not ended it by then (L-5 b).
    End(Instant),
    /// It is half-closed at that time (V-6).
    HalfClose(Instant),
}

/// The leftover streams of a connection.
#[derive(Default)]
pub(super) struct Reaper {
    leftovers: Slab<(Leftover, Then)>,
    /// One waker for each place in the slab, made once.
    wakers: Vec<Waker>,
    ready: Arc<Ready>,
    /// No deadline passes before.
    sweep: Option<Instant>,
}

/// Places of streams on which something has happened.
#[derive(Default)]
struct Ready {
    keys: Mutex<Vec<usize>>,
    driver: Mutex<Option<Waker>>,
}

impl Ready {
    fn push(&self, key: usize) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        if let Some(driver) = &*self.driver.lock().unwrap_or_else(PoisonError::into_inner) {
            driver.wake_by_ref();
        }
    }
}

/// Notes that something has happened on the stream in one place.
struct KeyWaker {
    key: usize,
    ready: Arc<Ready>,
}

impl Wake for KeyWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.key);
    }
}

impl Reaper {
    /// Takes a stream over. The driver has to be woken.
    pub(super) fn insert(&mut self, mut leftover: Leftover, then: Then) {
        if !matches!(then, Then::HalfClose(_)) {
            leftover.half_close();
        }
        let key = self.leftovers.insert((leftover, then));
        if self.wakers.len() <= key {
            let waker = Arc::new(KeyWaker { key, ready: self.ready.clone() });
            self.wakers.push(waker.into());
        }
        self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        if let Then::End(at) | Then::HalfClose(at) = then {
            self.sweep = Some(self.sweep.map_or(at, |sweep| sweep.min(at)));
        }
    }

    /// Brings forward what can be. Streams that are done are put into `done`, to be dropped when the reaper is not
    /// borrowed. Whether frames were queued, so that the connection has to be polled again.
    pub(super) fn poll(&mut self, now: Instant, cx: &Context<'_>, done: &mut Vec<Leftover>) -> bool {
        self.register(cx);
        let mut queued = false;
        let mut keys = std::mem::take(&mut *self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner));
        for key in keys.drain(..) {
            queued |= self.visit(key, now, done);
        }
        // The allocation is used again, unless wakers have filled another meanwhile.
        let mut ready = self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            *ready = keys;
        }
        drop(ready);
        if self.sweep.is_some_and(|sweep| now >= sweep) {
            queued |= self.sweep(now, done);
        }
        queued
    }

    /// When it has to be polled again at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sweep
    }

    /// Gives all streams up.
    pub(super) fn clear(&mut self) -> Vec<Leftover> {
        std::mem::take(&mut self.leftovers).into_iter().map(|(_, (leftover, _))| leftover).collect()
    }

    fn register(&self, cx: &Context<'_>) {
        let mut driver = self.ready.driver.lock().unwrap_or_else(PoisonError::into_inner);
        match driver.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *driver = Some(cx.waker().clone()),
        }
    }

    fn visit(&mut self, key: usize, now: Instant, done: &mut Vec<Leftover>) -> bool {
        let Some((leftover, then)) = self.leftovers.get_mut(key) else { return false };
        let due = match *then {
            Then::Reset => true,
            Then::End(at) | Then::HalfClose(at) => now >= at,
        };
        let ended = leftover.receive.poll_end(&mut Context::from_waker(&self.wakers[key])).is_ready();
        let queued = match (ended, *then) {
            (true, Then::HalfClose(_)) => {
                leftover.end();
                true
            }
            (true, Then::Reset | Then::End(_)) => leftover.give_up(),
            (false, Then::HalfClose(_)) if due => {
                leftover.half_close();
                let at = now + DEFERRED_GRACE;
                *then = Then::End(at);
                self.sweep = Some(self.sweep.map_or(at, |sweep| sweep.min(at)));
                return true;
            }
            (false, Then::Reset | Then::End(_)) if due => {
                leftover.send.send_reset(Reason::CANCEL);
                true
            }
            (false, _) => return false,
        };
        let (leftover, _) = self.leftovers.remove(key);
        done.push(leftover);
        queued
    }

    fn sweep(&mut self, now: Instant, done: &mut Vec<Leftover>) -> bool {
        self.sweep = None;
        let mut queued = false;
        let keys: Vec<usize> = self.leftovers.iter().map(|(key, _)| key).collect();
        for key in keys {
            queued |= self.visit(key, now, done);
        }
        let next = self.leftovers.iter().filter_map(|(_, (_, then))| match then {
            Then::End(at) | Then::HalfClose(at) => Some(*at),
            Then::Reset => None,
        });
        self.sweep = next.min().map(|at| at.max(now + GRANULARITY));
        queued
    }
}

impl Leftover {
    /// Sends END_STREAM behind everything that is queued, on a frame of its own (L-5).
    fn half_close(&mut self) {
        // An error means that the stream has ended.
        let _ = self.send.send_data(self.nothing.split(), true);
    }

    /// Leaves the stream to its connection.
    pub(crate) fn leave(self, then: Then) {
        let connection = self.slot.connection().clone();
        connection.leave(self, then);
    }

    /// Ends this side's half of a stream of which the peer has ended its own.
    pub(crate) fn end(&mut self) {
        self.half_close();
        self.give_up();
    }

    /// Resets the stream if something is queued that the peer, which has ended its half, may never take. Whether that
    /// was so.
    fn give_up(&mut self) -> bool {
        let stuck = !self.nothing.is_backlog_empty();
        if stuck {
            self.send.send_reset(Reason::CANCEL);
        }
        stuck
    }
}

impl Receive {
    /// Drops everything that arrives until the stream ends.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let ended = match self {
                Self::Head(response) => match std::task::ready!(std::pin::Pin::new(response).poll(cx)) {
                    Ok(response) => {
                        *self = Self::Body(response.into_body());
                        false
                    }
                    Err(_) => true,
                },
                Self::Body(body) => match std::task::ready!(body.poll_data(cx)) {
                    Some(Ok(data)) => {
                        // An error means that the stream has ended.
                        let _ = body.flow_control().release_capacity(data.len());
                        false
                    }
                    Some(Err(_)) => true,
                    None => {
                        let _ = std::task::ready!(body.poll_trailers(cx));
                        true
                    }
                },
            };
            if ended {
                return Poll::Ready(());
            }
        }
    }
}
