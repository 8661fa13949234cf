//! PINGs that find dead connections.

use std::task::{Context, Poll};

use h2::{Ping, PingPong};
use tokio::time::Instant;

use crate::endpoint::KeepAlive;

/// Share of the interval by which PINGs of several connections are spread, as in Envoy.
const JITTER: f64 = 0.15;

/// PINGs of one connection.
pub(super) struct Pinger {
    settings: KeepAlive,
    pings: PingPong,
    state: State,
}

enum State {
    /// The next PING is due then.
    Rests(Instant),
    /// The answer is due then.
    Waits(Instant),
}

impl Pinger {
    pub(super) fn new(settings: KeepAlive, pings: PingPong, now: Instant) -> Self {
        Self { state: Self::rest(&settings, now), settings, pings }
    }

    /// Sends a PING if one is due. An error means that the peer is dead.
    pub(super) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Dead> {
        if let State::Waits(deadline) = self.state {
            match self.pings.poll_pong(cx) {
                Poll::Ready(Ok(_)) => self.state = Self::rest(&self.settings, now),
                Poll::Ready(Err(_)) => return Err(Dead),
                Poll::Pending if now >= deadline => return Err(Dead),
                Poll::Pending => {}
            }
        }
        if let State::Rests(due) = self.state
            && now >= due
        {
            self.pings.send_ping(Ping::opaque()).map_err(|_| Dead)?;
            self.state = State::Waits(now + self.settings.timeout);
            if self.pings.poll_pong(cx).is_ready() {
                self.state = Self::rest(&self.settings, now);
            }
        }
        Ok(())
    }

    /// When it has to be polled again at the latest.
    pub(super) fn deadline(&self) -> Instant {
        match self.state {
            State::Rests(due) | State::Waits(due) => due,
        }
    }

    fn rest(settings: &KeepAlive, now: Instant) -> State {
        State::Rests(now + settings.interval.mul_f64(1.0 + JITTER * fastrand::f64()))
    }
}

/// The peer did not answer.
pub(super) struct Dead;
