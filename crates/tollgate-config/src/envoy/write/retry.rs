//! What is tried again.

use serde_json::{Map, Value};
use tollgate_model::{
    cluster::SUBSET_NAMESPACE,
    route::{OmittedHosts, RateLimitedBackOff, ResetFormat, RetryBackOff, RetryPolicy},
};

use super::{
    matchers::{header_matcher, structure},
    out::{Out, duration, extension},
};
use crate::envoy::{
    metadata::METADATA,
    route::retry::{
        OMIT_CANARY_HOSTS, OMIT_HOST_METADATA, PREVIOUS_HOSTS_PREDICATE, PREVIOUS_PRIORITIES,
        RATE_LIMITED_RETRY_BACK_OFF, RESET_FORMAT, RESET_HEADER, RETRY_BACK_OFF, RETRY_HOST_PREDICATE,
        RETRY_POLICY, RETRY_PRIORITY,
    },
};

pub(super) fn retry_policy(policy: &RetryPolicy) -> Value {
    let mut out = Out::new(&RETRY_POLICY);
    out.set("retry_on", policy.retry_on.names().collect::<Vec<_>>().join(","));
    out.unless("num_retries", policy.num_retries, 1);
    out.timeout("per_try_timeout", policy.per_try_timeout, None);
    out.timeout("per_try_idle_timeout", policy.per_try_idle_timeout, None);
    let codes = policy.retriable_status_codes.iter();
    out.list("retriable_status_codes", codes.map(|status| Value::from(status.as_u16())).collect());
    out.list("retriable_headers", policy.retriable_headers.iter().map(header_matcher).collect());
    out.list(
        "retriable_request_headers",
        policy.retriable_request_headers.iter().map(header_matcher).collect(),
    );
    if policy.back_off != RetryBackOff::default() {
        let mut back_off = Out::new(&RETRY_BACK_OFF);
        back_off.set("base_interval", duration(policy.back_off.base_interval));
        back_off.set("max_interval", duration(policy.back_off.max_interval));
        out.set("retry_back_off", back_off.done());
    }
    out.some("rate_limited_retry_back_off", policy.rate_limited_back_off.as_ref().map(rate_limited));
    if let Some(frequency) = policy.avoid_previous_priorities {
        let mut priorities = Out::new(&PREVIOUS_PRIORITIES);
        priorities.set("update_frequency", frequency.get());
        let name = "envoy.retry_priorities.previous_priorities";
        out.set("retry_priority", extension(&RETRY_PRIORITY, name, priorities.any()));
    }
    let mut predicates = Vec::new();
    let mut predicate = |name, config: Out| {
        predicates.push(extension(&RETRY_HOST_PREDICATE, name, config.any()));
    };
    if policy.avoid_previous_hosts > 0 {
        predicate("envoy.retry_host_predicates.previous_hosts", Out::new(&PREVIOUS_HOSTS_PREDICATE));
    }
    if let Some(OmittedHosts { canaries, metadata, .. }) = &policy.omitted_hosts {
        if *canaries {
            predicate("envoy.retry_host_predicates.omit_canary_hosts", Out::new(&OMIT_CANARY_HOSTS));
        }
        for labels in metadata {
            let mut namespaces = Map::new();
            namespaces.insert(SUBSET_NAMESPACE.to_owned(), structure(labels));
            let mut of_host = Out::new(&METADATA);
            of_host.set("filter_metadata", namespaces);
            let mut config = Out::new(&OMIT_HOST_METADATA);
            config.set("metadata_match", of_host.done());
            predicate("envoy.retry_host_predicates.omit_host_metadata", config);
        }
    }
    if !predicates.is_empty() {
        let omitted = policy.omitted_hosts.as_ref().map_or(0, |omitted| omitted.most);
        out.set("host_selection_retry_max_attempts", policy.avoid_previous_hosts.max(omitted));
    }
    out.list("retry_host_predicate", predicates);
    out.done()
}

fn rate_limited(back_off: &RateLimitedBackOff) -> Value {
    let headers = back_off.reset_headers.iter().map(|header| {
        let mut out = Out::new(&RESET_HEADER);
        out.set("name", header.name.as_str());
        out.name("format", &RESET_FORMAT, &header.format, &ResetFormat::Seconds);
        out.done()
    });
    let mut out = Out::new(&RATE_LIMITED_RETRY_BACK_OFF);
    out.list("reset_headers", headers.collect());
    out.set("max_interval", duration(back_off.max_interval));
    out.done()
}
