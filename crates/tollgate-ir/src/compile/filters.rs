//! How settings of filters and what levels say about them fold (section 19 of the protocol rules).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tollgate_model::filter::{FilterOverride, FilterOverrides, HttpFilter, MatchAction, Matched};

use super::{CompileError, filter_settings, settings::Settings};
use crate::{ExtProcOverrides, FilterConfig, HttpConnectionManager, Origin, Override, PerFilter};

/// The filters of a connection manager, those behind the router next, those of clusters last.
pub(super) struct Filters<'s> {
    filters: Vec<crate::HttpFilter>,
    compiled: Vec<Arc<HttpFilter>>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
    settings: &'s mut Settings,
    origin: &'s Arc<Origin>,
}

/// What applies below some levels.
#[derive(Clone, Default)]
pub(super) struct Folded {
    levels: Vec<PerFilter>,
    /// By the index of the filter, ascending. Filters that are off by default and are still off are left out: with many processors
    /// most routes would say nothing else.
    overrides: Vec<(usize, FilterOverride)>,
}

impl Folded {
    /// For the snapshot.
    pub(super) fn into_overrides(self) -> FilterOverrides {
        self.overrides.into_iter().collect()
    }
}

impl<'s> Filters<'s> {
    pub(super) fn new(
        http: &HttpConnectionManager,
        of_clusters: &BTreeMap<String, Arc<[crate::HttpFilter]>>,
        origin: &'s Arc<Origin>,
        settings: &'s mut Settings,
    ) -> Result<Self, CompileError> {
        let filters: Vec<_> =
            http.filters().chain(of_clusters.values().flat_map(|own| own.iter())).cloned().collect();
        let clusters =
            of_clusters.iter().flat_map(|(cluster, own)| own.iter().map(|_| Stand::Cluster(cluster)));
        let stands = http.http_filters.iter().map(|_| Stand::Manager(&http.stat_prefix));
        let stands: Vec<Stand<'_>> =
            stands.chain(http.upstream_http_filters.iter().map(|_| Stand::Router)).chain(clusters).collect();
        let mut by_name: HashMap<Arc<str>, Vec<usize>> = HashMap::with_capacity(filters.len());
        for (index, filter) in filters.iter().enumerate() {
            by_name.entry(Arc::clone(&filter.name)).or_default().push(index);
        }
        let mut all = Self { filters, compiled: Vec::new(), by_name, settings, origin };
        for (index, stand) in stands.into_iter().enumerate() {
            let default = all.fold(index, &[])?;
            let filter = &all.filters[index];
            let stat_prefix = match has_processor(&filter.config) {
                true => statistics(filter, stand),
                false => String::new(),
            };
            let name = filter.name.to_string();
            all.compiled.push(Arc::new(HttpFilter { name, stat_prefix, default }));
        }
        Ok(all)
    }

    /// What applies where no level says anything.
    pub(super) fn defaults(&self) -> Folded {
        let overrides = self.compiled.iter().map(|filter| filter.default.clone()).enumerate().collect();
        self.trimmed(Folded { levels: Vec::new(), overrides })
    }

    /// What applies below one more level, the most specific one.
    pub(super) fn below(&mut self, above: &Folded, level: &PerFilter) -> Result<Folded, CompileError> {
        let mut folded = above.clone();
        if level.is_empty() {
            return Ok(folded);
        }
        folded.levels.push(level.clone());
        for (name, _) in level.iter() {
            for index in self.by_name.get(name).cloned().unwrap_or_default() {
                let does = self.fold(index, &folded.levels)?;
                match folded.overrides.binary_search_by_key(&index, |(known, _)| *known) {
                    Ok(at) => folded.overrides[at].1 = does,
                    Err(at) => folded.overrides.insert(at, (index, does)),
                }
            }
        }
        Ok(self.trimmed(folded))
    }

    /// The filters for the snapshot.
    pub(super) fn into_compiled(self) -> Vec<Arc<HttpFilter>> {
        self.compiled
    }

    fn trimmed(&self, mut folded: Folded) -> Folded {
        let is_off = |does: &FilterOverride| matches!(does, FilterOverride::Disabled);
        folded.overrides.retain(|(index, own)| !is_off(own) || !is_off(&self.compiled[*index].default));
        folded
    }

    /// What a filter does where these levels meet, the least specific one first.
    fn fold(&mut self, index: usize, levels: &[PerFilter]) -> Result<FilterOverride, CompileError> {
        let filter = &self.filters[index];
        let said: Vec<&Override> = levels.iter().filter_map(|level| level.get(&filter.name)).collect();
        // The most specific level that names the filter says whether it is in the chain at all.
        let off = said.last().map_or(filter.disabled, |last| matches!(last, Override::Disabled));
        if off {
            return Ok(FilterOverride::Disabled);
        }
        let config = filter.config.clone();
        self.fold_config(&config, &said)
    }

    /// What a filter that is on does where this is said, by the least specific level first.
    fn fold_config(
        &mut self,
        config: &FilterConfig,
        said: &[&Override],
    ) -> Result<FilterOverride, CompileError> {
        let mut settings = match config {
            FilterConfig::ExtProc(settings) => settings,
            FilterConfig::Matched(matched) => return self.fold_matched(matched, said),
            FilterConfig::Cors => {
                let policies = said.iter().filter_map(|said| match said {
                    Override::Cors(policy) => Some(Arc::clone(policy)),
                    _ => None,
                });
                // A level says what more specific ones do not; without a policy the filter does nothing.
                let policy = policies.reduce(|general, own| Arc::new(own.over(&general)));
                return Ok(policy.map_or(FilterOverride::Disabled, FilterOverride::Cors));
            }
            FilterConfig::Settings(settings) => {
                return Ok(FilterOverride::Settings(filter_settings::fold(settings, said)));
            }
        };
        let mut overrides: Vec<Arc<ExtProcOverrides>> = Vec::new();
        let (mut idle, mut hides_mode) = (false, 0);
        for said in said {
            match said {
                Override::Idle => (idle, hides_mode) = (true, overrides.len()),
                Override::ExtProc(more) => {
                    idle = false;
                    overrides.push(Arc::clone(more));
                }
                Override::Instead(other) => {
                    (settings, idle, hides_mode) = (other, false, 0);
                    overrides.clear();
                }
                Override::Disabled
                | Override::Enabled
                | Override::Cors(_)
                | Override::Settings(_)
                | Override::ExtAuthz(_)
                | Override::Compressor(_)
                | Override::JwtAuthn(_)
                | Override::RateLimit(_)
                | Override::Lua(_)
                | Override::Matcher(_)
                | Override::HeaderMutation(_) => {}
            }
        }
        if idle {
            return Ok(FilterOverride::Idle);
        }
        let settings = Arc::clone(settings);
        let compiled = match overrides.is_empty() {
            true => self.settings.compile(&settings, self.origin)?,
            false => self.settings.fold(&settings, &overrides, hides_mode, self.origin)?,
        };
        Ok(FilterOverride::ExtProc(compiled))
    }

    /// What a matcher may choose does. The matcher of the most specific level counts.
    fn fold_matched(
        &mut self,
        matched: &Matched<FilterConfig>,
        said: &[&Override],
    ) -> Result<FilterOverride, CompileError> {
        let own = said.iter().rev().find_map(|said| match said {
            Override::Matcher(matcher) => Some(&**matcher),
            _ => None,
        });
        let matcher = own.unwrap_or(&matched.matcher).try_map(&mut |action| {
            Ok(match action {
                MatchAction::Skip => MatchAction::Skip,
                MatchAction::Execute { sample, filter } => {
                    MatchAction::Execute { sample: *sample, filter: self.fold_config(filter, said)? }
                }
            })
        })?;
        let filter = matched.filter.as_ref().map(|filter| self.fold_config(filter, said)).transpose()?;
        Ok(FilterOverride::Matched(Arc::new(Matched { matcher, filter })))
    }
}

/// Whether it may be external processing.
fn has_processor(config: &FilterConfig) -> bool {
    match config {
        FilterConfig::ExtProc(_) => true,
        FilterConfig::Matched(matched) => {
            let mut found = false;
            matched.visit(&mut |inner| found |= has_processor(inner));
            found
        }
        FilterConfig::Cors | FilterConfig::Settings(_) => false,
    }
}

/// Where a filter stands.
#[derive(Debug, Clone, Copy)]
enum Stand<'a> {
    /// Before the router of a connection manager with this prefix.
    Manager(&'a str),
    /// Behind the router.
    Router,
    /// Behind the router, for this cluster.
    Cluster(&'a str),
}

/// Where the counters of a filter are kept (Z-1). As in Envoy those behind the router count for all connection managers
/// together.
fn statistics(filter: &crate::HttpFilter, stand: Stand<'_>) -> String {
    let scope = match stand {
        Stand::Manager(prefix) => format!("http.{prefix}."),
        Stand::Router => String::new(),
        Stand::Cluster(name) => format!("cluster.{name}."),
    };
    match filter.stat_prefix.as_str() {
        "" => format!("{scope}ext_proc."),
        prefix => format!("{scope}ext_proc.{prefix}."),
    }
}
