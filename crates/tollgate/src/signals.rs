//! The signals that stop a process: the first lets work under way end, the second does not wait.

use std::{io, sync::mpsc, thread, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logging;

/// SIGTERM and SIGINT from the moment of [`listen`](Self::listen). Each value sees every signal.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Of a system that takes the process out of service.
    Terminate,
    /// Of a person.
    Interrupt,
}

/// SIGHUP and SIGUSR1 from the moment of [`listen`](Self::listen): logs were moved away and files are to be opened again.
/// Nothing else comes of them, not even when a terminal is closed.
#[derive(Debug)]
pub(crate) struct Reopen {
    hangup: Signal,
    user: Signal,
}

impl Reopen {
    /// Takes over from the default, which is to end the process at once.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, user: signal(SignalKind::user_defined1())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.user.recv() => {}
        }
    }
}

/// Ends the process when it has not ended by itself in this time, whatever its threads wait for.
pub(crate) fn end_within(limit: Duration) {
    let end = move || {
        // Nobody wakes it before its time.
        let (_never, ends) = mpsc::channel::<()>();
        let _ = ends.recv_timeout(limit);
        tracing::error!("the process did not end in time: something hangs");
        logging::flush();
        std::process::exit(1);
    };
    if let Err(error) = thread::Builder::new().name("tollgate-end".to_owned()).spawn(end) {
        tracing::warn!(%error, "cannot watch the shutdown: a process that hangs will not be ended");
    }
}

impl Signals {
    /// Takes over from the default, which is to end the process at once.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal.
    pub(crate) async fn first(mut self) -> Stop {
        self.next().await
    }

    /// Runs `work`, which the first signal ends in its own time. A second one ends the process at once.
    pub(crate) async fn exit_on_second<T>(mut self, work: impl Future<Output = T>) -> T {
        let second = async {
            self.next().await;
            self.next().await
        };
        tokio::select! {
            outcome = work => outcome,
            stop = second => std::process::exit(stop.exit_status()),
        }
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

impl Stop {
    /// As a shell reports a process that the signal ended.
    pub(crate) fn exit_status(self) -> i32 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }
}
