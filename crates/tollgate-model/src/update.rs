//! From one configuration to the next: what did change, by name.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc};

use serde::Serialize;

use crate::{Snapshot, listener::Listener, route::VirtualHost, shared::same};

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
        let (old_listeners, new_listeners) = (by_name(&old.listeners), by_name(&new.listeners));
        let listeners = Changes::between(&old_listeners, &new_listeners, |old, new| same(old, new));
        let mut virtual_hosts = Changes::default();
        let names = [&listeners.added, &listeners.changed, &listeners.removed];
        for name in names.into_iter().flatten() {
            let [old, new] = [&old_listeners, &new_listeners].map(|listeners| {
                listeners.get(&**name).map(|listener| virtual_hosts_of(listener)).unwrap_or_default()
            });
            let changes = Changes::between(&old, &new, |old, new| {
                old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
            });
            virtual_hosts.extend_below(name, changes);
        }
        Self {
            listeners,
            virtual_hosts,
            clusters: Changes::between(&old.clusters, &new.clusters, same),
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

fn by_name(listeners: &[Arc<Listener>]) -> HashMap<&str, &Arc<Listener>> {
    listeners.iter().map(|listener| (&*listener.name, listener)).collect()
}

/// By name; filter chains of one listener may each have one of the same name.
fn virtual_hosts_of(listener: &Listener) -> HashMap<&str, Vec<&Arc<VirtualHost>>> {
    let mut all: HashMap<&str, Vec<&Arc<VirtualHost>>> = HashMap::new();
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    for host in chains.flat_map(|chain| chain.http.route_config.virtual_hosts.iter()) {
        all.entry(&host.name).or_default().push(host);
    }
    all
}

impl Changes {
    fn between<N: Hash + Eq + AsRef<str>, T>(
        old: &HashMap<N, T>,
        new: &HashMap<N, T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Self {
        let mut changes = Self::default();
        for (name, content) in new {
            let name_of = || name.as_ref().to_owned();
            match old.get(name) {
                None => changes.added.push(name_of()),
                Some(known) if !same(known, content) => changes.changed.push(name_of()),
                Some(_) => {}
            }
        }
        let removed = old.keys().filter(|name| !new.contains_key(*name));
        changes.removed = removed.map(|name| name.as_ref().to_owned()).collect();
        changes.sort();
        changes
    }

    /// Adds changes of what belongs to something of that name.
    fn extend_below(&mut self, owner: &str, more: Self) {
        let below = |names: Vec<String>| names.into_iter().map(move |name| format!("{owner}/{name}"));
        self.added.extend(below(more.added));
        self.changed.extend(below(more.changed));
        self.removed.extend(below(more.removed));
        self.sort();
    }

    fn sort(&mut self) {
        [&mut self.added, &mut self.changed, &mut self.removed]
            .into_iter()
            .for_each(|names| names.sort_unstable());
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
