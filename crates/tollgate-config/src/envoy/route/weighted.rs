//! Several clusters for one route.

use std::sync::Arc;

use tollgate_ir::WeightedCluster;
use tollgate_model::route::WeightedAction;

use super::{
    ShareOrigins, Table,
    action::read_metadata_match,
    schema::{CLUSTER_WEIGHT, WEIGHTED_CLUSTER},
};
use crate::{
    ProcessorOrigin,
    envoy::{
        header::read_header_mutations,
        per_route::{Folded, read_level},
    },
    schema::Value,
};

pub(super) fn read_weighted_clusters(
    value: &Value<'_>,
    table: &Table<'_>,
    folded: &Folded<'_>,
    shares: &mut ShareOrigins,
) -> Option<Vec<WeightedCluster>> {
    let message = value.message(&WEIGHTED_CLUSTER)?;
    let clusters: Vec<WeightedCluster> = message
        .list("clusters")
        .iter()
        .filter_map(|cluster| read_weighted_cluster(cluster, table, folded))
        .enumerate()
        .map(|(index, (cluster, origins))| {
            shares.extend(origins.map(|origins| (index, origins)));
            cluster
        })
        .collect();
    let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    if total == 0 {
        value.error("the sum of the weights must not be zero");
    } else if total > u64::from(u32::MAX) {
        value.error(format!("the sum of the weights is {total}; it must be at most {}", u32::MAX));
    }
    Some(clusters)
}

/// A share, and where its processors come from if it says something about them itself.
fn read_weighted_cluster(
    value: &Value<'_>,
    table: &Table<'_>,
    folded: &Folded<'_>,
) -> Option<(WeightedCluster, Option<Vec<Arc<ProcessorOrigin>>>)> {
    let message = value.message(&CLUSTER_WEIGHT)?;
    let name = message.required("name")?;
    let text = name.non_empty_string()?;
    table.check_cluster(&name, &text);
    let level = read_level(&message, format!("weighted cluster {text}"), table.filters, table.scope);
    let folded = folded.below(&table.filters.processors, &level);
    let origins = (!level.is_empty()).then(|| folded.processors());
    let cluster = WeightedCluster {
        action: WeightedAction::Cluster(text),
        weight: message.u32("weight").unwrap_or(0),
        headers: read_header_mutations(&message),
        filters: level.per_filter(),
        host_rewrite_literal: Some(message.header_text("host_rewrite_literal"))
            .filter(|host| !host.is_empty()),
        path_rewrite: None,
        metadata_match: read_metadata_match(&message),
    };
    Some((cluster, origins))
}
