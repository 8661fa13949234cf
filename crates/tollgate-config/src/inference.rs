//! The Gateway API Inference Extension: InferencePools as backends of routes.
//!
//! ```text
//! InferencePool --selector, targetPorts--> pods --> the endpoints of a cluster
//!               --endpointPickerRef--> a processor that names one of them for each request
//! ```
//!
//! A pool is a backend whose endpoint a processor picks (the endpoint picker protocol). Any gateway of Gateway API can have one.

mod dialect;
mod pods;
mod pool;
#[cfg(test)]
mod tests;

use self::{dialect::Inference, pods::Pod, pool::Pool};
use crate::{
    kubernetes::{Kind, Objects as Set, family},
    translation::System,
};

const GROUP: &str = "inference.networking.k8s.io";
/// The group that it had before.
const OLD_GROUP: &str = "inference.networking.x-k8s.io";
const POOL: &str = "InferencePool";

/// The objects of this system.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) pools: Set<Pool>,
    pub(crate) old_pools: Set<Pool>,
    pub(crate) pods: Set<Pod>,
}

family!(Objects);

/// The Gateway API Inference Extension.
pub(crate) static INFERENCE: System = System {
    name: "Gateway API Inference Extension",
    kinds: &[
        Kind {
            group: GROUP,
            kind: POOL,
            versions: &["v1"],
            cluster_scoped: false,
            default_name: None,
            take: |candidate| candidate.store(|all| &mut all.of_mut::<Objects>().pools, pool::read_pool),
        },
        Kind {
            group: OLD_GROUP,
            kind: POOL,
            versions: &["v1alpha2"],
            cluster_scoped: false,
            default_name: None,
            take: |candidate| {
                candidate.store(|all| &mut all.of_mut::<Objects>().old_pools, pool::read_old_pool)
            },
        },
        Kind {
            group: "",
            kind: "Pod",
            versions: &["v1"],
            cluster_scoped: false,
            default_name: None,
            take: |candidate| {
                candidate.store_as(|all| &mut all.of_mut::<Objects>().pods, &pods::POD, pods::read_pod)
            },
        },
    ],
    // They say what a picker weighs, and nothing to a gateway.
    not_implemented: &[
        (GROUP, "InferencePoolImport"),
        (OLD_GROUP, "InferenceModel"),
        (OLD_GROUP, "InferenceModelRewrite"),
        (OLD_GROUP, "InferenceObjective"),
        (OLD_GROUP, "InferencePoolImport"),
    ],
    dialect: Some(|translator, gateways| Box::new(Inference::new(translator, gateways))),
    ..System::PLAIN
};
