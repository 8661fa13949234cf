//! Settings of LEAST_REQUEST and ROUND_ROBIN.

use tollgate_model::cluster::{LeastRequest, SlowStart};

use super::schema::RUNTIME_DOUBLE;
use crate::{
    envoy::protocol_options::PERCENT,
    schema::{Enumeration, Message, Schema},
};

/// `true`: all endpoints are looked at.
pub(in crate::envoy) static SELECTION_METHOD: Enumeration<bool> =
    Enumeration { values: &[("N_CHOICES", 0, Some(false)), ("FULL_SCAN", 1, Some(true))] };

/// Reads what a cluster or a policy says about LEAST_REQUEST.
pub(super) fn read_least_request(settings: &Message<'_>) -> LeastRequest {
    let usual = LeastRequest::default();
    let choices = settings.get("choice_count").and_then(|count| count.integer(2..=i64::from(u32::MAX)));
    let bias = settings.message("active_request_bias", &RUNTIME_DOUBLE).map(|bias| read_double(&bias));
    LeastRequest {
        choice_count: choices.and_then(|count| u32::try_from(count).ok()).unwrap_or(usual.choice_count),
        // As in Envoy what is no power does not count.
        active_request_bias: bias.filter(|bias| *bias >= 0.0).unwrap_or(usual.active_request_bias),
        full_scan: false,
    }
}

/// The same of a policy, which can say more.
pub(super) fn read_least_request_policy(settings: &Message<'_>) -> LeastRequest {
    let old = settings.boolean("enable_full_scan", false);
    let full_scan = settings.enumeration("selection_method", &SELECTION_METHOD, false) || old;
    LeastRequest { full_scan, ..read_least_request(settings) }
}

/// Reads `slow_start_config`; `None`: endpoints take their share immediately.
pub(super) fn read_slow_start(settings: &Message<'_>, schema: &'static Schema) -> Option<SlowStart> {
    let config = settings.message("slow_start_config", schema)?;
    let aggression = config.message("aggression", &RUNTIME_DOUBLE).map(|aggression| read_double(&aggression));
    let percent = config
        .message("min_weight_percent", &PERCENT)
        .map(|percent| percent.get("value").and_then(|value| value.number(0.0..=100.0)).unwrap_or_default());
    let window = config.duration("slow_start_window").unwrap_or_default();
    (!window.is_zero()).then_some(SlowStart {
        window,
        aggression: aggression.filter(|aggression| *aggression > 0.0).unwrap_or(1.0),
        min_weight_percent: percent.unwrap_or(10.0),
    })
}

fn read_double(message: &Message<'_>) -> f64 {
    message.get("default_value").and_then(|value| value.number(f64::MIN..=f64::MAX)).unwrap_or_default()
}
