//! Patches of route tables and what is in them.

use super::{
    ApplyTo, Called, CalledChain, ConfigPatch, PatchOperation, lists,
    sets::{Effects, Numbered, Problem, of},
};
use crate::{
    patching::{
        message,
        tree::{name_of, set, take_list},
    },
    yaml::{Content, Location, Node},
};

const ROUTE_CONFIGURATION: &str = "envoy.config.route.v3.RouteConfiguration";
const VIRTUAL_HOST: &str = "envoy.config.route.v3.VirtualHost";
const ROUTE: &str = "envoy.config.route.v3.Route";

/// Changes the route table of a filter chain.
pub(super) fn patch(
    table: &mut Node,
    called: &Called,
    chain: &CalledChain,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
) -> Result<(), Problem> {
    let of_table: Vec<Numbered<'_>> =
        patches.iter().copied().filter(|one| is_table_meant(table, called, chain, one.patch)).collect();
    for one in of(&of_table, ApplyTo::RouteConfiguration) {
        merge(table, one, ROUTE_CONFIGURATION, effects)?;
    }
    let mut hosts = Vec::new();
    for mut host in take_list(table, "virtual_hosts") {
        if virtual_host(&mut host, called, &of_table, effects)? {
            hosts.push(host);
        }
    }
    for one in of(&of_table, ApplyTo::VirtualHost) {
        if one.patch.operation == PatchOperation::Add {
            hosts.extend(one.patch.value.clone());
            effects.note(one);
        }
    }
    set(table, "virtual_hosts", Node { content: Content::Sequence(hosts), location: Location::default() });
    Ok(())
}

fn merge(node: &mut Node, one: Numbered<'_>, kind: &str, effects: &mut Effects) -> Result<(), Problem> {
    if let (Some(lists), Some(value)) = (one.patch.operation.merges(), &one.patch.value) {
        message::merge(node, value, kind, lists).map_err(|error| one.problem(error))?;
        effects.note(one);
    }
    Ok(())
}

/// Changes a virtual host. `Ok(false)`: it is to be removed.
fn virtual_host(
    host: &mut Node,
    called: &Called,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
) -> Result<bool, Problem> {
    for one in of(patches, ApplyTo::VirtualHost) {
        if !is_host_meant(host, called, one.patch) {
            continue;
        }
        match (one.patch.operation, &one.patch.value) {
            (PatchOperation::Remove, _) => {
                effects.note(one);
                return Ok(false);
            }
            (PatchOperation::Replace, Some(value)) => {
                *host = value.clone();
                effects.note(one);
            }
            _ => merge(host, one, VIRTUAL_HOST, effects)?,
        }
    }
    let of_host: Vec<Numbered<'_>> =
        of(patches, ApplyTo::HttpRoute).filter(|one| is_host_meant(host, called, one.patch)).collect();
    if of_host.is_empty() {
        return Ok(true);
    }
    let mut routes = Vec::new();
    for mut route in take_list(host, "routes") {
        if http_route(&mut route, &of_host, effects)? {
            routes.push(route);
        }
    }
    for one in of_host {
        let value = one.patch.value.as_ref();
        let operation = one.patch.operation;
        let is_meant = |route: &Node| is_route_meant(route, one.patch);
        let named = one.patch.virtual_host().is_some_and(|found| found.route.is_some());
        let changed = match operation {
            PatchOperation::Add | PatchOperation::InsertBefore | PatchOperation::InsertAfter => {
                lists::edit(&mut routes, operation, value, named.then_some(&is_meant))
            }
            PatchOperation::InsertFirst => {
                (!named || routes.iter().any(is_meant)) && lists::edit(&mut routes, operation, value, None)
            }
            _ => false,
        };
        if changed {
            effects.note(one);
        }
    }
    set(host, "routes", Node { content: Content::Sequence(routes), location: Location::default() });
    Ok(true)
}

/// Changes a route. `Ok(false)`: it is to be removed.
fn http_route(route: &mut Node, patches: &[Numbered<'_>], effects: &mut Effects) -> Result<bool, Problem> {
    for one in patches {
        if !is_route_meant(route, one.patch) {
            continue;
        }
        if one.patch.operation == PatchOperation::Remove {
            effects.note(*one);
            return Ok(false);
        }
        merge(route, *one, ROUTE, effects)?;
    }
    Ok(true)
}

fn is_table_meant(table: &Node, called: &Called, chain: &CalledChain, patch: &ConfigPatch) -> bool {
    let Some(wanted) = patch.routes() else { return true };
    let is_in = |wanted: &Option<String>, names: &[String]| {
        wanted.as_ref().is_none_or(|wanted| names.iter().any(|name| name == wanted))
    };
    let named = wanted.name.as_deref().is_some_and(|name| name == name_of(table));
    (named || is_in(&wanted.name, &chain.route_tables))
        && is_in(&wanted.port_name, &chain.port_names)
        && is_in(&wanted.gateway, &chain.gateways)
        && wanted.port.is_none_or(|port| called.ports.contains(&port))
}

fn is_host_meant(host: &Node, called: &Called, patch: &ConfigPatch) -> bool {
    let Some(wanted) = patch.virtual_host() else { return true };
    let port = called.port;
    let domains = host.member("domains").map(Node::items).unwrap_or_default();
    let mut domains = domains.iter().filter_map(Node::text);
    let named = wanted.name.as_ref().is_none_or(|name| {
        name == name_of(host) || domains.clone().any(|domain| *name == format!("{domain}:{port}"))
    });
    named
        && wanted.domain.as_ref().is_none_or(|wanted| {
            let own = wanted.strip_suffix(&format!(":{port}")).unwrap_or(wanted);
            domains.any(|domain| domain == wanted || domain == own)
        })
}

fn is_route_meant(route: &Node, patch: &ConfigPatch) -> bool {
    let Some(wanted) = patch.virtual_host().and_then(|host| host.route.as_ref()) else { return true };
    let actions = ["route", "redirect", "direct_response"];
    let action = actions.into_iter().find(|action| route.member(action).is_some());
    wanted.name.as_ref().is_none_or(|name| name == name_of(route))
        && wanted.action.is_none_or(|wanted| action.is_none_or(|action| action == wanted))
}
