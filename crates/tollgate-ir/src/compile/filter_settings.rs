//! What levels make of the settings of filters that are ready for use as they are written.

use std::{mem::discriminant, sync::Arc};

use tollgate_model::filter::{FilterSettings, HeaderMutation, Mutations, SetMetadata};

use crate::Override;

/// The settings where these levels meet, the least specific one first.
pub(super) fn fold(settings: &FilterSettings, said: &[&Override]) -> FilterSettings {
    let own = said.iter().rev().find_map(|said| match said {
        Override::Settings(own) if discriminant(own) == discriminant(settings) => Some(own),
        _ => None,
    });
    match (settings, own) {
        (FilterSettings::HeaderMutation(settings), _) => {
            FilterSettings::HeaderMutation(header_mutation(settings, said))
        }
        (FilterSettings::SetMetadata(settings), Some(FilterSettings::SetMetadata(own))) => {
            let (metadata, by_route) = (settings.metadata.clone(), own.metadata.clone());
            FilterSettings::SetMetadata(Arc::new(SetMetadata { metadata, by_route }))
        }
        (settings, own) => own.unwrap_or(settings).clone(),
    }
}

/// What all levels change counts.
fn header_mutation(settings: &Arc<HeaderMutation>, said: &[&Override]) -> Arc<HeaderMutation> {
    let levels = said.iter().filter_map(|said| match said {
        Override::HeaderMutation(mutations) => Some(Arc::clone(mutations)),
        _ => None,
    });
    let by_level: Vec<Arc<Mutations>> = levels.collect();
    if by_level.is_empty() {
        return Arc::clone(settings);
    }
    Arc::new(HeaderMutation { by_level, ..HeaderMutation::clone(settings) })
}
