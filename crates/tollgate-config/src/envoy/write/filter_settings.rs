//! Settings of the kinds of filters that are written as they are.

mod health_check;

use serde_json::Value;
use tollgate_model::filter::FilterSettings;

/// Settings with their type.
pub(super) fn filter_settings(settings: &FilterSettings) -> Value {
    match settings {
        FilterSettings::HealthCheck(settings) => health_check::written(settings),
    }
}
