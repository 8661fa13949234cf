//! What all workers know of the health of a cluster.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, sync::watch, task::JoinSet};
use tollgate_model::cluster::{Cluster, HealthPolicy};

use super::outlier::{Ejections, Monitor, Outcome, Window};
use crate::id::Id;

/// The requests that have met too much trouble wait here for the control thread, so many at most.
const MOST_EVENTS: usize = 1024;

/// Ejected because of what requests met.
const OUTLIER: u8 = 1;
/// Its own answers said that it is not well: it does not count at all until a check succeeds.
const EXCLUDED: u8 = 2;
/// The latest check failed because it took too long.
const TIMED_OUT: u8 = 4;

/// The health of a cluster's hosts.
#[derive(Debug)]
pub(in crate::upstream) struct ClusterHealth {
    /// A cluster that takes the place of another one may take over its health.
    pub(in crate::upstream) id: Id<Self>,
    pub(super) policy: HealthPolicy,
    /// Grows with every change.
    version: AtomicU64,
    /// Tells those who wait of changes.
    changed: watch::Sender<u64>,
    hosts: Mutex<BTreeMap<String, Arc<HostHealth>>>,
    /// All hosts are known, as far as they can be at first.
    listed: AtomicBool,
    events: mpsc::Sender<Event>,
    /// Taken by whoever watches over the cluster at present.
    pub(super) received: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    pub(super) ejections: Mutex<Ejections>,
    tasks: Mutex<Option<JoinSet<()>>>,
}

/// What workers tell the control thread.
#[derive(Debug)]
pub(super) enum Event {
    /// So many failures in a row are enough.
    Consecutive(Arc<HostHealth>, super::outlier::Series),
    /// A response said that its host is not well.
    SaysUnwell(Arc<HostHealth>),
}

/// The health of one host.
#[derive(Debug)]
pub(in crate::upstream) struct HostHealth {
    /// A host that comes back at an address is another one.
    pub(super) id: Id<Self>,
    /// A bit for each check that says it is not well.
    failing: AtomicU64,
    /// A bit for each check that has not said anything.
    unasked: AtomicU64,
    /// A bit for each check that says it is degraded.
    degraded: AtomicU64,
    flags: AtomicU8,
    /// When it became known.
    known_since: Instant,
    /// So many milliseconds later, and one more, its checks began to succeed; 0 = they never did.
    passed: AtomicU64,
    /// Before its first check it counts for nothing.
    ignored_at_first: bool,
    /// What requests meet; `None` = nobody wants to know.
    pub(super) monitor: Option<Monitor>,
}

/// How much a host is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Condition {
    /// It is well.
    Healthy,
    /// It is used when those that are well are not enough.
    Degraded,
    /// It is not used unless in panic.
    Unhealthy,
    /// As if it were not there, unless in panic.
    Excluded,
}

impl ClusterHealth {
    /// `None` if nobody asks for the health of the cluster's hosts.
    pub(in crate::upstream) fn of(cluster: &Cluster) -> Option<Arc<Self>> {
        let policy = &cluster.health;
        if policy.health_checks.is_empty() && policy.outlier_detection.is_none() {
            return None;
        }
        let (events, received) = mpsc::channel(MOST_EVENTS);
        Some(Arc::new(Self {
            id: Id::next(),
            policy: policy.clone(),
            version: AtomicU64::new(0),
            changed: watch::channel(0).0,
            hosts: Mutex::default(),
            listed: AtomicBool::new(false),
            events,
            received: tokio::sync::Mutex::new(received),
            ejections: Mutex::default(),
            tasks: Mutex::default(),
        }))
    }

    /// Whether hosts are asked how they are.
    pub(in crate::upstream) fn has_checks(&self) -> bool {
        !self.policy.health_checks.is_empty()
    }

    /// Grows with every change.
    pub(in crate::upstream) fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// Something is different.
    pub(super) fn has_changed(&self) {
        let version = self.version.fetch_add(1, Relaxed) + 1;
        self.changed.send_replace(version);
    }

    /// The health of the host at this address. One that nobody knew is not well before its first check, if it has one.
    pub(in crate::upstream) fn host(&self, address: &str, is_checked: bool) -> Arc<HostHealth> {
        let mut hosts = self.hosts();
        if let Some(known) = hosts.get(address) {
            return known.clone();
        }
        let checks = if is_checked { self.policy.health_checks.len() } else { 0 };
        let host = Arc::new(HostHealth {
            id: Id::next(),
            failing: AtomicU64::new(first_bits(checks)),
            unasked: AtomicU64::new(first_bits(checks)),
            degraded: AtomicU64::new(0),
            flags: AtomicU8::new(0),
            known_since: Instant::now(),
            passed: AtomicU64::new(0),
            ignored_at_first: self.policy.ignore_new_hosts_until_first_check,
            monitor: self.policy.outlier_detection.as_ref().map(Monitor::new),
        });
        hosts.insert(address.to_owned(), host.clone());
        host
    }

    /// What is known of the hosts, by address.
    pub(in crate::upstream) fn flags(&self) -> BTreeMap<String, Flags> {
        self.hosts().iter().map(|(address, host)| (address.clone(), host.flags())).collect()
    }

    /// All hosts.
    pub(super) fn all(&self) -> Vec<(String, Arc<HostHealth>)> {
        self.hosts().iter().map(|(address, host)| (address.clone(), host.clone())).collect()
    }

    /// Forgets hosts that are not there any more.
    pub(super) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.hosts().retain(|address, _| is_there(address));
    }

    /// Everything that can be asked for the first time is.
    pub(super) fn is_listed(&self) {
        self.listed.store(true, Relaxed);
        self.has_changed();
    }

    /// Waits until every host was checked once.
    pub(in crate::upstream) async fn checked_once(&self) {
        let mut changed = self.changed.subscribe();
        let is_done = || self.listed.load(Relaxed) && self.hosts().values().all(|host| host.was_asked());
        // The sender lives as long as this.
        let _ = changed.wait_for(|_| is_done()).await;
    }

    /// The worker's way to the control thread. What does not fit is tried again at the next failure.
    pub(super) fn tell(&self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// These tasks watch over the cluster from now on, and no others.
    pub(super) fn replace_tasks(&self, tasks: Option<JoinSet<()>>) {
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    }

    /// Nobody watches over the cluster any more.
    pub(in crate::upstream) fn stop(&self) {
        self.replace_tasks(None);
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Arc<HostHealth>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request to a host ended like this.
    pub(in crate::upstream) fn note(&self, host: &Arc<HostHealth>, window: &Window, outcome: Outcome) {
        let Some(monitor) = &host.monitor else { return };
        for series in monitor.note(window, outcome) {
            if !self.tell(Event::Consecutive(host.clone(), series)) {
                monitor.again(series);
            }
        }
    }

    /// A response said that its host is not well.
    pub(in crate::upstream) fn says_unwell(&self, host: &Arc<HostHealth>) {
        if host.flags.fetch_or(EXCLUDED, Relaxed) & EXCLUDED == 0 {
            self.has_changed();
            self.tell(Event::SaysUnwell(host.clone()));
        }
    }
}

/// A bit for each of so many checks. The configuration has no more than fit.
fn first_bits(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

impl HostHealth {
    /// How much it is worth.
    pub(in crate::upstream) fn condition(&self) -> Condition {
        let flags = self.flags.load(Relaxed);
        if flags & EXCLUDED != 0 || (self.ignored_at_first && !self.was_asked()) {
            Condition::Excluded
        } else if flags & OUTLIER != 0 || self.failing.load(Relaxed) != 0 {
            Condition::Unhealthy
        } else if self.degraded.load(Relaxed) != 0 {
            Condition::Degraded
        } else {
            Condition::Healthy
        }
    }

    /// Since when its checks succeed; without any, since it is there. `None`: they do not.
    pub(in crate::upstream) fn passes_since(&self, created: Instant) -> Option<Instant> {
        match self.passed.load(Relaxed) {
            0 if self.failing.load(Relaxed) == 0 => Some(created),
            0 => None,
            passed => self.known_since.checked_add(Duration::from_millis(passed - 1)),
        }
    }

    /// Where a worker counts what its requests meet, if anybody wants to know.
    pub(in crate::upstream) fn window(&self) -> Option<Arc<Window>> {
        self.monitor.as_ref().map(Monitor::window)
    }

    /// Whether this check, or any, says it is not well.
    pub(super) fn is_failing(&self, check: Option<usize>) -> bool {
        let failing = self.failing.load(Relaxed);
        check.map_or(failing != 0, |check| failing & (1 << check) != 0)
    }

    pub(super) fn was_asked(&self) -> bool {
        self.unasked.load(Relaxed) == 0
    }

    /// A check has its first answer. Whether it is the first.
    pub(super) fn asked(&self, check: usize) -> bool {
        self.unasked.fetch_and(!(1 << check), Relaxed) & (1 << check) != 0
    }

    /// What a check says from now on.
    pub(super) fn set_failing(&self, check: usize, failing: bool) {
        let was_failing = set(&self.failing, check, failing);
        if !failing {
            if was_failing && self.failing.load(Relaxed) == 0 {
                let later =
                    u64::try_from(Instant::now().saturating_duration_since(self.known_since).as_millis())
                        .unwrap_or(u64::MAX - 1);
                self.passed.store(later + 1, Relaxed);
            }
            self.flags.fetch_and(!EXCLUDED, Relaxed);
        }
    }

    /// Every check is taken to have failed.
    pub(super) fn fail_all(&self, checks: usize) {
        self.failing.fetch_or(first_bits(checks), Relaxed);
    }

    /// Whether a check says it is degraded. True if that is new.
    pub(super) fn set_degraded(&self, check: usize, degraded: bool) -> bool {
        set(&self.degraded, check, degraded) != degraded
    }

    pub(super) fn set_timed_out(&self, timed_out: bool) {
        self.set_flag(TIMED_OUT, timed_out);
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.flags.load(Relaxed) & OUTLIER != 0
    }

    pub(super) fn set_ejected(&self, ejected: bool) {
        self.set_flag(OUTLIER, ejected);
    }

    fn set_flag(&self, flag: u8, on: bool) {
        if on {
            self.flags.fetch_or(flag, Relaxed);
        } else {
            self.flags.fetch_and(!flag, Relaxed);
        }
    }

    /// What is wrong with it, in Envoy's words (`/failed_active_hc`...), or `healthy`.
    pub(in crate::upstream) fn flags(&self) -> Flags {
        let flags = self.flags.load(Relaxed);
        Flags {
            failed_active_health_check: self.failing.load(Relaxed) != 0,
            failed_outlier_check: flags & OUTLIER != 0,
            failed_active_degraded_check: self.degraded.load(Relaxed) != 0,
            pending_active_hc: !self.was_asked(),
            excluded_via_immediate_hc_fail: flags & EXCLUDED != 0,
            active_hc_timeout: flags & TIMED_OUT != 0,
        }
    }
}

/// Sets a bit, and tells whether it was set before.
fn set(bits: &AtomicU64, index: usize, on: bool) -> bool {
    let bit = 1 << index;
    let before = if on { bits.fetch_or(bit, Relaxed) } else { bits.fetch_and(!bit, Relaxed) };
    before & bit != 0
}

/// What is known of a host, by the names that Envoy shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, as in Envoy")]
pub struct Flags {
    /// A check of ours says it is not well.
    pub failed_active_health_check: bool,
    /// It is ejected because of what requests met.
    pub failed_outlier_check: bool,
    /// A check of ours says it is degraded.
    pub failed_active_degraded_check: bool,
    /// It was not checked yet.
    pub pending_active_hc: bool,
    /// Its own response said it is not well.
    pub excluded_via_immediate_hc_fail: bool,
    /// The latest check took too long.
    pub active_hc_timeout: bool,
}
