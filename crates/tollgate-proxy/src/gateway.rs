//! The running data plane.

mod addresses;
mod calls;
mod failures;
mod leaving;
mod publisher;
mod watchdog;
mod worker_thread;

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{Arc, mpsc as std_mpsc},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    runtime::{Handle, Runtime},
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tollgate_model::{Snapshot, listener::BindAddress, update::Difference};

use self::{
    addresses::{Addresses, Plan},
    failures::Failures,
    publisher::Publisher,
    watchdog::{Pulses, Watchdog},
    worker_thread::{Command, WorkerStart, WorkerThread},
};
pub use addresses::BindError;
pub use calls::{Calls, CallsThread, GrpcStream, StreamEvent};
pub use leaving::Leaving;

use crate::{
    access_log::{AccessLogWriter, AccessLogs},
    configuration::Adoption,
    handler::Handler,
    listener::Balance,
    memory::{self, SharedMemory},
    overload::Overload,
    recording::Recorder,
    stats::{Stats, WorkerStats},
    transaction::Transactions,
    upstream::{HealthReports, NameLookups, SharedClusters},
};

/// How to run a gateway.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Worker threads. Default: the number of cores.
    pub workers: NonZeroUsize,
    /// How long a connection may go on with its last requests when an update has removed what it belongs to. Default 10
    /// minutes, as Envoy's `--drain-time-s`.
    pub drain_time: Duration,
    /// Most connections of clients where the configuration sets no limit. Default `None`: any number.
    pub max_connections: Option<u64>,
    /// Most bytes of bodies that all requests together hold. Near it requests take in no more than they can pass on; at
    /// it those that hold most are given up. Default 96 MiB.
    pub buffer_limit: usize,
    /// Start without listening on addresses that this machine does not have, as long as there are others. Otherwise one of
    /// them is enough for nothing to be served. Default false.
    pub leave_out_unavailable_addresses: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            drain_time: Duration::from_secs(600),
            max_connections: None,
            buffer_limit: memory::DEFAULT_LIMIT,
            leave_out_unavailable_addresses: false,
        }
    }
}

/// Why a gateway did not start. Nothing is served then.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refused a thread or a runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// What an update did. The configuration is in force even if an address could not be bound.
#[derive(Debug)]
pub struct Update {
    /// What is different.
    pub difference: Difference,
    /// Addresses that could not be bound, and are tried again by the next update. A listener that has such an address
    /// is still served at those it had before.
    pub failures: Vec<BindError>,
}

/// Why a configuration was not put in force. The one before is served on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpdateError {
    /// The gateway is about to stop, or has a bug.
    #[error("the gateway takes no configurations any more")]
    Stopped,
}

/// A running data plane: worker threads that serve the listeners of a snapshot. Dropping it stops everything at once.
pub struct Gateway {
    watchdog: Option<Watchdog>,
    workers: Vec<WorkerThread>,
    control: Option<Runtime>,
    updater: Updater,
    stats: Arc<Stats>,
    failures: Failures,
    /// Behind the workers: it ends when their loggers are gone.
    access_log: AccessLogWriter,
    name_lookups: NameLookups,
    health: HealthReports,
    recorder: Recorder,
    leaving: Leaving,
    /// The clusters of management servers, as they are in force.
    of_management: watch::Receiver<Arc<SharedClusters>>,
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
        // Everything is bound before anything is served.
        let mut addresses = Addresses::default();
        let plan = addresses.plan(snapshot);
        let Plan { bound, failures, .. } = plan.bind(&mut addresses, count);
        let left_out = |failure: &BindError| {
            options.leave_out_unavailable_addresses
                && !bound.is_empty()
                && failure.source.kind() == io::ErrorKind::AddrNotAvailable
        };
        for failure in failures {
            if !left_out(&failure) {
                return Err(failure.into());
            }
            tracing::error!(
                "{failure}; the others are served, and it is tried again with the next configuration"
            );
        }
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tollgate-control")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let stats = Stats::new();
        // Calls to management servers are made as by one more worker.
        let callers = count + usize::from(snapshot.management.is_some());
        let of_control = WorkerStats::new(stats.clone(), count + 1);
        let shared = SharedClusters::new(snapshot, control.handle(), callers, &of_control);
        let (to_calls, of_management) = watch::channel(shared.of_management(snapshot));
        let name_lookups = shared.name_lookups();
        let health = shared.health();
        wait_until_initialized(&control, &shared);
        let mut sockets: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        for address in bound {
            let (id, listening) = address.listen()?;
            for (worker, socket) in sockets.iter_mut().zip(listening) {
                worker.push((id, socket));
            }
        }

        let overload = Overload::new(snapshot.clone(), options.max_connections);
        overload.clone().watch(of_control.clone(), control.handle());
        let with_listeners = addresses.with_listeners();
        let adoption = Arc::new(Adoption::new(snapshot.clone(), shared, with_listeners, overload));
        let (balance, inboxes) = Balance::new(count);
        let (access_log, access_logger) = AccessLogWriter::start().map_err(StartError::Thread)?;
        let failures = Failures::new(&of_control, control.handle());
        let memory = SharedMemory::new(options.buffer_limit, count);
        let recorder = Recorder::default();
        let pulses = Pulses::new(count, &snapshot.watchdog);
        let watchdog = Watchdog::start(pulses.clone(), of_control.workers()).map_err(StartError::Thread)?;
        let mut workers = Vec::with_capacity(count);
        for (index, (sockets, inbox)) in sockets.into_iter().zip(inboxes).enumerate() {
            let (commands, receiver) = mpsc::channel(4);
            let (stop, stopped) = oneshot::channel();
            let start = WorkerStart {
                index,
                count,
                drain_time: options.drain_time,
                adoption: adoption.clone(),
                stats: stats.clone(),
                access_log: access_logger.clone(),
                memory: memory.clone(),
                recorder: recorder.clone(),
                pulse: pulses.of(index),
                sockets,
                balance: balance.clone(),
                inbox,
                commands: receiver,
                stopped,
            };
            let (ready, started) = std_mpsc::channel();
            let handler = handler.clone();
            let watched = failures.watch(index, balance.clone());
            let thread = std::thread::Builder::new()
                .name(format!("tollgate-worker-{index}"))
                .spawn(move || {
                    let _watched = watched;
                    start.run(handler, &ready);
                })
                .map_err(StartError::Thread)?;
            workers.push(WorkerThread::new(commands, stop, thread));
            match started.recv() {
                Ok(outcome) => outcome.map_err(StartError::Thread)?,
                Err(_) => return Err(StartError::Thread(io::Error::other("a worker ended while starting"))),
            }
        }
        let commands: Vec<_> = workers.iter().map(|worker| worker.commands.clone()).collect();
        let leaving = Leaving::new(commands.clone(), control.handle().clone(), options.drain_time);
        let publisher = Publisher::new(
            commands,
            stats.clone(),
            pulses,
            addresses,
            adoption,
            control.handle().clone(),
            to_calls,
        );
        let updater = Updater { publisher: Arc::new(publisher), control: control.handle().clone() };
        let watchdog = Some(watchdog);
        Ok(Self {
            watchdog,
            workers,
            updater,
            control: Some(control),
            stats,
            failures,
            access_log,
            name_lookups,
            health,
            recorder,
            leaving,
            of_management,
        })
    }

    /// What puts other configurations in force, for another thread. It keeps nothing alive.
    #[must_use]
    pub fn updater(&self) -> Updater {
        self.updater.clone()
    }

    /// As [`Updater::update`].
    ///
    /// # Errors
    ///
    /// When the gateway is about to stop.
    pub async fn update(&self, snapshot: impl Into<Arc<Snapshot>>) -> Result<Update, UpdateError> {
        self.updater.update(snapshot).await
    }

    /// The configuration in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.updater.snapshot()
    }

    /// As [`Updater::local_addresses`].
    #[must_use]
    pub fn local_addresses(&self) -> Vec<(String, BindAddress)> {
        self.updater.local_addresses()
    }

    /// Waits until a worker has died, which only a bug can do. Its connections are lost; the others serve on.
    pub async fn worker_failed(&self) {
        self.failures.first().await;
    }

    /// Runs a task on a thread of its own that can call the services of the configuration's management servers.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start_calls<F, T>(&self, task: F) -> io::Result<CallsThread>
    where
        F: FnOnce(Calls) -> T + Send + 'static,
        T: Future<Output = ()> + 'static,
    {
        let stats = WorkerStats::new(self.stats.clone(), self.workers.len());
        calls::start(stats, self.of_management.clone(), task)
    }

    /// What is counted.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// What the names of clusters resolve to.
    #[must_use]
    pub fn name_lookups(&self) -> NameLookups {
        self.name_lookups.clone()
    }

    /// What is known of the health of the endpoints of the configuration in force.
    #[must_use]
    pub fn health(&self) -> HealthReports {
        self.health.clone()
    }

    /// What records exchanges with processors.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// What sends clients elsewhere.
    #[must_use]
    pub fn leaving(&self) -> Leaving {
        self.leaving.clone()
    }

    /// The files of access logs.
    #[must_use]
    pub fn access_logs(&self) -> AccessLogs {
        self.access_log.files()
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

    /// Has a worker hang until the sender is dropped.
    #[cfg(test)]
    pub(crate) fn hang_worker(&self, index: usize) -> std_mpsc::Sender<()> {
        let (release, released) = std_mpsc::channel();
        self.workers[index].commands.try_send(Command::Hang(released)).expect("it takes commands");
        release
    }

    /// Has a worker die.
    #[cfg(test)]
    pub(crate) fn kill_worker(&self, index: usize) {
        self.workers[index].commands.try_send(Command::Panic).expect("it takes commands");
    }
}

/// Puts other configurations in force.
#[derive(Debug, Clone)]
pub struct Updater {
    publisher: Arc<Publisher>,
    control: Handle,
}

impl Updater {
    /// Serves another configuration from now on, without an interruption. Gives what was done once every worker has it.
    ///
    /// Requests under way end by the configuration they began with; no request sees parts of two. Connections stay, and
    /// their next request is served by the new configuration, as long as there is a filter chain for the same
    /// connections that speaks the same protocol and asks the same of TLS; otherwise they end with their next
    /// request. Listeners and clusters that are the same objects as in the configuration in force keep everything: sockets,
    /// connections, addresses of names, counts. Compiling with that configuration makes what is equal the same. New names are looked up once before the configuration is in force.
    ///
    /// Updates are done one after the other. One that was begun is completed even if nobody waits for it.
    ///
    /// # Errors
    ///
    /// When the gateway is about to stop.
    pub async fn update(&self, snapshot: impl Into<Arc<Snapshot>>) -> Result<Update, UpdateError> {
        let (publisher, snapshot) = (self.publisher.clone(), snapshot.into());
        let work = self.control.spawn(async move { publisher.update(snapshot).await });
        work.await.map_err(|_| UpdateError::Stopped)
    }

    /// The configuration in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.publisher.snapshot()
    }

    /// Where connections are accepted: the listener's name and the address, with the port that the kernel chose where
    /// port 0 was configured. In the order of the configuration.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<(String, BindAddress)> {
        self.publisher.local_addresses()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // What takes long to end does not hang.
        self.watchdog = None;
        self.workers.iter_mut().for_each(WorkerThread::stop);
        self.workers.iter_mut().for_each(WorkerThread::join);
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("workers", &self.workers.len())
            .field("local_addresses", &self.local_addresses())
            .finish()
    }
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
