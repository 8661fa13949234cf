//! The task of a connection.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http2_io::{
    Coalesced, Flusher, Io,
    keepalive::{Dead, Pinger},
};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    connection::{CONNECTION_WINDOW, Connection, ConnectionEvent, PingReason, takes_streams},
    endpoint::EndpointSettings,
};
use crate::payload::Payload;

/// How long a connection may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Steps in which the connection window grows with the bytes that callers hold on to.
const WINDOW_STEP: usize = 1024 * 1024;
/// Rounds of one poll. What is left then waits for the task's next turn.
const ROUNDS: usize = 8;

/// Drives a connection: reads, writes once per poll, looks after streams that were left, and notices when the
/// connection is idle, dead or unwanted.
pub(super) struct Driver {
    connection: Rc<Connection>,
    h2: h2::client::Connection<Coalesced<Box<dyn Io>>, Payload>,
    flusher: Flusher<Box<dyn Io>>,
    settings: Rc<EndpointSettings>,
    pinger: Option<Pinger>,
    phase: Phase,
    window: u32,
    timer: Option<Pin<Box<Sleep>>>,
}

enum Phase {
    /// There are exchanges.
    Busy,
    /// There have been none since then.
    Idle(Instant),
    /// There will be none; it should be gone by then.
    Closing(Instant),
}

impl Driver {
    pub(super) fn new(
        connection: Rc<Connection>,
        mut h2: h2::client::Connection<Coalesced<Box<dyn Io>>, Payload>,
        flusher: Flusher<Box<dyn Io>>,
        settings: Rc<EndpointSettings>,
        now: Instant,
    ) -> Self {
        let pinger =
            settings.keepalive.and_then(|keepalive| Some(Pinger::new(keepalive, h2.ping_pong()?, now)));
        Self {
            connection,
            h2,
            flusher,
            settings,
            pinger,
            phase: Phase::Busy,
            window: CONNECTION_WINDOW,
            timer: None,
        }
    }

    /// Everything that has to do with HTTP/2. Ready when the connection is over.
    fn poll_protocol(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            if self.poll_pings(now, cx).is_err() {
                self.connection.report(ConnectionEvent::PingUnanswered);
                return Poll::Ready(());
            }
            if Pin::new(&mut self.h2).poll(cx).is_ready() {
                if let Some(flood) = self.flusher.flood() {
                    self.connection.report(ConnectionEvent::Flooded(flood));
                }
                return Poll::Ready(());
            }
            self.connection.received.set(self.flusher.received());
            self.observe();
            self.widen();
            let mut done = Vec::new();
            let again = self.connection.detached.borrow_mut().poll(now, cx, &mut done);
            // Permits are returned here, which other exchanges may take at once.
            drop(done);
            if !again {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_pings(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Dead> {
        let Some(pinger) = &mut self.pinger else { return Ok(()) };
        pinger.observe(self.flusher.received(), now);
        match self.connection.ping.take() {
            Some(PingReason::Suspicion) => pinger.want(true, now),
            Some(PingReason::Opened) if pinger.has_been_idle(now) => pinger.want(false, now),
            _ => {}
        }
        pinger.poll(now, cx)
    }

    /// Learns what the peer has said about taking streams.
    fn observe(&self) {
        let connection = &self.connection;
        let mut sender = connection.sender.borrow_mut();
        let Some(sending) = sender.as_mut() else { return };
        let refused = !takes_streams(sending);
        let streams = sending.current_max_send_streams();
        drop(sender);
        let limit = streams.min(self.settings.max_concurrent_streams);
        let changed = connection.limit.replace(limit) != limit;
        if refused && !connection.retired.replace(true) {
            connection.report(ConnectionEvent::Retired { replace: connection.streams() > 0 });
        } else if changed {
            connection.report(ConnectionEvent::MaxStreams(streams));
        }
    }

    /// Ensures that callers who hold on to what they received slow their own streams only: the peer may always
    /// send another [`CONNECTION_WINDOW`].
    fn widen(&mut self) {
        let held = self.connection.held.get().div_ceil(WINDOW_STEP).saturating_mul(WINDOW_STEP);
        let window =
            u32::try_from(held).unwrap_or(u32::MAX).saturating_add(CONNECTION_WINDOW).min(i32::MAX as u32);
        if window != self.window {
            self.window = window;
            self.h2.set_target_window_size(window);
        }
    }

    /// Notices that nobody uses the connection, and lets go of it in time.
    fn check_use(&mut self, now: Instant) {
        let connection = &self.connection;
        if connection.streams() > 0 {
            self.phase = Phase::Busy;
            return;
        }
        let idle_timeout = self.settings.idle_timeout;
        match self.phase {
            Phase::Busy => self.phase = Phase::Idle(now),
            Phase::Idle(since) if idle_timeout.is_some_and(|timeout| now >= since + timeout) => {
                connection.retired.set(true);
                connection.report(ConnectionEvent::Retired { replace: false });
            }
            Phase::Idle(_) | Phase::Closing(_) => {}
        }
        if connection.retired.get() && !matches!(self.phase, Phase::Closing(_)) {
            // h2 says goodbye when nobody can open streams any more.
            connection.sender.borrow_mut().take();
            self.phase = Phase::Closing(now + CLOSE_TIMEOUT);
        }
    }

    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) {
        if let Some(pinger) = &mut self.pinger {
            pinger.observe(self.flusher.received(), now);
        }
        let use_deadline = match self.phase {
            Phase::Busy => None,
            Phase::Idle(since) => self.settings.idle_timeout.map(|timeout| since + timeout),
            Phase::Closing(deadline) => Some(deadline),
        };
        let deadlines = [
            use_deadline,
            self.pinger.as_ref().and_then(Pinger::deadline),
            self.connection.detached.borrow().deadline(),
        ];
        let Some(deadline) = deadlines.into_iter().flatten().min() else { return };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // A timer that is set too early is left alone: deadlines mostly move outward.
        if deadline < timer.deadline() || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn end(&mut self) {
        let connection = &self.connection;
        connection.retired.set(true);
        connection.sender.borrow_mut().take();
        let streams = connection.detached.borrow_mut().clear();
        connection.report(ConnectionEvent::Retired { replace: false });
        drop(streams);
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.connection.register_driver(cx);
        let now = Instant::now();
        this.check_use(now);
        let mut over = matches!(this.phase, Phase::Closing(deadline) if now >= deadline);
        over |= this.poll_protocol(now, cx).is_ready();
        // Nothing more can be read from a stream that cannot be written.
        over |= matches!(this.flusher.poll_flush(cx), Poll::Ready(Err(_)));
        if over {
            this.end();
            return Poll::Ready(());
        }
        this.poll_timer(now, cx);
        Poll::Pending
    }
}
