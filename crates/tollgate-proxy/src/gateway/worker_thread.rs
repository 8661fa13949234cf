//! A worker's thread: it serves, and does what it is told.

use std::{
    cell::OnceCell,
    collections::HashMap,
    io,
    rc::Rc,
    sync::{Arc, mpsc as std_mpsc},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    runtime::LocalOptions,
    sync::{mpsc, oneshot},
    task::{self, spawn_local},
    time::{Instant, MissedTickBehavior, interval},
};

use tollgate_model::overload::OverloadActionKind;

use super::{leaving::Wish, watchdog::Pulse};
use crate::{
    access_log::AccessLogger,
    configuration::{AddressId, Adoption},
    downstream,
    drain::{Drain, Haste},
    handler::Handler,
    io::{ListeningSocket, Socket},
    listener::{Accepted, Balance, ConnectionToken, Gate, accept_connections},
    memory::SharedMemory,
    overload::Admission,
    recording::Recorder,
    stats::Stats,
    transaction::fetch_keys_ahead,
    worker::Worker,
};

/// How often connections are looked for that have gone on for too long.
const OVERDUE_INTERVAL: Duration = Duration::from_secs(1);

/// Tells that a command was carried out.
pub(super) type Done = oneshot::Sender<()>;

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Serve another configuration.
    Adopt { adoption: Arc<Adoption>, done: Done },
    /// Accept connections at other addresses. Those that the kernel has completed at closing ones are served.
    Accept { opening: Vec<(AddressId, socket2::Socket)>, closing: Vec<AddressId>, done: Done },
    /// No worker accepts at these addresses any more.
    Forget { addresses: Vec<AddressId>, done: Done },
    /// Fail health checks of the gateway, and ask clients to go elsewhere with their next request, or neither.
    Leave { wish: Arc<Wish>, done: Done },
    /// Accept no connection any more. Those that are open stay.
    StopAccepting { done: Done },
    /// Stop accepting and ask clients to go; tell how many have not by the deadline.
    Drain { deadline: Instant, remaining: oneshot::Sender<usize> },
    /// Do nothing until the sender is dropped.
    #[cfg(test)]
    Hang(std_mpsc::Receiver<()>),
    /// Die.
    #[cfg(test)]
    Panic,
}

/// A thread that runs a worker.
#[derive(Debug)]
pub(super) struct WorkerThread {
    pub(super) commands: mpsc::Sender<Command>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WorkerThread {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        stop: oneshot::Sender<()>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self { commands, stop: Some(stop), thread: Some(thread) }
    }

    /// Ends all of its connections.
    pub(super) fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits until it has ended.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // That it has died was said when it did.
            let _ = thread.join();
        }
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}

/// Everything a worker thread starts with.
#[derive(Debug)]
pub(super) struct WorkerStart {
    pub(super) index: usize,
    pub(super) count: usize,
    /// How long connections may go on when what they belong to is gone.
    pub(super) drain_time: Duration,
    pub(super) adoption: Arc<Adoption>,
    pub(super) stats: Arc<Stats>,
    pub(super) access_log: AccessLogger,
    /// The bound of what all workers hold in buffers.
    pub(super) memory: Arc<SharedMemory>,
    /// Who wants to see exchanges with processors.
    pub(super) recorder: Recorder,
    /// What the worker shows that it lives with.
    pub(super) pulse: Pulse,
    pub(super) sockets: Vec<(AddressId, socket2::Socket)>,
    pub(super) balance: Arc<Balance>,
    pub(super) inbox: mpsc::Receiver<Accepted>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Resolves when the worker has to end.
    pub(super) stopped: oneshot::Receiver<()>,
}

impl WorkerStart {
    pub(super) fn run<H: Handler>(self, handler: impl Fn() -> H, ready: &std_mpsc::Sender<io::Result<()>>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve(Rc::new(handler()), ready)),
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    }

    async fn serve<H: Handler>(self, handler: Rc<H>, ready: &std_mpsc::Sender<io::Result<()>>) {
        let Self {
            index,
            count,
            drain_time,
            adoption,
            stats,
            access_log,
            memory,
            recorder,
            sockets,
            balance,
            ..
        } = self;
        let (mut inbox, mut commands, mut stopped) = (self.inbox, self.commands, self.stopped);
        let worker = Worker::new(index, count, &adoption, stats, access_log, memory, recorder);
        spawn_local(worker.memory.clone().watch());
        spawn_local(relieve(worker.clone()));
        spawn_local(self.pulse.beat());
        if worker.is_first() {
            fetch_keys_ahead(&worker);
        }
        drop(adoption);
        let mut overdue = interval(OVERDUE_INTERVAL.min(drain_time.max(Duration::from_millis(1))));
        overdue.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acceptors = Acceptors {
            serve: Serve { worker, handler },
            index,
            balance,
            open: HashMap::new(),
            is_closed: false,
        };
        for (address, socket) in sockets {
            if let Err(error) = acceptors.open(address, socket) {
                let _ = ready.send(Err(error));
                return;
            }
        }
        let _ = ready.send(Ok(()));
        loop {
            tokio::select! {
                Some(accepted) = inbox.recv() => acceptors.serve.accepted(accepted),
                Some(command) = commands.recv() => {
                    // Connections that were handed over before the command belong to what was before it.
                    while let Ok(accepted) = inbox.try_recv() {
                        acceptors.serve.accepted(accepted);
                    }
                    acceptors.carry_out(command);
                }
                _ = overdue.tick(), if acceptors.serve.worker.has_retired() => {
                    acceptors.serve.worker.end_overdue(drain_time);
                }
                _ = &mut stopped => return,
            }
        }
    }
}

/// Ends requests that hold much whenever an overload action asks for it.
async fn relieve(worker: Rc<Worker>) {
    let mut asked = worker.overload.relief();
    while asked.changed().await.is_ok() {
        let share = worker.overload.value(OverloadActionKind::ResetHighMemoryStream);
        worker.memory.give_up_share(share);
    }
}

/// Serves connections, each in a task of its own.
#[derive(Debug)]
struct Serve<H> {
    worker: Rc<Worker>,
    handler: Rc<H>,
}

impl<H> Clone for Serve<H> {
    fn clone(&self) -> Self {
        Self { worker: self.worker.clone(), handler: self.handler.clone() }
    }
}

impl<H: Handler> Serve<H> {
    fn connection(&self, socket: Socket, address: AddressId, token: ConnectionToken) {
        let Some(listener) = self.worker.listener_at(address) else {
            tracing::error!(?address, "a connection was accepted at an address that nobody serves");
            return;
        };
        let Some(admission) = self.worker.admit(&listener) else { return };
        socket.set_options(&listener.current().listener.tcp);
        let guard = OpenConnection::new(self.worker.clone(), token, admission);
        let task = Rc::new(OnceCell::new());
        let connection =
            downstream::serve(self.worker.clone(), self.handler.clone(), listener, socket, task.clone());
        let spawned = spawn_local(async move {
            let _guard = guard;
            connection.await;
        });
        let _ = task.set(spawned.abort_handle());
    }

    /// A connection that another worker has accepted.
    fn accepted(&self, accepted: Accepted) {
        match Socket::try_from(accepted.socket) {
            Ok(socket) => self.connection(socket, accepted.address, accepted.token),
            Err(error) => tracing::warn!(%error, "a connection was lost between workers"),
        }
    }
}

/// What accepts the connections of a worker.
#[derive(Debug)]
struct Acceptors<H> {
    serve: Serve<H>,
    index: usize,
    balance: Arc<Balance>,
    open: HashMap<AddressId, Acceptor>,
    /// No connection is accepted any more.
    is_closed: bool,
}

#[derive(Debug)]
struct Acceptor {
    drain: Rc<Drain>,
    task: task::JoinHandle<()>,
}

impl<H: Handler> Acceptors<H> {
    fn open(&mut self, address: AddressId, socket: socket2::Socket) -> io::Result<()> {
        let socket = ListeningSocket::new(socket)?;
        let drain = Rc::new(Drain::default());
        let serve = self.serve.clone();
        let worker = serve.worker.clone();
        let gate = Gate::new(worker.overload.stop_accepting(), move || {
            let listener = worker.listener_at(address);
            listener.is_some_and(|listener| listener.current().listener.limits.bypass_overload_manager)
        });
        let accept = accept_connections(
            socket,
            address,
            self.index,
            self.balance.clone(),
            drain.clone(),
            gate,
            move |socket, address, token| serve.connection(socket, address, token),
        );
        self.open.insert(address, Acceptor { drain, task: spawn_local(accept) });
        Ok(())
    }

    fn carry_out(&mut self, command: Command) {
        let worker = &self.serve.worker;
        match command {
            Command::Adopt { adoption, done } => {
                worker.adopt(&adoption);
                if worker.is_first() {
                    fetch_keys_ahead(worker);
                }
                let _ = done.send(());
            }
            Command::Accept { opening, closing, done } => {
                let opening = if worker.drain.is_draining() || self.is_closed { Vec::new() } else { opening };
                for (address, socket) in opening {
                    if let Err(error) = self.open(address, socket) {
                        tracing::error!(?address, %error, "a socket cannot be used");
                    }
                }
                let closing = closing.into_iter().filter_map(|address| self.open.remove(&address));
                let closing: Vec<_> = closing.collect();
                closing.iter().for_each(|acceptor| acceptor.drain.start(Haste::WhenIdle));
                spawn_local(async move {
                    for acceptor in closing {
                        let _ = acceptor.task.await;
                    }
                    let _ = done.send(());
                });
            }
            Command::Leave { wish, done } => {
                worker.set_leaving(wish.fails_health_checks(), wish.wants_to_leave());
                let _ = done.send(());
            }
            Command::StopAccepting { done } => {
                self.is_closed = true;
                self.open.drain().for_each(|(_, acceptor)| acceptor.drain.start(Haste::WhenIdle));
                let _ = done.send(());
            }
            Command::Forget { addresses, done } => {
                worker.forget(&addresses);
                let _ = done.send(());
            }
            #[cfg(test)]
            Command::Hang(released) => {
                let _ = released.recv();
            }
            #[cfg(test)]
            Command::Panic => panic!("as the test wants it"),
            Command::Drain { deadline, remaining } => {
                self.open.drain().for_each(|(_, acceptor)| acceptor.drain.start(Haste::WhenIdle));
                worker.stop();
                let worker = worker.clone();
                spawn_local(async move {
                    let _ = tokio::time::timeout_at(deadline, worker.open_connections.none()).await;
                    let _ = remaining.send(worker.open_connections.count());
                });
            }
        }
    }
}

/// Counts an open connection.
struct OpenConnection {
    worker: Rc<Worker>,
    _token: ConnectionToken,
    _admission: Admission,
}

impl OpenConnection {
    fn new(worker: Rc<Worker>, token: ConnectionToken, admission: Admission) -> Self {
        worker.open_connections.opened();
        Self { worker, _token: token, _admission: admission }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.worker.open_connections.closed();
    }
}
