//! The filter `fault`.

use serde_json::{Value, json};
use tollgate_model::{
    filter::{AbortStatus, Fault},
    route::Fraction,
};

use crate::envoy::{
    http_filters::{
        fault::{FAULT_ABORT, FAULT_DELAY, FAULT_RATE_LIMIT, FIXED_LIMIT, HTTP_FAULT},
        ratelimit::NONE,
    },
    write::{
        access_log::fractional_percent,
        matchers::{header_matcher, structure},
        out::{Out, duration},
    },
};

pub(super) fn written(settings: &Fault) -> Value {
    let mut out = Out::new(&HTTP_FAULT);
    if let Some(part) = &settings.delay {
        let mut delay = Out::new(&FAULT_DELAY);
        match part.fixed {
            Some(time) => delay.set("fixed_delay", duration(time)),
            None => delay.set("header_delay", json!({})),
        }
        percentage(&mut delay, part.percentage);
        out.set("delay", delay.done());
    }
    if let Some(part) = &settings.abort {
        let mut abort = Out::new(&FAULT_ABORT);
        match part.fixed {
            Some(AbortStatus::Http(status)) => abort.set("http_status", status.as_u16()),
            Some(AbortStatus::Grpc(status)) => abort.set("grpc_status", status),
            None => abort.set("header_abort", json!({})),
        }
        percentage(&mut abort, part.percentage);
        abort.unless("response_body", &*settings.abort_body, "fault filter abort");
        out.set("abort", abort.done());
    }
    if let Some(part) = &settings.response_rate {
        let mut limit = Out::new(&FAULT_RATE_LIMIT);
        match part.fixed {
            Some(bytes) => {
                let mut fixed = Out::new(&FIXED_LIMIT);
                fixed.set("limit_kbps", bytes / 1024);
                limit.set("fixed_limit", fixed.done());
            }
            None => limit.set("header_limit", json!({})),
        }
        percentage(&mut limit, part.percentage);
        out.set("response_rate_limit", limit.done());
    }
    out.text("upstream_cluster", &settings.upstream_cluster);
    out.list("headers", settings.headers.iter().map(header_matcher).collect());
    out.list("downstream_nodes", settings.downstream_nodes.iter().map(|node| Value::from(&**node)).collect());
    out.some("max_active_faults", settings.max_active_faults);
    if !settings.metadata.fields.is_empty() {
        out.set("filter_metadata", structure(&settings.metadata));
    }
    out.any()
}

fn percentage(out: &mut Out, share: Fraction) {
    if share != NONE {
        out.set("percentage", fractional_percent(share));
    }
}
