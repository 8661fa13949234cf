//! The filter `fault`.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    filter::{AbortStatus, ActiveFaults, Fault, FaultPart, FilterSettings},
    route::Fraction,
};

use super::{
    kinds::{Kind, PerRoute},
    ratelimit::NONE,
};
use crate::{
    envoy::{Scope, matchers::read_header_matcher, metadata::read_struct, route::read_fraction},
    schema::{Message, Schema, Value, harmless, read, unimplemented},
};

const NO_RUNTIME: &str = "there is no runtime that would change it";

pub(in crate::envoy) static HTTP_FAULT: Schema = Schema {
    name: "envoy.extensions.filters.http.fault.v3.HTTPFault",
    title: "",
    fields: &[
        read("delay", "", "Requests wait."),
        read("abort", "", "Requests are answered."),
        read("upstream_cluster", "any", "Only requests that go to this cluster."),
        read("headers", "[]", "Only requests that all of these match."),
        read(
            "downstream_nodes",
            "any",
            "Only requests with one of these in `x-envoy-downstream-service-node`.",
        ),
        read(
            "max_active_faults",
            "any number",
            "How many requests of these settings may have faults at once.",
        ),
        read("response_rate_limit", "", "Responses are slow."),
        read("filter_metadata", "{}", "Dynamic metadata `envoy.filters.http.fault` of requests with faults."),
        harmless("disable_downstream_cluster_stats", "there are no statistics by downstream cluster"),
        unimplemented("delay_percent_runtime", NO_RUNTIME),
        unimplemented("abort_percent_runtime", NO_RUNTIME),
        unimplemented("delay_duration_runtime", NO_RUNTIME),
        unimplemented("abort_http_status_runtime", NO_RUNTIME),
        unimplemented("max_active_faults_runtime", NO_RUNTIME),
        unimplemented("response_rate_limit_percent_runtime", NO_RUNTIME),
        unimplemented("abort_grpc_status_runtime", NO_RUNTIME),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FAULT_DELAY: Schema = Schema {
    name: "envoy.extensions.filters.common.fault.v3.FaultDelay",
    title: "",
    fields: &[
        read("fixed_delay", "", "How long. This or header_delay is required."),
        read("header_delay", "", "`x-envoy-fault-delay-request` has the milliseconds."),
        read("percentage", "none", "For which share of the requests."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FAULT_ABORT: Schema = Schema {
    name: "envoy.extensions.filters.http.fault.v3.FaultAbort",
    title: "",
    fields: &[
        read("http_status", "", "The status, 200 to 599. This, grpc_status or header_abort is required."),
        read("grpc_status", "", "The status of gRPC."),
        read(
            "header_abort",
            "",
            "`x-envoy-fault-abort-request` or `x-envoy-fault-abort-grpc-request` has the status.",
        ),
        read("percentage", "none", "For which share of the requests."),
        read("response_body", "fault filter abort", "The body."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FAULT_RATE_LIMIT: Schema = Schema {
    name: "envoy.extensions.filters.common.fault.v3.FaultRateLimit",
    title: "",
    fields: &[
        read("fixed_limit", "", "How fast. This or header_limit is required."),
        read("header_limit", "", "`x-envoy-fault-throughput-response` has the KiB a second."),
        read("percentage", "none", "For which share of the requests."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FIXED_LIMIT: Schema = Schema {
    name: "envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit",
    title: "",
    fields: &[read("limit_kbps", "", "KiB a second, at least 1. Required.")],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 5] =
    [&HTTP_FAULT, &FAULT_DELAY, &FAULT_ABORT, &FAULT_RATE_LIMIT, &FIXED_LIMIT];

pub(super) const KIND: Kind = Kind {
    settings: &HTTP_FAULT,
    read: |value, _: &Scope| read_fault(value).map(FilterConfig::Settings),
    per_route: Some(PerRoute {
        settings: &HTTP_FAULT,
        read: |value, _: &Scope| read_fault(value).map(Override::Settings),
    }),
    upstream: false,
};

fn read_fault(value: &Value<'_>) -> Option<FilterSettings> {
    let message = value.message(&HTTP_FAULT)?;
    let delay = match message.message("delay", &FAULT_DELAY) {
        Some(delay) => Some(read_delay(&delay)?),
        None => None,
    };
    let abort = message.message("abort", &FAULT_ABORT);
    let abort_body = abort.as_ref().map(|abort| abort.string("response_body")).unwrap_or_default();
    let abort = match abort {
        Some(abort) => Some(read_abort(&abort)?),
        None => None,
    };
    let response_rate = match message.message("response_rate_limit", &FAULT_RATE_LIMIT) {
        Some(limit) => Some(read_rate(&limit)?),
        None => None,
    };
    let headers: Option<Vec<_>> = message.list("headers").iter().map(read_header_matcher).collect();
    Some(FilterSettings::Fault(Arc::new(Fault {
        delay,
        abort,
        abort_body: if abort_body.is_empty() { "fault filter abort".to_owned() } else { abort_body },
        response_rate,
        upstream_cluster: message.string("upstream_cluster"),
        headers: headers?,
        downstream_nodes: message.strings("downstream_nodes"),
        max_active_faults: message.u32("max_active_faults"),
        metadata: message.get("filter_metadata").and_then(|value| read_struct(&value)).unwrap_or_default(),
        active: ActiveFaults::default(),
    })))
}

fn read_percentage(message: &Message<'_>) -> Option<Fraction> {
    match message.get("percentage") {
        Some(percentage) => read_fraction(&percentage),
        None => Some(NONE),
    }
}

fn read_delay(message: &Message<'_>) -> Option<FaultPart<Duration>> {
    let (kind, said) = message.required_one_of(&["fixed_delay", "header_delay"])?;
    let fixed = match kind {
        "fixed_delay" => match message.duration("fixed_delay")? {
            Duration::ZERO => {
                said.error("must be more than 0s");
                return None;
            }
            delay => Some(delay),
        },
        _ => None,
    };
    Some(FaultPart { fixed, percentage: read_percentage(message)? })
}

fn read_abort(message: &Message<'_>) -> Option<FaultPart<AbortStatus>> {
    let (kind, said) = message.required_one_of(&["http_status", "grpc_status", "header_abort"])?;
    let fixed = match kind {
        "http_status" => {
            let status = u16::try_from(said.integer(200..=599)?).ok()?;
            Some(AbortStatus::Http(StatusCode::from_u16(status).ok()?))
        }
        "grpc_status" => Some(AbortStatus::Grpc(u32::try_from(said.integer(0..=i64::from(u32::MAX))?).ok()?)),
        _ => None,
    };
    Some(FaultPart { fixed, percentage: read_percentage(message)? })
}

fn read_rate(message: &Message<'_>) -> Option<FaultPart<u64>> {
    let (kind, said) = message.required_one_of(&["fixed_limit", "header_limit"])?;
    let fixed = match kind {
        "fixed_limit" => {
            let kilobytes = said.message(&FIXED_LIMIT)?.required("limit_kbps")?.integer(1..=1 << 40)?;
            Some(u64::try_from(kilobytes).ok()? * 1024)
        }
        _ => None,
    };
    Some(FaultPart { fixed, percentage: read_percentage(message)? })
}
