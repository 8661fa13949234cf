//! The signals that stop a process: the first lets work under way end, the second does not wait.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT from the moment of [`listen`](Self::listen). Each value sees every signal.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Terminate,
    Interrupt,
}

impl Signals {
    /// Takes over from the default, which is to end the process at once.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal.
    pub(crate) async fn first(mut self) {
        self.next().await;
    }

    /// Runs `work`, which the first signal ends in its own time. A second one ends the process at once.
    pub(crate) async fn exit_on_second(mut self, work: impl Future<Output = ()>) {
        let second = async {
            self.next().await;
            self.next().await
        };
        tokio::select! {
            () = work => {}
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
    fn exit_status(self) -> i32 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }
}
