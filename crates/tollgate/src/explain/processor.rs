//! A processor: where it comes from, how it is called, what it is sent, every setting, and what its failures do.

use serde_json::{Value, json};
use tollgate_config::ProcessorOrigin;
use tollgate_model::{
    Snapshot,
    processor::{ExtProc, GrpcTarget, HttpFilter},
};

use super::{cluster, failure, origin, settings, steps};

/// Where a processor stands.
pub(super) struct At<'a> {
    pub(super) filter: &'a HttpFilter,
    pub(super) upstream: bool,
    /// Most bytes of a body that are held.
    pub(super) limit: usize,
    pub(super) snapshot: &'a Snapshot,
}

/// What is reported about a processor.
pub(super) fn describe(at: &At<'_>, settings: &ExtProc, from: Option<&ProcessorOrigin>) -> Value {
    let service = &settings.grpc_service;
    let (target, endpoints, problem) = match &service.target {
        GrpcTarget::EnvoyGrpc(name) => {
            let missing = !at.snapshot.clusters.contains_key(name);
            let problem = missing.then(|| "there is no such cluster: every call fails".to_owned());
            (format!("cluster {name}"), cluster::endpoints(at.snapshot, name), problem)
        }
        GrpcTarget::GoogleGrpc(cluster) => {
            (format!("target {}", cluster.name), cluster::endpoints_of(cluster), None)
        }
    };
    let mut described = json!({
        "filter": at.filter.name,
        "upstream": at.upstream,
        "target": target,
        "endpoints": endpoints,
        "authority": service.authority,
        "sent": steps::describe(&settings.plan, at.limit),
        "failure_mode": failure::mode(&settings.plan),
        "failures": failure::describe(&settings.plan),
        "settings": settings::describe(&target, &at.filter.stat_prefix, settings, from),
    });
    if let Some(problem) = problem {
        described["problem"] = json!(problem);
    }
    if let Some(from) = from {
        described["defined_by"] = origin(&from.defined_by);
        described["enabled_by"] = origin(&from.enabled_by);
    }
    described
}
