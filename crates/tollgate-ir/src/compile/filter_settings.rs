//! What levels make of the settings of filters that are ready for use as they are written.

use std::{mem::discriminant, sync::Arc};

use tollgate_model::filter::{ExtAuthz, FilterSettings, HeaderMutation, Mutations, SetMetadata};

use crate::Override;

/// The settings where these levels meet, the least specific one first.
pub(super) fn fold(settings: &FilterSettings, said: &[&Override]) -> FilterSettings {
    let own = said.iter().rev().find_map(|said| match said {
        Override::Settings(own) if discriminant(own) == discriminant(settings) => Some(own),
        _ => None,
    });
    match (settings, own) {
        (FilterSettings::ExtAuthz(settings), _) => FilterSettings::ExtAuthz(ext_authz(settings, said)),
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

/// Each level changes what those before it have said.
fn ext_authz(settings: &Arc<ExtAuthz>, said: &[&Override]) -> Arc<ExtAuthz> {
    let mut levels = said.iter().filter_map(|said| match said {
        Override::ExtAuthz(level) => Some(&**level),
        _ => None,
    });
    let Some(first) = levels.next() else { return Arc::clone(settings) };
    Arc::new(levels.fold(ExtAuthz::clone(settings).with(first), ExtAuthz::with))
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
