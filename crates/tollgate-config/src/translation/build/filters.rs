//! The filters of a chain, and what routes say about them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tollgate_ir::{ExtProc, ExtProcOverrides, FilterConfig, HttpFilter, Override, PerFilter};
use tollgate_model::cors::CorsPolicy;

use super::rules::{RuleSite, key};
use crate::translation::{Applied, AppliedFilter, Position, Processor};

/// The filters of a chain.
pub(super) struct Filters {
    /// The origin of the first rule that has a policy.
    cors: Option<Arc<tollgate_ir::Origin>>,
    /// Those of processors in their order, with the ones behind the router last.
    processors: Vec<Arc<Processor>>,
    /// Filters of other kinds, in their order.
    others: Vec<AppliedFilter>,
    /// The settings of each filter: those of the first rule that it was found at. The others say what is different.
    base: HashMap<String, (Arc<str>, Arc<ExtProc>)>,
    /// What was found to be different, by settings.
    different: RefCell<HashMap<*const ExtProc, Override>>,
}

const CORS_FILTER: &str = "envoy.filters.http.cors";

impl Filters {
    pub(super) fn of(sites: &[RuleSite<'_>]) -> Self {
        let mut cors = None;
        let mut processors: HashMap<&str, &Applied> = HashMap::new();
        let mut others: BTreeMap<(Position, &str), &AppliedFilter> = BTreeMap::new();
        for site in sites {
            if site.rule.filters.cors.is_some() {
                cors.get_or_insert(&site.origin);
            }
            for filter in &site.filters {
                others.entry((filter.position, &filter.name)).or_insert(filter);
            }
            for applied in site.processors.iter().chain(site.backends.values().flatten()) {
                processors.entry(&applied.processor.name).or_insert(applied);
            }
        }
        let base = processors.values().map(|applied| {
            let name = applied.processor.name.clone();
            (name.clone(), (Arc::from(name), Arc::clone(&applied.settings)))
        });
        let base = base.collect();
        let mut processors: Vec<Arc<Processor>> =
            processors.into_values().map(|applied| Arc::clone(&applied.processor)).collect();
        processors.sort_by(|left, right| key(left).cmp(&key(right)));
        let (upstream, downstream): (Vec<_>, Vec<_>) =
            processors.into_iter().partition(|processor| processor.position.is_upstream());
        Self {
            cors: cors.cloned(),
            processors: downstream.into_iter().chain(upstream).collect(),
            others: others.into_values().cloned().collect(),
            base,
            different: RefCell::default(),
        }
    }

    /// Filters that do nothing unless a route says so, and those behind the router.
    pub(super) fn build(&self) -> (Vec<HttpFilter>, Vec<HttpFilter>) {
        let (mut downstream, mut upstream) = (Vec::new(), Vec::new());
        downstream.extend(self.cors.iter().map(|origin| HttpFilter {
            name: Arc::from(CORS_FILTER),
            stat_prefix: String::new(),
            disabled: true,
            config: FilterConfig::Cors,
            origin: Arc::clone(origin),
        }));
        let mut others = self.others.iter().peekable();
        let other = |filter: &AppliedFilter| HttpFilter {
            name: Arc::clone(&filter.name),
            stat_prefix: String::new(),
            disabled: true,
            config: filter.settings.clone(),
            origin: filter.place.origin(Some(filter.object.object_name())),
        };
        for processor in &self.processors {
            while let Some(filter) =
                others.next_if(|filter| (filter.position, &*filter.name) < key(processor))
            {
                downstream.push(other(filter));
            }
            let Some((name, settings)) = self.base.get(&processor.name) else { continue };
            let list = if processor.position.is_upstream() { &mut upstream } else { &mut downstream };
            list.push(HttpFilter {
                name: Arc::clone(name),
                stat_prefix: processor.stat_prefix.clone(),
                disabled: true,
                config: FilterConfig::ExtProc(Arc::clone(settings)),
                origin: processor.place.origin(Some(processor.object.object_name())),
            });
        }
        downstream.extend(others.map(other));
        (downstream, upstream)
    }

    /// What a route says about the filters.
    pub(super) fn overrides(
        &self,
        cors: Option<&Arc<CorsPolicy>>,
        processors: &[Applied],
        others: &[AppliedFilter],
    ) -> PerFilter {
        let cors = cors.map(|policy| (Arc::from(CORS_FILTER), Override::Cors(Arc::clone(policy))));
        let others = others.iter().map(|filter| (Arc::clone(&filter.name), filter.said.clone()));
        // Of two with one name the last one counts.
        cors.into_iter()
            .chain(others)
            .chain(processors.iter().rev().filter_map(|applied| self.applied(applied)))
            .collect()
    }

    /// What a share of a route says where these processors take the place of those of the route.
    pub(super) fn instead(&self, own: &[Applied], of_route: &[Applied]) -> PerFilter {
        let is_own =
            |other: &&Applied| own.iter().any(|applied| applied.processor.name == other.processor.name);
        let off = of_route.iter().filter(|other| !is_own(other));
        let off = off.filter_map(|other| {
            let (name, _) = self.base.get(&other.processor.name)?;
            Some((Arc::clone(name), Override::Disabled))
        });
        own.iter().rev().filter_map(|applied| self.applied(applied)).chain(off).collect()
    }

    fn applied(&self, applied: &Applied) -> Option<(Arc<str>, Override)> {
        let (name, base) = self.base.get(&applied.processor.name)?;
        let settings = &applied.settings;
        if Arc::ptr_eq(base, settings) {
            return Some((Arc::clone(name), Override::Enabled));
        }
        let mut different = self.different.borrow_mut();
        // The rules keep the settings as long as the filters are in use.
        let said = different.entry(Arc::as_ptr(settings)).or_insert_with(|| {
            if base == settings {
                return Override::Enabled;
            }
            match ExtProcOverrides::between(base, settings) {
                Some(overrides) => Override::ExtProc(Arc::new(overrides)),
                None => Override::Instead(Arc::clone(settings)),
            }
        });
        Some((Arc::clone(name), said.clone()))
    }
}
