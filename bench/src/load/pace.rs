//! When requests begin.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::Load;

/// Closed or open loop.
#[derive(Debug)]
pub(crate) enum Pace {
    /// As soon as a client is free.
    Closed,
    /// When they are due.
    Open(RefCell<Backlog>),
}

/// Requests that are due and clients that wait for one.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    due: VecDeque<Instant>,
    /// By client.
    wakers: Vec<Option<Waker>>,
    waiting: VecDeque<usize>,
}

impl Pace {
    pub(crate) fn open() -> Self {
        Self::Open(RefCell::default())
    }

    /// Waits for the next request of a client: the time from which its latency counts.
    pub(crate) async fn next(&self, client: usize) -> Instant {
        poll_fn(|cx| self.poll_next(client, cx)).await
    }

    pub(crate) fn poll_next(&self, client: usize, cx: &mut Context<'_>) -> Poll<Instant> {
        let Self::Open(backlog) = self else { return Poll::Ready(Instant::now()) };
        let mut backlog = backlog.borrow_mut();
        if let Some(due) = backlog.due.pop_front() {
            return Poll::Ready(due);
        }
        if backlog.wakers.len() <= client {
            backlog.wakers.resize(client + 1, None);
        }
        if backlog.wakers[client].replace(cx.waker().clone()).is_none() {
            backlog.waiting.push_back(client);
        }
        Poll::Pending
    }

    /// Requests that are due and not begun.
    pub(crate) fn backlog(&self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Open(backlog) => backlog.borrow().due.len(),
        }
    }

    /// Clients that have nothing to do.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Open(backlog) => backlog.borrow().waiting.len(),
        }
    }

    /// Makes so many requests due at once.
    pub(crate) fn push_many(&self, count: usize) {
        for _ in 0..count {
            self.push(Instant::now());
        }
    }

    fn push(&self, due: Instant) {
        let Self::Open(backlog) = self else { return };
        let mut backlog = backlog.borrow_mut();
        backlog.due.push_back(due);
        if let Some(client) = backlog.waiting.pop_front()
            && let Some(waker) = backlog.wakers[client].take()
        {
            waker.wake();
        }
    }
}

/// Makes requests due at random intervals (a Poisson process, the same one each time), `rate` a second on average. Never
/// sleeps, because timers are coarser than latencies; the core is its own.
pub(crate) async fn generate(load: &Load, rate: f64, duration: Duration) {
    let mut random = fastrand::Rng::with_seed(42);
    let begin = Instant::now();
    let mut due = begin;
    loop {
        let now = Instant::now();
        if now.duration_since(begin) >= duration {
            return;
        }
        while due <= now {
            load.pace.push(due);
            let share = 1.0 - random.f64();
            due += Duration::from_secs_f64(-share.ln() / rate);
        }
        tokio::task::yield_now().await;
    }
}
