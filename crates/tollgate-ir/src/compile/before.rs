//! What the configuration before has that is still right.

use std::{collections::HashMap, sync::Arc};

use tollgate_model::{
    cluster::Cluster,
    http_connection_manager::HttpConnectionManager,
    listener::{FilterChain, Listener},
    management::Management,
    route::VirtualHost,
    shared::same,
    tls::{DownstreamTls, DownstreamTlsSettings, UpstreamTls, UpstreamTlsSettings},
};

use super::Compiled;
use crate::{DownstreamTlsContext, PerFilter, Resources, Sourced, resources::same_of};

/// A resource and what it became.
type Pair<'b, W, C> = (&'b W, &'b C);

/// The configuration before, beside the resources that are compiled now.
pub(super) struct Before<'b> {
    previous: &'b Compiled,
    now: &'b Resources,
    listeners: HashMap<&'b str, Pair<'b, Arc<Sourced<crate::Listener>>, Arc<Listener>>>,
    /// Those of all clusters are filters of every connection manager.
    same_cluster_filters: bool,
}

impl<'b> Before<'b> {
    pub(super) fn new(previous: &'b Compiled, now: &'b Resources) -> Self {
        let listeners = previous.resources.listeners.iter().zip(&previous.snapshot.listeners);
        let (old, new) = (&previous.resources.cluster_http_filters, &now.cluster_http_filters);
        let same_filters = |((old_name, old), (new_name, new))| old_name == new_name && same(old, new);
        Self {
            previous,
            now,
            listeners: listeners.map(|(old, compiled)| (&*old.name, (old, compiled))).collect(),
            same_cluster_filters: old.len() == new.len() && old.iter().zip(new).all(same_filters),
        }
    }

    /// A cluster of which nothing has changed.
    pub(super) fn unchanged_cluster(&self, name: &str) -> Option<&'b Arc<Cluster>> {
        let (old, new) = (&self.previous.resources, self.now);
        let (old_cluster, cluster) = (old.clusters.get(name)?, new.clusters.get(name)?);
        let is_same = same(old_cluster, cluster)
            && same_of(&old.endpoints, &new.endpoints, name)
            && cluster.all_tls().all(|tls| old.secrets.same_for_upstream(&new.secrets, tls));
        self.cluster(name).filter(|_| is_same)
    }

    /// A cluster, whatever it was.
    pub(super) fn cluster(&self, name: &str) -> Option<&'b Arc<Cluster>> {
        self.previous.snapshot.clusters.get(name)
    }

    /// TLS of the cluster of that name with these settings.
    pub(super) fn upstream_tls(
        &self,
        cluster: &str,
        settings: &UpstreamTlsSettings,
    ) -> Option<&'b Arc<UpstreamTls>> {
        self.cluster(cluster)?.all_tls().find(|known| known.settings() == settings)
    }

    /// The management servers, if they are the same.
    pub(super) fn unchanged_management(&self) -> Option<&'b Arc<Management>> {
        let (old, new) = (&self.previous.resources.process.management, self.now.process.management.as_ref()?);
        let is_same = old.as_ref().is_some_and(|old| same(old, new));
        self.previous.snapshot.management.as_ref().filter(|_| is_same)
    }

    /// A listener of which nothing has changed, its routes included.
    pub(super) fn unchanged_listener(
        &self,
        listener: &Arc<Sourced<crate::Listener>>,
    ) -> Option<&'b Arc<Listener>> {
        let (old, compiled) = self.listeners.get(&*listener.name)?;
        let is_same = || {
            let mut chains = chains(listener);
            same(old, listener) && chains.all(|chain| self.same_table(chain) && self.same_tls(chain))
        };
        (self.same_cluster_filters && is_same()).then_some(compiled)
    }

    /// The listener of that name, whatever it was.
    pub(super) fn listener(&self, name: &str) -> Option<ListenerBefore<'_, 'b>> {
        let (old, compiled) = self.listeners.get(name)?;
        Some(ListenerBefore::new(self, old, compiled))
    }

    fn same_table(&self, chain: &crate::FilterChain) -> bool {
        same_of(&self.previous.resources.route_tables, &self.now.route_tables, &chain.http.route_config)
    }

    fn same_tls(&self, chain: &crate::FilterChain) -> bool {
        let (old, new) = (&self.previous.resources.secrets, &self.now.secrets);
        chain.tls.as_ref().is_none_or(|tls| old.same_for_downstream(new, tls))
    }
}

/// A listener of the configuration before, of which something has changed.
pub(super) struct ListenerBefore<'l, 'b> {
    before: &'l Before<'b>,
    /// It itself.
    pub(super) compiled: &'b Arc<Listener>,
    /// Its chains in their order.
    chains: Vec<Pair<'b, crate::FilterChain, FilterChain>>,
    /// The same by the name of their route table.
    by_table: HashMap<&'b str, Vec<usize>>,
    tls_by_name: HashMap<&'b str, Vec<&'b Arc<DownstreamTls>>>,
}

impl<'l, 'b> ListenerBefore<'l, 'b> {
    fn new(before: &'l Before<'b>, old: &'b crate::Listener, compiled: &'b Arc<Listener>) -> Self {
        let chains: Vec<_> = chains(old).zip(compiled_chains(compiled)).collect();
        let mut by_table: HashMap<_, Vec<_>> = HashMap::with_capacity(chains.len());
        let mut tls_by_name: HashMap<_, Vec<_>> = HashMap::new();
        for (index, (old, compiled)) in chains.iter().enumerate() {
            by_table.entry(&*old.http.route_config).or_default().push(index);
            if let Some(tls) = &compiled.tls {
                tls_by_name.entry(&*old.name).or_default().push(tls);
            }
        }
        Self { before, compiled, chains, by_table, tls_by_name }
    }

    /// Chains that have the same route table.
    fn chains_of(&self, table: &str) -> impl Iterator<Item = Pair<'b, crate::FilterChain, FilterChain>> {
        self.by_table.get(table).into_iter().flatten().map(|index| self.chains[*index])
    }

    /// A connection manager of which nothing has changed.
    pub(super) fn unchanged_http(
        &self,
        chain: &crate::FilterChain,
    ) -> Option<&'b Arc<HttpConnectionManager>> {
        if !self.before.same_cluster_filters || !self.before.same_table(chain) {
            return None;
        }
        let mut known = self.chains_of(&chain.http.route_config);
        known.find(|(old, _)| same(&old.http, &chain.http)).map(|(_, compiled)| &compiled.http)
    }

    /// The virtual hosts of a connection manager with the same filters, which another route table may have, too.
    pub(super) fn virtual_hosts(&self, chain: &crate::FilterChain) -> HostsBefore<'b> {
        let http = &chain.http;
        let has_same_filters = |old: &crate::HttpConnectionManager| {
            old.http_filters == http.http_filters && old.upstream_http_filters == http.upstream_http_filters
        };
        let old_table = self.before.previous.resources.route_tables.get(&http.route_config);
        let table = self.before.now.route_tables.get(&http.route_config);
        let known = self.chains_of(&http.route_config).find(|(old, _)| has_same_filters(&old.http));
        match (known, old_table, table) {
            (Some((_, compiled)), Some(old), Some(table)) if self.before.same_cluster_filters => {
                let pairs = old.virtual_hosts.iter().zip(compiled.http.route_config.virtual_hosts.iter());
                let hosts = pairs.map(|(old, compiled)| (&*old.name, (old, compiled)));
                HostsBefore::new(&old.per_filter, &table.per_filter, hosts)
            }
            _ => HostsBefore::default(),
        }
    }

    /// TLS with these settings, first among the chains of this name: usually a chain keeps it.
    pub(super) fn downstream_tls(
        &self,
        chain: &str,
        settings: &DownstreamTlsSettings,
    ) -> Option<&'b Arc<DownstreamTls>> {
        let named = self.tls_by_name.get(chain).into_iter().flatten().copied();
        let all = self.chains.iter().filter_map(|(_, compiled)| compiled.tls.as_ref());
        named.chain(all).find(|known| known.settings() == settings)
    }

    /// TLS of a chain that names the same secrets, which are the same.
    pub(super) fn unchanged_tls(
        &self,
        chain: &crate::FilterChain,
        context: &Arc<DownstreamTlsContext>,
    ) -> Option<&'b Arc<DownstreamTls>> {
        if !self.before.same_tls(chain) {
            return None;
        }
        let mut known = self.chains_of(&chain.http.route_config);
        known.find_map(|(old, compiled)| {
            let is_same = old.tls.as_ref().is_some_and(|old| same(old, context));
            compiled.tls.as_ref().filter(|_| is_same)
        })
    }
}

/// Virtual hosts that may be taken over one by one, since what is above them is the same.
#[derive(Default)]
pub(super) struct HostsBefore<'b>(HashMap<&'b str, Pair<'b, Arc<crate::VirtualHost>, Arc<VirtualHost>>>);

impl<'b> HostsBefore<'b> {
    fn new(
        old: &PerFilter,
        new: &PerFilter,
        hosts: impl Iterator<Item = (&'b str, Pair<'b, Arc<crate::VirtualHost>, Arc<VirtualHost>>)>,
    ) -> Self {
        Self(if old == new { hosts.collect() } else { HashMap::new() })
    }

    /// A virtual host of which nothing has changed.
    pub(super) fn unchanged(&self, host: &Arc<crate::VirtualHost>) -> Option<&'b Arc<VirtualHost>> {
        let (old, compiled) = self.0.get(&*host.name)?;
        same(old, host).then_some(compiled)
    }
}

fn chains(listener: &crate::Listener) -> impl Iterator<Item = &crate::FilterChain> {
    listener.filter_chains.iter().chain(&listener.default_filter_chain)
}

fn compiled_chains(listener: &Listener) -> impl Iterator<Item = &FilterChain> {
    listener.filter_chains.iter().chain(&listener.default_filter_chain)
}
