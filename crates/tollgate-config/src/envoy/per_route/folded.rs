//! Where what applies below some levels comes from (EN-12, EN-30).

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use tollgate_ir::{Override, PerFilter};

use super::{Level, Said};
use crate::{
    Origin, ProcessorOrigin,
    envoy::ext_proc::{Filter, SERVICE_SOURCES},
};

/// Where what applies to each filter below some levels comes from. A filter that a level does not name has what applies above.
#[derive(Clone, Default)]
pub(in crate::envoy) struct Folded<'a> {
    levels: Vec<&'a Level>,
    /// Index by index with the filters; those that are off come from nowhere.
    origins: Vec<Option<Arc<ProcessorOrigin>>>,
}

impl<'a> Folded<'a> {
    /// What applies where no level says anything.
    pub(in crate::envoy) fn new(filters: &[Rc<Filter>]) -> Self {
        let origins = filters.iter().map(|filter| {
            let on = !filter.disabled;
            on.then(|| filter.origin(filter.defined_by(), BTreeMap::new()))
        });
        Self { levels: Vec::new(), origins: origins.collect() }
    }

    /// What applies below one more level, the most specific one.
    pub(in crate::envoy) fn below(&self, filters: &[Rc<Filter>], level: &'a Level) -> Self {
        let mut levels = self.levels.clone();
        levels.push(level);
        let folded = filters.iter().zip(&self.origins).map(|(filter, above)| {
            if level.said_about(filter).is_some() { fold(filter, &levels) } else { above.clone() }
        });
        let origins = folded.collect();
        Self { levels, origins }
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
            cluster: self.cluster.clone(),
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

    /// What it says, for the resources.
    pub(in crate::envoy) fn per_filter(&self) -> PerFilter {
        self.said.iter().map(|(name, said, _)| (Arc::from(&**name), said.over.clone())).collect()
    }

    fn said_about(&self, filter: &Filter) -> Option<(&Said, Origin)> {
        let (_, said, place) = self.said.iter().find(|(name, ..)| *name == filter.name)?;
        Some((said, Origin { name: self.name.clone(), place: place.clone() }))
    }
}

/// Where what applies to a filter comes from where these levels meet, the least specific one first; `None` = it is off.
fn fold(filter: &Filter, levels: &[&Level]) -> Option<Arc<ProcessorOrigin>> {
    let said: Vec<(&Said, Origin)> = levels.iter().filter_map(|level| level.said_about(filter)).collect();
    // The most specific level that names the filter says whether it is in the chain at all.
    let off = said.last().map_or(filter.disabled, |(last, _)| matches!(last.over, Override::Disabled));
    if off {
        return None;
    }
    let enabled_by = enabled_by(filter, &said);
    let mut idle = false;
    let mut sources: BTreeMap<&'static str, Origin> = BTreeMap::new();
    for (said, _) in said {
        match &said.over {
            Override::Idle => {
                idle = true;
                sources.remove("processing_mode");
            }
            Override::ExtProc(_) => {
                idle = false;
                if said.sources.contains_key("grpc_service") {
                    sources.retain(|name, _| !SERVICE_SOURCES.contains(name));
                }
                sources.extend(said.sources.iter().map(|(name, origin)| (*name, origin.clone())));
            }
            _ => {}
        }
    }
    (!idle).then(|| filter.origin(enabled_by, sources))
}

/// What turns a filter on that is on: the first level behind the last one that turns it off.
fn enabled_by(filter: &Filter, said: &[(&Said, Origin)]) -> Origin {
    let mut by = (!filter.disabled).then(|| filter.defined_by());
    for (said, level) in said {
        let off = matches!(said.over, Override::Disabled | Override::Idle);
        by = if off { None } else { by.or_else(|| Some(level.clone())) };
    }
    by.unwrap_or_else(|| filter.defined_by())
}
