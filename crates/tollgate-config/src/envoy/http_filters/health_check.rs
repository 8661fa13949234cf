//! The filter `health_check`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tollgate_ir::FilterConfig;
use tollgate_model::filter::{FilterSettings, HealthCheck, HealthCheckAnswer, HealthCheckCache};

use super::kinds::Kind;
use crate::{
    envoy::{Scope, matchers::read_header_matcher, protocol_options::PERCENT},
    schema::{Message, Schema, Value, read},
};

pub(in crate::envoy) static HEALTH_CHECK: Schema = Schema {
    name: "envoy.extensions.filters.http.health_check.v3.HealthCheck",
    title: "",
    fields: &[
        read(
            "pass_through_mode",
            "",
            "true: health checks go to the upstream. false: they are answered here. Required.",
        ),
        read(
            "cache_time",
            "0s",
            "How long the last answer of the upstream stands for the next ones; only with pass_through_mode.",
        ),
        read(
            "cluster_min_healthy_percentages",
            "{}",
            "By cluster, percent of its hosts that have to be healthy for the answer 200; else it is 503. Only without \
             pass_through_mode.",
        ),
        read(
            "headers",
            "[]",
            "A request is a health check if all of these match; without any, every request is.",
        ),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 1] = [&HEALTH_CHECK];

pub(super) const KIND: Kind =
    Kind { settings: &HEALTH_CHECK, read: read_health_check, per_route: None, upstream: false };

fn read_health_check(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&HEALTH_CHECK)?;
    let pass_through = message.required("pass_through_mode").and_then(|mode| mode.boolean());
    // Envoy counts milliseconds.
    let cache_time = message.duration("cache_time").filter(|time| *time >= Duration::from_millis(1));
    let headers = message.list("headers").iter().filter_map(read_header_matcher).collect();
    let percentages = read_percentages(&message);
    let answer = if pass_through? {
        if let (false, Some(value)) = (percentages.is_empty(), message.get("cluster_min_healthy_percentages"))
        {
            value.no_effect("cluster_min_healthy_percentages", "with pass_through_mode the upstream answers");
        }
        HealthCheckAnswer::Upstream(cache_time.map(HealthCheckCache::new))
    } else {
        if let (Some(_), Some(value)) = (cache_time, message.get("cache_time")) {
            value.error_with_help(
                "cache_time cannot be given without pass_through_mode",
                "remove it: there are no answers of an upstream to keep",
            );
        }
        HealthCheckAnswer::Gateway(percentages)
    };
    Some(FilterConfig::Settings(FilterSettings::HealthCheck(Arc::new(HealthCheck { headers, answer }))))
}

fn read_percentages(message: &Message<'_>) -> BTreeMap<String, f64> {
    let percent = |value: &Value<'_>| {
        let message = value.message(&PERCENT)?;
        message.get("value").map_or(Some(0.0), |value| value.number(0.0..=100.0))
    };
    let entries = message.map("cluster_min_healthy_percentages").into_iter();
    entries.filter_map(|(name, value)| Some((name.to_owned(), percent(&value)?))).collect()
}
