//! Hosts that are looked up because requests are for them (`dynamic_forward_proxy`).

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use tokio::runtime::Handle;
use tollgate_model::cluster::DnsCache;

use crate::upstream::cluster::{
    choice::Choice,
    dns::{Addresses, Resolver, WhenGone},
    host::{Host, Place},
    manager::ClusterCounts,
    shared_cluster::SharedCluster,
};

/// The names of one cluster, as all workers share them.
#[derive(Debug)]
pub(in crate::upstream) struct Names {
    pub(in crate::upstream) settings: DnsCache,
    resolver: Arc<Resolver>,
    control: Handle,
    /// What workers hold of them at present.
    known: Mutex<HashMap<(String, u16), Weak<Addresses>>>,
}

impl Names {
    pub(in crate::upstream) fn new(settings: &DnsCache, resolver: &Arc<Resolver>, control: &Handle) -> Self {
        Self {
            settings: settings.clone(),
            resolver: resolver.clone(),
            control: control.clone(),
            known: Mutex::default(),
        }
    }

    /// The addresses of a name, which is looked up as long as somebody holds them. `None`: there are too many names.
    fn get(&self, host: &str, port: u16) -> Option<Arc<Addresses>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.to_owned(), port);
        if let Some(addresses) = known.get(&key).and_then(Weak::upgrade) {
            return Some(addresses);
        }
        known.retain(|_, addresses| addresses.strong_count() > 0);
        if known.len() >= self.settings.max_hosts as usize {
            return None;
        }
        let dns = &self.settings.dns;
        let addresses = Arc::new(self.resolver.watch(host, port, dns, WhenGone::Keep, &self.control));
        known.insert(key, Arc::downgrade(&addresses));
        Some(addresses)
    }
}

/// The hosts of one cluster in one worker.
#[derive(Debug)]
pub(in crate::upstream) struct ForwardedHosts {
    cluster: Arc<SharedCluster>,
    names: Arc<Names>,
    counts: Rc<ClusterCounts>,
    /// By name and port.
    hosts: HashMap<(String, u16), Known>,
    next_cleanup: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    host: Rc<Host>,
    addresses: Arc<Addresses>,
    /// A request was for it since the last cleanup.
    used: bool,
}

/// What is known of the host of a request.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// It has an address.
    Found,
    /// It has none.
    Nowhere,
    /// It is being looked up.
    Pending(PendingLookup),
    /// There are too many hosts.
    TooMany,
}

/// A first lookup.
#[derive(Debug)]
pub(crate) struct PendingLookup(Addresses);

impl PendingLookup {
    /// Waits for its end; whether there is an address.
    pub(crate) async fn answer(mut self) -> bool {
        !self.0.first_answer().await.is_empty()
    }
}

impl ForwardedHosts {
    /// No hosts yet.
    pub(in crate::upstream) fn new(
        cluster: &Arc<SharedCluster>,
        names: &Arc<Names>,
        counts: &Rc<ClusterCounts>,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            names: names.clone(),
            counts: counts.clone(),
            hosts: HashMap::new(),
            next_cleanup: None,
        }
    }

    /// The host of a request. `None`: it is for no host, or for one without an address.
    pub(in crate::upstream) fn choose(&mut self, choice: &Choice<'_>) -> Option<&Rc<Host>> {
        let authority = choice.authority.or_else(|| Some(choice.request?.authority.as_bytes()))?;
        let known = self.known(authority)?;
        let mut addresses = Addresses::clone(&known.addresses);
        let has_none = addresses.read().is_some_and(|addresses| addresses.is_empty());
        (!has_none).then_some(&known.host)
    }

    /// What is known of a host.
    pub(in crate::upstream) fn look_up(&mut self, authority: &[u8]) -> Lookup {
        if self.split(authority).is_none() {
            return Lookup::Nowhere;
        }
        let Some(known) = self.known(authority) else { return Lookup::TooMany };
        let mut addresses = Addresses::clone(&known.addresses);
        match addresses.read() {
            None => Lookup::Pending(PendingLookup(addresses)),
            Some(found) if found.is_empty() => Lookup::Nowhere,
            Some(_) => Lookup::Found,
        }
    }

    fn known(&mut self, authority: &[u8]) -> Option<&Known> {
        let key = self.split(authority)?;
        if !self.hosts.contains_key(&key) {
            let addresses = self.names.get(&key.0, key.1)?;
            let place = match addresses.first() {
                // An address is always the same.
                Some(address) if is_address(&key.0) => Place::Address(address),
                _ => Place::Name(Addresses::clone(&addresses)),
            };
            let host = Host::named(&self.cluster, place, &key.0, &self.counts);
            self.hosts.insert(key.clone(), Known { host, addresses, used: true });
        }
        let known = self.hosts.get_mut(&key)?;
        known.used = true;
        Some(known)
    }

    /// Name and port. Without a port it is that of the scheme that the cluster speaks.
    fn split(&self, authority: &[u8]) -> Option<(String, u16)> {
        let text = std::str::from_utf8(authority).ok()?.to_ascii_lowercase();
        let usual = if self.cluster.cluster.tls.is_some() { 443 } else { 80 };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                // More than one colon: an address without brackets.
                Some((host, _)) if host.contains(':') => (&*text, None),
                Some((host, port)) => (host, Some(port)),
                None => (&*text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None => usual,
        };
        (!host.is_empty()).then(|| (host.to_owned(), port))
    }

    /// The host at an address, if a request was for it.
    pub(in crate::upstream) fn find(&self, address: &str) -> Option<&Rc<Host>> {
        self.hosts().find(|host| host.address().as_deref() == Some(address))
    }

    /// All hosts.
    pub(in crate::upstream) fn hosts(&self) -> impl Iterator<Item = &Rc<Host>> {
        self.hosts.values().map(|known| &known.host)
    }

    /// Forgets hosts without a request since the last time, when it is time for that.
    pub(in crate::upstream) fn clean_up(&mut self, now: Instant) {
        let interval = self.names.settings.host_ttl;
        let due = *self.next_cleanup.get_or_insert(now + interval);
        if due <= now {
            self.next_cleanup = now.checked_add(interval);
            let cluster = &self.cluster;
            self.hosts.retain(|_, known| {
                let used = std::mem::take(&mut known.used);
                if !used {
                    known.host.remove(cluster);
                }
                used
            });
        }
    }

    /// Takes all hosts out of service.
    pub(in crate::upstream) fn retire(&self) {
        self.hosts().for_each(|host| host.remove(&self.cluster));
    }
}

impl Drop for ForwardedHosts {
    fn drop(&mut self) {
        self.retire();
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}
