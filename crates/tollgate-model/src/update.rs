//! From one configuration to the next: what did not change stays the very same object, and what did has a name.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use serde::Serialize;

use crate::{
    Snapshot,
    listener::{FilterChain, Listener},
    route::VirtualHost,
    tls::DownstreamTls,
};

impl Snapshot {
    /// Takes over from `previous` what is equal, so that whoever compares pointers sees what did not change: listeners,
    /// clusters, and the TLS state of filter chains, whose sessions can then be resumed.
    ///
    /// A translation makes everything anew each time; nothing but content says what is still the same.
    pub fn reuse(&mut self, previous: &Self) {
        for (name, cluster) in &mut self.clusters {
            if let Some(known) = previous.clusters.get(name)
                && known == cluster
            {
                cluster.clone_from(known);
            }
        }
        let known: HashMap<&str, &Arc<Listener>> =
            previous.listeners.iter().map(|listener| (&*listener.name, listener)).collect();
        for listener in &mut self.listeners {
            let Some(known) = known.get(&*listener.name).copied() else { continue };
            if known == listener {
                listener.clone_from(known);
            } else if let Some(listener) = Arc::get_mut(listener) {
                reuse_tls(listener, known);
            }
        }
    }
}

fn chains(listener: &Listener) -> impl Iterator<Item = &FilterChain> {
    listener.filter_chains.iter().chain(&listener.default_filter_chain)
}

fn reuse_tls(listener: &mut Listener, previous: &Listener) {
    let known = KnownTls::of(previous);
    for chain in listener.filter_chains.iter_mut().chain(&mut listener.default_filter_chain) {
        let Some(tls) = &mut chain.tls else { continue };
        if let Some(known) = known.find(&chain.name, |known| known == &**tls) {
            *tls = Arc::clone(known);
        }
    }
}

/// The TLS state of the filter chains of a listener.
#[derive(Debug)]
pub struct KnownTls<'l> {
    by_name: HashMap<&'l str, Vec<&'l Arc<DownstreamTls>>>,
    all: Vec<&'l Arc<DownstreamTls>>,
}

impl<'l> KnownTls<'l> {
    /// That of a listener.
    #[must_use]
    pub fn of(listener: &'l Listener) -> Self {
        let mut known = Self { by_name: HashMap::new(), all: Vec::new() };
        for chain in chains(listener) {
            let Some(tls) = &chain.tls else { continue };
            known.by_name.entry(&chain.name).or_default().push(tls);
            known.all.push(tls);
        }
        known
    }

    /// The state that `is_same`, first among the chains of this name: usually a chain keeps it.
    pub fn find(
        &self,
        chain: &str,
        is_same: impl Fn(&DownstreamTls) -> bool,
    ) -> Option<&'l Arc<DownstreamTls>> {
        let named = self.by_name.get(chain).into_iter().flatten();
        named.chain(&self.all).copied().find(|known| is_same(known))
    }
}

/// What is different between two configurations, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Listeners. One has changed as well if only its routes have.
    pub listeners: Changes,
    /// Virtual hosts of all route tables, as `listener/virtual host`.
    pub virtual_hosts: Changes,
    /// Clusters.
    pub clusters: Changes,
    /// Who the gateway is, or where its admin server listens.
    pub identity: bool,
    /// Limits of the process, overload actions and the watch over the workers.
    pub overload: bool,
}

/// Names of what came, went and changed, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// New ones.
    pub added: Vec<String>,
    /// Those that are there as before, with another content.
    pub changed: Vec<String>,
    /// Those that are there no longer.
    pub removed: Vec<String>,
}

impl Difference {
    /// What has to be done to `old` to make it `new`.
    #[must_use]
    pub fn between(old: &Snapshot, new: &Snapshot) -> Self {
        Self {
            listeners: Changes::between(&listeners(old), &listeners(new), same),
            virtual_hosts: Changes::between(&virtual_hosts(old), &virtual_hosts(new), |old, new| {
                old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
            }),
            clusters: Changes::between(&clusters(old), &clusters(new), same),
            identity: old.node != new.node || old.admin_address != new.admin_address,
            overload: old.overload != new.overload || old.watchdog != new.watchdog,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn same<T: PartialEq>(old: &&Arc<T>, new: &&Arc<T>) -> bool {
    Arc::ptr_eq(old, new) || old == new
}

fn listeners(snapshot: &Snapshot) -> BTreeMap<String, &Arc<Listener>> {
    snapshot.listeners.iter().map(|listener| (listener.name.clone(), listener)).collect()
}

fn clusters(snapshot: &Snapshot) -> BTreeMap<String, &Arc<crate::cluster::Cluster>> {
    snapshot.clusters.iter().map(|(name, cluster)| (name.clone(), cluster)).collect()
}

/// By name; filter chains of one listener may each have one of the same name.
fn virtual_hosts(snapshot: &Snapshot) -> BTreeMap<String, Vec<&Arc<VirtualHost>>> {
    let mut all: BTreeMap<String, Vec<&Arc<VirtualHost>>> = BTreeMap::new();
    for listener in &snapshot.listeners {
        for host in chains(listener).flat_map(|chain| chain.http.route_config.virtual_hosts.iter()) {
            all.entry(format!("{}/{}", listener.name, host.name)).or_default().push(host);
        }
    }
    all
}

impl Changes {
    fn between<T>(
        old: &BTreeMap<String, T>,
        new: &BTreeMap<String, T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Self {
        let mut changes = Self::default();
        for (name, content) in new {
            match old.get(name) {
                None => changes.added.push(name.clone()),
                Some(known) if !same(known, content) => changes.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        changes.removed = old.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
        changes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Names that a line shows at most, of each kind.
const MOST_SHOWN: usize = 8;

impl fmt::Display for Difference {
    /// `listeners: changed main; clusters: added app, removed old`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, changes) in [
            ("listeners", &self.listeners),
            ("virtual hosts", &self.virtual_hosts),
            ("clusters", &self.clusters),
        ] {
            if !changes.is_empty() {
                write!(f, "{separator}{kind}: {changes}")?;
                separator = "; ";
            }
        }
        if self.identity {
            write!(f, "{separator}node or admin address")?;
            separator = "; ";
        }
        if self.overload {
            write!(f, "{separator}limits of the process")?;
            separator = "; ";
        }
        if separator.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, names) in [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)]
        {
            if names.is_empty() {
                continue;
            }
            write!(f, "{separator}{kind} ")?;
            separator = ", ";
            f.write_str(&names[..names.len().min(MOST_SHOWN)].join(" "))?;
            if names.len() > MOST_SHOWN {
                write!(f, " and {} more", names.len() - MOST_SHOWN)?;
            }
        }
        Ok(())
    }
}
