//! How an endpoint is chosen.

use tollgate_model::cluster::{Discovery, LbPolicy, OverrideHost, OverrideHostSource};

use super::consistent_hash::{
    read_maglev, read_maglev_of_cluster, read_ring_hash, read_ring_hash_of_cluster, read_unused,
};
use super::schema::{
    self, CLUSTER_PROVIDED, LOAD_BALANCING_POLICY, OVERRIDE_HOST, OVERRIDE_HOST_SOURCE, POLICY,
    TYPED_EXTENSION_CONFIG,
};
use crate::{
    envoy::{header::read_header_name, metadata_key::read_metadata_key},
    schema::{Any, Enumeration, Message, Value},
};

/// What `lb_policy` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::envoy) enum Named {
    Policy(LbPolicy),
    RingHash,
    Maglev,
    ClusterProvided,
    /// `load_balancing_policy` says it.
    Config,
}

pub(in crate::envoy) static LB_POLICY: Enumeration<Named> = Enumeration {
    values: &[
        ("ROUND_ROBIN", 0, Some(Named::Policy(LbPolicy::RoundRobin))),
        ("LEAST_REQUEST", 1, Some(Named::Policy(LbPolicy::LeastRequest))),
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
}

impl From<LbPolicy> for LoadBalancing {
    fn from(policy: LbPolicy) -> Self {
        Self { policy, override_host: None }
    }
}

/// A policy of `load_balancing_policy`.
enum Policy {
    Balanced(LoadBalancing),
    ClusterProvided,
}

/// Where localities are given shares of their own, if they are.
pub(super) fn read_locality_weighting<'a>(message: &Message<'a>) -> Option<Value<'a>> {
    message.message("round_robin_lb_config", &schema::ROUND_ROBIN_LB_CONFIG);
    message.message("least_request_lb_config", &schema::LEAST_REQUEST_LB_CONFIG);
    let common = message.message("common_lb_config", &schema::COMMON_LB_CONFIG);
    let of_cluster = common.and_then(|common| common.get("locality_weighted_lb_config"));
    let of_policy = message.get("load_balancing_policy").and_then(|policy| locality_weighting_of(&policy));
    of_cluster.or(of_policy)
}

fn locality_weighting_of<'a>(policy: &Value<'a>) -> Option<Value<'a>> {
    policy.member_list("policies").into_iter().find_map(|policy| {
        let config = policy.member("typed_extension_config")?.member("typed_config")?;
        let own = config.member("locality_lb_config");
        match own.and_then(|localities| localities.member("locality_weighted_lb_config")) {
            Some(weighted) => Some(weighted),
            None => locality_weighting_of(&config.member("fallback_policy")?),
        }
    })
}

/// Reads how an endpoint is chosen, which has to suit where the endpoints come from.
pub(super) fn read_load_balancing(message: &Message<'_>, discovery: Option<&Discovery>) -> LoadBalancing {
    let of_cluster = matches!(discovery, Some(Discovery::OriginalDst(_)));
    let named = message.enumeration("lb_policy", &LB_POLICY, Named::Policy(LbPolicy::RoundRobin));
    let usual = || LoadBalancing::from(LbPolicy::RoundRobin);
    let name = message.get("lb_policy");
    read_unused(message);
    if let Some(config) = message.get("load_balancing_policy") {
        return match read_load_balancing_policy(&config) {
            Some(Policy::Balanced(balancing)) if !of_cluster => balancing,
            Some(Policy::ClusterProvided) if of_cluster => usual(),
            Some(Policy::Balanced(_)) => {
                config.error("a cluster of type ORIGINAL_DST has the policy ClusterProvided");
                usual()
            }
            Some(Policy::ClusterProvided) => {
                config.error("ClusterProvided is for clusters of type ORIGINAL_DST");
                usual()
            }
            None => usual(),
        };
    }
    match named {
        Named::ClusterProvided if of_cluster => usual(),
        Named::Policy(policy) if !of_cluster => policy.into(),
        Named::RingHash if !of_cluster => {
            LbPolicy::RingHash(read_ring_hash_of_cluster(message, discovery)).into()
        }
        Named::Maglev if !of_cluster => LbPolicy::Maglev(read_maglev_of_cluster(message, discovery)).into(),
        Named::Policy(_) | Named::RingHash | Named::Maglev => {
            name.as_ref()
                .unwrap_or_else(|| message.value())
                .error("a cluster of type ORIGINAL_DST needs lb_policy: CLUSTER_PROVIDED");
            usual()
        }
        Named::ClusterProvided => {
            name.iter().for_each(|name| name.error("CLUSTER_PROVIDED is for clusters of type ORIGINAL_DST"));
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
        ".round_robin.v3.RoundRobin" => read_simple(&any.value, &schema::ROUND_ROBIN, LbPolicy::RoundRobin),
        ".least_request.v3.LeastRequest" => {
            read_simple(&any.value, &schema::LEAST_REQUEST, LbPolicy::LeastRequest)
        }
        ".random.v3.Random" => read_simple(&any.value, &schema::RANDOM, LbPolicy::Random),
        ".ring_hash.v3.RingHash" => {
            read_ring_hash(&any.value).map(|ring| Policy::Balanced(LbPolicy::RingHash(ring).into()))
        }
        ".maglev.v3.Maglev" => {
            read_maglev(&any.value).map(|table| Policy::Balanced(LbPolicy::Maglev(table).into()))
        }
        ".cluster_provided.v3.ClusterProvided" => {
            any.value.message(&CLUSTER_PROVIDED).map(|_| Policy::ClusterProvided)
        }
        ".override_host.v3.OverrideHost" => read_override_host(&any.value).map(Policy::Balanced),
        _ => return Known::No,
    })
}

fn read_simple(
    value: &Value<'_>,
    schema: &'static crate::schema::Schema,
    policy: LbPolicy,
) -> Option<Policy> {
    let settings = value.message(schema)?;
    if let Some(localities) = settings.message("locality_lb_config", &schema::LOCALITY_LB_CONFIG) {
        // Looked at with the endpoints.
        localities.get("locality_weighted_lb_config");
    }
    Some(Policy::Balanced(policy.into()))
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
    let policy = match read_load_balancing_policy(&fallback)? {
        Policy::Balanced(LoadBalancing { policy, override_host: None }) => policy,
        Policy::Balanced(_) | Policy::ClusterProvided => {
            fallback.error("the fallback is RoundRobin, LeastRequest, Random, RingHash or Maglev");
            return None;
        }
    };
    let selected_host_key = match selected_host_key {
        None => None,
        Some(key) => Some(key?),
    };
    Some(LoadBalancing { policy, override_host: Some(OverrideHost { sources: sources?, selected_host_key }) })
}

fn read_source(value: &Value<'_>) -> Option<OverrideHostSource> {
    let message = value.message(&OVERRIDE_HOST_SOURCE)?;
    Some(match message.required_one_of(&["header", "metadata"])? {
        ("header", header) => OverrideHostSource::Header(read_header_name(&header, false)?),
        (_, key) => OverrideHostSource::Metadata(read_metadata_key(&key)?),
    })
}
