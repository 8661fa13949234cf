//! Which processors of a snapshot have a cluster of their own.

use std::sync::Arc;

use tollgate_model::{
    Snapshot,
    cluster::Cluster,
    http_connection_manager::HttpConnectionManager,
    processor::{FilterOverride, GrpcTarget},
    route::{Action, ClusterSpecifier},
};

/// Visits the clusters of all `google_grpc` targets, some perhaps more than once.
pub(crate) fn for_each_target(snapshot: &Snapshot, mut visit: impl FnMut(&Arc<Cluster>)) {
    for service in snapshot.management.iter().flat_map(|management| management.services()) {
        if let GrpcTarget::GoogleGrpc(cluster) = &service.target {
            visit(cluster);
        }
    }
    for listener in &snapshot.listeners {
        for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
            for filter in filters(&chain.http) {
                filter.visit(&mut |filter| {
                    if let FilterOverride::ExtProc(ext_proc) = filter
                        && let GrpcTarget::GoogleGrpc(cluster) = &ext_proc.grpc_service.target
                    {
                        visit(cluster);
                    }
                });
            }
        }
    }
}

/// What filters do, by default and on each route.
fn filters(http: &HttpConnectionManager) -> impl Iterator<Item = &FilterOverride> {
    let defaults = http.filters().map(|filter| &filter.default);
    let routes = http.route_config.virtual_hosts.iter().flat_map(|host| &host.routes);
    let of_routes = routes.flat_map(|route| {
        let weighted = match &route.action {
            Action::Route(action) => match &action.cluster {
                ClusterSpecifier::WeightedClusters(clusters) => clusters.as_slice(),
                _ => &[],
            },
            _ => &[],
        };
        let of_shares = weighted.iter().flat_map(|cluster| cluster.filters.iter());
        route.filters.iter().chain(of_shares).map(|(_, does)| does)
    });
    defaults.chain(of_routes)
}
