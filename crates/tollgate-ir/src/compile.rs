//! From resources to a snapshot.

mod filter_settings;
mod filters;
mod settings;
mod table;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Endpoint},
    http_connection_manager::ClusterHttpFilters,
    listener::{FilterChain, Listener},
    tls::{DownstreamTls, DownstreamTlsSettings, TlsError, UpstreamTls, UpstreamTlsSettings},
    update::KnownTls,
};

use self::{filters::Filters, settings::Settings, table::compile_table};
use crate::{HttpFilter, Origin, Resources, RouteTable, Sourced};

/// Why resources make no snapshot.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct CompileError {
    /// The part that is to blame.
    pub origin: Arc<Origin>,
    /// What is wrong with it.
    pub problem: TlsError,
}

/// Makes a snapshot of resources. What is equal in `previous`, the configuration before, becomes the very same object: its
/// sockets, connections and TLS sessions stay in use.
///
/// Resources are taken by value, since most of them become parts of the snapshot as they are; a copy of them is cheap.
///
/// # Errors
/// When the TLS library refuses certificates, keys or settings.
pub fn compile(resources: Resources, previous: Option<&Snapshot>) -> Result<Snapshot, CompileError> {
    let Resources { listeners, route_tables, clusters, mut endpoints, cluster_http_filters, process } =
        resources;
    let listeners_before = previous.into_iter().flat_map(|previous| &previous.listeners);
    let mut compiler = Compiler {
        previous,
        listeners: listeners_before.map(|listener| (&*listener.name, &**listener)).collect(),
        uses: uses(&listeners),
        tables: route_tables.into_iter().collect(),
        cluster_http_filters,
        settings: Settings::default(),
    };
    let mut snapshot = Snapshot {
        listeners: Vec::with_capacity(listeners.len()),
        clusters: HashMap::with_capacity(clusters.len()),
        admin_address: process.admin_address,
        node: process.node,
        overload: process.overload,
        watchdog: process.watchdog,
        concurrency: process.concurrency,
    };
    for (name, cluster) in clusters {
        let Sourced { value, origin } = Arc::unwrap_or_clone(cluster);
        let endpoints = endpoints.remove(&name).map(|endpoints| endpoints.to_vec()).unwrap_or_default();
        snapshot.clusters.insert(name, Arc::new(compiler.cluster(value, endpoints, &origin)?));
    }
    for listener in listeners {
        snapshot.listeners.push(Arc::new(compiler.listener(Arc::unwrap_or_clone(listener))?));
    }
    if let Some(previous) = previous {
        snapshot.reuse(previous);
    }
    Ok(snapshot)
}

/// How many connection managers use each route table.
fn uses(listeners: &[Arc<Sourced<crate::Listener>>]) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    let chains = listeners
        .iter()
        .flat_map(|listener| listener.filter_chains.iter().chain(&listener.default_filter_chain));
    for chain in chains {
        *uses.entry(chain.http.route_config.clone()).or_insert(0) += 1;
    }
    uses
}

struct Compiler<'p> {
    previous: Option<&'p Snapshot>,
    /// Its listeners by name.
    listeners: HashMap<&'p str, &'p Listener>,
    uses: HashMap<String, usize>,
    tables: HashMap<String, Arc<RouteTable>>,
    cluster_http_filters: BTreeMap<String, Arc<[HttpFilter]>>,
    settings: Settings,
}

impl Compiler<'_> {
    fn cluster(
        &self,
        cluster: crate::BareCluster,
        endpoints: Vec<Endpoint>,
        origin: &Arc<Origin>,
    ) -> Result<Cluster, CompileError> {
        let known = self.previous.and_then(|previous| previous.clusters.get(&cluster.name)?.tls.as_ref());
        cluster.try_map(
            |tls| match known.filter(|known| *known.settings() == *tls) {
                Some(known) => Ok(Arc::clone(known)),
                None => upstream_tls(tls, origin),
            },
            |()| endpoints,
        )
    }

    fn listener(&mut self, listener: Sourced<crate::Listener>) -> Result<Listener, CompileError> {
        let Sourced { value, origin } = listener;
        let known = self.listeners.get(&*value.name).map(|listener| KnownTls::of(listener));
        let known = known.as_ref();
        let chains = value.filter_chains.into_iter();
        let filter_chains =
            chains.map(|chain| self.filter_chain(chain, known, &origin)).collect::<Result<Vec<_>, _>>()?;
        let default = value.default_filter_chain;
        Ok(Listener {
            filter_chains,
            default_filter_chain: default
                .map(|chain| self.filter_chain(chain, known, &origin))
                .transpose()?,
            name: value.name,
            addresses: value.addresses,
            per_connection_buffer_limit_bytes: value.per_connection_buffer_limit_bytes,
            listener_filters_timeout: value.listener_filters_timeout,
            tcp: value.tcp,
            limits: value.limits,
            original_dst: value.original_dst,
            traffic_direction: value.traffic_direction,
            metadata: value.metadata,
            access_log: value.access_log,
        })
    }

    fn filter_chain(
        &mut self,
        chain: crate::FilterChain,
        known: Option<&KnownTls<'_>>,
        origin: &Arc<Origin>,
    ) -> Result<FilterChain, CompileError> {
        let tls = chain.tls.map(|tls| downstream_tls(tls, &chain.name, known, origin)).transpose()?;
        let http = Arc::unwrap_or_clone(chain.http);
        let table = self.table(&http.route_config);
        let mut filters = Filters::new(&http, &self.cluster_http_filters, origin, &mut self.settings)?;
        let routes = compile_table(table, &mut filters)?;
        // The filters of the one, of the other list and of the clusters, in this order.
        let mut compiled = filters.into_compiled().into_iter();
        let downstream = compiled.by_ref().take(http.http_filters.len()).collect();
        let upstream = compiled.by_ref().take(http.upstream_http_filters.len()).collect();
        let mut of_clusters = ClusterHttpFilters::default();
        for (cluster, own) in &self.cluster_http_filters {
            of_clusters.insert(cluster.clone(), compiled.by_ref().take(own.len()));
        }
        let http = http.with(Arc::new(routes), downstream, upstream, of_clusters);
        Ok(FilterChain {
            name: chain.name,
            metadata: chain.metadata,
            filter_chain_match: chain.filter_chain_match,
            tls,
            transport_socket_connect_timeout: chain.transport_socket_connect_timeout,
            http: Arc::new(http),
            misdirected_requests: chain.misdirected_requests,
        })
    }

    /// A route table, without copying it for the last of its users. One that is not there has no routes.
    fn table(&mut self, name: &str) -> RouteTable {
        let uses = self.uses.get_mut(name);
        let is_last = uses.is_none_or(|uses| {
            *uses -= 1;
            *uses == 0
        });
        let table = if is_last { self.tables.remove(name) } else { self.tables.get(name).cloned() };
        table.map(Arc::unwrap_or_clone).unwrap_or_default()
    }
}

fn downstream_tls(
    settings: Arc<DownstreamTlsSettings>,
    chain: &str,
    known: Option<&KnownTls<'_>>,
    origin: &Arc<Origin>,
) -> Result<Arc<DownstreamTls>, CompileError> {
    if let Some(known) = known.and_then(|known| known.find(chain, |known| *known.settings() == *settings)) {
        return Ok(Arc::clone(known));
    }
    let built = DownstreamTls::new(Arc::unwrap_or_clone(settings));
    built.map(Arc::new).map_err(|problem| CompileError { origin: Arc::clone(origin), problem })
}

fn upstream_tls(
    settings: Arc<UpstreamTlsSettings>,
    origin: &Arc<Origin>,
) -> Result<Arc<UpstreamTls>, CompileError> {
    let built = UpstreamTls::new(Arc::unwrap_or_clone(settings));
    built.map(Arc::new).map_err(|problem| CompileError { origin: Arc::clone(origin), problem })
}
