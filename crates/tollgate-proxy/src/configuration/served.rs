//! Listeners and filter chains that outlive a configuration.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;
use tollgate_model::{
    listener::{FilterChain, Listener},
    tls::DownstreamTls,
};

use super::{AddressId, Adoption, ChainConfiguration, Shown, WorkerRoutes};
use crate::{
    drain::{Drain, Haste},
    id::Id,
    overload::ConnectionCount,
    stats::{ConnectionStats, ListenerMetric, Metrics, WorkerStats},
    stream_info::FilterChainInfo,
    upstream::ClusterManager,
};

/// Everything that one worker serves.
#[derive(Debug)]
pub(crate) struct Served {
    listeners: HashMap<String, Rc<ServedListener>>,
    addresses: HashMap<AddressId, Rc<ServedListener>>,
    clusters: Rc<ClusterManager>,
    /// Chains that are gone, and since when; connections may still hold them.
    retired: Vec<(Weak<ServedChain>, Instant)>,
    /// The worker is about to stop.
    stopping: bool,
    /// Clients are to go elsewhere.
    leaving: bool,
}

/// A listener, whatever its configuration is at the moment.
#[derive(Debug)]
pub(crate) struct ServedListener {
    /// One that comes back under a name is another one.
    id: Id<Self>,
    current: RefCell<Rc<Chains>>,
    /// Its connections, those of other workers included.
    pub(crate) connections: ConnectionCount,
    /// Where its connections are counted.
    pub(crate) metrics: Metrics<ListenerMetric>,
}

/// A listener's configuration and, at the same places, its filter chains.
#[derive(Debug)]
pub(crate) struct Chains {
    pub(crate) listener: Arc<Listener>,
    filter_chains: Vec<Rc<ServedChain>>,
    default_filter_chain: Option<Rc<ServedChain>>,
}

/// A filter chain, whatever its configuration is at the moment. Connections hold it for their life.
#[derive(Debug)]
pub(crate) struct ServedChain {
    current: RefCell<Rc<ChainConfiguration>>,
    /// Whether it is there no longer. Its last configuration serves the requests that still come.
    pub(crate) drain: Drain,
    /// Its connections, by number.
    connections: RefCell<HashMap<u64, AbortHandle>>,
}

/// Keeps a connection among those of its chain.
#[derive(Debug)]
pub(crate) struct ChainConnection {
    chain: Rc<ServedChain>,
    id: u64,
}

impl Drop for ChainConnection {
    fn drop(&mut self) {
        self.chain.connections.borrow_mut().remove(&self.id);
    }
}

impl ServedListener {
    /// Its present configuration.
    pub(crate) fn current(&self) -> Rc<Chains> {
        self.current.borrow().clone()
    }
}

impl Chains {
    /// The filter chain at this place; `None` is the default one.
    pub(crate) fn get(&self, index: Option<usize>) -> Option<&Rc<ServedChain>> {
        match index {
            Some(index) => self.filter_chains.get(index),
            None => self.default_filter_chain.as_ref(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Rc<ServedChain>> {
        self.filter_chains.iter().chain(&self.default_filter_chain)
    }
}

impl ServedChain {
    fn new(configuration: ChainConfiguration) -> Rc<Self> {
        Rc::new(Self {
            current: RefCell::new(Rc::new(configuration)),
            drain: Drain::default(),
            connections: RefCell::default(),
        })
    }

    /// Knows the task of a connection until the guard is dropped.
    pub(crate) fn connected(self: &Rc<Self>, id: u64, task: AbortHandle) -> ChainConnection {
        self.connections.borrow_mut().insert(id, task);
        ChainConnection { chain: self.clone(), id }
    }

    /// What a request that begins now is served by.
    pub(crate) fn current(&self) -> Rc<ChainConfiguration> {
        self.current.borrow().clone()
    }

    /// How TLS is spoken with connections that begin now, and how long the handshake may take; `None` is cleartext.
    pub(crate) fn tls(&self) -> Option<(Arc<DownstreamTls>, Option<Duration>)> {
        self.with(|configuration| {
            let chain = configuration.chain.filter_chain();
            Some((chain.tls.clone()?, chain.transport_socket_connect_timeout))
        })
    }

    /// Whether no HTTP is spoken on its connections.
    pub(crate) fn passes_bytes_on(&self) -> bool {
        self.with(|configuration| configuration.chain.filter_chain().tcp_proxy.is_some())
    }

    /// A look at its present configuration that must not outlast the moment.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&ChainConfiguration) -> T) -> T {
        look(&self.current.borrow())
    }
}

impl Served {
    /// The first configuration of a worker.
    pub(crate) fn new(adoption: &Adoption, stats: &WorkerStats) -> Self {
        let mut served = Self {
            listeners: HashMap::new(),
            addresses: HashMap::new(),
            clusters: ClusterManager::new(&adoption.shared, stats),
            retired: Vec::new(),
            stopping: false,
            leaving: false,
        };
        served.take_in(adoption, stats);
        served
    }

    /// Puts a configuration in the place of the one before.
    pub(crate) fn adopt(&mut self, adoption: &Adoption, stats: &WorkerStats) {
        self.clusters = self.clusters.succeeded_by(&adoption.shared);
        self.retired.retain(|(chain, _)| chain.strong_count() > 0);
        self.take_in(adoption, stats);
    }

    fn take_in(&mut self, adoption: &Adoption, stats: &WorkerStats) {
        let mut former = std::mem::take(&mut self.listeners);
        for listener in &adoption.snapshot.listeners {
            let known = former.remove(&listener.name);
            let before = known.as_ref().map(|known| known.current());
            let (chains, gone) = Renewal { adoption, clusters: &self.clusters, stats, before }.run(listener);
            let served = match known {
                Some(known) => {
                    *known.current.borrow_mut() = Rc::new(chains);
                    known
                }
                None => Rc::new(ServedListener {
                    id: Id::next(),
                    current: RefCell::new(Rc::new(chains)),
                    connections: adoption.overload.connections.of_listener(&listener.name),
                    metrics: stats.listener(&listener.name),
                }),
            };
            self.listeners.insert(listener.name.clone(), served);
            gone.iter().for_each(|chain| self.retire(chain));
        }
        let mut before = std::mem::take(&mut self.addresses);
        for (id, name) in &adoption.addresses {
            // An address about to be closed may belong to a listener that is no more.
            if let Some(listener) = self.listeners.get(name).cloned().or_else(|| before.remove(id)) {
                self.addresses.insert(*id, listener);
            }
        }
        if self.leaving {
            self.set_leaving(true);
        }
        let former: Vec<_> = former.into_values().collect();
        for listener in former {
            if !self.addresses.values().any(|served| served.id == listener.id) {
                self.retire_listener(&listener);
            }
        }
    }

    /// The configurations of every filter chain.
    pub(crate) fn chain_configurations(&self) -> Vec<Rc<ChainConfiguration>> {
        let listeners = self.listeners.values().map(|listener| listener.current());
        listeners.flat_map(|chains| chains.all().map(|chain| chain.current()).collect::<Vec<_>>()).collect()
    }

    /// The clusters.
    pub(crate) fn clusters(&self) -> Rc<ClusterManager> {
        self.clusters.clone()
    }

    /// The listener of an address.
    pub(crate) fn at(&self, address: AddressId) -> Option<Rc<ServedListener>> {
        self.addresses.get(&address).cloned()
    }

    /// Addresses that are closed everywhere. A listener without a place in the configuration goes with its last one.
    pub(crate) fn forget(&mut self, addresses: &[AddressId]) {
        for address in addresses {
            let Some(listener) = self.addresses.remove(address) else { continue };
            let is_served = self.listeners.values().chain(self.addresses.values());
            if !is_served.into_iter().any(|served| served.id == listener.id) {
                self.retire_listener(&listener);
            }
        }
    }

    /// The worker is about to stop: all connections end.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        for listener in self.listeners.values().chain(self.addresses.values()) {
            listener.current().all().for_each(|chain| chain.drain.start(Haste::WhenIdle));
        }
        for chain in self.retired.iter().filter_map(|(chain, _)| chain.upgrade()) {
            chain.drain.start(Haste::WhenIdle);
        }
    }

    /// Whether clients are to go elsewhere: every connection ends with its next request.
    pub(crate) fn set_leaving(&mut self, leaving: bool) {
        self.leaving = leaving;
        for listener in self.listeners.values().chain(self.addresses.values()) {
            listener.current().all().for_each(|chain| match leaving {
                true => chain.drain.start(Haste::WithNextRequest),
                false => chain.drain.take_back(),
            });
        }
    }

    fn retire_listener(&mut self, listener: &ServedListener) {
        listener.current().all().for_each(|chain| self.retire(chain));
    }

    fn retire(&mut self, chain: &Rc<ServedChain>) {
        chain.drain.start(if self.stopping { Haste::WhenIdle } else { Haste::AfterNextRequest });
        self.retired.push((Rc::downgrade(chain), Instant::now()));
    }

    /// Whether there may be connections of chains that are gone.
    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Ends the connections of chains that have been gone for so long.
    pub(crate) fn end_overdue(&mut self, drain_time: Duration) {
        let now = Instant::now();
        self.retired.retain(|(chain, since)| {
            let Some(chain) = chain.upgrade() else { return false };
            let is_overdue = now.saturating_duration_since(*since) >= drain_time;
            if is_overdue {
                chain.connections.borrow().values().for_each(AbortHandle::abort);
            }
            // One that is shaking hands is not known yet.
            true
        });
    }
}

/// A new configuration of one listener in the making.
struct Renewal<'a> {
    adoption: &'a Adoption,
    clusters: &'a Rc<ClusterManager>,
    stats: &'a WorkerStats,
    before: Option<Rc<Chains>>,
}

impl Renewal<'_> {
    /// The chains of `listener`: those that go on, and new ones; and the former ones that are gone.
    fn run(self, listener: &Arc<Listener>) -> (Chains, Vec<Rc<ServedChain>>) {
        let before = self.before.as_ref();
        let mut former: Vec<_> =
            before.into_iter().flat_map(|before| before.filter_chains.iter().cloned().map(Some)).collect();
        let mut former_default = before.and_then(|before| before.default_filter_chain.clone());
        let filter_chains = (0..listener.filter_chains.len())
            .map(|index| {
                let new = &listener.filter_chains[index];
                let goes_on =
                    |known: &Option<Rc<ServedChain>>| known.as_ref().is_some_and(|known| goes_on(known, new));
                // Most often it is where it was.
                let place = Some(index)
                    .filter(|index| former.get(*index).is_some_and(goes_on))
                    .or_else(|| former.iter().position(goes_on));
                let known = place.and_then(|place| former[place].take());
                self.renew(known, FilterChainInfo { listener: listener.clone(), filter_chain: Some(index) })
            })
            .collect();
        let default_filter_chain = listener.default_filter_chain.as_ref().map(|new| {
            let known = former_default.take_if(|known| goes_on(known, new));
            self.renew(known, FilterChainInfo { listener: listener.clone(), filter_chain: None })
        });
        let gone = former.into_iter().flatten().chain(former_default).collect();
        (Chains { listener: listener.clone(), filter_chains, default_filter_chain }, gone)
    }

    fn renew(&self, known: Option<Rc<ServedChain>>, chain: FilterChainInfo) -> Rc<ServedChain> {
        // What did not change in an update is the same object (`tollgate_model::update`).
        let same = |known: &Rc<ChainConfiguration>| Arc::ptr_eq(&known.chain.listener, &chain.listener);
        let (chain, routes, stats) = match known.as_ref().map(|known| known.current()).filter(same) {
            Some(known) => (known.chain.clone(), known.routes.clone(), known.stats.clone()),
            None => {
                let listener = self.stats.listener(&chain.listener.name);
                let own = chain.filter_chain();
                let routes = WorkerRoutes::new(&own.http, self.stats);
                let stats = ConnectionStats::new(self.stats, &listener, &own.http, own.tcp_proxy.as_deref());
                (Rc::new(chain), Rc::new(routes), Rc::new(stats))
            }
        };
        let configuration = ChainConfiguration {
            shows: Shown::by(&chain),
            snapshot: self.adoption.snapshot.clone(),
            clusters: self.clusters.clone(),
            chain,
            routes,
            stats,
        };
        match known {
            Some(known) => {
                *known.current.borrow_mut() = Rc::new(configuration);
                known
            }
            None => ServedChain::new(configuration),
        }
    }
}

/// Whether connections of a chain may go on under its new configuration: those that match it match it still, and what
/// was agreed on when they began holds. A new certificate is for new connections.
fn goes_on(known: &ServedChain, new: &FilterChain) -> bool {
    known.with(|known| {
        let old = known.chain.filter_chain();
        let same_tls = match (&old.tls, &new.tls) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new) || old.is_same_but_for_certificates(new),
            _ => false,
        };
        same_tls
            && old.filter_chain_match == new.filter_chain_match
            && old.http.codec_type == new.http.codec_type
            && old.tcp_proxy.is_some() == new.tcp_proxy.is_some()
    })
}
