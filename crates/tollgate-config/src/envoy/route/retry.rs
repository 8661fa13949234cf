//! What is tried again.

use std::{num::NonZeroU32, time::Duration};

use http::StatusCode;
use tollgate_model::{
    cluster::SUBSET_NAMESPACE,
    route::{OmittedHosts, RateLimitedBackOff, ResetFormat, ResetHeader, RetryBackOff, RetryOn, RetryPolicy},
};

use crate::{
    envoy::{
        header::read_header_name,
        matchers::read_header_matcher,
        metadata::{METADATA, read_namespaces},
    },
    schema::{Enumeration, Message, Schema, Value, read, refused},
    suggestion::nearest,
};

pub(in crate::envoy) static RETRY_POLICY: Schema = Schema {
    name: "envoy.config.route.v3.RetryPolicy",
    title: "",
    fields: &[
        read(
            "retry_on",
            "",
            "Conditions, separated by commas: 5xx, gateway-error, reset, reset-before-request, connect-failure, \
             envoy-ratelimited, retriable-4xx, refused-stream, retriable-status-codes, retriable-headers, cancelled, \
             deadline-exceeded, internal, resource-exhausted, unavailable.",
        ),
        read("num_retries", "1", "Tries after the first."),
        read("per_try_timeout", "none", "Time of one try, from the end of the request to the response."),
        read("per_try_idle_timeout", "none", "A try without progress ends after this."),
        read("retriable_status_codes", "[]", "Statuses that are tried again (retriable-status-codes)."),
        read("retriable_headers", "[]", "Response headers that are tried again (retriable-headers)."),
        read("retriable_request_headers", "[]", "Only requests with one of these headers are tried again."),
        read("retry_back_off", "25ms to 250ms", "Time between tries."),
        read(
            "retry_host_predicate",
            "[]",
            "`PreviousHostsPredicate`: rather another endpoint than the same; `OmitCanaryHostsPredicate`, \
             `OmitHostMetadataConfig`: rather one that is not of these.",
        ),
        read(
            "host_selection_retry_max_attempts",
            "1",
            "How often another endpoint is looked for, when retry_host_predicate says so.",
        ),
        read("retry_priority", "", "`PreviousPrioritiesConfig`: rather another priority than the same."),
        read("rate_limited_retry_back_off", "", "Responses that say how long to wait before the next try."),
        refused("retry_options_predicates", "tries do not differ"),
    ],
    unsupported: &["refresh_cluster_on_retry"],
};

pub(in crate::envoy) static RETRY_BACK_OFF: Schema = Schema {
    name: "envoy.config.route.v3.RetryPolicy.RetryBackOff",
    title: "",
    fields: &[
        read("base_interval", "", "Maximum time before the first retry; doubles with each. Required."),
        read("max_interval", "10 times base_interval", "Maximum time before any retry."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RETRY_HOST_PREDICATE: Schema = Schema {
    name: "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
    title: "",
    fields: &[
        read("name", "", "Free text. Required."),
        read("typed_config", "", "One of the predicates. Required."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PREVIOUS_HOSTS_PREDICATE: Schema = Schema {
    name: "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static OMIT_CANARY_HOSTS: Schema = Schema {
    name: "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static OMIT_HOST_METADATA: Schema = Schema {
    name: "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig",
    title: "",
    fields: &[read(
        "metadata_match",
        "",
        "Endpoints that have all of these values in the namespace `envoy.lb` are passed over. Without any nobody is.",
    )],
    unsupported: &[],
};

pub(in crate::envoy) static RATE_LIMITED_RETRY_BACK_OFF: Schema = Schema {
    name: "envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff",
    title: "",
    fields: &[
        read("reset_headers", "", "The first of these headers that names a time counts. Required."),
        read("max_interval", "300s", "More than this does not count."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RESET_HEADER: Schema = Schema {
    name: "envoy.config.route.v3.RetryPolicy.ResetHeader",
    title: "",
    fields: &[
        read("name", "", "Name of the header. Required."),
        read("format", "SECONDS", "SECONDS to wait, or the UNIX_TIMESTAMP to wait for."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RESET_FORMAT: Enumeration<ResetFormat> = Enumeration {
    values: &[
        ("SECONDS", 0, Some(ResetFormat::Seconds)),
        ("UNIX_TIMESTAMP", 1, Some(ResetFormat::UnixTimestamp)),
    ],
};

pub(in crate::envoy) static RETRY_PRIORITY: Schema = Schema {
    name: "envoy.config.route.v3.RetryPolicy.RetryPriority",
    title: "",
    fields: &[
        read("name", "", "Free text. Required."),
        read("typed_config", "", "`PreviousPrioritiesConfig`. Required."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PREVIOUS_PRIORITIES: Schema = Schema {
    name: "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
    title: "",
    fields: &[read(
        "update_frequency",
        "",
        "After every so many tries the priorities that were tried are left out, 1 or more. Required.",
    )],
    unsupported: &[],
};

/// Reads a `RetryPolicy`.
pub(super) fn read_retry_policy(value: &Value<'_>) -> Option<RetryPolicy> {
    let message = value.message(&RETRY_POLICY)?;
    let (most, avoid, omitted) = read_host_predicates(&message);
    let matchers = |name| message.list(name).iter().filter_map(read_header_matcher).collect();
    let status =
        |value: &Value<'_>| StatusCode::from_u16(u16::try_from(value.integer(100..=999)?).ok()?).ok();
    Some(RetryPolicy {
        retry_on: message.get("retry_on").map(|value| read_retry_on(&value)).unwrap_or_default(),
        num_retries: message.u32("num_retries").unwrap_or(1),
        per_try_timeout: message.timeout("per_try_timeout", None),
        per_try_idle_timeout: message.timeout("per_try_idle_timeout", None),
        retriable_status_codes: message.list("retriable_status_codes").iter().filter_map(status).collect(),
        retriable_headers: matchers("retriable_headers"),
        retriable_request_headers: matchers("retriable_request_headers"),
        back_off: message
            .message("retry_back_off", &RETRY_BACK_OFF)
            .map(|it| read_back_off(&it))
            .unwrap_or_default(),
        avoid_previous_hosts: if avoid { most } else { 0 },
        omitted_hosts: (omitted != OmittedHosts::default()).then_some(OmittedHosts { most, ..omitted }),
        rate_limited_back_off: message
            .get("rate_limited_retry_back_off")
            .and_then(|value| read_rate_limited(&value)),
        avoid_previous_priorities: message.get("retry_priority").and_then(|value| read_priority(&value)),
    })
}

fn read_priority(value: &Value<'_>) -> Option<NonZeroU32> {
    let priority = value.message(&RETRY_PRIORITY)?;
    priority.required_string("name");
    let any = priority.required("typed_config")?.any()?;
    if any.type_name != PREVIOUS_PRIORITIES.name {
        any.unsupported("retry priority", &[PREVIOUS_PRIORITIES.name]);
        return None;
    }
    let frequency = any.value.message(&PREVIOUS_PRIORITIES)?.required("update_frequency")?;
    let number = frequency.integer(1..=i64::from(i32::MAX))?;
    NonZeroU32::new(u32::try_from(number).ok()?)
}

/// Reads the conditions, separated by commas. As in Envoy one that is not known does no harm.
fn read_retry_on(value: &Value<'_>) -> RetryOn {
    let text = value.string().unwrap_or_default();
    let mut retry_on = RetryOn::default();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match RetryOn::from_name(name) {
            Some(RetryOn::HTTP3_POST_CONNECT_FAILURE) => {
                value.no_effect(format!("the condition \"{name}\""), "HTTP/3 is not spoken");
            }
            Some(condition) => retry_on = retry_on.or(condition),
            None => {
                let help = match nearest(name, RetryOn::ALL.names()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("known: {}", RetryOn::ALL.names().collect::<Vec<_>>().join(", ")),
                };
                value.warning(format!("the condition \"{name}\" is not known; it has no effect"), help);
            }
        }
    }
    retry_on
}

fn read_back_off(message: &Message<'_>) -> RetryBackOff {
    let interval = |value: &Value<'_>| {
        let interval = value.duration()?;
        if interval < Duration::from_millis(1) {
            value.error("must be at least 0.001s");
        }
        Some(interval)
    };
    let base_interval =
        message.required("base_interval").and_then(|value| interval(&value)).unwrap_or_default();
    let mut max_interval = base_interval.saturating_mul(10);
    if let Some(value) = message.get("max_interval")
        && let Some(configured) = interval(&value)
    {
        if configured < base_interval {
            value.error("must not be below base_interval");
        }
        max_interval = configured;
    }
    RetryBackOff { base_interval, max_interval }
}

/// How often another endpoint is looked for, whether one is that had the request before, and which others.
fn read_host_predicates(message: &Message<'_>) -> (u32, bool, OmittedHosts) {
    let attempts = message.get("host_selection_retry_max_attempts");
    let most = attempts.and_then(|attempts| attempts.integer(0..=i64::from(u32::MAX))).unwrap_or(1);
    let (mut avoid, mut omitted) = (false, OmittedHosts::default());
    for value in message.list("retry_host_predicate") {
        let Some(predicate) = value.message(&RETRY_HOST_PREDICATE) else { continue };
        predicate.required_string("name");
        let Some(any) = predicate.required("typed_config").and_then(|config| config.any()) else { continue };
        if any.type_name == PREVIOUS_HOSTS_PREDICATE.name {
            avoid = any.value.message(&PREVIOUS_HOSTS_PREDICATE).is_some();
        } else if any.type_name == OMIT_CANARY_HOSTS.name {
            omitted.canaries = any.value.message(&OMIT_CANARY_HOSTS).is_some();
        } else if any.type_name == OMIT_HOST_METADATA.name {
            let config = any.value.message(&OMIT_HOST_METADATA);
            let metadata = config.and_then(|config| config.message("metadata_match", &METADATA));
            let labels = metadata
                .and_then(|metadata| read_namespaces(&metadata).filter_metadata.remove(SUBSET_NAMESPACE));
            omitted.metadata.extend(labels.filter(|labels| !labels.fields.is_empty()));
        } else {
            let known = [PREVIOUS_HOSTS_PREDICATE.name, OMIT_CANARY_HOSTS.name, OMIT_HOST_METADATA.name];
            any.unsupported("retry host predicate", &known);
        }
    }
    (u32::try_from(most).unwrap_or(u32::MAX), avoid, omitted)
}

fn read_rate_limited(value: &Value<'_>) -> Option<RateLimitedBackOff> {
    let message = value.message(&RATE_LIMITED_RETRY_BACK_OFF)?;
    let headers = message.list("reset_headers");
    if headers.is_empty() {
        value.error("\"reset_headers\" is missing: at least one");
    }
    let reset_headers = headers.iter().filter_map(|header| {
        let header = header.message(&RESET_HEADER)?;
        let name = read_header_name(&header.required("name")?, false)?;
        Some(ResetHeader { name, format: header.enumeration("format", &RESET_FORMAT, ResetFormat::Seconds) })
    });
    let max_interval = message.duration("max_interval").unwrap_or(Duration::from_secs(300));
    if max_interval.is_zero() {
        value.error("\"max_interval\" must be more than zero");
    }
    Some(RateLimitedBackOff { reset_headers: reset_headers.collect(), max_interval })
}
