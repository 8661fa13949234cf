//! Streams that go on without their exchange, and are brought to their end without anyone waiting (L-5, V-6).

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use h2::{Reason, SendStream};
use slab::Slab;
use tokio::time::Instant;

use super::connection::StreamPermit;
use crate::{payload::Payload, receive::Receive};

/// How often streams are checked for deadlines at most.
const GRANULARITY: Duration = Duration::from_millis(50);
/// How long a peer has to end a stream that was half-closed after having been left open.
const DEFERRED_GRACE: Duration = Duration::from_secs(1);

/// What is left of an exchange: an open stream and its permit.
pub(crate) struct DetachedStream {
    pub(crate) send: SendStream<Payload>,
    pub(crate) receive: Receive,
    /// An empty payload of the exchange, for the half-close.
    pub(crate) nothing: Payload,
    /// Given up when the stream has ended.
    pub(crate) permit: StreamPermit,
}

/// What happens to a stream stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is half-closed, and reset as soon as that has been written (L-5 a).
    Reset,
    /// It is half-closed, and reset if the peer has not ended it by then (L-5 b).
    End(Instant),
    /// It is half-closed at that time (V-6).
    HalfClose(Instant),
}

/// The stream streams of a connection.
#[derive(Default)]
pub(super) struct DetachedStreams {
    streams: Slab<(DetachedStream, Ending)>,
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

impl DetachedStreams {
    /// Takes a stream over. The driver has to be woken.
    pub(super) fn insert(&mut self, mut stream: DetachedStream, ending: Ending) {
        if !matches!(ending, Ending::HalfClose(_)) {
            stream.half_close();
        }
        let key = self.streams.insert((stream, ending));
        if self.wakers.len() <= key {
            let waker = Arc::new(KeyWaker { key, ready: self.ready.clone() });
            self.wakers.push(waker.into());
        }
        self.ready.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        if let Ending::End(at) | Ending::HalfClose(at) = ending {
            self.sweep = Some(self.sweep.map_or(at, |sweep| sweep.min(at)));
        }
    }

    /// Brings forward what can be. Streams that are done are put into `done`, to be dropped when the detached is not
    /// borrowed. Whether frames were queued, so that the connection has to be polled again.
    pub(super) fn poll(&mut self, now: Instant, cx: &Context<'_>, done: &mut Vec<DetachedStream>) -> bool {
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
    pub(super) fn clear(&mut self) -> Vec<DetachedStream> {
        std::mem::take(&mut self.streams).into_iter().map(|(_, (stream, _))| stream).collect()
    }

    fn register(&self, cx: &Context<'_>) {
        let mut driver = self.ready.driver.lock().unwrap_or_else(PoisonError::into_inner);
        match driver.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *driver = Some(cx.waker().clone()),
        }
    }

    fn visit(&mut self, key: usize, now: Instant, done: &mut Vec<DetachedStream>) -> bool {
        let Some((stream, ending)) = self.streams.get_mut(key) else { return false };
        let due = match *ending {
            Ending::Reset => true,
            Ending::End(at) | Ending::HalfClose(at) => now >= at,
        };
        let ended = stream.receive.poll_end(&mut Context::from_waker(&self.wakers[key])).is_ready();
        let queued = match (ended, *ending) {
            (true, Ending::HalfClose(_)) => {
                stream.end();
                true
            }
            (true, Ending::Reset | Ending::End(_)) => stream.give_up(),
            (false, Ending::HalfClose(_)) if due => {
                stream.half_close();
                let at = now + DEFERRED_GRACE;
                *ending = Ending::End(at);
                self.sweep = Some(self.sweep.map_or(at, |sweep| sweep.min(at)));
                return true;
            }
            (false, Ending::Reset | Ending::End(_)) if due => {
                stream.send.send_reset(Reason::CANCEL);
                true
            }
            (false, _) => return false,
        };
        let (stream, _) = self.streams.remove(key);
        done.push(stream);
        queued
    }

    fn sweep(&mut self, now: Instant, done: &mut Vec<DetachedStream>) -> bool {
        self.sweep = None;
        let mut queued = false;
        let keys: Vec<usize> = self.streams.iter().map(|(key, _)| key).collect();
        for key in keys {
            queued |= self.visit(key, now, done);
        }
        let next = self.streams.iter().filter_map(|(_, (_, ending))| match ending {
            Ending::End(at) | Ending::HalfClose(at) => Some(*at),
            Ending::Reset => None,
        });
        self.sweep = next.min().map(|at| at.max(now + GRANULARITY));
        queued
    }
}

impl DetachedStream {
    /// Sends END_STREAM behind everything that is queued, on a frame of its own (L-5).
    fn half_close(&mut self) {
        // An error means that the stream has ended.
        let _ = self.send.send_data(self.nothing.split(), true);
    }

    /// Leaves the stream to its connection.
    pub(crate) fn leave(self, ending: Ending) {
        let connection = self.permit.connection().clone();
        connection.leave(self, ending);
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
