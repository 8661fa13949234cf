//! Settings of external processing filters, compiled once however many routes share them.

use std::{collections::HashMap, sync::Arc};

use tollgate_model::{
    cluster::Cluster,
    management::{ApiSource, Management, Needed, ResourceSource, Server},
    processor::{ExtProc, ExtProcFilter, GrpcService, GrpcTarget},
    shared::Identity,
    tls::UpstreamTlsSettings,
};

use super::{CompileError, upstream_tls};
use crate::{ExtProcOverrides, Origin};

/// What was compiled so far, by the objects that it was made of: routes that say the same share these.
#[derive(Default)]
pub(super) struct Settings {
    compiled: HashMap<Identity<crate::ExtProc>, Arc<ExtProcFilter>>,
    folded: HashMap<Levels, Arc<ExtProcFilter>>,
    targets: HashMap<Identity<crate::GoogleCluster>, Arc<Cluster>>,
}

/// Settings and what the levels say about them, the least specific one first.
type Levels = (Identity<crate::ExtProc>, Vec<Identity<ExtProcOverrides>>);

impl Settings {
    /// Settings as they are written.
    pub(super) fn compile(
        &mut self,
        settings: &Arc<crate::ExtProc>,
        origin: &Arc<Origin>,
    ) -> Result<Arc<ExtProcFilter>, CompileError> {
        let key = Identity::of(settings);
        if let Some(compiled) = self.compiled.get(&key) {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(ExtProcFilter::new(self.convert(crate::ExtProc::clone(settings), origin)?));
        self.compiled.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }

    /// Settings with what levels say about them. `hides_mode` is the number of the levels whose modes do not count, since
    /// behind them one turned the filter off.
    pub(super) fn fold(
        &mut self,
        settings: &Arc<crate::ExtProc>,
        levels: &[Arc<ExtProcOverrides>],
        hides_mode: usize,
        origin: &Arc<Origin>,
    ) -> Result<Arc<ExtProcFilter>, CompileError> {
        let fold = || {
            let levels = levels.iter().enumerate().map(|(index, level)| {
                let mut level = ExtProcOverrides::clone(level);
                if index < hides_mode {
                    level.processing_mode = None;
                }
                level
            });
            levels.reduce(ExtProcOverrides::fold).unwrap_or_default().apply(settings)
        };
        if hides_mode > 0 {
            // Rare: two levels contradict each other.
            return Ok(Arc::new(ExtProcFilter::new(self.convert(fold(), origin)?)));
        }
        let key = (Identity::of(settings), levels.iter().map(Identity::of).collect());
        if let Some(known) = self.folded.get(&key) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(ExtProcFilter::new(self.convert(fold(), origin)?));
        self.folded.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }

    fn convert(&mut self, settings: crate::ExtProc, origin: &Arc<Origin>) -> Result<ExtProc, CompileError> {
        let crate::ExtProc { plan, grpc_service } = settings;
        Ok(ExtProc { plan, grpc_service: self.service(grpc_service, origin)? })
    }

    fn service(
        &mut self,
        grpc_service: crate::GrpcService,
        origin: &Arc<Origin>,
    ) -> Result<GrpcService, CompileError> {
        let target = match grpc_service.target {
            GrpcTarget::EnvoyGrpc(name) => GrpcTarget::EnvoyGrpc(name),
            GrpcTarget::GoogleGrpc(cluster) => GrpcTarget::GoogleGrpc(self.target(&cluster, origin)?),
        };
        Ok(GrpcService {
            target,
            target_uri: grpc_service.target_uri,
            authority: grpc_service.authority,
            initial_metadata: grpc_service.initial_metadata,
            max_receive_message_length: grpc_service.max_receive_message_length,
            skip_envoy_headers: grpc_service.skip_envoy_headers,
            retry_policy: grpc_service.retry_policy,
        })
    }

    /// The management servers.
    pub(super) fn management(
        &mut self,
        management: Management<crate::GoogleCluster>,
        origin: &Arc<Origin>,
    ) -> Result<Management, CompileError> {
        let Management { ads, clusters, listeners, needs, clusters_in_place } = management;
        let needs = needs.into_iter().map(|needed| {
            let source = self.resource_source(needed.source, origin)?;
            Ok(Needed { message: needed.message, name: needed.name, source })
        });
        let needs = needs.collect::<Result<_, _>>()?;
        Ok(Management {
            ads: ads.map(|ads| self.api_source(ads, origin)).transpose()?,
            clusters: clusters.map(|source| self.resource_source(source, origin)).transpose()?,
            listeners: listeners.map(|source| self.resource_source(source, origin)).transpose()?,
            needs,
            clusters_in_place,
        })
    }

    /// Where resources come from.
    pub(super) fn resource_source(
        &mut self,
        source: ResourceSource<crate::GoogleCluster>,
        origin: &Arc<Origin>,
    ) -> Result<ResourceSource, CompileError> {
        let server = match source.server {
            Server::Aggregated => Server::Aggregated,
            Server::Own(source) => Server::Own(Box::new(self.api_source(*source, origin)?)),
        };
        Ok(ResourceSource { server, initial_fetch_timeout: source.initial_fetch_timeout })
    }

    fn api_source(
        &mut self,
        source: ApiSource<crate::GoogleCluster>,
        origin: &Arc<Origin>,
    ) -> Result<ApiSource, CompileError> {
        Ok(ApiSource { variant: source.variant, service: self.service(source.service, origin)? })
    }

    fn target(
        &mut self,
        cluster: &Arc<crate::GoogleCluster>,
        origin: &Arc<Origin>,
    ) -> Result<Arc<Cluster>, CompileError> {
        let key = Identity::of(cluster);
        if let Some(compiled) = self.targets.get(&key) {
            return Ok(Arc::clone(compiled));
        }
        let plain = crate::GoogleCluster::clone(cluster);
        let compiled =
            Arc::new(plain.try_map(
                |tls| upstream_tls(UpstreamTlsSettings::clone(&tls), origin),
                |endpoints| endpoints,
            )?);
        self.targets.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}
