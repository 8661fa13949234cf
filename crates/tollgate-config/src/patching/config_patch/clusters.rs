//! Patches of clusters.

use super::{
    ApplyTo, ClusterMatch, PatchOperation,
    listeners::merge_transport_socket,
    sets::{Effects, Numbered, Problem, of},
};
use crate::{
    patching::{
        message,
        tree::{name_of, set},
    },
    yaml::{Content, Node},
};

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

/// `outbound|<port>|<subset>|<host>`: the name of a cluster of Istio, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClusterKey<'a> {
    pub(crate) port: u16,
    pub(crate) subset: &'a str,
    pub(crate) host: &'a str,
}

impl<'a> ClusterKey<'a> {
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let mut parts = name.strip_prefix("outbound|")?.split('|');
        let (port, subset, host) = (parts.next()?, parts.next()?, parts.next()?);
        // What is behind it says how the cluster is different from another one of that name.
        let host = host.split('/').next().unwrap_or_default();
        let is_whole = parts.next().is_none() && !host.is_empty();
        Some(Self { port: port.parse().ok()?, subset, host }).filter(|_| is_whole)
    }
}

/// Changes a cluster.
pub(super) fn patch(
    cluster: &mut Node,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
) -> Result<(), Problem> {
    for one in of(patches, ApplyTo::Cluster) {
        let is_meant = match one.patch.cluster() {
            Some(wanted) => is_cluster_meant(name_of(cluster), wanted),
            None => ClusterKey::parse(name_of(cluster)).is_some(),
        };
        if !is_meant {
            continue;
        }
        if one.patch.operation == PatchOperation::Remove {
            return Err(one.problem("clusters cannot be removed here".to_owned()));
        }
        let (Some(lists), Some(value)) = (one.patch.operation.merges(), &one.patch.value) else { continue };
        let problem = |error| one.problem(error);
        if !merge_transport_socket(cluster, value).map_err(problem)? {
            let socket = value.member("transport_socket").or_else(|| value.member("transportSocket"));
            match socket {
                // Beside a transport socket nothing else is taken over.
                Some(socket) => set(cluster, "transport_socket", socket.clone()),
                None => message::merge(cluster, value, CLUSTER, lists).map_err(problem)?,
            }
        }
        effects.note(one);
        effects.clusters.insert(name_of(cluster).to_owned());
    }
    Ok(())
}

/// The clusters that are added; one that is there already stays.
pub(super) fn add(clusters: &mut Vec<Node>, patches: &[Numbered<'_>], effects: &mut Effects) {
    for one in of(patches, ApplyTo::Cluster).filter(|one| one.patch.operation == PatchOperation::Add) {
        let Some(value) = &one.patch.value else { continue };
        effects.note(one);
        if clusters.iter().all(|known| name_of(known) != name_of(value)) {
            effects.clusters.insert(name_of(value).to_owned());
            clusters.push(value.clone());
        }
    }
}

fn is_cluster_meant(name: &str, wanted: &ClusterMatch) -> bool {
    if let Some(only) = &wanted.name {
        return only == name;
    }
    let Some(key) = ClusterKey::parse(name) else { return false };
    wanted.subset.as_ref().is_none_or(|subset| subset == key.subset)
        && wanted.service.as_ref().is_none_or(|service| service == key.host)
        && wanted.port.is_none_or(|port| port == u32::from(key.port))
}

/// The clusters of Istio that a value names anywhere, and whether gRPC is spoken with them.
pub(crate) fn cluster_names<'n>(node: &'n Node, found: &mut Vec<(&'n str, bool)>) {
    visit(node, false, found);
}

fn visit<'n>(node: &'n Node, grpc: bool, found: &mut Vec<(&'n str, bool)>) {
    match &node.content {
        Content::Plain(text) | Content::Quoted(text) => {
            if ClusterKey::parse(text).is_some() && !found.iter().any(|(known, _)| known == text) {
                found.push((text, grpc));
            }
        }
        Content::Sequence(items) => items.iter().for_each(|item| visit(item, false, found)),
        Content::Mapping(entries) => {
            for entry in entries {
                let grpc = ["envoy_grpc", "envoyGrpc"].contains(&&*entry.key)
                    || (grpc && ["cluster_name", "clusterName"].contains(&&*entry.key));
                visit(&entry.value, grpc, found);
            }
        }
        Content::Null => {}
    }
}

/// Changes what is in a list of clusters.
pub(super) fn patch_all(
    clusters: &mut Vec<Node>,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
) -> Result<(), Problem> {
    for cluster in clusters.iter_mut() {
        patch(cluster, patches, effects)?;
    }
    add(clusters, patches, effects);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_are_taken_apart() {
        let key = |port, subset, host| Some(ClusterKey { port, subset, host });
        assert_eq!(ClusterKey::parse("outbound|80||a.b.svc"), key(80, "", "a.b.svc"));
        assert_eq!(ClusterKey::parse("outbound|80|v1|a/grpc"), key(80, "v1", "a"));
        for wrong in ["outbound|80|a", "inbound|80||a", "outbound|x||a", "outbound|80||", "outbound|1|2|3|4"]
        {
            assert_eq!(ClusterKey::parse(wrong), None, "{wrong}");
        }
    }
}
