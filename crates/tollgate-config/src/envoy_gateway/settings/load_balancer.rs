//! `loadBalancer`.

use tollgate_model::cluster::LbPolicy;

use super::report_unimplemented;
use crate::schema::{Enumeration, Schema, Value, read, unimplemented};

static LOAD_BALANCER: Schema = Schema {
    name: "LoadBalancer",
    title: "",
    fields: &[
        read("type", "", "LeastRequest, RoundRobin or Random. Required."),
        read("consistentHash", "", "Not implemented."),
        read("slowStart", "", "Not implemented."),
        unimplemented("endpointOverride", "endpoints are chosen by the type alone"),
        unimplemented("zoneAware", "endpoints are chosen without regard to zones"),
        unimplemented("backendUtilization", "endpoints are chosen by the type alone"),
        unimplemented("dynamicModule", "modules are not run"),
    ],
    unsupported: &[],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    ConsistentHash,
    LeastRequest,
    Random,
    RoundRobin,
    BackendUtilization,
    DynamicModule,
}

static TYPE: Enumeration<Type> = Enumeration {
    values: &[
        ("ConsistentHash", 0, Some(Type::ConsistentHash)),
        ("LeastRequest", 1, Some(Type::LeastRequest)),
        ("Random", 2, Some(Type::Random)),
        ("RoundRobin", 3, Some(Type::RoundRobin)),
        ("BackendUtilization", 4, Some(Type::BackendUtilization)),
        ("DynamicModule", 5, Some(Type::DynamicModule)),
    ],
};

pub(super) fn read_load_balancer(value: &Value<'_>) -> Option<LbPolicy> {
    let message = value.message(&LOAD_BALANCER)?;
    let written = message.required("type")?;
    let kind = written.enumeration(&TYPE)?;
    let hash = message.get("consistentHash");
    match (kind, &hash) {
        (Type::ConsistentHash, None) => {
            value.error("If LoadBalancer type is consistentHash, consistentHash field needs to be set.");
        }
        (Type::ConsistentHash, Some(_)) => {}
        (_, Some(hash)) => {
            report_unimplemented(hash, "consistentHash", "endpoints are chosen by the type alone");
        }
        (_, None) => {}
    }
    if let Some(slow_start) = message.get("slowStart") {
        if matches!(kind, Type::RoundRobin | Type::LeastRequest | Type::BackendUtilization) {
            report_unimplemented(&slow_start, "slowStart", "new endpoints get their full share immediately");
        } else {
            slow_start.error(
                "Currently SlowStart is only supported for RoundRobin, LeastRequest and BackendUtilization \
                 load balancers.",
            );
        }
    }
    match kind {
        Type::LeastRequest => Some(LbPolicy::LEAST_REQUEST),
        Type::Random => Some(LbPolicy::Random),
        Type::RoundRobin => Some(LbPolicy::RoundRobin),
        Type::ConsistentHash | Type::BackendUtilization | Type::DynamicModule => {
            report_unimplemented(
                &written,
                format!("the type {kind:?}"),
                "LeastRequest is used; RoundRobin and Random can be chosen",
            );
            None
        }
    }
}
