//! HTTP filters, and what routes say about them.

use std::sync::Arc;

use serde::Serialize;
use tollgate_model::{
    cors::CorsPolicy,
    filter::{
        CheckSettings, CompressorPerRoute, FilterSettings, JwtOfRoute, LuaPerRoute, MatchAction, Matched,
        Mutations, RateLimitPerRoute,
    },
    matching::Matcher,
};

use crate::{ExtProc, ExtProcOverrides, Origin};

/// A filter of a chain with its own settings: they hold wherever no [`Override`] says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpFilter {
    /// Its name; what routes say about a name is said about every filter that has it.
    pub name: Arc<str>,
    /// Added to the names of its counters; empty = nothing.
    pub stat_prefix: String,
    /// Off unless a route turns it on.
    pub disabled: bool,
    /// What it is and does.
    pub config: FilterConfig,
    /// Where it was written.
    pub origin: Arc<Origin>,
}

/// What a filter is and does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterConfig {
    /// External processing.
    ExtProc(Arc<ExtProc>),
    /// Cross-origin resource sharing; the policies stand in the routes.
    Cors,
    /// Another kind, with its settings.
    Settings(FilterSettings),
    /// One of several, as the request decides. What levels say about the filter is said about each of them.
    Matched(Arc<Matched<Self>>),
}

/// What a route table, a virtual host, a route or a weighted cluster says about a filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Override {
    /// It is off (`FilterConfig` with `disabled`).
    Disabled,
    /// It is on (`FilterConfig` with an empty `config`).
    Enabled,
    /// It is there, and talks to nobody (`ExtProcPerRoute` with `disabled`).
    Idle,
    /// It is on, and this is different.
    ExtProc(Arc<ExtProcOverrides>),
    /// It is on, with other settings altogether. Envoy has no such override: there each of these takes a filter of its own.
    Instead(Arc<ExtProc>),
    /// The policy of a `cors` filter.
    Cors(Arc<CorsPolicy>),
    /// It is on, with these settings instead of those of the filter. They concern no filter of another kind. What a route sets
    /// by a `set_metadata` filter comes behind what the filter sets.
    Settings(FilterSettings),
    /// It is on, and this is different for an `ext_authz` filter.
    ExtAuthz(Arc<CheckSettings>),
    /// It is on, and this is different for a `compressor` filter.
    Compressor(CompressorPerRoute),
    /// It is on, and this is different for a `ratelimit` filter.
    RateLimit(Arc<RateLimitPerRoute>),
    /// It is on, and this is different for a `lua` filter.
    Lua(Arc<LuaPerRoute>),
    /// It is on, and this is what requests need of a `jwt_authn` filter.
    JwtAuthn(JwtOfRoute),
    /// It is on, and chosen by this matcher.
    Matcher(Arc<Matcher<MatchAction<FilterConfig>>>),
    /// It is on, and a `header_mutation` filter changes this, too.
    HeaderMutation(Arc<Mutations>),
}

/// What one level says about filters, by their names. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PerFilter(Option<Arc<[Entry]>>);

/// The name of filters, and what is said about them.
type Entry = (Arc<str>, Override);

impl PerFilter {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is said about the filters of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Override> {
        self.iter().find(|(known, _)| &***known == name).map(|(_, said)| said)
    }

    /// Names, each once, and what is said about them.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Override)> {
        self.0.iter().flat_map(|entries| entries.iter()).map(|(name, said)| (name, said))
    }
}

impl FromIterator<Entry> for PerFilter {
    /// Of several entries with one name the first one counts.
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut all: Vec<Entry> = Vec::new();
        for (name, said) in entries {
            if !all.iter().any(|(known, _)| *known == name) {
                all.push((name, said));
            }
        }
        Self((!all.is_empty()).then(|| all.into()))
    }
}
