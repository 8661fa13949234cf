//! Hosts that requests name themselves (`ORIGINAL_DST`).

use std::{collections::HashMap, net::SocketAddr, rc::Rc, sync::Arc, time::Instant};

use tollgate_model::cluster::OriginalDst;

use crate::stats::ClusterMetric;
use crate::upstream::cluster::{
    address::Address,
    choice::Choice,
    host::{Host, Place},
    manager::ClusterCounts,
    shared_cluster::SharedCluster,
};

/// Most hosts of a cluster in one worker: who names addresses is not always to be trusted.
const MOST_HOSTS: usize = 10_000;

/// The addresses that requests have named lately, with their connections.
#[derive(Debug)]
pub(in crate::upstream) struct OriginalDestinations {
    cluster: Arc<SharedCluster>,
    settings: OriginalDst,
    counts: Rc<ClusterCounts>,
    hosts: HashMap<SocketAddr, Known>,
    next_cleanup: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    host: Rc<Host>,
    /// A request was sent there since the last cleanup.
    used: bool,
}

impl OriginalDestinations {
    /// No hosts yet.
    pub(in crate::upstream) fn new(
        cluster: &Arc<SharedCluster>,
        settings: &OriginalDst,
        counts: &Rc<ClusterCounts>,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            settings: settings.clone(),
            counts: counts.clone(),
            hosts: HashMap::new(),
            next_cleanup: None,
        }
    }

    /// The host of a request: the address that it names. `None`: it names none, or there are too many.
    pub(in crate::upstream) fn choose(&mut self, choice: &Choice<'_>) -> Option<&Rc<Host>> {
        let mut address = self.destination(choice)?;
        if let Some(port) = self.settings.port_override {
            address.set_port(port);
        }
        if !self.hosts.contains_key(&address) && self.hosts.len() >= MOST_HOSTS {
            self.forget_unused();
            if self.hosts.len() >= MOST_HOSTS {
                return None;
            }
        }
        let known = self.hosts.entry(address).or_insert_with(|| Known {
            host: Host::named(
                &self.cluster,
                Place::Address(Address::Socket(address)),
                &format!("{}{address}", self.cluster.name),
                &self.counts,
            ),
            used: true,
        });
        known.used = true;
        Some(&known.host)
    }

    /// What the metadata say, else what the header says, else what the client wanted to connect to. What is no address is
    /// counted and passed over, as in Envoy.
    fn destination(&self, choice: &Choice<'_>) -> Option<SocketAddr> {
        let of_metadata = self
            .settings
            .metadata_key
            .as_ref()
            .and_then(|key| key.string(choice.metadata?.namespace(&key.namespace)).map(str::as_bytes));
        let of_header = || {
            let header = self.settings.header.as_ref()?;
            Some(choice.request?.fields.get(header)?.as_bytes())
        };
        of_metadata
            .and_then(|text| self.parse(text))
            .or_else(|| self.parse(of_header()?))
            .or(choice.original_destination)
    }

    fn parse(&self, text: &[u8]) -> Option<SocketAddr> {
        let address = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        if address.is_none() {
            self.counts.metrics.increment(ClusterMetric::OriginalDstHostInvalid);
        }
        address
    }

    /// The host at an address, if a request has named it.
    pub(in crate::upstream) fn find(&self, address: &str) -> Option<&Rc<Host>> {
        self.hosts.get(&address.parse().ok()?).map(|known| &known.host)
    }

    /// All hosts.
    pub(in crate::upstream) fn hosts(&self) -> impl Iterator<Item = &Rc<Host>> {
        self.hosts.values().map(|known| &known.host)
    }

    /// Forgets hosts without a request since the last time, when it is time for that.
    pub(in crate::upstream) fn clean_up(&mut self, now: Instant) {
        let due = *self.next_cleanup.get_or_insert(now + self.settings.cleanup_interval);
        if due <= now {
            self.next_cleanup = now.checked_add(self.settings.cleanup_interval);
            self.forget_unused();
        }
    }

    fn forget_unused(&mut self) {
        let cluster = &self.cluster;
        self.hosts.retain(|_, known| {
            let used = std::mem::take(&mut known.used);
            if !used {
                known.host.remove(cluster);
            }
            used
        });
    }

    /// Takes all hosts out of service.
    pub(in crate::upstream) fn retire(&self) {
        self.hosts().for_each(|host| host.remove(&self.cluster));
    }
}

impl Drop for OriginalDestinations {
    fn drop(&mut self) {
        self.retire();
    }
}
