//! The filter `health_check`.

use serde_json::{Map, Value};
use tollgate_model::filter::{HealthCheck, HealthCheckAnswer};

use crate::envoy::{
    http_filters::HEALTH_CHECK,
    protocol_options::PERCENT,
    write::{
        matchers::header_matcher,
        out::{Out, duration},
    },
};

pub(super) fn written(settings: &HealthCheck) -> Value {
    let mut out = Out::new(&HEALTH_CHECK);
    out.list("headers", settings.headers.iter().map(header_matcher).collect());
    match &settings.answer {
        HealthCheckAnswer::Upstream(cache) => {
            out.set("pass_through_mode", true);
            out.some("cache_time", cache.as_ref().map(|cache| duration(cache.period())));
        }
        HealthCheckAnswer::Gateway(clusters) => {
            out.set("pass_through_mode", false);
            let clusters: Map<_, _> =
                clusters.iter().map(|(name, least)| (name.clone(), percent(*least))).collect();
            if !clusters.is_empty() {
                out.set("cluster_min_healthy_percentages", clusters);
            }
        }
    }
    out.any()
}

fn percent(value: f64) -> Value {
    let mut out = Out::new(&PERCENT);
    out.set("value", value);
    out.done()
}
