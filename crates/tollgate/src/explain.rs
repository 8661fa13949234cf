//! What happens to a request, told by the code that serves it: the choice of the filter chain, the routes and the settings
//! in the snapshot are those of the data plane.

mod cluster;
mod processor;
mod question;
mod settings;
mod text;
mod words;

use std::sync::Arc;

use extproc::RequestHeaders;
use serde_json::{Value, json};
use tollgate_config::{Explanation, Explanations, Origin, Place, ProcessorOrigin, RouteKey};
use tollgate_model::{
    Snapshot,
    listener::{BindAddress, FilterChain, Listener},
    processor::FilterOverride,
    route::{Action, ClusterSpecifier, Route, WeightedAction},
};
use tollgate_proxy::{ConnectionFacts, choose_filter_chain};

pub(crate) use self::{question::Question, text::text};
use crate::cli::Reading;

/// The answer, for machines; [`text()`] makes it one for people. `route` is `null` when no route applies.
pub(crate) fn explain(
    snapshot: &Snapshot,
    explanations: &Explanations,
    question: &Question,
    reading: &Reading,
) -> Value {
    let shifted = (reading.shift_privileged_ports && question.port < 1024).then_some(question.port + 10_000);
    let port = shifted.unwrap_or(question.port);
    let mut answer = json!({ "request": question.describe(), "port": port });
    let on_port = snapshot.listeners.iter().filter(|listener| listens_on(listener, port));
    let mut reasons = Vec::new();
    for listener in on_port {
        let facts = ConnectionFacts {
            server_name: question.tls.then_some(question.host.as_str()),
            tls: question.tls,
            application_protocols: if question.tls { &["h2", "http/1.1"] } else { &[] },
            ..ConnectionFacts::default()
        };
        let Some(index) = choose_filter_chain(listener, &facts) else {
            let what = if question.tls { "TLS with this name" } else { "cleartext" };
            reasons.push(format!("the listener {} has no filter chain for {what}", listener.name));
            continue;
        };
        let chain = match index {
            Some(index) => listener.filter_chains.get(index),
            None => listener.default_filter_chain.as_ref(),
        };
        let Some(chain) = chain else { continue };
        answer["listener"] = json!({ "name": listener.name, "addresses": addresses(listener) });
        let chain = Chosen { snapshot, listener, index, chain };
        in_chain(&mut answer, &chain, explanations, &question.head);
        return answer;
    }
    if reasons.is_empty() {
        let all: Vec<String> = snapshot.listeners.iter().flat_map(|listener| addresses(listener)).collect();
        reasons.push(format!("nothing listens on port {port}; there is: {}", all.join(", ")));
    }
    answer["why_not"] = json!(reasons);
    answer
}

fn listens_on(listener: &Listener, port: u16) -> bool {
    let on_port =
        |address: &BindAddress| matches!(address, BindAddress::Socket(socket) if socket.port() == port);
    listener.addresses.iter().any(on_port)
}

fn addresses(listener: &Listener) -> Vec<String> {
    listener.addresses.iter().map(|address| crate::address::Address(address).to_string()).collect()
}

/// The filter chain that serves the connection.
struct Chosen<'a> {
    snapshot: &'a Snapshot,
    listener: &'a Listener,
    /// `None` = the default one.
    index: Option<usize>,
    chain: &'a FilterChain,
}

fn in_chain(answer: &mut Value, chosen: &Chosen<'_>, explanations: &Explanations, request: &RequestHeaders) {
    let table = &chosen.chain.http.route_config;
    let mut host = request.clone();
    if table.ignore_port_in_host_matching {
        let without_port = tollgate_model::route::host_without_port(request.authority.as_bytes());
        if let Ok(authority) = http::HeaderValue::from_bytes(without_port) {
            host.authority = authority;
        }
    }
    let explained = |virtual_host: usize, route: usize| {
        let (listener, filter_chain) = (chosen.listener.name.clone(), chosen.index);
        let key = RouteKey { listener, filter_chain, virtual_host, route };
        explanations.get(&key).map(|found| &**found)
    };
    let found = table.virtual_hosts.find(host.authority.as_bytes());
    let Some((virtual_host_index, virtual_host)) = found.filter(|(_, host)| !host.routes.is_empty()) else {
        let domains: Vec<&str> =
            table.virtual_hosts.iter().flat_map(|host| &host.domains).map(String::as_str).take(20).collect();
        answer["why_not"] =
            json!([format!("no virtual host has this host; there is: {}", domains.join(", "))]);
        answer["status"] = json!(404);
        return;
    };
    answer["virtual_host"] = json!({ "name": virtual_host.name, "domains": virtual_host.domains });
    let describe = |index: usize, route: &Route| {
        describe_route(chosen.snapshot, route, explained(virtual_host_index, index))
    };
    let Some(found) = table.find(request) else {
        let misses = passed_over(&virtual_host.routes, request, 10);
        answer["why_not"] =
            misses.iter().map(|(name, unmet)| json!(format!("{name} would apply if {unmet}"))).collect();
        answer["status"] = json!(404);
        return;
    };
    let explanation = explained(virtual_host_index, found.route_index);
    answer["route"] = describe(found.route_index, found.route);
    // The nearest first: those right before it would have been chosen instead.
    let before = virtual_host.routes[..found.route_index].iter().rev();
    answer["passed_over"] = passed_over(before, request, 3)
        .into_iter()
        .map(|(name, unmet)| json!({ "name": name, "unmet": unmet }))
        .collect();
    let rest = virtual_host.routes.iter().enumerate().skip(found.route_index + 1);
    let mut others = rest.filter(|(_, route)| route.route_match.matches(request));
    answer["runner_up"] = others.next().map(|(index, route)| describe(index, route)).unwrap_or_default();
    let origins = explanation.map(|explanation| explanation.processors.as_slice()).unwrap_or_default();
    answer["processors"] = processors(chosen, &found.route.filters, origins);
    if let Action::Route(action) = &found.route.action
        && let ClusterSpecifier::WeightedClusters(shares) = &action.cluster
    {
        let shares = shares.iter().enumerate().map(|(index, share)| {
            let of_share = explanation.and_then(|explanation| explanation.backends.get(&index));
            let origins = of_share.map_or(origins, Vec::as_slice);
            let mut described = json!({ "weight": share.weight, "action": describe_share(&share.action) });
            if let WeightedAction::Cluster(name) = &share.action {
                described["endpoints"] = json!(cluster::endpoints(chosen.snapshot, name));
            }
            described["processors"] = processors(chosen, &share.filters, origins);
            described
        });
        answer["shares"] = shares.collect();
    }
}

/// The processors that are on, in the order of the request.
fn processors(chosen: &Chosen<'_>, overrides: &[FilterOverride], origins: &[ProcessorOrigin]) -> Value {
    let http = &chosen.chain.http;
    let filters = http.filters().enumerate().filter_map(|(index, filter)| {
        let FilterOverride::ExtProc(settings) = overrides.get(index).unwrap_or(&filter.default) else {
            return None;
        };
        let upstream = index >= http.http_filters.len();
        let origin = origins.iter().find(|origin| origin.filter == filter.name);
        Some(processor::describe(&filter.name, upstream, settings, origin, chosen.snapshot))
    });
    filters.collect()
}

/// Routes that do not apply, each with the first condition that the request does not meet.
fn passed_over<'r>(
    routes: impl IntoIterator<Item = &'r Arc<Route>>,
    request: &RequestHeaders,
    most: usize,
) -> Vec<(String, String)> {
    let unmet = routes.into_iter().filter_map(|route| {
        let name = if route.name.is_empty() { "a route without a name" } else { &route.name };
        Some((name.to_owned(), words::unmet(&route.route_match, request)?))
    });
    unmet.take(most).collect()
}

fn describe_route(snapshot: &Snapshot, route: &Route, explanation: Option<&Explanation>) -> Value {
    let mut described = json!({
        "name": route.name,
        "match": serde_json::to_value(&route.route_match).unwrap_or_default(),
        "conditions": words::conditions(&route.route_match),
        "action": describe_action(&route.action),
    });
    if let Action::Route(action) = &route.action
        && let ClusterSpecifier::Cluster(name) = &action.cluster
    {
        described["endpoints"] = json!(cluster::endpoints(snapshot, name));
    }
    if let Some(explanation) = explanation {
        described["object"] = origin(&explanation.object);
        described["attached_to"] = origin(&explanation.listener);
        described["section"] = json!(explanation.section_name);
        described["rule"] = json!({
            "index": explanation.rule, "name": explanation.rule_name, "match": explanation.match_index,
            "place": place(&explanation.place),
        });
        if let Some(replaced) = &explanation.replaced {
            described["replaced"] = json!({ "reason": replaced.reason, "place": place(&replaced.place) });
        }
    }
    described
}

fn describe_action(action: &Action) -> Value {
    match action {
        Action::Route(route) => match &route.cluster {
            ClusterSpecifier::Cluster(name) => json!(format!("forward to the cluster {name}")),
            ClusterSpecifier::ClusterHeader(header) => {
                json!(format!("forward to the cluster that the header {} names", header.as_str()))
            }
            ClusterSpecifier::WeightedClusters(shares) => {
                json!(format!("one of {} shares by weight", shares.len()))
            }
        },
        Action::Redirect(redirect) => json!(format!("redirect with {}", redirect.response_code.as_u16())),
        Action::DirectResponse(answer) => json!(format!("answer {}", answer.status.as_u16())),
        Action::NonForwarding => json!("answer nothing"),
    }
}

fn describe_share(action: &WeightedAction) -> String {
    match action {
        WeightedAction::Cluster(name) => format!("forward to the cluster {name}"),
        WeightedAction::Redirect(redirect) => format!("redirect with {}", redirect.response_code.as_u16()),
        WeightedAction::DirectResponse(answer) => format!("answer {}", answer.status.as_u16()),
    }
}

fn origin(origin: &Origin) -> Value {
    json!({ "name": origin.name, "place": place(&origin.place) })
}

fn place(place: &Place) -> Value {
    json!(place.to_string())
}
