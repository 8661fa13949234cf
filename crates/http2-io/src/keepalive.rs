//! PINGs that find connections whose peer is gone.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::Instant;

/// PINGs that find connections whose peer is gone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeepAlive {
    /// Time between two PINGs. `None` = none are sent regularly.
    pub interval: Option<Duration>,
    /// Up to this share of the interval is added to it at random, so that the PINGs of several connections are spread.
    pub jitter: f64,
    /// A connection on which nothing is received for so long after a PING is over.
    pub timeout: Duration,
    /// A PING goes ahead of a stream when nothing was received for so long. `None` = never.
    pub idle_interval: Option<Duration>,
    /// A PING is sent when a stream was given up on which the peer had not said a word, nor on any other meanwhile. No
    /// more than one is sent in five minutes without a sign of life in between, which every server tolerates.
    pub on_suspicion: bool,
}

impl KeepAlive {
    /// Only on suspicion, with this timeout.
    #[must_use]
    pub fn on_suspicion(timeout: Duration) -> Self {
        Self { interval: None, jitter: 0.0, timeout, idle_interval: None, on_suspicion: true }
    }
}

/// Least time between two PINGs on suspicion.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// The same when nothing was received in between but the answer to the first one: servers count PINGs that come more
/// often than this as an attack.
const SILENT_PAUSE: Duration = Duration::from_secs(300);

/// PINGs of one connection.
#[derive(Debug)]
pub struct Pinger {
    settings: KeepAlive,
    pings: PingPong,
    /// When a PING is due that is sent regularly.
    due: Option<Instant>,
    /// Until when something has to be received, while a PING is unanswered.
    waits: Option<Instant>,
    wanted: bool,
    /// Bytes received so far, and when the last came.
    received: u64,
    last_received: Instant,
    /// The last PING on suspicion, and how much had been received when it was answered.
    suspected: Option<(Instant, u64)>,
}

/// The peer did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a PING was not answered in time")]
pub struct Dead;

impl Pinger {
    /// PINGs of a connection that has just been made.
    #[must_use]
    pub fn new(settings: KeepAlive, pings: PingPong, now: Instant) -> Self {
        let mut pinger = Self {
            settings,
            pings,
            due: None,
            waits: None,
            wanted: false,
            received: 0,
            last_received: now,
            suspected: None,
        };
        pinger.rest(now);
        pinger
    }

    /// Has the next [`poll`](Self::poll) send a PING, unless one is unanswered. `suspicion`: a stream was given up.
    pub fn want(&mut self, suspicion: bool, now: Instant) {
        if suspicion {
            let is_too_early = self.suspected.is_some_and(|(since, received)| {
                let pause = if received == self.received { SILENT_PAUSE } else { LEAST_PAUSE };
                now < since + pause
            });
            if !self.settings.on_suspicion || is_too_early || self.waits.is_some() {
                return;
            }
            self.suspected = Some((now, self.received));
        }
        self.wanted = true;
    }

    /// Takes note of what has been received on the connection, PINGs and their answers included.
    pub fn observe(&mut self, received: u64, now: Instant) {
        if received == self.received {
            return;
        }
        self.received = received;
        self.last_received = now;
        if let Some(deadline) = &mut self.waits {
            // The answer may be stuck behind a large body.
            *deadline = now + self.settings.timeout;
        }
    }

    /// Whether there is nothing to do at any time until a PING is wanted.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.settings.interval.is_none()
            && self.settings.idle_interval.is_none()
            && self.waits.is_none()
            && !self.wanted
    }

    /// Whether a PING is to go ahead of a stream that is opened now.
    #[must_use]
    pub fn has_been_idle(&self, now: Instant) -> bool {
        self.settings.idle_interval.is_some_and(|limit| now > self.last_received + limit)
    }

    /// Sends a PING if one is due, and takes its answer.
    ///
    /// # Errors
    ///
    /// The peer is gone. That the connection has failed otherwise is no business of PINGs.
    pub fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Dead> {
        if self.waits.is_some() {
            self.poll_answer(now, cx)?;
        }
        let is_due = self.due.is_some_and(|due| now >= due);
        if self.waits.is_none() && (is_due || std::mem::take(&mut self.wanted)) {
            if self.pings.send_ping(Ping::opaque()).is_err() {
                // The connection has failed, which its driver is told by the library.
                self.due = None;
                return Ok(());
            }
            self.due = None;
            self.wanted = false;
            self.waits = Some(now + self.settings.timeout);
            self.poll_answer(now, cx)?;
        }
        Ok(())
    }

    fn poll_answer(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Dead> {
        match self.pings.poll_pong(cx) {
            Poll::Ready(Ok(_)) => {
                self.waits = None;
                self.wanted = false;
                if let Some((_, received)) = &mut self.suspected {
                    *received = self.received;
                }
                self.rest(now);
                Ok(())
            }
            Poll::Ready(Err(_)) => {
                self.waits = None;
                Ok(())
            }
            Poll::Pending if self.waits.is_some_and(|deadline| now >= deadline) => Err(Dead),
            Poll::Pending => Ok(()),
        }
    }

    /// When it has to be polled again at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.waits.or(self.due)
    }

    fn rest(&mut self, now: Instant) {
        let random = 1.0 + self.settings.jitter * fastrand::f64();
        self.due = self.settings.interval.map(|interval| now + interval.mul_f64(random));
    }
}
