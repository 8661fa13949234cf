//! The filter `jwt_authn`.

mod provider;
pub(in crate::envoy) mod schema;

use std::{collections::BTreeMap, sync::Arc};

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::filter::{FilterSettings, JwtAuthn, JwtOfRoute, JwtProvider, JwtRequirement, JwtRule};

use self::{
    provider::read_provider,
    schema::{
        JWT_AUTHENTICATION, JWT_REQUIREMENT, JWT_REQUIREMENT_AND_LIST, JWT_REQUIREMENT_OR_LIST,
        PER_ROUTE_CONFIG, PROVIDER_WITH_AUDIENCES, REQUIREMENT_RULE,
    },
};
use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{Scope, route::read_route_match},
    schema::Value,
    suggestion::{did_you_mean, nearest},
};

pub(super) const KIND: Kind = Kind {
    settings: &JWT_AUTHENTICATION,
    read: read_jwt_authn,
    per_route: Some(PerRoute { settings: &PER_ROUTE_CONFIG, read: read_per_route }),
    upstream: false,
};

/// What a requirement may refer to.
struct Known<'a> {
    providers: &'a BTreeMap<String, Arc<JwtProvider>>,
}

fn read_jwt_authn(value: &Value<'_>, scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&JWT_AUTHENTICATION)?;
    let mut providers = BTreeMap::new();
    let mut whole = true;
    for (name, value) in message.map("providers") {
        match read_provider(&value, scope) {
            Some(provider) => _ = providers.insert(name.to_owned(), Arc::new(provider)),
            None => whole = false,
        }
    }
    // What refers to a provider with a problem of its own is no further problem.
    if !whole {
        return None;
    }
    let known = Known { providers: &providers };
    let mut requirement_map = BTreeMap::new();
    for (name, value) in message.map("requirement_map") {
        requirement_map.insert(name.to_owned(), read_requirement(&value, &known)?);
    }
    let rules = message.list("rules");
    let rules = rules.iter().map(|rule| read_rule(rule, &known, &requirement_map)).collect::<Option<_>>();
    Some(FilterConfig::Settings(FilterSettings::JwtAuthn(Arc::new(JwtAuthn {
        rules: rules?,
        requirement_map,
        bypass_cors_preflight: message.boolean("bypass_cors_preflight", false),
        strip_failure_response: message.boolean("strip_failure_response", false),
        stat_prefix: message.string("stat_prefix"),
        by_route: None,
        providers,
    }))))
}

fn read_rule(
    value: &Value<'_>,
    known: &Known<'_>,
    requirements: &BTreeMap<String, JwtRequirement>,
) -> Option<JwtRule> {
    let message = value.message(&REQUIREMENT_RULE)?;
    let route_match = message.required("match").and_then(|conditions| {
        let route_match = read_route_match(&conditions)?;
        if route_match.more.is_some() {
            // Envoy does not look at them: a rule would be about more requests than it says.
            conditions.error("rules look at the path, headers and query parameters alone");
        }
        Some(route_match)
    });
    let requires = match message.one_of(&["requires", "requirement_name"]) {
        None => None,
        Some(("requires", requires)) => Some(read_requirement(&requires, known)?),
        Some((_, name)) => {
            let text = name.non_empty_string()?;
            if !requirements.contains_key(&text) {
                unknown(&name, "requirement", &text, requirements.keys());
                return None;
            }
            Some(JwtRequirement::Named(text))
        }
    };
    Some(JwtRule { route_match: route_match?, requires })
}

fn read_requirement(value: &Value<'_>, known: &Known<'_>) -> Option<JwtRequirement> {
    let message = value.message(&JWT_REQUIREMENT)?;
    let kinds = [
        "provider_name",
        "provider_and_audiences",
        "requires_any",
        "requires_all",
        "allow_missing_or_failed",
        "allow_missing",
    ];
    let Some((kind, said)) = message.one_of(&kinds) else { return Some(JwtRequirement::Nothing) };
    let list = |list: Vec<Value<'_>>| {
        if list.len() < 2 {
            said.error("\"requirements\" has to have two at least");
        }
        list.iter().map(|one| read_requirement(one, known)).collect::<Option<Vec<_>>>()
    };
    Some(match kind {
        "provider_name" => {
            JwtRequirement::Provider { provider: read_provider_name(&said, known)?, audiences: Vec::new() }
        }
        "provider_and_audiences" => {
            let message = said.message(&PROVIDER_WITH_AUDIENCES)?;
            let provider = read_provider_name(&message.required("provider_name")?, known)?;
            JwtRequirement::Provider { provider, audiences: message.strings("audiences") }
        }
        "requires_any" => {
            JwtRequirement::Any(list(said.message(&JWT_REQUIREMENT_OR_LIST)?.list("requirements"))?)
        }
        "requires_all" => {
            JwtRequirement::All(list(said.message(&JWT_REQUIREMENT_AND_LIST)?.list("requirements"))?)
        }
        "allow_missing" => JwtRequirement::AllowMissing,
        _ => JwtRequirement::AllowMissingOrFailed,
    })
}

fn read_provider_name(value: &Value<'_>, known: &Known<'_>) -> Option<String> {
    let name = value.non_empty_string()?;
    if known.providers.contains_key(&name) {
        return Some(name);
    }
    unknown(value, "provider", &name, known.providers.keys());
    None
}

fn unknown<'k>(value: &Value<'_>, what: &str, name: &str, known: impl Iterator<Item = &'k String>) {
    let message = format!("there is no {what} \"{name}\"");
    match nearest(name, known.map(|name| &**name)) {
        Some(near) => value.error_with_help(message, did_you_mean(near)),
        None => value.error(message),
    }
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&PER_ROUTE_CONFIG)?;
    let (kind, said) = message.required_one_of(&["disabled", "requirement_name"])?;
    if kind == "requirement_name" {
        return Some(Override::JwtAuthn(JwtOfRoute::Named(said.non_empty_string()?)));
    }
    if !said.boolean()? {
        said.error_with_help("must be true", "requirement_name says what the route needs");
    }
    // As in Envoy the filter is there, and counts.
    Some(Override::JwtAuthn(JwtOfRoute::Nothing))
}
