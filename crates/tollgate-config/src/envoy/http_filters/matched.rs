//! `ExtensionWithMatcher`: filters that a matcher chooses, with `composite` and `SkipFilter`.

use std::sync::Arc;

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    filter::{MatchAction, Matched},
    route::Fraction,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{
        Scope,
        cluster::TYPED_EXTENSION_CONFIG,
        ext_proc::{self, read_external_processor},
        matcher::read_matcher,
        route::{RUNTIME_FRACTIONAL_PERCENT, read_fraction},
    },
    schema::{Any, Message, Schema, Value, read, refused},
};

pub(in crate::envoy) static EXTENSION_WITH_MATCHER: Schema = Schema {
    name: "envoy.extensions.common.matching.v3.ExtensionWithMatcher",
    title: "",
    fields: &[
        read("extension_config", "", "The filter: Composite, or any of the HTTP filters here. Required."),
        read(
            "xds_matcher",
            "",
            "What becomes of it: SkipFilter, or ExecuteFilterAction for Composite. Required.",
        ),
        refused("matcher", "write it as xds_matcher"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static EXTENSION_WITH_MATCHER_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute",
    title: "",
    fields: &[read("xds_matcher", "", "Another matcher here. Required.")],
    unsupported: &[],
};

pub(in crate::envoy) static COMPOSITE: Schema = Schema {
    name: "envoy.extensions.filters.http.composite.v3.Composite",
    title: "",
    fields: &[
        refused("matcher", "wrap the filter in ExtensionWithMatcher and write it as xds_matcher"),
        refused("named_filter_chains", "write each filter into its ExecuteFilterAction"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static EXECUTE_FILTER_ACTION: Schema = Schema {
    name: "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction",
    title: "",
    fields: &[
        read("typed_config", "", "The filter that works. Required."),
        read("sample_percent", "all", "For which share of the requests."),
        refused("dynamic_config", "write the filter itself into typed_config"),
        refused(
            "filter_chain",
            "write one filter into typed_config, and further ones into actions of their own",
        ),
        refused("filter_chain_name", "write the filter itself into typed_config"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static SKIP_FILTER: Schema = Schema {
    name: "envoy.extensions.filters.common.matcher.action.v3.SkipFilter",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 5] = [
    &EXTENSION_WITH_MATCHER,
    &EXTENSION_WITH_MATCHER_PER_ROUTE,
    &COMPOSITE,
    &EXECUTE_FILTER_ACTION,
    &SKIP_FILTER,
];

pub(super) const KIND: Kind = Kind {
    settings: &EXTENSION_WITH_MATCHER,
    read: read_extension_with_matcher,
    per_route: Some(PerRoute { settings: &EXTENSION_WITH_MATCHER_PER_ROUTE, read: read_per_route }),
    // What it chooses may be of a kind that Envoy does not have there.
    upstream: false,
};

fn read_extension_with_matcher(value: &Value<'_>, scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&EXTENSION_WITH_MATCHER)?;
    let extension = message.required("extension_config").and_then(|extension| {
        let extension = extension.message(&TYPED_EXTENSION_CONFIG)?;
        Some((extension.string("name"), extension.required("typed_config")?.any()?))
    });
    let matcher = read_xds_matcher(&message, scope);
    let (name, config) = extension?;
    let filter = match config.type_name == COMPOSITE.name {
        true => {
            config.value.message(&COMPOSITE)?;
            None
        }
        false => Some(read_filter(&config, &name, scope)?),
    };
    let matched = Matched { matcher: matcher?, filter };
    if matched.filter.is_some() && executes(&matched) {
        value.error_with_help(
            "only a Composite filter can have an ExecuteFilterAction",
            "use SkipFilter, or make the filter a Composite",
        );
    }
    Some(FilterConfig::Matched(Arc::new(matched)))
}

fn executes(matched: &Matched<FilterConfig>) -> bool {
    let mut found = false;
    matched.matcher.visit(&mut |action| found |= matches!(action, MatchAction::Execute { .. }));
    found
}

fn read_per_route(value: &Value<'_>, scope: &Scope) -> Option<Override> {
    let message = value.message(&EXTENSION_WITH_MATCHER_PER_ROUTE)?;
    read_xds_matcher(&message, scope).map(|matcher| Override::Matcher(Arc::new(matcher)))
}

fn read_xds_matcher(
    message: &Message<'_>,
    scope: &Scope,
) -> Option<tollgate_model::matching::Matcher<MatchAction<FilterConfig>>> {
    let matcher = message.required("xds_matcher")?;
    read_matcher(&matcher, &|action| read_action(action, scope))
}

fn read_action(action: &Any<'_>, scope: &Scope) -> Option<MatchAction<FilterConfig>> {
    if action.type_name == SKIP_FILTER.name {
        action.value.message(&SKIP_FILTER)?;
        return Some(MatchAction::Skip);
    }
    if action.type_name != EXECUTE_FILTER_ACTION.name {
        action.unsupported("action", &[EXECUTE_FILTER_ACTION.name, SKIP_FILTER.name]);
        return None;
    }
    let message = action.value.message(&EXECUTE_FILTER_ACTION)?;
    let sample = match message.message("sample_percent", &RUNTIME_FRACTIONAL_PERCENT) {
        Some(percent) => percent.required("default_value").and_then(|value| read_fraction(&value)),
        None => Some(Fraction::ALL),
    };
    let (_, extension) = message.required_one_of(&["typed_config"])?;
    let extension = extension.message(&TYPED_EXTENSION_CONFIG)?;
    let name = extension.string("name");
    let filter = read_filter(&extension.required("typed_config")?.any()?, &name, scope)?;
    Some(MatchAction::Execute { sample: sample?, filter })
}

/// Reads a filter inside of another one.
fn read_filter(config: &Any<'_>, name: &str, scope: &Scope) -> Option<FilterConfig> {
    if ext_proc::is_type(config, "ExternalProcessor") {
        let filter = read_external_processor(&config.value, name.to_owned(), false, scope)?;
        if !filter.stat_prefix.is_empty() {
            config.value.error_with_help(
                "a filter inside of a matcher cannot have a stat_prefix",
                "its counters are those of the filters without one",
            );
        }
        return Some(FilterConfig::ExtProc(filter.settings));
    }
    match Kind::find(&config.type_name) {
        Some(kind) if kind.settings.name != EXTENSION_WITH_MATCHER.name => kind.read(&config.value, scope),
        _ => {
            config.unsupported("HTTP filter", &[ext_proc::EXTERNAL_PROCESSOR.name]);
            None
        }
    }
}
