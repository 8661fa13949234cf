//! Patches of listeners and what is in them.

use super::{
    ApplyTo, Called, ConfigPatch, FilterChainMatch, PatchOperation, lists,
    sets::{Effects, Numbered, Problem, of},
};
use crate::{
    patching::{
        message::{self, Lists},
        tree::{member_mut, name_of, set, take_list, text_of},
    },
    schema::from_json,
    yaml::{Content, Location, Node},
};

const LISTENER: &str = "envoy.config.listener.v3.Listener";
const FILTER_CHAIN: &str = "envoy.config.listener.v3.FilterChain";
/// The network filter that has HTTP filters.
pub(super) const CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";
const ROUTER: &str = "envoy.filters.http.router";
const CORS: &str = "envoy.filters.http.cors";

/// Filters that Istio puts into every gateway, in this order, by the types of their settings. They do nothing unless they are asked to; here they
/// stand for places that patches name.
const USUAL: [(&str, &str); 6] = [
    ("istio.metadata_exchange", "io.istio.http.peer_metadata.Config"),
    ("envoy.filters.http.grpc_stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"),
    ("istio.alpn", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"),
    ("envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault"),
    (CORS, "envoy.extensions.filters.http.cors.v3.Cors"),
    ("istio.stats", "stats.PluginConfig"),
];

/// Changes a listener. `Ok(false)`: it is to be removed.
pub(super) fn patch(
    listener: &mut Node,
    called: &Called,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
) -> Result<bool, Problem> {
    let of_listener: Vec<Numbered<'_>> =
        patches.iter().copied().filter(|one| is_listener_meant(listener, called, one.patch)).collect();
    for one in of(&of_listener, ApplyTo::Listener) {
        match (one.patch.operation, &one.patch.value) {
            (PatchOperation::Remove, _) => {
                effects.note(one);
                return Ok(false);
            }
            (operation, Some(value)) => {
                if let Some(lists) = operation.merges() {
                    message::merge(listener, value, LISTENER, lists).map_err(|error| one.problem(error))?;
                    effects.note(one);
                }
            }
            _ => {}
        }
    }
    let mut filters = take_list(listener, "listener_filters");
    for one in of(&of_listener, ApplyTo::ListenerFilter) {
        let named = one.patch.listener().and_then(|found| found.listener_filter.as_deref());
        if edit_filters(&mut filters, one, named)? {
            effects.note(one);
        }
    }
    if !filters.is_empty() {
        set(listener, "listener_filters", list(filters));
    }
    filter_chains(listener, &of_listener, effects)?;
    Ok(true)
}

fn filter_chains(
    listener: &mut Node,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
) -> Result<(), Problem> {
    let listener_name = name_of(listener).to_owned();
    let mut chains = Vec::new();
    for mut chain in take_list(listener, "filter_chains") {
        if filter_chain(&mut chain, &listener_name, patches, effects)? {
            chains.push(chain);
        }
    }
    if let Some(chain) = member_mut(listener, "default_filter_chain")
        && !filter_chain(chain, &listener_name, patches, effects)?
    {
        crate::patching::tree::take(listener, "default_filter_chain");
    }
    for one in of(patches, ApplyTo::FilterChain) {
        if one.patch.operation == PatchOperation::Add {
            chains.extend(one.patch.value.clone());
            effects.note(one);
        }
    }
    if !chains.is_empty() {
        set(listener, "filter_chains", list(chains));
    }
    Ok(())
}

/// Changes a filter chain. `Ok(false)`: it is to be removed.
fn filter_chain(
    chain: &mut Node,
    listener: &str,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
) -> Result<bool, Problem> {
    let of_chain: Vec<Numbered<'_>> = patches
        .iter()
        .copied()
        .filter(|one| one.patch.filter_chain().is_none_or(|found| is_chain_meant(chain, found)))
        .collect();
    for one in of(&of_chain, ApplyTo::FilterChain) {
        match (one.patch.operation, &one.patch.value) {
            (PatchOperation::Remove, _) => {
                effects.note(one);
                return Ok(false);
            }
            (operation, Some(value)) => {
                if let Some(lists) = operation.merges() {
                    merge_chain(chain, value, lists).map_err(|error| one.problem(error))?;
                    effects.note(one);
                }
            }
            _ => {}
        }
    }
    let mut filters = take_list(chain, "filters");
    for one in of(&of_chain, ApplyTo::NetworkFilter) {
        let named = one.patch.filter().map(|found| &*found.name);
        if one.patch.operation.merges().is_none() && edit_filters(&mut filters, one, named)? {
            effects.note(one);
        }
    }
    let (mut done, mut present) = (Vec::new(), Vec::new());
    for filter in &mut filters {
        for one in of(&of_chain, ApplyTo::NetworkFilter) {
            let is_meant = one.patch.filter().is_none_or(|found| found.name == name_of(filter));
            if one.patch.operation.merges().is_some() && is_meant {
                merge_filter(filter, one)?;
                effects.note(one);
            }
        }
        if name_of(filter) == CONNECTION_MANAGER
            && let Some(manager) = member_mut(filter, "typed_config")
        {
            http_filters(manager, listener, &of_chain, effects, &mut done, &mut present)?;
        }
    }
    set(chain, "filters", list(filters));
    for one in of(&of_chain, ApplyTo::HttpFilter).filter(|one| one.patch.puts_http_filter()) {
        // One of several variants of a patch may have put it there.
        let is_there =
            one.patch.value.as_ref().is_some_and(|value| present.iter().any(|name| name == name_of(value)));
        if !done.contains(&one.key()) && !is_there {
            let what = one.patch.filter().map_or_else(String::new, |found| {
                format!(" {}", found.sub_filter.as_deref().unwrap_or(&found.name))
            });
            let message = format!("the listener {listener} has no filter{what} to put this one to");
            return Err(one.problem(message));
        }
    }
    Ok(true)
}

/// Merges filter chains; of the same kind of transport socket only that is merged, as Istio does it.
fn merge_chain(chain: &mut Node, value: &Node, lists: Lists) -> Result<(), String> {
    if merge_transport_socket(chain, value)? {
        return Ok(());
    }
    message::merge(chain, value, FILTER_CHAIN, lists)
}

/// Merges the settings of transport sockets of one name. `Ok(false)`: there are no two of them.
pub(super) fn merge_transport_socket(to: &mut Node, value: &Node) -> Result<bool, String> {
    let socket =
        |node: &Node| node.member("transport_socket").or_else(|| node.member("transportSocket")).cloned();
    let Some(new) = socket(value) else { return Ok(false) };
    let Some(own) = member_mut(to, "transport_socket") else { return Ok(false) };
    if name_of(own) != name_of(&new) {
        return Ok(false);
    }
    if let (Some(own), Some(new)) = (member_mut(own, "typed_config"), typed_config(&new)) {
        message::merge_any(own, new)?;
    }
    Ok(true)
}

fn http_filters(
    manager: &mut Node,
    listener: &str,
    patches: &[Numbered<'_>],
    effects: &mut Effects,
    done: &mut Vec<(usize, usize)>,
    present: &mut Vec<String>,
) -> Result<(), Problem> {
    let of_manager: Vec<Numbered<'_>> = of(patches, ApplyTo::HttpFilter)
        .filter(|one| one.patch.filter().is_none_or(|found| found.name == CONNECTION_MANAGER))
        .collect();
    if of_manager.is_empty() {
        return Ok(());
    }
    let mut filters = take_list(manager, "http_filters");
    let stand_ins = put_usual(&mut filters);
    for one in &of_manager {
        let named = one.patch.filter().and_then(|found| found.sub_filter.as_deref());
        if one.patch.operation.merges().is_none() && edit_filters(&mut filters, *one, named)? {
            effects.note(*one);
            done.push(one.key());
            if let Some(value) = &one.patch.value {
                effects.filters.insert((listener.to_owned(), name_of(value).into()), one.set);
            }
        }
    }
    for filter in &mut filters {
        for one in &of_manager {
            let named = one.patch.filter().and_then(|found| found.sub_filter.as_deref());
            if one.patch.operation.merges().is_some() && named.is_none_or(|name| name == name_of(filter)) {
                merge_filter(filter, *one)?;
                effects.note(*one);
            }
        }
    }
    filters.retain(|filter| !stand_ins.contains(filter));
    for filter in &mut filters {
        extension_config(filter, patches, effects);
    }
    present.extend(filters.iter().map(|filter| name_of(filter).to_owned()));
    set(manager, "http_filters", list(filters));
    Ok(())
}

/// Puts in what Istio has in every gateway and is not there.
fn put_usual(filters: &mut Vec<Node>) -> Vec<Node> {
    let stand_in = |(name, kind): &(&str, &str)| {
        let settings = serde_json::json!({"@type": format!("type.googleapis.com/{kind}")});
        from_json(&serde_json::json!({"name": name, "typed_config": settings}))
    };
    let own_cors = filters.iter().position(|filter| name_of(filter) == CORS);
    let missing: Vec<Node> = USUAL
        .iter()
        .filter(|(name, _)| !filters.iter().any(|filter| name_of(filter) == *name))
        .map(stand_in)
        .collect();
    let (last, first): (Vec<Node>, Vec<Node>) =
        missing.iter().cloned().partition(|filter| name_of(filter) == USUAL[USUAL.len() - 1].0);
    let at = own_cors.unwrap_or(0);
    filters.splice(at..at, first);
    let at = filters.iter().position(|filter| name_of(filter) == ROUTER).unwrap_or(filters.len());
    filters.splice(at..at, last);
    missing
}

/// Gives a filter the settings that are delivered under its name.
fn extension_config(filter: &mut Node, patches: &[Numbered<'_>], effects: &mut Effects) {
    if filter.member("config_discovery").or_else(|| filter.member("configDiscovery")).is_none() {
        return;
    }
    let name = name_of(filter).to_owned();
    for one in of(patches, ApplyTo::ExtensionConfig) {
        let Some(value) = one.patch.value.as_ref().filter(|value| name_of(value) == name) else { continue };
        let Some(settings) = typed_config(value).cloned() else { continue };
        if let Content::Mapping(entries) = &mut filter.content {
            entries.retain(|entry| !["config_discovery", "configDiscovery"].contains(&entry.key.as_str()));
        }
        set(filter, "typed_config", settings);
        effects.note(one);
        return;
    }
}

/// Puts a filter into a list, or takes it out; merges are made elsewhere, but for those of listener filters.
fn edit_filters(list: &mut Vec<Node>, one: Numbered<'_>, named: Option<&str>) -> Result<bool, Problem> {
    if one.patch.operation.merges().is_some() {
        let mut any = false;
        for filter in list.iter_mut().filter(|filter| named == Some(name_of(filter))) {
            merge_filter(filter, one)?;
            any = true;
        }
        return Ok(any);
    }
    let value = one.patch.value.as_ref();
    let operation = one.patch.operation;
    Ok(match named {
        Some(name) => lists::edit(list, operation, value, Some(&|filter| name_of(filter) == name)),
        None => lists::edit(list, operation, value, None),
    })
}

/// Merges the settings of a filter, and gives it another name if one is said.
fn merge_filter(filter: &mut Node, one: Numbered<'_>) -> Result<(), Problem> {
    let Some(value) = &one.patch.value else { return Ok(()) };
    if let (Some(own), Some(new)) = (member_mut(filter, "typed_config"), typed_config(value)) {
        message::merge_any(own, new).map_err(|error| one.problem(error))?;
    }
    if let Some(name) = value.member("name").filter(|name| name.text() != Some("")) {
        set(filter, "name", name.clone());
    }
    Ok(())
}

fn typed_config(node: &Node) -> Option<&Node> {
    node.member("typed_config").or_else(|| node.member("typedConfig"))
}

fn list(items: Vec<Node>) -> Node {
    Node { content: Content::Sequence(items), location: Location::default() }
}

fn is_listener_meant(listener: &Node, called: &Called, patch: &ConfigPatch) -> bool {
    let Some(wanted) = patch.listener() else { return true };
    let named = wanted
        .name
        .as_ref()
        .is_none_or(|name| name == name_of(listener) || called.names.iter().any(|other| other == name));
    named && wanted.port.is_none_or(|port| called.ports.contains(&port))
}

fn is_chain_meant(chain: &Node, wanted: &FilterChainMatch) -> bool {
    let conditions = chain.member("filter_chain_match");
    let has = |field: &str, value: &str| {
        let values = conditions.and_then(|found| found.member(field)).map(Node::items).unwrap_or_default();
        values.iter().any(|one| one.text() == Some(value))
    };
    let text = |field| conditions.map(|found| text_of(found, field)).unwrap_or_default();
    let protocols = wanted.application_protocols.as_deref().into_iter().flat_map(|all| all.split(','));
    wanted.name.as_ref().is_none_or(|name| name == name_of(chain))
        && wanted.sni.as_ref().is_none_or(|sni| has("server_names", sni))
        && wanted.transport_protocol.as_ref().is_none_or(|protocol| text("transport_protocol") == protocol)
        && protocols.into_iter().all(|protocol| has("application_protocols", protocol))
        && wanted.destination_port.is_none_or(|port| text("destination_port") == port.to_string())
}
