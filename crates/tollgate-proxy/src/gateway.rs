//! The running data plane.

use std::{
    fmt, io,
    num::NonZeroUsize,
    rc::Rc,
    sync::{Arc, mpsc as std_mpsc},
    thread::JoinHandle,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    runtime::{LocalOptions, Runtime},
    sync::{mpsc, oneshot},
    time::Instant,
};
use tollgate_model::{
    Snapshot,
    listener::{BindAddress, Listener},
};

use crate::{
    access_log::{AccessLogWriter, AccessLogger},
    downstream,
    handler::Handler,
    listener::{
        Accepted, Balance, BoundListener, ConnectionToken, ListeningSocket, Socket, accept_connections, bind,
    },
    stats::Stats,
    transaction::Transactions,
    upstream::SharedClusters,
    worker::Worker,
};

/// How to run a gateway.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Worker threads. Default: the number of cores.
    pub workers: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN) }
    }
}

/// Why a gateway did not start. Nothing is served then.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("listener {listener:?} cannot be bound to {address}: {source}")]
    Bind {
        /// The listener's name.
        listener: String,
        /// The address, `ip:port` or a path.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a thread or a runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// A running data plane: worker threads that serve the listeners of a snapshot. Dropping it stops everything at once.
pub struct Gateway {
    workers: Vec<WorkerThread>,
    control: Option<Runtime>,
    local_addresses: Vec<(String, BindAddress)>,
    stats: Arc<Stats>,
    /// Behind the workers: it ends when their loggers are gone.
    _access_log: AccessLogWriter,
}

struct WorkerThread {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Drain { deadline: Instant, remaining: oneshot::Sender<usize> },
    Stop,
}

impl Gateway {
    /// Binds the listeners of a snapshot and serves them.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound or the system refuses a thread. Nothing is served then.
    pub fn start(snapshot: &Arc<Snapshot>, options: Options) -> Result<Self, StartError> {
        Self::start_with(snapshot, options, || Transactions)
    }

    /// Runs a gateway whose requests are answered by what `handler` makes for each worker.
    pub(crate) fn start_with<H: Handler>(
        snapshot: &Arc<Snapshot>,
        options: Options,
        handler: impl Fn() -> H + Clone + Send + 'static,
    ) -> Result<Self, StartError> {
        let count = options.workers.get();
        let bound = bind_all(snapshot, count)?;
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tollgate-control")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let shared = SharedClusters::new(snapshot.clone(), control.handle());
        wait_until_initialized(&control, &shared);

        let local_addresses =
            bound.iter().map(|bound| (bound.listener.name.clone(), bound.address.clone())).collect();
        let mut sockets: Vec<Vec<(Arc<Listener>, socket2::Socket)>> =
            (0..count).map(|_| Vec::new()).collect();
        for bound in bound {
            let listener = bound.listener.clone();
            let address = bound.address.clone();
            let listening = bound.listen().map_err(|source| bind_error(&listener, &address, source))?;
            for (worker, socket) in sockets.iter_mut().zip(listening) {
                worker.push((listener.clone(), socket));
            }
        }

        let (balance, inboxes) = Balance::new(count);
        let (access_log, access_logger) = AccessLogWriter::start().map_err(StartError::Thread)?;
        let mut gateway = Self {
            workers: Vec::with_capacity(count),
            control: Some(control),
            local_addresses,
            stats: Stats::new(),
            _access_log: access_log,
        };
        for (index, (sockets, inbox)) in sockets.into_iter().zip(inboxes).enumerate() {
            let (commands, receiver) = mpsc::channel(4);
            let start = WorkerStart {
                index,
                count,
                snapshot: snapshot.clone(),
                shared: shared.clone(),
                stats: gateway.stats.clone(),
                access_log: access_logger.clone(),
                sockets,
                balance: balance.clone(),
                inbox,
                commands: receiver,
            };
            let (ready, started) = std_mpsc::channel();
            let handler = handler.clone();
            let thread = std::thread::Builder::new()
                .name(format!("tollgate-worker-{index}"))
                .spawn(move || start.run(handler, &ready))
                .map_err(StartError::Thread)?;
            gateway.workers.push(WorkerThread { commands, thread: Some(thread) });
            match started.recv() {
                Ok(outcome) => outcome.map_err(StartError::Thread)?,
                Err(_) => return Err(StartError::Thread(io::Error::other("a worker ended while starting"))),
            }
        }
        Ok(gateway)
    }

    /// Where connections are accepted: the listener's name and the address, with the port that the kernel chose where
    /// port 0 was configured. In the order of the configuration.
    #[must_use]
    pub fn local_addresses(&self) -> &[(String, BindAddress)] {
        &self.local_addresses
    }

    /// What is counted.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Stops accepting, asks clients to go (HTTP/2 GOAWAY, HTTP/1 `connection: close`; idle connections are closed) and
    /// waits until they have, but not longer than `limit`. Gives the number of connections that were still open then;
    /// they go on until the gateway is dropped.
    pub async fn drain(&self, limit: Duration) -> usize {
        let deadline = Instant::now() + limit;
        let mut answers = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (remaining, answer) = oneshot::channel();
            if worker.commands.send(Command::Drain { deadline, remaining }).await.is_ok() {
                answers.push(answer);
            }
        }
        let mut remaining = 0;
        for answer in answers {
            remaining += answer.await.unwrap_or(0);
        }
        remaining
    }

    /// Ends every connection and waits until the threads have ended.
    pub fn shutdown(self) {}
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for worker in &self.workers {
            // A full queue means that commands before this one were not read yet; closing it has the same effect.
            let _ = worker.commands.try_send(Command::Stop);
        }
        for worker in &mut self.workers {
            worker.commands = mpsc::channel(1).0;
            if let Some(thread) = worker.thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a worker ended with a panic");
            }
        }
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("workers", &self.workers.len())
            .field("local_addresses", &self.local_addresses)
            .finish()
    }
}

/// Binds everything before anything is served, so that a configuration starts as a whole or not at all.
fn bind_all(snapshot: &Snapshot, workers: usize) -> Result<Vec<BoundListener>, StartError> {
    let mut bound = Vec::new();
    for listener in &snapshot.listeners {
        for address in &listener.addresses {
            bound.push(
                bind(listener, address, workers).map_err(|source| bind_error(listener, address, source))?,
            );
        }
    }
    Ok(bound)
}

fn bind_error(listener: &Listener, address: &BindAddress, source: io::Error) -> StartError {
    let address = match address {
        BindAddress::Socket(address) => address.to_string(),
        BindAddress::Pipe { path, .. } => path.display().to_string(),
    };
    StartError::Bind { listener: listener.name.clone(), address, source }
}

/// Requests that come before the first lookup of their upstream would fail for no good reason.
fn wait_until_initialized(control: &Runtime, shared: &Arc<SharedClusters>) {
    let (done, initialized) = std_mpsc::channel();
    let shared = shared.clone();
    control.spawn(async move {
        shared.initialized().await;
        let _ = done.send(());
    });
    let _ = initialized.recv();
}

/// Everything a worker thread starts with.
struct WorkerStart {
    index: usize,
    count: usize,
    snapshot: Arc<Snapshot>,
    shared: Arc<SharedClusters>,
    stats: Arc<Stats>,
    access_log: AccessLogger,
    sockets: Vec<(Arc<Listener>, socket2::Socket)>,
    balance: Arc<Balance>,
    inbox: mpsc::Receiver<Accepted>,
    commands: mpsc::Receiver<Command>,
}

impl WorkerStart {
    fn run<H: Handler>(self, handler: impl Fn() -> H, ready: &std_mpsc::Sender<io::Result<()>>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve(Rc::new(handler()), ready)),
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    }

    async fn serve<H: Handler>(mut self, handler: Rc<H>, ready: &std_mpsc::Sender<io::Result<()>>) {
        let worker =
            Worker::new(self.index, self.count, self.snapshot, &self.shared, self.stats, self.access_log);
        let serve = {
            let worker = worker.clone();
            move |socket: Socket, listener: Arc<Listener>, token: ConnectionToken| {
                let guard = OpenConnection::new(worker.clone(), token);
                let connection = downstream::serve(worker.clone(), handler.clone(), listener, socket);
                tokio::task::spawn_local(async move {
                    let _guard = guard;
                    connection.await;
                });
            }
        };
        for (listener, socket) in self.sockets {
            let socket = match ListeningSocket::new(socket) {
                Ok(socket) => socket,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let (worker, balance, serve) = (worker.clone(), self.balance.clone(), serve.clone());
            tokio::task::spawn_local(async move {
                accept_connections(socket, listener, self.index, balance, &worker.drain, serve).await;
            });
        }
        let _ = ready.send(Ok(()));
        loop {
            tokio::select! {
                Some(accepted) = self.inbox.recv() => match Socket::try_from(accepted.socket) {
                    Ok(socket) => serve(socket, accepted.listener, accepted.token),
                    Err(error) => tracing::warn!(%error, "a connection was lost between workers"),
                },
                command = self.commands.recv() => match command {
                    Some(Command::Drain { deadline, remaining }) => {
                        worker.drain.start();
                        let worker = worker.clone();
                        tokio::task::spawn_local(async move {
                            let _ = tokio::time::timeout_at(deadline, worker.drain.idle()).await;
                            let _ = remaining.send(worker.drain.open_connections());
                        });
                    }
                    Some(Command::Stop) | None => return,
                },
            }
        }
    }
}

/// Counts an open connection.
struct OpenConnection {
    worker: Rc<Worker>,
    _token: ConnectionToken,
}

impl OpenConnection {
    fn new(worker: Rc<Worker>, token: ConnectionToken) -> Self {
        worker.drain.connection_opened();
        Self { worker, _token: token }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.worker.drain.connection_closed();
    }
}
