//! What levels make of the settings of filters that are ready for use as they are written.

use std::mem::discriminant;

use tollgate_model::filter::FilterSettings;

use crate::Override;

/// The settings where the most specific level that has some of this kind says what counts.
pub(super) fn fold(settings: &FilterSettings, said: &[&Override]) -> FilterSettings {
    let own = said.iter().rev().find_map(|said| match said {
        Override::Settings(own) if discriminant(own) == discriminant(settings) => Some(own),
        _ => None,
    });
    own.unwrap_or(settings).clone()
}
