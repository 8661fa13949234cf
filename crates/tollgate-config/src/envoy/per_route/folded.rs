//! How the levels fold, and where what applies comes from (EN-12, EN-30).

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use extproc::Plan;
use tollgate_model::{
    format::Format,
    processor::{ExtProc, FilterOverride},
};

use super::{Level, Overrides, Said};
use crate::{
    Origin, ProcessorOrigin,
    envoy::ext_proc::{Filter, SERVICE_SOURCES},
};

/// What applies to each filter below some levels. A filter that a level does not name shares what applies above.
#[derive(Clone, Default)]
pub(in crate::envoy) struct Folded<'a> {
    levels: Vec<&'a Level>,
    /// Index by index with the filters.
    pub(in crate::envoy) overrides: Vec<FilterOverride>,
    /// Where they come from; those that are off come from nowhere.
    origins: Vec<Option<Arc<ProcessorOrigin>>>,
}

impl<'a> Folded<'a> {
    /// What applies where no level says anything.
    pub(in crate::envoy) fn new(filters: &[Rc<Filter>]) -> Self {
        let overrides = filters.iter().map(|filter| filter.default_override()).collect();
        let origins = filters.iter().map(|filter| {
            let on = !filter.disabled;
            on.then(|| filter.origin(filter.defined_by(), BTreeMap::new()))
        });
        Self { levels: Vec::new(), overrides, origins: origins.collect() }
    }

    /// What applies below one more level, the most specific one.
    pub(in crate::envoy) fn below(&self, filters: &[Rc<Filter>], level: &'a Level) -> Self {
        let mut levels = self.levels.clone();
        levels.push(level);
        let above = self.overrides.iter().cloned().zip(self.origins.iter().cloned());
        let folded = filters.iter().zip(above).map(|(filter, above)| {
            if level.said_about(filter).is_some() { fold(filter, &levels) } else { above }
        });
        let (overrides, origins) = folded.unzip();
        Self { levels, overrides, origins }
    }

    /// Where the filters that are on come from.
    pub(in crate::envoy) fn processors(&self) -> Vec<Arc<ProcessorOrigin>> {
        self.origins.iter().flatten().cloned().collect()
    }
}

impl Filter {
    fn defined_by(&self) -> Origin {
        Origin { name: format!("HTTP filter {}", self.name), place: self.place.clone() }
    }

    /// Where the filter comes from where it is on and routes override this.
    fn origin(&self, enabled_by: Origin, overrides: BTreeMap<&'static str, Origin>) -> Arc<ProcessorOrigin> {
        let mut sources = self.sources.clone();
        if overrides.contains_key("grpc_service") {
            sources.retain(|name, _| !SERVICE_SOURCES.contains(name));
        }
        Arc::new(ProcessorOrigin {
            filter: self.name.clone(),
            upstream: self.upstream,
            defined_by: self.defined_by(),
            enabled_by,
            sources,
            overrides,
        })
    }
}

impl Level {
    /// Whether it says anything about filters.
    pub(in crate::envoy) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    fn said_about(&self, filter: &Filter) -> Option<(&Said, Origin)> {
        let (_, said, place) = self.said.iter().find(|(name, ..)| *name == filter.name)?;
        Some((said, Origin { name: self.name.clone(), place: place.clone() }))
    }
}

/// What applies to a filter where these levels meet, the least specific one first.
fn fold(filter: &Filter, levels: &[&Level]) -> (FilterOverride, Option<Arc<ProcessorOrigin>>) {
    let said: Vec<(&Said, Origin)> = levels.iter().filter_map(|level| level.said_about(filter)).collect();
    // The most specific level that names the filter says whether it is in the chain at all.
    let off = said.last().map_or(filter.disabled, |(last, _)| matches!(last, Said::Off));
    if off {
        return (FilterOverride::Disabled, None);
    }
    let enabled_by = enabled_by(filter, &said);
    let overrides = said.into_iter().filter_map(|(said, _)| match said {
        Said::Overrides(overrides) => Some(Overrides::clone(overrides)),
        Said::Off | Said::On => None,
    });
    let Some(folded) = overrides.reduce(Overrides::fold) else {
        let settings = FilterOverride::ExtProc(Arc::clone(&filter.settings));
        return (settings, Some(filter.origin(enabled_by, BTreeMap::new())));
    };
    if folded.disabled {
        return (FilterOverride::Idle, None);
    }
    let origin = filter.origin(enabled_by, folded.sources.clone());
    (FilterOverride::ExtProc(Arc::new(folded.apply(&filter.settings))), Some(origin))
}

/// What turns a filter on that is on: the first level behind the last one that turns it off.
fn enabled_by(filter: &Filter, said: &[(&Said, Origin)]) -> Origin {
    let mut by = (!filter.disabled).then(|| filter.defined_by());
    for (said, level) in said {
        let off = match said {
            Said::Off => true,
            Said::On => false,
            Said::Overrides(overrides) => overrides.disabled,
        };
        by = if off { None } else { by.or_else(|| Some(level.clone())) };
    }
    by.unwrap_or_else(|| filter.defined_by())
}

impl Overrides {
    /// what two levels say together, `more` being the more specific one.
    fn fold(self, more: Self) -> Self {
        let mut grpc_initial_metadata = self.grpc_initial_metadata;
        overlay(&mut grpc_initial_metadata, more.grpc_initial_metadata);
        let mut sources = self.sources;
        if more.disabled {
            sources.remove("processing_mode");
        }
        if more.sources.contains_key("grpc_service") {
            sources.retain(|name, _| !SERVICE_SOURCES.contains(name));
        }
        sources.extend(more.sources);
        Self {
            disabled: more.disabled,
            processing_mode: if more.disabled { None } else { more.processing_mode.or(self.processing_mode) },
            request_attributes: more.request_attributes.or(self.request_attributes),
            response_attributes: more.response_attributes.or(self.response_attributes),
            grpc_service: more.grpc_service.or(self.grpc_service),
            metadata_options: self.metadata_options.fold(more.metadata_options),
            grpc_initial_metadata,
            failure_mode_allow: more.failure_mode_allow.or(self.failure_mode_allow),
            processing_request_modifier: more
                .processing_request_modifier
                .or(self.processing_request_modifier),
            sources,
        }
    }

    /// What applies where this is said about a filter.
    pub(super) fn apply(self, settings: &ExtProc) -> ExtProc {
        let mut plan = Plan::clone(&settings.plan);
        // the whole mode is replaced; the base of overrides by the processor stays the filter's (O-3).
        plan.processing_mode = self.processing_mode.unwrap_or(plan.processing_mode);
        plan.failure_mode_allow = self.failure_mode_allow.unwrap_or(plan.failure_mode_allow);
        if let Some(attributes) = self.request_attributes {
            plan.request_attributes = attributes;
        }
        if let Some(attributes) = self.response_attributes {
            plan.response_attributes = attributes;
        }
        if self.processing_request_modifier.is_some() {
            plan.processing_request_modifier = self.processing_request_modifier;
        }
        self.metadata_options.apply(&mut plan.metadata_options);
        let mut grpc_service = self.grpc_service.unwrap_or_else(|| settings.grpc_service.clone());
        overlay(&mut grpc_service.initial_metadata, self.grpc_initial_metadata);
        ExtProc { plan: Arc::new(plan), grpc_service }
    }
}

/// entries with the same key are replaced where they are, others appended.
fn overlay(metadata: &mut Vec<(String, Format)>, more: Vec<(String, Format)>) {
    for (key, value) in more {
        match metadata.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => metadata.push((key, value)),
        }
    }
}
