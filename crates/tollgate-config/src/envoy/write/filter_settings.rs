//! Settings of the kinds of filters that are written as they are.

pub(super) mod header_mutation;
mod health_check;
mod metadata;

use serde_json::Value;
use tollgate_model::filter::FilterSettings;

/// Settings with their type.
pub(super) fn filter_settings(settings: &FilterSettings) -> Value {
    match settings {
        FilterSettings::HealthCheck(settings) => health_check::written(settings),
        FilterSettings::HeaderMutation(settings) => header_mutation::written(settings),
        FilterSettings::HeaderToMetadata(settings) => metadata::header_to_metadata(settings),
        FilterSettings::SetMetadata(settings) => metadata::set_metadata(settings),
    }
}
