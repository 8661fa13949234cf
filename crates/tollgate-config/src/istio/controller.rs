//! What gateways of Istio do in their own way.

use std::time::Duration;

use tollgate_model::{cluster::LbPolicy, route::RetryPolicy};

use super::HOSTNAME;
use crate::{
    kubernetes::core::ServicePort,
    translation::{
        ClusterSite, Controller, Defaults, Names, UNSEEN_OR_REFUSED, Words, is_http2,
        parameters_without_effect,
    },
};

pub(crate) static CONTROLLER: Controller = Controller {
    name: "istio.io/gateway-controller",
    // HTNN is installed with Istio.
    classes: &["istio", "htnn"],
    claims: None,
    parameters: parameters_without_effect,
    defaults: Defaults {
        request_timeout: |_| None,
        connection_manager: |http| {
            http.use_remote_address = true;
            http.normalize_path = true;
            "istio-envoy".clone_into(&mut http.server_name);
            http.stream_idle_timeout = None;
        },
        cluster: |cluster| {
            cluster.connect_timeout = Duration::from_secs(10);
            cluster.lb_policy = LbPolicy::LEAST_REQUEST;
            let breakers = &mut cluster.circuit_breakers;
            breakers.max_connections = u32::MAX;
            breakers.max_pending_requests = u32::MAX;
            breakers.max_requests = u32::MAX;
            breakers.max_retries = u32::MAX;
        },
        unasked_retries: |per_try_timeout| Some(RetryPolicy { per_try_timeout, ..retries() }),
        append_x_forwarded_host: true,
        app_protocol: protocol,
        ..Defaults::PLAIN
    },
    names: Names {
        cluster: |cluster| {
            let ClusterSite { backend, port, cluster_domain: domain, .. } = cluster;
            cluster.by_protocol(match &*backend.kind {
                HOSTNAME => format!("outbound|{port}||{}", backend.name),
                _ => format!("outbound|{port}||{}.{}.svc.{domain}", backend.name, backend.namespace),
            })
        },
        route: |route| {
            let object = route.object;
            format!("{}.{}.{}", object.namespace, object.name, route.rule_index)
        },
    },
    words: Words::PLAIN,
};

/// What Istio (1.24 and later) tries again unless it is told otherwise: nothing that an upstream may have done already.
pub(super) fn retries() -> RetryPolicy {
    RetryPolicy {
        retry_on: UNSEEN_OR_REFUSED,
        num_retries: 2,
        avoid_previous_hosts: 5,
        avoid_previous_priorities: None,
        ..RetryPolicy::default()
    }
}

/// What Istio speaks with a port: by its name, unless it says so itself (HT-45).
fn protocol(port: &ServicePort) -> Option<String> {
    port.app_protocol.clone().or_else(|| {
        let first = port.name.split('-').next().unwrap_or_default();
        ["http2", "grpc"].contains(&first).then(|| first.to_owned())
    })
}

/// Whether Istio speaks HTTP/2 with a port (HT-45).
pub(crate) fn speaks_http2(port: &ServicePort) -> bool {
    is_http2(protocol(port).as_deref()).unwrap_or(false)
}
