//! HTTP filters, and what routes say about them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::{Map, Value, json};
use tollgate_ir::{
    ExtProc, FilterConfig, HttpConnectionManager, HttpFilter, Override, PerFilter, RouteTable,
};
use tollgate_model::{
    cors::{AllowList, CorsPolicy, OriginMatcher},
    filter::MatchAction,
    route::Fraction,
};

use super::{
    Writer,
    access_log::fractional_percent,
    ext_proc::{external_processor, overrides},
    filter_settings::{
        compressor, ext_authz, filter_settings, header_mutation, jwt_authn, lua, of_level, ratelimit,
    },
    matcher::matcher,
    matchers::{pattern, string_matcher},
    out::{Out, extension, foreign},
    process::levels,
    rewrite::quoted,
};
use crate::envoy::{
    cluster::TYPED_EXTENSION_CONFIG,
    http_filters::{
        HTTP_FILTER, ROUTER, UPSTREAM_CODEC,
        matched::{
            COMPOSITE, EXECUTE_FILTER_ACTION, EXTENSION_WITH_MATCHER, EXTENSION_WITH_MATCHER_PER_ROUTE,
            SKIP_FILTER,
        },
    },
    per_route::{EXT_PROC_PER_ROUTE, FILTER_CONFIG},
    route::RUNTIME_FRACTIONAL_PERCENT,
};

/// The filters of a connection manager.
///
/// Envoy's routes can change some settings of a filter and not all. Where a route has other settings altogether, a filter of
/// their own is added that is off everywhere else.
pub(super) struct Filters<'w> {
    writer: &'w Writer<'w>,
    all: HashMap<Arc<str>, Known>,
}

struct Known {
    filter: HttpFilter,
    /// Settings that routes have instead of those of the filter, and the names of filters with them.
    others: Vec<(Arc<ExtProc>, String)>,
}

/// `http_filters` of a cluster.
pub(super) fn of_cluster(writer: &Writer<'_>, filters: &[HttpFilter]) -> Vec<Value> {
    let mut list = Filters { writer, all: HashMap::new() }.list(filters);
    list.push(codec());
    list
}

/// What ends the filters behind the router.
fn codec() -> Value {
    extension(&HTTP_FILTER, "envoy.filters.http.upstream_codec", Out::new(&UPSTREAM_CODEC).any())
}

/// Filters that levels turned on so far, by the name that the resources have for them.
pub(super) type Active = BTreeMap<Arc<str>, BTreeSet<String>>;

impl<'w> Filters<'w> {
    pub(super) fn new(
        writer: &'w Writer<'w>,
        http: &HttpConnectionManager,
        table: Option<&RouteTable>,
    ) -> Self {
        let mut all: HashMap<Arc<str>, Known> = HashMap::new();
        for filter in http.filters() {
            let known = || Known { filter: filter.clone(), others: Vec::new() };
            all.entry(Arc::clone(&filter.name)).or_insert_with(known);
        }
        for (name, said) in table.into_iter().flat_map(levels).flat_map(PerFilter::iter) {
            let (Override::Instead(settings), Some(known)) = (said, all.get_mut(name)) else { continue };
            if !known.others.iter().any(|(other, _)| other == settings) {
                let own = format!("{name}#{}", known.others.len() + 2);
                known.others.push((Arc::clone(settings), own));
            }
        }
        Self { writer, all }
    }

    /// `http_filters`
    pub(super) fn written(&self, http: &HttpConnectionManager) -> Vec<Value> {
        let mut router = Out::new(&ROUTER);
        router.unless("suppress_envoy_headers", http.suppress_envoy_headers, false);
        let mut upstream = self.list(&http.upstream_http_filters);
        if !upstream.is_empty() {
            upstream.push(codec());
            router.list("upstream_http_filters", upstream);
        }
        let mut filters = self.list(&http.http_filters);
        filters.push(extension(&HTTP_FILTER, "envoy.filters.http.router", router.any()));
        filters
    }

    fn list(&self, filters: &[HttpFilter]) -> Vec<Value> {
        let mut list = Vec::new();
        for filter in filters {
            let mut out = Out::new(&HTTP_FILTER);
            out.set("name", &*filter.name);
            if filter.config != FilterConfig::Cors {
                out.unless("disabled", filter.disabled, false);
            }
            out.set("typed_config", self.config(filter, &filter.config));
            list.push(out.done());
            for (settings, name) in self.all.get(&filter.name).map(|known| &*known.others).unwrap_or_default()
            {
                let mut out = Out::new(&HTTP_FILTER);
                out.set("name", &**name);
                out.set("disabled", true);
                out.set("typed_config", external_processor(self.writer, filter, settings));
                list.push(out.done());
            }
        }
        list
    }

    /// What a filter is and does, with its type.
    fn config(&self, filter: &HttpFilter, config: &FilterConfig) -> Value {
        match config {
            // Without a policy of the route it does nothing.
            FilterConfig::Cors => foreign("envoy.extensions.filters.http.cors.v3.Cors", &json!({})),
            FilterConfig::ExtProc(settings) => external_processor(self.writer, filter, settings),
            FilterConfig::Settings(settings) => filter_settings(settings),
            FilterConfig::Matched(matched) => {
                let mut out = Out::new(&EXTENSION_WITH_MATCHER);
                let inner = match &matched.filter {
                    None => extension(&TYPED_EXTENSION_CONFIG, "composite", Out::new(&COMPOSITE).any()),
                    Some(inner) => self.extension(filter, inner),
                };
                out.set("extension_config", inner);
                out.set("xds_matcher", matcher(&matched.matcher, &|action| self.action(filter, action)));
                out.any()
            }
        }
    }

    /// A filter inside of another one.
    fn extension(&self, filter: &HttpFilter, config: &FilterConfig) -> Value {
        let name = match config {
            FilterConfig::ExtProc(settings) => &*settings.plan.filter_name,
            _ => "filter",
        };
        extension(&TYPED_EXTENSION_CONFIG, name, self.config(filter, config))
    }

    fn action(&self, filter: &HttpFilter, action: &MatchAction<FilterConfig>) -> Value {
        let MatchAction::Execute { sample, filter: inner } = action else {
            return Out::new(&SKIP_FILTER).any();
        };
        let mut out = Out::new(&EXECUTE_FILTER_ACTION);
        if *sample != Fraction::ALL {
            let mut percent = Out::new(&RUNTIME_FRACTIONAL_PERCENT);
            percent.set("default_value", fractional_percent(*sample));
            out.set("sample_percent", percent.done());
        }
        out.set("typed_config", self.extension(filter, inner));
        out.any()
    }

    /// Sets what a level says about filters. `active` is what the levels above say, and then what this one says with them.
    pub(super) fn level(&self, out: &mut Out, level: &PerFilter, active: &mut Active) {
        let mut configs = Map::new();
        for (name, said) in level.iter() {
            let Some(known) = self.all.get(name) else {
                configs.insert(name.to_string(), self.said(said, None));
                continue;
            };
            let target = match said {
                Override::Instead(settings) => {
                    let other = known.others.iter().find(|(other, _)| other == settings);
                    other.map_or_else(|| name.to_string(), |(_, name)| name.clone())
                }
                _ => name.to_string(),
            };
            let on = active.entry(Arc::clone(name)).or_default();
            if !known.filter.disabled {
                on.insert(name.to_string());
            }
            for other in on.iter().filter(|other| **other != target) {
                configs.insert(other.clone(), self.said(&Override::Disabled, None));
            }
            on.clear();
            if !matches!(said, Override::Disabled) {
                on.insert(target.clone());
            }
            configs.insert(target, self.said(said, Some(&known.filter)));
        }
        if !configs.is_empty() {
            out.set("typed_per_filter_config", configs);
        }
    }

    fn said(&self, said: &Override, filter: Option<&HttpFilter>) -> Value {
        let mut config = Out::new(&FILTER_CONFIG);
        let mut per_route = Out::new(&EXT_PROC_PER_ROUTE);
        match said {
            Override::Disabled => config.set("disabled", true),
            Override::Enabled | Override::Instead(_) => config.set("config", json!({})),
            Override::Idle => {
                per_route.set("disabled", true);
                return per_route.any();
            }
            Override::ExtProc(different) => {
                per_route.set("overrides", overrides(different));
                return per_route.any();
            }
            Override::Cors(policy) => return cors(policy),
            Override::Settings(settings) => return of_level(settings),
            Override::Matcher(own) => {
                let mut out = Out::new(&EXTENSION_WITH_MATCHER_PER_ROUTE);
                if let Some(filter) = filter {
                    out.set("xds_matcher", matcher(own, &|action| self.action(filter, action)));
                }
                return out.any();
            }
            Override::ExtAuthz(level) => return ext_authz::per_route(level),
            Override::Compressor(level) => return compressor::per_route(*level),
            Override::Lua(level) => return lua::per_route(level),
            Override::RateLimit(level) => return ratelimit::per_route(level),
            Override::JwtAuthn(route) => return jwt_authn::per_route(route),
            Override::HeaderMutation(level) => return header_mutation::per_route(level),
        }
        config.any()
    }
}

fn cors(policy: &CorsPolicy) -> Value {
    let origins = policy.allow_origins.iter().map(|origin| match origin {
        OriginMatcher::Any => json!({ "safe_regex": pattern(".*") }),
        OriginMatcher::String(matcher) => string_matcher(matcher),
        OriginMatcher::Wildcard { start, end } => {
            json!({ "safe_regex": pattern(&format!("{}.+{}", quoted(start), quoted(end))) })
        }
    });
    let mut fields = Map::new();
    fields.insert("allow_origin_string_match".to_owned(), origins.collect());
    for (name, list) in [("allow_methods", &policy.allow_methods), ("allow_headers", &policy.allow_headers)] {
        match list {
            AllowList::Unsaid => {}
            AllowList::Value(value) => {
                fields.insert(name.to_owned(), Value::from(&**value));
            }
            AllowList::AsRequested => {
                fields.insert(name.to_owned(), Value::from("*"));
            }
        }
    }
    if !policy.expose_headers.is_empty() {
        fields.insert("expose_headers".to_owned(), Value::from(&*policy.expose_headers));
    }
    if let Some(seconds) = &policy.max_age {
        fields.insert("max_age".to_owned(), Value::from(&**seconds));
    }
    for (name, said) in [
        ("allow_credentials", policy.allow_credentials),
        ("forward_not_matching_preflights", policy.forward_not_matching_preflights),
        ("allow_private_network_access", policy.allow_private_network),
    ] {
        fields.extend(said.map(|said| (name.to_owned(), Value::from(said))));
    }
    for (name, share, usual) in
        [("filter_enabled", policy.enabled, Fraction::ALL), ("shadow_enabled", policy.shadow, Fraction::NONE)]
    {
        if share != usual {
            fields.insert(name.to_owned(), json!({ "default_value": fractional_percent(share) }));
        }
    }
    foreign("envoy.extensions.filters.http.cors.v3.CorsPolicy", &Value::Object(fields))
}
