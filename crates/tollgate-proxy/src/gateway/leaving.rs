//! Sending clients elsewhere, before the process stops or for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::worker_thread::Command;

/// Sends clients elsewhere. It keeps nothing alive.
#[derive(Debug, Clone)]
pub struct Leaving {
    workers: Vec<mpsc::Sender<Command>>,
    control: Handle,
    wish: Arc<Wish>,
    /// How long clients have before no connection is accepted any more.
    drain_time: Duration,
}

/// What is wanted. Workers look at it when they are told that it has changed.
#[derive(Debug, Default)]
pub(super) struct Wish {
    fails_health_checks: AtomicBool,
    is_draining: AtomicBool,
}

impl Wish {
    pub(super) fn fails_health_checks(&self) -> bool {
        self.fails_health_checks.load(SeqCst)
    }

    /// Whether connections end with their next request.
    pub(super) fn wants_to_leave(&self) -> bool {
        self.fails_health_checks() || self.is_draining.load(SeqCst)
    }
}

impl Leaving {
    pub(super) fn new(workers: Vec<mpsc::Sender<Command>>, control: Handle, drain_time: Duration) -> Self {
        Self { workers, control, wish: Arc::default(), drain_time }
    }

    /// Whether health checks of the gateway are failed.
    #[must_use]
    pub fn fails_health_checks(&self) -> bool {
        self.wish.fails_health_checks()
    }

    /// Fails health checks that the filter `health_check` answers, or not any more. While they are failed every connection
    /// ends with its next request.
    pub fn fail_health_checks(&self, fail: bool) {
        self.wish.fails_health_checks.store(fail, SeqCst);
        self.tell_wish();
    }

    /// Every connection ends with its next request, until the process stops. Nothing more is accepted after the drain
    /// time, unless connections are accepted for ever.
    pub fn drain(&self, accept_for_ever: bool) {
        self.wish.is_draining.store(true, SeqCst);
        self.tell_wish();
        if !accept_for_ever {
            let (leaving, drain_time) = (self.clone(), self.drain_time);
            self.control.spawn(async move {
                sleep(drain_time).await;
                leaving.stop_accepting();
            });
        }
    }

    /// No connection is accepted any more. Those that are open stay as they are.
    pub fn stop_accepting(&self) {
        self.tell(|done| Command::StopAccepting { done });
    }

    fn tell_wish(&self) {
        self.tell(|done| Command::Leave { wish: Arc::clone(&self.wish), done });
    }

    fn tell(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        for worker in &self.workers {
            // Nobody waits for it to be done.
            let (done, _) = oneshot::channel();
            if let Err(mpsc::error::TrySendError::Full(command)) = worker.try_send(command(done)) {
                let worker = worker.clone();
                self.control.spawn(async move { worker.send(command).await });
            }
        }
    }
}
