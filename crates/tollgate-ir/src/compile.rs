//! From resources to a snapshot.

mod filter_settings;
mod filters;
mod settings;
mod table;

use std::{collections::HashMap, sync::Arc};

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Endpoint},
    http_connection_manager::ClusterHttpFilters,
    listener::{FilterChain, Listener},
    management::ResourceSource,
    tls::{DownstreamTls, UpstreamTls, UpstreamTlsSettings},
    update::KnownTls,
};

use self::{filters::Filters, settings::Settings, table::compile_table};
use crate::{DownstreamTlsContext, Origin, Resources, Sourced, TlsContextError, UpstreamTlsContext};

/// Why resources make no snapshot.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct CompileError {
    /// The part that is to blame.
    pub origin: Arc<Origin>,
    /// What is wrong with it.
    pub problem: TlsContextError,
}

/// Makes a snapshot of resources. What is equal in `previous`, the configuration before, becomes the very same object: its
/// sockets, connections and TLS sessions stay in use.
///
/// # Errors
/// When a TLS context names a secret that is not there, or the TLS library refuses certificates, keys or settings.
pub fn compile(resources: &Resources, previous: Option<&Snapshot>) -> Result<Snapshot, CompileError> {
    let Resources { listeners, clusters, process, .. } = resources;
    let listeners_before = previous.into_iter().flat_map(|previous| &previous.listeners);
    let mut compiler = Compiler {
        resources,
        previous,
        listeners: listeners_before.map(|listener| (&*listener.name, &**listener)).collect(),
        settings: Settings::default(),
    };
    let mut snapshot = Snapshot {
        listeners: Vec::with_capacity(listeners.len()),
        clusters: HashMap::with_capacity(clusters.len()),
        admin_address: process.admin_address,
        node: process.node.clone(),
        overload: process.overload.clone(),
        watchdog: process.watchdog.clone(),
        concurrency: process.concurrency,
        management: None,
    };
    for (name, cluster) in clusters {
        let endpoints = resources.endpoints_of(name).to_vec();
        snapshot.clusters.insert(name.clone(), Arc::new(compiler.cluster(cluster, endpoints)?));
    }
    for listener in listeners {
        snapshot.listeners.push(Arc::new(compiler.listener(listener)?));
    }
    if let Some(management) = &process.management {
        let Sourced { value, origin } = &**management;
        snapshot.management = Some(Arc::new(compiler.settings.management(value.clone(), origin)?));
    }
    if let Some(previous) = previous {
        snapshot.reuse(previous);
    }
    Ok(snapshot)
}

/// Makes ready for calls where a delivered resource says that others come from.
///
/// # Errors
/// When the TLS library refuses certificates, keys or settings.
pub fn compile_source(
    source: ResourceSource<crate::GoogleCluster>,
    origin: &Arc<Origin>,
) -> Result<ResourceSource, CompileError> {
    Settings::default().resource_source(source, origin)
}

struct Compiler<'r> {
    resources: &'r Resources,
    previous: Option<&'r Snapshot>,
    /// Its listeners by name.
    listeners: HashMap<&'r str, &'r Listener>,
    settings: Settings,
}

impl Compiler<'_> {
    fn cluster(
        &self,
        cluster: &Sourced<crate::BareCluster>,
        endpoints: Vec<Endpoint>,
    ) -> Result<Cluster, CompileError> {
        let known = self.previous.and_then(|previous| previous.clusters.get(&cluster.name));
        let known: Vec<_> = known.into_iter().flat_map(|known| known.all_tls()).collect();
        let tls = |context: Arc<UpstreamTlsContext>| {
            let settings = self.resources.secrets.upstream(&context);
            let settings = settings.map_err(|problem| at(&cluster.origin, problem))?;
            match known.iter().find(|known| *known.settings() == settings) {
                Some(known) => Ok(Arc::clone(known)),
                None => upstream_tls(settings, &cluster.origin),
            }
        };
        cluster.value.clone().try_map(tls, |()| endpoints)
    }

    fn listener(&mut self, listener: &Sourced<crate::Listener>) -> Result<Listener, CompileError> {
        let Sourced { value, origin } = listener;
        let known = self.listeners.get(&*value.name).map(|listener| KnownTls::of(listener));
        let known = known.as_ref();
        let chains = value.filter_chains.iter();
        let filter_chains =
            chains.map(|chain| self.filter_chain(chain, known, origin)).collect::<Result<Vec<_>, _>>()?;
        let default = value.default_filter_chain.as_ref();
        Ok(Listener {
            filter_chains,
            default_filter_chain: default.map(|chain| self.filter_chain(chain, known, origin)).transpose()?,
            name: value.name.clone(),
            addresses: value.addresses.clone(),
            per_connection_buffer_limit_bytes: value.per_connection_buffer_limit_bytes,
            listener_filters_timeout: value.listener_filters_timeout,
            tcp: value.tcp,
            limits: value.limits,
            original_dst: value.original_dst,
            proxy_protocol: value.proxy_protocol,
            tls_fingerprints: value.tls_fingerprints,
            traffic_direction: value.traffic_direction,
            metadata: value.metadata.clone(),
            access_log: value.access_log.clone(),
        })
    }

    fn filter_chain(
        &mut self,
        chain: &crate::FilterChain,
        known: Option<&KnownTls<'_>>,
        origin: &Arc<Origin>,
    ) -> Result<FilterChain, CompileError> {
        let tls = chain.tls.as_ref().map(|tls| self.downstream_tls(tls, &chain.name, known, origin));
        let of_clusters = &self.resources.cluster_http_filters;
        let mut filters = Filters::new(&chain.http, of_clusters, origin, &mut self.settings)?;
        // A table that is not there has no routes.
        let table = self.resources.route_tables.get(&chain.http.route_config);
        let routes = match table {
            Some(table) => compile_table(table, &mut filters)?,
            None => compile_table(&crate::RouteTable::default(), &mut filters)?,
        };
        // The filters of the one, of the other list and of the clusters, in this order.
        let mut compiled = filters.into_compiled().into_iter();
        let downstream = compiled.by_ref().take(chain.http.http_filters.len()).collect();
        let upstream = compiled.by_ref().take(chain.http.upstream_http_filters.len()).collect();
        let mut by_cluster = ClusterHttpFilters::default();
        for (cluster, own) in of_clusters {
            by_cluster.insert(cluster.clone(), compiled.by_ref().take(own.len()));
        }
        let http = crate::HttpConnectionManager::clone(&chain.http);
        let http = http.with(Arc::new(routes), downstream, upstream, by_cluster);
        Ok(FilterChain {
            name: chain.name.clone(),
            metadata: chain.metadata.clone(),
            filter_chain_match: chain.filter_chain_match.clone(),
            tls: tls.transpose()?,
            transport_socket_connect_timeout: chain.transport_socket_connect_timeout,
            http: Arc::new(http),
            misdirected_requests: chain.misdirected_requests.clone(),
        })
    }

    fn downstream_tls(
        &self,
        context: &DownstreamTlsContext,
        chain: &str,
        known: Option<&KnownTls<'_>>,
        origin: &Arc<Origin>,
    ) -> Result<Arc<DownstreamTls>, CompileError> {
        let settings = self.resources.secrets.downstream(context).map_err(|problem| at(origin, problem))?;
        if let Some(known) = known.and_then(|known| known.find(chain, |known| *known.settings() == settings))
        {
            return Ok(Arc::clone(known));
        }
        DownstreamTls::new(settings).map(Arc::new).map_err(|problem| at(origin, problem.into()))
    }
}

fn upstream_tls(
    settings: UpstreamTlsSettings,
    origin: &Arc<Origin>,
) -> Result<Arc<UpstreamTls>, CompileError> {
    UpstreamTls::new(settings).map(Arc::new).map_err(|problem| at(origin, problem.into()))
}

fn at(origin: &Arc<Origin>, problem: TlsContextError) -> CompileError {
    CompileError { origin: Arc::clone(origin), problem }
}
