//! What levels make of the settings of filters that are ready for use as they are written.

use std::{mem::discriminant, sync::Arc};

use tollgate_model::filter::{
    CheckSettings, Compressor, CompressorPerRoute, ExtAuthz, FilterSettings, HeaderMutation, JwtAuthn,
    JwtOfRoute, Lua, LuaPerRoute, Mutations, RateLimit, RateLimitPerRoute, SetMetadata,
};

use crate::Override;

/// The settings where these levels meet, the least specific one first.
pub(super) fn fold(settings: &FilterSettings, said: &[&Override]) -> FilterSettings {
    let own = said.iter().rev().find_map(|said| match said {
        Override::Settings(own) if discriminant(own) == discriminant(settings) => Some(own),
        _ => None,
    });
    match (settings, own) {
        (FilterSettings::ExtAuthz(settings), _) => {
            FilterSettings::ExtAuthz(with_each(settings, said, check_settings, ExtAuthz::with))
        }
        (FilterSettings::HeaderMutation(settings), _) => {
            FilterSettings::HeaderMutation(header_mutation(settings, said))
        }
        (FilterSettings::SetMetadata(settings), Some(FilterSettings::SetMetadata(own))) => {
            let (metadata, by_route) = (settings.metadata.clone(), own.metadata.clone());
            FilterSettings::SetMetadata(Arc::new(SetMetadata { metadata, by_route }))
        }
        (FilterSettings::JwtAuthn(settings), _) => {
            FilterSettings::JwtAuthn(with_last(settings, said, jwt_of_route, JwtAuthn::with))
        }
        (FilterSettings::RateLimit(settings), _) => {
            FilterSettings::RateLimit(with_last(settings, said, ratelimit_per_route, RateLimit::with))
        }
        (FilterSettings::Lua(settings), _) => {
            FilterSettings::Lua(with_last(settings, said, lua_per_route, Lua::with))
        }
        (FilterSettings::Compressor(settings), _) => {
            FilterSettings::Compressor(with_last(settings, said, compressor_per_route, Compressor::with))
        }
        (settings, own) => own.unwrap_or(settings).clone(),
    }
}

/// What a level says about filters of a kind.
type Level<L> = fn(&Override) -> Option<&L>;

/// The most specific level of the kind counts.
fn with_last<T, L: 'static>(
    settings: &Arc<T>,
    said: &[&Override],
    level: Level<L>,
    with: fn(&T, &L) -> T,
) -> Arc<T> {
    let last = said.iter().rev().find_map(|said| level(said));
    last.map_or_else(|| Arc::clone(settings), |last| Arc::new(with(settings, last)))
}

/// Each level changes what those before it have said.
fn with_each<T, L: 'static>(
    settings: &Arc<T>,
    said: &[&Override],
    level: Level<L>,
    with: fn(&T, &L) -> T,
) -> Arc<T> {
    let levels = said.iter().filter_map(|said| level(said));
    levels.fold(Arc::clone(settings), |settings, level| Arc::new(with(&settings, level)))
}

fn check_settings(said: &Override) -> Option<&CheckSettings> {
    if let Override::ExtAuthz(level) = said { Some(level) } else { None }
}

fn jwt_of_route(said: &Override) -> Option<&JwtOfRoute> {
    if let Override::JwtAuthn(level) = said { Some(level) } else { None }
}

fn ratelimit_per_route(said: &Override) -> Option<&RateLimitPerRoute> {
    if let Override::RateLimit(level) = said { Some(level) } else { None }
}

fn lua_per_route(said: &Override) -> Option<&LuaPerRoute> {
    if let Override::Lua(level) = said { Some(level) } else { None }
}

fn compressor_per_route(said: &Override) -> Option<&CompressorPerRoute> {
    if let Override::Compressor(level) = said { Some(level) } else { None }
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

#[cfg(test)]
mod tests {
    use tollgate_model::filter::{Buffer, MetadataEntry, QueryParameterMutation};

    use super::*;

    fn metadata(namespace: &str) -> SetMetadata {
        let entry = MetadataEntry {
            namespace: namespace.to_owned(),
            allow_overwrite: false,
            value: extproc::messages::Struct::default(),
        };
        SetMetadata { metadata: vec![entry], by_route: Vec::new() }
    }

    #[test]
    fn the_most_specific_level_of_the_kind_counts() {
        let buffer = |max_request_bytes| FilterSettings::Buffer(Buffer { max_request_bytes });
        let said = [
            Override::Settings(buffer(2)),
            Override::Settings(buffer(3)),
            Override::Enabled,
            Override::Settings(FilterSettings::SetMetadata(Arc::new(metadata("other")))),
        ];
        let said: Vec<&Override> = said.iter().collect();
        assert_eq!(fold(&buffer(1), &said), buffer(3));
        assert_eq!(fold(&buffer(1), &said[2..]), buffer(1));
    }

    #[test]
    fn metadata_of_a_level_comes_behind_that_of_the_filter() {
        let settings = FilterSettings::SetMetadata(Arc::new(metadata("filter")));
        let level = |name| Override::Settings(FilterSettings::SetMetadata(Arc::new(metadata(name))));
        let said = [level("host"), level("route")];
        let FilterSettings::SetMetadata(folded) = fold(&settings, &said.iter().collect::<Vec<_>>()) else {
            panic!("another kind")
        };
        let names =
            |entries: &[MetadataEntry]| entries.iter().map(|one| one.namespace.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&folded.metadata), names(&folded.by_route)),
            (vec!["filter".into()], vec!["route".into()])
        );
    }

    #[test]
    fn changes_of_all_levels_are_made() {
        let level = |key: &str| {
            let remove = QueryParameterMutation::Remove(key.to_owned());
            Arc::new(Mutations { query_parameters: vec![remove], ..Mutations::default() })
        };
        let settings = FilterSettings::HeaderMutation(Arc::new(HeaderMutation {
            mutations: level("filter"),
            ..HeaderMutation::default()
        }));
        let said = [Override::HeaderMutation(level("host")), Override::HeaderMutation(level("route"))];
        let FilterSettings::HeaderMutation(folded) = fold(&settings, &said.iter().collect::<Vec<_>>()) else {
            panic!("another kind")
        };
        assert_eq!(folded.by_level, [level("host"), level("route")]);
    }
}
