//! Follows management servers: streams are opened and answered, and what works is put in force.

use std::{
    collections::BTreeSet,
    future::{pending, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use tokio::{sync::watch, time::sleep_until};
use tollgate_ir::Compiled;
use tollgate_model::management::Management;
use tollgate_proxy::{Calls, GrpcStream, Outcome, StreamEvent, Update, UpdateError, Updater};
use tollgate_xds::{Action, ChannelId, Handled, Kind, Numbers};

use super::{
    Plan,
    assembly::{Assembly, Bootstrap},
    discovery_type,
    servers::{Needs, ready},
    shelf::Key,
    status::{Resource, Status, Stream, Type},
};
use crate::{
    address::Address, admin::Admin, in_force::InForce, reload::warn_of_admin_address, sources::Sources,
};

/// How long changes are gathered: servers send several types one after the other, which belong together.
const GATHER: Duration = Duration::from_millis(5);
/// How many times as long as it took to compose a configuration nothing is composed after it. A large one takes its time, and must
/// not be all that is done, however often something of it changes.
const REST: u32 = 10;
/// The longest time that nothing is composed.
const LONGEST_REST: Duration = Duration::from_millis(500);
/// How often the files are looked at that resources name.
const LOOK_AT_FILES: Duration = Duration::from_secs(2);
/// Most messages that are taken before what they bring is put in force.
const MOST_GATHERED: usize = 1000;
/// Most bytes that wait for a server to take them.
const MOST_QUEUED: usize = 64 * 1024 * 1024;

/// What a session is for.
#[derive(Debug)]
pub(crate) struct Session {
    /// What is served together with what comes.
    pub(crate) bootstrap: Bootstrap,
    /// What it became.
    pub(crate) snapshot: Arc<Compiled>,
    /// Who is asked.
    pub(crate) management: Arc<Management>,
    /// Other texts of the bootstrap.
    pub(crate) rebased: watch::Receiver<Sources>,
    /// Puts configurations in force.
    pub(crate) updater: Updater,
    /// Who is told of them.
    pub(crate) admin: Arc<Admin>,
    /// Where the admin server was asked to listen when the configuration does not say; `None` = nowhere.
    pub(crate) admin_address: Option<SocketAddr>,
    /// Nothing is put in force: it is only looked whether it could be.
    pub(crate) is_dry: bool,
}

type Updating = Pin<Box<dyn Future<Output = Result<Update, UpdateError>>>>;

struct Running {
    plan: Plan,
    streams: Vec<Option<GrpcStream>>,
    assembly: Assembly,
    status: Arc<Status>,
    calls: Calls,
    updater: Updater,
    admin: Arc<Admin>,
    admin_address: Option<SocketAddr>,
    is_dry: bool,
    /// Since when there is something that is not in force.
    dirty: Option<Instant>,
    gathered: usize,
    /// When the next configuration may be composed.
    rested: Instant,
    updating: Option<Updating>,
    /// What was composed last: it is in force, unless it is on its way there.
    composed: Arc<Compiled>,
    rebased: watch::Receiver<Sources>,
    /// Addresses that could not be bound.
    failures: Vec<String>,
    /// When the files that resources name are looked at.
    files_at: Instant,
}

/// What happens next.
enum Next {
    Stream(usize, StreamEvent),
    Time,
    Compose,
    Updated(Box<Result<Update, UpdateError>>),
    Rebased,
    Files,
}

impl Session {
    /// Follows the servers for ever.
    pub(crate) async fn run(self, calls: Calls) {
        let status = self.admin.discovery();
        let plan = Plan::new(&self.snapshot, &self.management, &self.bootstrap.options);
        let assembly = Assembly::new(self.bootstrap, &mut plan.shelf.borrow_mut());
        let assembly = match assembly {
            Ok(assembly) => assembly,
            Err(reason) => {
                tracing::error!("management servers are not asked: {reason}");
                return;
            }
        };
        let streams = plan.services.borrow().iter().map(|_| None).collect();
        let mut running = Running {
            streams,
            plan,
            assembly,
            status,
            calls,
            updater: self.updater,
            admin: self.admin,
            admin_address: self.admin_address,
            is_dry: self.is_dry,
            dirty: None,
            gathered: 0,
            rested: Instant::now(),
            updating: None,
            composed: self.snapshot,
            rebased: self.rebased,
            failures: Vec::new(),
            files_at: Instant::now() + LOOK_AT_FILES,
        };
        running.require(Instant::now());
        running.list_streams();
        running.follow().await;
    }
}

impl Running {
    async fn follow(&mut self) {
        loop {
            self.act();
            self.look_for_changes();
            let next = self.next().await;
            let now = Instant::now();
            match next {
                Next::Stream(index, StreamEvent::Message(message)) => {
                    self.gathered += 1;
                    let handled = self.plan.resources.handle_message(ChannelId(index), now, message);
                    self.set_connected(index, true, None);
                    if let Some(handled) = handled {
                        self.note(handled);
                    }
                }
                Next::Stream(index, StreamEvent::Closed(reason)) => self.lost(index, now, &reason, true),
                Next::Time => self.plan.resources.handle_time(now),
                Next::Compose => self.compose(),
                Next::Updated(outcome) => self.updated(*outcome),
                Next::Rebased => self.rebase(now),
                Next::Files => self.look_at_files(now),
            }
        }
    }

    /// Asks for what the bootstrap itself needs.
    fn require(&mut self, now: Instant) {
        let Plan { resources, servers, .. } = &mut self.plan;
        let needs =
            servers.borrow_mut().needs(self.assembly.needed(), |source| ready(source, "the bootstrap"));
        match needs {
            Ok(Needs { needs, ways }) => resources.require(now, &needs, &ways),
            Err(reason) => tracing::error!("what the bootstrap needs is not asked for: {reason}"),
        }
    }

    /// Does what the state machines ask for.
    fn act(&mut self) {
        if self.streams.len() < self.plan.services.borrow().len() {
            self.list_streams();
        }
        while let Some((id, action)) = self.plan.resources.poll_action() {
            let now = Instant::now();
            let index = id.0;
            match action {
                Action::Open => {
                    let method = self.plan.resources.channel(id).map(|channel| channel.method());
                    let service = self.plan.services.borrow().get(index).cloned();
                    let Some((method, service)) = method.zip(service) else { continue };
                    match self.calls.open(&service, method) {
                        Ok(stream) => {
                            self.streams[index] = Some(stream);
                            self.plan.resources.handle_opened(id);
                        }
                        Err(status) => self.lost(index, now, &status.to_string(), true),
                    }
                }
                Action::Send { kind, message } => {
                    self.calls.stats().count(discovery_type(kind), Outcome::Attempt);
                    let Some(stream) = self.streams[index].as_mut() else { continue };
                    stream.send(&message);
                    if stream.queued_bytes() > MOST_QUEUED {
                        self.lost(index, now, "the server does not read what it is sent", true);
                    }
                }
                Action::Close(reason) => self.lost(index, now, &reason, false),
            }
        }
    }

    /// A stream is lost. The machine is told, unless it wants it.
    fn lost(&mut self, index: usize, now: Instant, reason: &str, tell: bool) {
        self.streams[index] = None;
        let id = ChannelId(index);
        let kinds: Vec<Kind> =
            self.plan.resources.channel(id).iter().flat_map(|channel| channel.kinds()).collect();
        if tell {
            self.plan.resources.handle_closed(id, now);
        }
        for kind in kinds {
            self.calls.stats().count(discovery_type(kind), Outcome::Failure);
        }
        self.set_connected(index, false, Some(reason));
        if let Some(suppressed) = self.calls.stats().stream_lost() {
            let services = self.plan.services.borrow();
            let server = services.get(index).map_or("", |service| service.destination());
            tracing::warn!(
                server,
                reason,
                suppressed,
                "the stream to a management server is lost; what it sent stays"
            );
        }
    }

    /// Puts the streams into the status that are not there yet.
    fn list_streams(&mut self) {
        let services = self.plan.services.borrow();
        self.streams.resize_with(services.len(), || None);
        let mut table = self.status.table();
        for (index, service) in services.iter().enumerate().skip(table.streams.len()) {
            let channel = self.plan.resources.channel(ChannelId(index));
            let kinds = channel.iter().flat_map(|channel| channel.kinds()).collect();
            let server = service.destination().to_owned();
            table.streams.push(Stream { server, kinds, connected: false, lost: None });
        }
    }

    fn set_connected(&self, index: usize, connected: bool, why: Option<&str>) {
        let mut table = self.status.table();
        if let Some(stream) = table.streams.get_mut(index) {
            if connected && !stream.connected {
                tracing::info!(server = stream.server, "a management server has answered");
            }
            stream.connected = connected;
            if let Some(why) = why {
                stream.lost = Some(why.to_owned());
            }
        }
        let all = table.streams.iter().all(|stream| stream.connected);
        drop(table);
        self.calls.stats().set_connected(all);
    }

    /// A response was answered.
    fn note(&mut self, handled: Handled) {
        let Handled { kind, version, refusals } = handled;
        let outcome = if refusals.is_empty() { Outcome::Success } else { Outcome::Rejected };
        self.calls.stats().count(discovery_type(kind), outcome);
        let reasons: Vec<String> = refusals
            .iter()
            .map(|refusal| {
                format!("{}: {}", refusal.name, refusal.reason).trim_start_matches(": ").to_owned()
            })
            .collect();
        let why = (!reasons.is_empty()).then(|| reasons.join("\n"));
        if let Some(why) = &why
            && let Some(suppressed) = self.calls.stats().refusal_to_tell()
        {
            tracing::warn!(
                "type" = %kind,
                version,
                reason = why,
                suppressed,
                "a response of a management server is refused; what was accepted before stays"
            );
        }
        let names: BTreeSet<Key> = refusals.into_iter().map(|refusal| (kind, refusal.name)).collect();
        self.describe(names);
        self.status.table().types.insert(kind, Type { version, at: SystemTime::now(), refused: why });
        self.count_resources();
    }

    fn count_resources(&self) {
        for kind in Kind::ALL {
            let Numbers { active, warming } = self.plan.resources.numbers(kind);
            self.calls.stats().set_resources(discovery_type(kind), active, warming);
        }
    }

    /// Brings the status of resources up to date.
    fn describe(&self, keys: BTreeSet<Key>) {
        let mut table = self.status.table();
        for key in keys {
            let Some(entry) = self.plan.resources.entry(key.0, &key.1) else {
                table.resources.remove(&key);
                continue;
            };
            let shown = |resource: &Arc<tollgate_xds::Resource<()>>| {
                (resource.version.clone(), resource.body().clone())
            };
            let resource = Resource {
                active: entry.active.as_ref().map(shown),
                warming: entry.warming.as_ref().map(shown),
                waits_for: entry
                    .waits_for
                    .iter()
                    .map(|need| format!("{} {}", need.kind, need.name))
                    .collect(),
                refused: entry
                    .refused
                    .as_ref()
                    .map(|refused| (refused.version.clone(), refused.reason.clone())),
                left_out: self.assembly.left_out(&key).map(str::to_owned),
                since: Some(SystemTime::now()),
            };
            table.resources.insert(key, resource);
        }
    }

    /// Takes in what works otherwise than before.
    fn look_for_changes(&mut self) {
        let warmed = self.plan.resources.take_touched();
        let changes = self.plan.resources.take_changes();
        if !changes.is_empty() {
            let mut shelf = self.plan.shelf.borrow_mut();
            self.assembly.take(changes.clone(), &self.plan.resources, &mut shelf);
            drop(shelf);
            self.dirty.get_or_insert_with(Instant::now);
        }
        if !changes.is_empty() || !warmed.is_empty() {
            self.describe(changes.into_iter().chain(warmed).collect());
            self.count_resources();
        }
        if self.plan.resources.is_ready() && self.dirty.is_none() && self.updating.is_none() {
            let mut table = self.status.table();
            if !std::mem::replace(&mut table.is_ready, true) {
                drop(table);
                tracing::info!("the resources of the start are in force");
                self.admin.set_initialized();
            }
        }
    }

    async fn next(&mut self) -> Next {
        let is_full = self.gathered >= MOST_GATHERED;
        let dirty = self.dirty;
        let Self { streams, plan, updating, rebased, rested, files_at, .. } = self;
        let compose = dirty.filter(|_| updating.is_none()).map(|since| (since + GATHER).max(*rested));
        let must_compose = is_full && compose.is_some();
        let deadline = plan.resources.next_deadline();
        let files = plan.shelf.borrow().has_files().then_some(*files_at);
        let events = poll_fn(|cx| {
            for (index, stream) in streams.iter_mut().enumerate() {
                if let Some(stream) = stream
                    && let Poll::Ready(event) = stream.poll_next(cx)
                {
                    return Poll::Ready(Next::Stream(index, event));
                }
            }
            Poll::Pending
        });
        let updated = async {
            match updating {
                Some(update) => update.await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            outcome = updated => Next::Updated(Box::new(outcome)),
            () = until(compose), if must_compose => Next::Compose,
            () = until(deadline) => Next::Time,
            event = events, if !must_compose => event,
            Ok(()) = rebased.changed() => Next::Rebased,
            () = until(files) => Next::Files,
            () = until(compose) => Next::Compose,
        }
    }

    /// Files that resources name may have changed: what names them is read again, and otherwise nothing.
    fn look_at_files(&mut self, now: Instant) {
        self.files_at = now + LOOK_AT_FILES;
        let Plan { resources, shelf, .. } = &self.plan;
        if self.assembly.look_at_files(resources, &mut shelf.borrow_mut()) {
            tracing::info!("files that resources of a management server name have changed");
            self.dirty.get_or_insert(now);
        }
    }

    /// Begins to put everything that works in force.
    fn compose(&mut self) {
        (self.dirty, self.gathered) = (None, 0);
        let began = Instant::now();
        let before = self.assembly.all_left_out();
        let composed = self.assembly.compose(&self.composed);
        let now = Instant::now();
        self.rested = now + (now.saturating_duration_since(began) * REST).min(LONGEST_REST);
        let after = self.assembly.all_left_out();
        self.describe(before.symmetric_difference(&after).cloned().collect());
        for key in after.difference(&before) {
            if let (Some(reason), Some(suppressed)) =
                (self.assembly.left_out(key), self.calls.stats().refusal_to_tell())
            {
                let (kind, name) = key;
                tracing::warn!("type" = %kind, name, reason, suppressed, "a resource is not put in force; what was in force stays");
            }
        }
        match composed {
            Ok(composed) if self.is_dry => self.composed = Arc::new(composed),
            Ok(composed) => {
                tracing::debug!(compiled = %composed.work(), "resources of management servers are put in force");
                self.composed = Arc::new(composed);
                let (updater, snapshot) = (self.updater.clone(), Arc::clone(self.composed.snapshot()));
                self.updating = Some(Box::pin(async move { updater.update(snapshot).await }));
            }
            Err(reason) => {
                if let Some(suppressed) = self.calls.stats().refusal_to_tell() {
                    tracing::error!(reason, suppressed, "the configuration before stays in force");
                }
            }
        }
    }

    fn updated(&mut self, outcome: Result<Update, UpdateError>) {
        self.updating = None;
        // The gateway is about to stop.
        let Ok(update) = outcome else { return };
        let in_force = self.admin.in_force();
        let is_new = !update.difference.is_empty();
        let next = InForce {
            generation: in_force.generation + u64::from(is_new),
            since: if is_new { SystemTime::now() } else { in_force.since },
            snapshot: Arc::clone(&self.composed),
            objects: in_force.objects,
            listeners: self.updater.local_addresses(),
            refused: None,
        };
        if is_new {
            tracing::info!(generation = next.generation, "in force: {}", update.difference);
        }
        for (name, address) in next.listeners.iter().filter(|listener| !in_force.listeners.contains(listener))
        {
            tracing::info!("listener {name} at {}", Address(address));
        }
        self.admin.set_in_force(next);
        let failures: Vec<String> = update.failures.iter().map(ToString::to_string).collect();
        for failure in failures.iter().filter(|failure| !self.failures.contains(failure)) {
            tracing::error!("{failure}; it is tried again with the next configuration");
        }
        self.failures = failures;
    }

    /// The bootstrap is another one.
    fn rebase(&mut self, now: Instant) {
        let sources = self.rebased.borrow_and_update().clone();
        let before = self.assembly.management();
        let Plan { resources, shelf, .. } = &self.plan;
        let accepted = self.assembly.rebase(sources, resources, &mut shelf.borrow_mut());
        if !accepted {
            return;
        }
        if self.assembly.management() != before {
            tracing::warn!("other management servers are asked only after a restart");
        }
        let admin = self.assembly.admin_address().or(self.admin_address);
        let old = self.composed.admin_address.or(self.admin_address);
        if admin != old {
            warn_of_admin_address(admin);
        }
        self.require(now);
        self.dirty.get_or_insert(now);
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}
