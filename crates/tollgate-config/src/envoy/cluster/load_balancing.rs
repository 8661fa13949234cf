//! How an endpoint is chosen.

use tollgate_model::cluster::{
    Discovery, LbPolicy, LeastRequest, OverrideHost, OverrideHostSource, SlowStart, Subsets,
};

use super::consistent_hash::{
    read_maglev, read_maglev_of_cluster, read_ring_hash, read_ring_hash_of_cluster, read_unused,
};
use super::least_request::{read_least_request, read_least_request_policy, read_slow_start};
use super::schema::{
    self, CLUSTER_PROVIDED, LOAD_BALANCING_POLICY, OVERRIDE_HOST, OVERRIDE_HOST_SOURCE, POLICY,
    TYPED_EXTENSION_CONFIG,
};
use super::subset::{SUBSET, read_subsets_of_cluster, read_subsets_of_policy};
use crate::{
    envoy::{header::read_header_name, metadata_key::read_metadata_key},
    schema::{Any, Enumeration, Message, Value},
};

/// What `lb_policy` says.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::envoy) enum Named {
    Policy(LbPolicy),
    LeastRequest,
    RingHash,
    Maglev,
    ClusterProvided,
    /// `load_balancing_policy` says it.
    Config,
}

pub(in crate::envoy) static LB_POLICY: Enumeration<Named> = Enumeration {
    values: &[
        ("ROUND_ROBIN", 0, Some(Named::Policy(LbPolicy::RoundRobin))),
        ("LEAST_REQUEST", 1, Some(Named::LeastRequest)),
        ("RING_HASH", 2, Some(Named::RingHash)),
        ("RANDOM", 3, Some(Named::Policy(LbPolicy::Random))),
        ("MAGLEV", 5, Some(Named::Maglev)),
        ("CLUSTER_PROVIDED", 6, Some(Named::ClusterProvided)),
        ("LOAD_BALANCING_POLICY_CONFIG", 7, Some(Named::Config)),
    ],
};

/// How an endpoint is chosen.
pub(super) struct LoadBalancing {
    pub(super) policy: LbPolicy,
    pub(super) override_host: Option<OverrideHost>,
    pub(super) subsets: Option<Subsets>,
    pub(super) slow_start: Option<SlowStart>,
    pub(super) locality_weighted: bool,
}

impl From<LbPolicy> for LoadBalancing {
    fn from(policy: LbPolicy) -> Self {
        Self { policy, override_host: None, subsets: None, slow_start: None, locality_weighted: false }
    }
}

/// A policy of `load_balancing_policy`.
enum Policy {
    Balanced(LoadBalancing),
    ClusterProvided,
}

/// Reads how an endpoint is chosen, which has to suit where the endpoints come from.
pub(super) fn read_load_balancing(message: &Message<'_>, discovery: Option<&Discovery>) -> LoadBalancing {
    let of_cluster = discovery.is_some_and(Discovery::chooses);
    let named = message.enumeration("lb_policy", &LB_POLICY, Named::Policy(LbPolicy::RoundRobin));
    let usual = || LoadBalancing::from(LbPolicy::RoundRobin);
    let name = message.get("lb_policy");
    read_unused(message);
    let subsets = read_subsets_of_cluster(message);
    let common = message.message("common_lb_config", &schema::COMMON_LB_CONFIG);
    let locality_weighted = common.is_some_and(|common| {
        common.message("locality_weighted_lb_config", &schema::LOCALITY_WEIGHTED_LB_CONFIG).is_some()
    });
    let round_robin = message.message("round_robin_lb_config", &schema::ROUND_ROBIN_LB_CONFIG);
    let least_request = message.message("least_request_lb_config", &schema::LEAST_REQUEST_LB_CONFIG);
    let slow_start = |settings: &Option<Message<'_>>| {
        settings.as_ref().and_then(|settings| read_slow_start(settings, &schema::SLOW_START_CONFIG))
    };
    let (slow_round_robin, slow_least_request) = (slow_start(&round_robin), slow_start(&least_request));
    let least_request = least_request.as_ref().map_or_else(LeastRequest::default, read_least_request);
    if let Some(config) = message.get("load_balancing_policy") {
        if let Some(subsets) = message.get("lb_subset_config") {
            subsets.error_with_help(
                "lb_subset_config cannot be combined with load_balancing_policy",
                "use the policy Subset",
            );
        }
        return match read_load_balancing_policy(&config) {
            Some(Policy::Balanced(balancing)) if !of_cluster => balancing,
            Some(Policy::ClusterProvided) if of_cluster => usual(),
            Some(Policy::Balanced(_)) => {
                config
                    .error("a cluster of type ORIGINAL_DST, or an aggregate, has the policy ClusterProvided");
                usual()
            }
            Some(Policy::ClusterProvided) => {
                config.error("ClusterProvided is for clusters of type ORIGINAL_DST and aggregates");
                usual()
            }
            None => usual(),
        };
    }
    let divided = |policy| LoadBalancing { subsets, locality_weighted, ..LoadBalancing::from(policy) };
    match named {
        Named::ClusterProvided if of_cluster => {
            if let Some(subsets) = message.get("lb_subset_config") {
                subsets.error("a cluster of type ORIGINAL_DST, or an aggregate, has no subsets");
            }
            usual()
        }
        Named::LeastRequest if !of_cluster => {
            LoadBalancing { slow_start: slow_least_request, ..divided(LbPolicy::LeastRequest(least_request)) }
        }
        Named::Policy(policy) if !of_cluster => LoadBalancing {
            slow_start: slow_round_robin.filter(|_| policy == LbPolicy::RoundRobin),
            ..divided(policy)
        },
        Named::RingHash if !of_cluster => {
            divided(LbPolicy::RingHash(read_ring_hash_of_cluster(message, discovery)))
        }
        Named::Maglev if !of_cluster => divided(LbPolicy::Maglev(read_maglev_of_cluster(message, discovery))),
        Named::Policy(_) | Named::LeastRequest | Named::RingHash | Named::Maglev => {
            name.as_ref()
                .unwrap_or_else(|| message.value())
                .error("a cluster of type ORIGINAL_DST, or an aggregate, needs lb_policy: CLUSTER_PROVIDED");
            usual()
        }
        Named::ClusterProvided => {
            name.iter().for_each(|name| {
                name.error("CLUSTER_PROVIDED is for clusters of type ORIGINAL_DST and aggregates");
            });
            usual()
        }
        Named::Config => {
            name.iter().for_each(|name| name.error("\"load_balancing_policy\" is missing"));
            usual()
        }
    }
}

const PACKAGE: &str = "envoy.extensions.load_balancing_policies";

/// The first policy of the list that is known, as in Envoy.
fn read_load_balancing_policy(value: &Value<'_>) -> Option<Policy> {
    let policies = value.message(&LOAD_BALANCING_POLICY)?.list("policies");
    let mut unknown = Vec::new();
    for policy in &policies {
        let extension =
            policy.message(&POLICY)?.required("typed_extension_config")?.message(&TYPED_EXTENSION_CONFIG)?;
        extension.required_string("name");
        let any = extension.required("typed_config")?.any()?;
        match read_policy(&any) {
            Known::Yes(policy) => return policy,
            Known::No => unknown.push(any),
        }
    }
    let supported = schema::POLICIES.map(|schema| schema.name);
    match unknown.first() {
        Some(any) => any.unsupported("load balancing policy", &supported),
        None => value.error("\"policies\" is missing"),
    }
    None
}

/// Whether a policy is known, and what it says unless it is wrong.
enum Known {
    Yes(Option<Policy>),
    No,
}

fn read_policy(any: &Any<'_>) -> Known {
    let Some(name) = any.type_name.strip_prefix(PACKAGE) else { return Known::No };
    Known::Yes(match name {
        ".round_robin.v3.RoundRobin" => {
            read_simple(&any.value, &schema::ROUND_ROBIN, |_| LbPolicy::RoundRobin, true)
        }
        ".least_request.v3.LeastRequest" => {
            let policy = |settings: &Message<'_>| LbPolicy::LeastRequest(read_least_request_policy(settings));
            read_simple(&any.value, &schema::LEAST_REQUEST, policy, true)
        }
        ".random.v3.Random" => read_simple(&any.value, &schema::RANDOM, |_| LbPolicy::Random, false),
        ".ring_hash.v3.RingHash" => read_ring_hash(&any.value)
            .map(|(ring, locality_weighted)| hashed(LbPolicy::RingHash(ring), locality_weighted)),
        ".maglev.v3.Maglev" => read_maglev(&any.value)
            .map(|(table, locality_weighted)| hashed(LbPolicy::Maglev(table), locality_weighted)),
        ".cluster_provided.v3.ClusterProvided" => {
            any.value.message(&CLUSTER_PROVIDED).map(|_| Policy::ClusterProvided)
        }
        ".subset.v3.Subset" => read_subset(&any.value).map(Policy::Balanced),
        ".override_host.v3.OverrideHost" => read_override_host(&any.value).map(Policy::Balanced),
        _ => return Known::No,
    })
}

fn hashed(policy: LbPolicy, locality_weighted: bool) -> Policy {
    Policy::Balanced(LoadBalancing { locality_weighted, ..policy.into() })
}

fn read_simple(
    value: &Value<'_>,
    schema: &'static crate::schema::Schema,
    policy: impl FnOnce(&Message<'_>) -> LbPolicy,
    starts_slowly: bool,
) -> Option<Policy> {
    let settings = value.message(schema)?;
    let localities = settings.message("locality_lb_config", &schema::LOCALITY_LB_CONFIG);
    let locality_weighted = localities.is_some_and(|localities| {
        localities
            .message("locality_weighted_lb_config", &schema::LOCALITY_WEIGHTED_LB_CONFIG_OF_POLICY)
            .is_some()
    });
    let slow_start = match starts_slowly {
        true => read_slow_start(&settings, &schema::SLOW_START_CONFIG_OF_POLICY),
        false => None,
    };
    Some(Policy::Balanced(LoadBalancing { slow_start, locality_weighted, ..policy(&settings).into() }))
}

fn read_override_host(value: &Value<'_>) -> Option<LoadBalancing> {
    let message = value.message(&OVERRIDE_HOST)?;
    let sources = message.list("override_host_sources");
    if sources.is_empty() {
        value.error("\"override_host_sources\" is missing: at least one");
    }
    let sources = sources.iter().map(read_source).collect::<Option<Vec<_>>>();
    let selected_host_key = message.get("selected_host_key").map(|key| read_metadata_key(&key));
    let fallback = message.required("fallback_policy")?;
    let balancing = match read_load_balancing_policy(&fallback)? {
        Policy::Balanced(balancing @ LoadBalancing { override_host: None, .. }) => balancing,
        Policy::Balanced(_) | Policy::ClusterProvided => {
            fallback.error("the fallback is RoundRobin, LeastRequest, Random, RingHash, Maglev or Subset");
            return None;
        }
    };
    let selected_host_key = match selected_host_key {
        None => None,
        Some(key) => Some(key?),
    };
    let override_host = Some(OverrideHost { sources: sources?, selected_host_key });
    Some(LoadBalancing { override_host, ..balancing })
}

fn read_subset(value: &Value<'_>) -> Option<LoadBalancing> {
    let message = value.message(&SUBSET)?;
    let subsets = read_subsets_of_policy(&message);
    let child = message.required("subset_lb_policy")?;
    match read_load_balancing_policy(&child)? {
        Policy::Balanced(balancing @ LoadBalancing { override_host: None, subsets: None, .. }) => {
            Some(LoadBalancing { subsets, ..balancing })
        }
        Policy::Balanced(_) | Policy::ClusterProvided => {
            child.error(
                "endpoints of a subset are chosen by RoundRobin, LeastRequest, Random, RingHash or Maglev",
            );
            None
        }
    }
}

fn read_source(value: &Value<'_>) -> Option<OverrideHostSource> {
    let message = value.message(&OVERRIDE_HOST_SOURCE)?;
    Some(match message.required_one_of(&["header", "metadata"])? {
        ("header", header) => OverrideHostSource::Header(read_header_name(&header, false)?),
        (_, key) => OverrideHostSource::Metadata(read_metadata_key(&key)?),
    })
}
