//! Accepting connections.

use std::{future::poll_fn, io, rc::Rc, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Accepted, Balance, ConnectionToken};
use crate::{
    configuration::AddressId,
    drain::Drain,
    io::{ListeningSocket, Socket},
};

/// First and longest pause after the process has run out of descriptors or memory.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Whether connections are accepted at the moment.
pub(crate) struct Gate<B> {
    is_shut: watch::Receiver<bool>,
    bypassed: B,
}

impl<B: Fn() -> bool> Gate<B> {
    /// Shut while `is_shut` says so, unless the gate is bypassed.
    pub(crate) fn new(is_shut: watch::Receiver<bool>, bypassed: B) -> Self {
        Self { is_shut, bypassed }
    }

    fn is_open(&mut self) -> bool {
        !*self.is_shut.borrow_and_update() || (self.bypassed)()
    }

    async fn changed(&mut self) {
        if self.is_shut.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Accepts until it is told to stop; `serve` gets the connections that stay on this worker.
pub(crate) async fn accept_connections(
    socket: ListeningSocket,
    address: AddressId,
    worker: usize,
    balance: Arc<Balance>,
    drain: Rc<Drain>,
    mut gate: Gate<impl Fn() -> bool>,
    serve: impl Fn(Socket, AddressId, ConnectionToken),
) {
    let place = |socket: Socket| {
        let token = balance.place(worker);
        if token.worker() == worker {
            serve(socket, address, token);
            return;
        }
        match socket.into_std() {
            Ok(socket) => {
                let accepted = Accepted { socket, address, token };
                if let Err(Accepted { socket, .. }) = balance.hand_over(accepted) {
                    match Socket::try_from(socket) {
                        Ok(socket) => serve(socket, address, balance.token(worker)),
                        Err(error) => tracing::warn!(%error, "a connection was lost between workers"),
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "a connection was lost between workers"),
        }
    };
    let started = drain.started();
    tokio::pin!(started);
    let mut pause = PAUSE.0;
    while !drain.is_draining() {
        let is_open = gate.is_open();
        let accepted = tokio::select! {
            biased;
            () = &mut started => break,
            () = gate.changed() => continue,
            accepted = poll_fn(|cx| socket.poll_accept(cx)), if is_open => accepted,
        };
        match accepted {
            Ok(socket) => {
                pause = PAUSE.0;
                place(socket);
            }
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(address = socket.label(), %error, "cannot accept connections; trying again");
                tokio::select! {
                    () = &mut started => break,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSE.1);
            }
            Err(error) => tracing::debug!(address = socket.label(), %error, "a connection was not accepted"),
        }
    }
    // Connections that the kernel has completed would be reset if the socket were just closed.
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(Ok(socket)) = socket.poll_accept(&mut cx) {
        place(socket);
    }
}

/// The process or the system has run out of something; accepting again at once would only burn CPU.
fn is_exhaustion(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
