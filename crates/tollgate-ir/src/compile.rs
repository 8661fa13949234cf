//! From resources to a snapshot.

mod before;
mod compiled;
mod filter_settings;
mod filters;
mod settings;
mod table;

use std::{collections::HashMap, sync::Arc};

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Endpoint},
    http_connection_manager::{ClusterHttpFilters, HttpConnectionManager},
    listener::{FilterChain, Listener},
    management::{Management, ResourceSource},
    tls::{DownstreamTls, UpstreamTls, UpstreamTlsSettings},
};

pub use self::compiled::{Compiled, Work};
use self::{
    before::{Before, HostsBefore, ListenerBefore},
    filters::Filters,
    settings::Settings,
    table::Tables,
};
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

/// Makes a snapshot of resources. What is equal in `previous`, the configuration before, is not compiled again: it becomes the
/// very same object, whose sockets, connections and TLS sessions stay in use.
///
/// # Errors
/// When a TLS context names a secret that is not there, or the TLS library refuses certificates, keys or settings.
pub fn compile(resources: &Resources, previous: Option<&Compiled>) -> Result<Compiled, CompileError> {
    let Resources { listeners, clusters, process, .. } = resources;
    let before = previous.map(|previous| Before::new(previous, resources));
    let mut compiler =
        Compiler { resources, before: before.as_ref(), settings: Settings::default(), work: Work::default() };
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
        snapshot.clusters.insert(name.clone(), compiler.cluster(name, cluster)?);
    }
    for listener in listeners {
        snapshot.listeners.push(compiler.listener(listener)?);
    }
    snapshot.management = compiler.management()?;
    Ok(Compiled::new(snapshot, resources.clone(), compiler.work))
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
    before: Option<&'r Before<'r>>,
    settings: Settings,
    work: Work,
}

impl Compiler<'_> {
    fn cluster(
        &mut self,
        name: &str,
        cluster: &Sourced<crate::BareCluster>,
    ) -> Result<Arc<Cluster>, CompileError> {
        let before = self.before;
        if let Some(unchanged) = before.and_then(|before| before.unchanged_cluster(name)) {
            return Ok(Arc::clone(unchanged));
        }
        self.work.clusters += 1;
        let mut tls_contexts = 0;
        let tls = |context: Arc<UpstreamTlsContext>| {
            let settings = self.resources.secrets.upstream(&context);
            let settings = settings.map_err(|problem| at(&cluster.origin, problem))?;
            match before.and_then(|before| before.upstream_tls(name, &settings)) {
                Some(known) => Ok(Arc::clone(known)),
                None => {
                    tls_contexts += 1;
                    upstream_tls(settings, &cluster.origin)
                }
            }
        };
        let endpoints: Arc<[Endpoint]> = self.resources.endpoints.get(name).cloned().unwrap_or_default();
        let compiled = cluster.value.clone().try_map(tls, |()| endpoints)?;
        self.work.tls_contexts += tls_contexts;
        Ok(known_or_new(before.and_then(|before| before.cluster(name)), compiled))
    }

    fn listener(&mut self, listener: &Arc<Sourced<crate::Listener>>) -> Result<Arc<Listener>, CompileError> {
        let before = self.before;
        if let Some(unchanged) = before.and_then(|before| before.unchanged_listener(listener)) {
            return Ok(Arc::clone(unchanged));
        }
        self.work.listeners += 1;
        let Sourced { value, origin } = &**listener;
        let before = before.and_then(|before| before.listener(&value.name));
        let before = before.as_ref();
        let chains = value.filter_chains.iter();
        let filter_chains =
            chains.map(|chain| self.filter_chain(chain, before, origin)).collect::<Result<Vec<_>, _>>()?;
        let default = value.default_filter_chain.as_ref();
        let compiled = Listener {
            filter_chains,
            default_filter_chain: default
                .map(|chain| self.filter_chain(chain, before, origin))
                .transpose()?,
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
        };
        Ok(known_or_new(before.map(|before| before.compiled), compiled))
    }

    fn filter_chain(
        &mut self,
        chain: &crate::FilterChain,
        before: Option<&ListenerBefore<'_, '_>>,
        origin: &Arc<Origin>,
    ) -> Result<FilterChain, CompileError> {
        let tls = chain.tls.as_ref().map(|tls| self.downstream_tls(tls, chain, before, origin));
        let http = match before.and_then(|before| before.unchanged_http(chain)) {
            Some(unchanged) => Arc::clone(unchanged),
            None => {
                let hosts = before.map(|before| before.virtual_hosts(chain)).unwrap_or_default();
                Arc::new(self.http(&chain.http, &hosts, origin)?)
            }
        };
        Ok(FilterChain {
            name: chain.name.clone(),
            metadata: chain.metadata.clone(),
            filter_chain_match: chain.filter_chain_match.clone(),
            tls: tls.transpose()?,
            transport_socket_connect_timeout: chain.transport_socket_connect_timeout,
            http,
            tcp_proxy: chain.tcp_proxy.clone(),
            misdirected_requests: chain.misdirected_requests.clone(),
        })
    }

    fn http(
        &mut self,
        http: &crate::HttpConnectionManager,
        before: &HostsBefore<'_>,
        origin: &Arc<Origin>,
    ) -> Result<HttpConnectionManager, CompileError> {
        self.work.connection_managers += 1;
        let of_clusters = &self.resources.cluster_http_filters;
        let mut filters = Filters::new(http, of_clusters, origin, &mut self.settings)?;
        let mut tables = Tables { filters: &mut filters, before, compiled_hosts: 0 };
        // A table that is not there has no routes.
        let routes = match self.resources.route_tables.get(&http.route_config) {
            Some(table) => tables.compile(table)?,
            None => tables.compile(&crate::RouteTable::default())?,
        };
        self.work.virtual_hosts += tables.compiled_hosts;
        // The filters of the one, of the other list and of the clusters, in this order.
        let mut compiled = filters.into_compiled().into_iter();
        let downstream = compiled.by_ref().take(http.http_filters.len()).collect();
        let upstream = compiled.by_ref().take(http.upstream_http_filters.len()).collect();
        let mut by_cluster = ClusterHttpFilters::default();
        for (cluster, own) in of_clusters {
            by_cluster.insert(cluster.clone(), compiled.by_ref().take(own.len()));
        }
        let http = crate::HttpConnectionManager::clone(http);
        Ok(http.with(Arc::new(routes), downstream, upstream, by_cluster))
    }

    fn downstream_tls(
        &mut self,
        context: &Arc<DownstreamTlsContext>,
        chain: &crate::FilterChain,
        before: Option<&ListenerBefore<'_, '_>>,
        origin: &Arc<Origin>,
    ) -> Result<Arc<DownstreamTls>, CompileError> {
        if let Some(unchanged) = before.and_then(|before| before.unchanged_tls(chain, context)) {
            return Ok(Arc::clone(unchanged));
        }
        let settings = self.resources.secrets.downstream(context).map_err(|problem| at(origin, problem))?;
        if let Some(known) = before.and_then(|before| before.downstream_tls(&chain.name, &settings)) {
            return Ok(Arc::clone(known));
        }
        self.work.tls_contexts += 1;
        DownstreamTls::new(settings).map(Arc::new).map_err(|problem| at(origin, problem.into()))
    }

    fn management(&mut self) -> Result<Option<Arc<Management>>, CompileError> {
        if let Some(unchanged) = self.before.and_then(Before::unchanged_management) {
            return Ok(Some(Arc::clone(unchanged)));
        }
        let Some(management) = &self.resources.process.management else { return Ok(None) };
        let Sourced { value, origin } = &**management;
        self.settings.management(value.clone(), origin).map(|compiled| Some(Arc::new(compiled)))
    }
}

/// What was compiled, or what was there before if that is equal: two ways to write the same make no difference.
fn known_or_new<T: PartialEq>(known: Option<&Arc<T>>, compiled: T) -> Arc<T> {
    match known {
        Some(known) if **known == compiled => Arc::clone(known),
        _ => Arc::new(compiled),
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
