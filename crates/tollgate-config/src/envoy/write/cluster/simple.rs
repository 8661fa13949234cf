//! Policies that choose among endpoints.

use serde_json::{Value, json};
use tollgate_ir::BareCluster;
use tollgate_model::cluster::{HashKey, LbPolicy, LeastRequest, Maglev, RingHash, SlowStart};

use super::policies;
use crate::envoy::{
    cluster::{
        consistent_hash::{CONSISTENT_HASHING, HASH_FUNCTION_OF_POLICY, MAGLEV, RING_HASH},
        least_request::SELECTION_METHOD,
        schema::{
            LEAST_REQUEST, LOCALITY_LB_CONFIG, RANDOM, ROUND_ROBIN, RUNTIME_DOUBLE,
            SLOW_START_CONFIG_OF_POLICY,
        },
    },
    protocol_options::PERCENT,
    write::out::{Out, duration},
};

/// The policy of a cluster.
pub(super) fn policy(cluster: &BareCluster) -> Value {
    let (mut policy, name) = match cluster.lb_policy {
        LbPolicy::RoundRobin => (Out::new(&ROUND_ROBIN), "envoy.load_balancing_policies.round_robin"),
        LbPolicy::LeastRequest(settings) => {
            (least_request(settings), "envoy.load_balancing_policies.least_request")
        }
        LbPolicy::Random => (Out::new(&RANDOM), "envoy.load_balancing_policies.random"),
        LbPolicy::RingHash(ring) => (ring_hash(&ring), "envoy.load_balancing_policies.ring_hash"),
        LbPolicy::Maglev(table) => (maglev(table), "envoy.load_balancing_policies.maglev"),
    };
    if cluster.locality_weighted {
        if cluster.lb_policy.hashes() {
            policy.set("locality_weighted_lb_config", json!({}));
        } else {
            let mut localities = Out::new(&LOCALITY_LB_CONFIG);
            localities.set("locality_weighted_lb_config", json!({}));
            policy.set("locality_lb_config", localities.done());
        }
    }
    if let LbPolicy::RoundRobin | LbPolicy::LeastRequest(_) = cluster.lb_policy {
        policy.some("slow_start_config", cluster.slow_start.as_ref().map(slow_start));
    }
    policies(name, policy)
}

fn least_request(settings: LeastRequest) -> Out {
    let usual = LeastRequest::default();
    let mut out = Out::new(&LEAST_REQUEST);
    out.unless("choice_count", settings.choice_count, usual.choice_count);
    if (settings.active_request_bias - usual.active_request_bias).abs() > f64::EPSILON {
        out.set("active_request_bias", double(settings.active_request_bias));
    }
    out.name("selection_method", &SELECTION_METHOD, &settings.full_scan, &false);
    out
}

fn slow_start(settings: &SlowStart) -> Value {
    let mut percent = Out::new(&PERCENT);
    percent.set("value", settings.min_weight_percent);
    let mut out = Out::new(&SLOW_START_CONFIG_OF_POLICY);
    out.set("slow_start_window", duration(settings.window));
    out.set("aggression", double(settings.aggression));
    out.set("min_weight_percent", percent.done());
    out.done()
}

/// A `RuntimeDouble`, whose key Envoy wants.
fn double(value: f64) -> Value {
    let mut out = Out::new(&RUNTIME_DOUBLE);
    out.set("default_value", value);
    let mut out = out.done();
    out["runtime_key"] = Value::from("tollgate.unset");
    out
}

fn ring_hash(ring: &RingHash) -> Out {
    let usual = RingHash::default();
    let mut out = Out::new(&RING_HASH);
    out.unless("minimum_ring_size", ring.minimum_ring_size, usual.minimum_ring_size);
    out.unless("maximum_ring_size", ring.maximum_ring_size, usual.maximum_ring_size);
    out.name("hash_function", &HASH_FUNCTION_OF_POLICY, &ring.hash_function, &usual.hash_function);
    hash_key(&mut out, ring.key, ring.balance_factor);
    out
}

fn maglev(table: Maglev) -> Out {
    let mut out = Out::new(&MAGLEV);
    out.unless("table_size", table.table_size, Maglev::default().table_size);
    hash_key(&mut out, table.key, table.balance_factor);
    out
}

fn hash_key(out: &mut Out, key: HashKey, balance_factor: Option<u32>) {
    let mut settings = Out::new(&CONSISTENT_HASHING);
    settings.unless("use_hostname_for_hashing", key == HashKey::Hostname, false);
    settings.some("hash_balance_factor", balance_factor);
    out.unless_empty("consistent_hashing_lb_config", settings);
}
