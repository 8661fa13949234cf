//! What happens to a request, told by the code that serves it: the choice of the filter chain, the routes and the settings
//! in the snapshot are those of the data plane.

mod processor;
mod question;
mod text;

use extproc::RequestHeaders;
use serde_json::{Value, json};
use tollgate_config::{Explanation, Explanations, Origin, Place, RouteKey};
use tollgate_model::{
    Snapshot,
    listener::{BindAddress, FilterChain, Listener},
    processor::FilterOverride,
    route::{Action, ClusterSpecifier, Route, VirtualHost, WeightedAction},
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
        in_chain(&mut answer, listener, index, chain, explanations, &question.head);
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

fn in_chain(
    answer: &mut Value,
    listener: &Listener,
    filter_chain: Option<usize>,
    chain: &FilterChain,
    explanations: &Explanations,
    request: &RequestHeaders,
) {
    let table = &chain.http.route_config;
    let mut host = request.clone();
    if table.ignore_port_in_host_matching {
        let without_port = tollgate_model::route::host_without_port(request.authority.as_bytes());
        if let Ok(authority) = http::HeaderValue::from_bytes(without_port) {
            host.authority = authority;
        }
    }
    let explained = |virtual_host: usize, route: usize| {
        let listener = listener.name.clone();
        explanations.get(&RouteKey { listener, filter_chain, virtual_host, route })
    };
    let chosen = table.virtual_hosts.find(host.authority.as_bytes());
    let Some((virtual_host_index, virtual_host)) = chosen.filter(|(_, host)| !host.routes.is_empty()) else {
        let domains: Vec<&str> =
            table.virtual_hosts.iter().flat_map(|host| &host.domains).map(String::as_str).take(20).collect();
        answer["why_not"] =
            json!([format!("no virtual host has this host; there is: {}", domains.join(", "))]);
        answer["status"] = json!(404);
        return;
    };
    answer["virtual_host"] = json!({ "name": virtual_host.name, "domains": virtual_host.domains });
    let Some(found) = table.find(request) else {
        answer["why_not"] = json!(near_misses(virtual_host, request));
        answer["status"] = json!(404);
        return;
    };
    let explanation = explained(virtual_host_index, found.route_index).map(|found| &**found);
    answer["route"] = describe_route(found.route, explanation);
    let rest = virtual_host.routes.iter().enumerate().skip(found.route_index + 1);
    answer["runner_up"] = rest
        .into_iter()
        .find(|(_, route)| route.route_match.matches(request))
        .map(|(index, route)| {
            describe_route(route, explained(virtual_host_index, index).map(|found| &**found))
        })
        .unwrap_or_default();
    let origins = explanation.map(|explanation| explanation.processors.as_slice()).unwrap_or_default();
    let filters = chain.http.filters().enumerate();
    let processors = filters.filter_map(|(index, filter)| {
        let applies = found.route.filters.get(index).unwrap_or(&filter.default);
        let FilterOverride::ExtProc(settings) = applies else { return None };
        let upstream = index >= chain.http.http_filters.len();
        let origin = origins.iter().find(|origin| origin.filter == filter.name);
        Some(processor::describe(&filter.name, upstream, settings, origin))
    });
    answer["processors"] = processors.collect();
}

/// Routes of the virtual host that nearly apply, with the part that does not hold.
fn near_misses(virtual_host: &VirtualHost, request: &RequestHeaders) -> Vec<String> {
    let (path, query) = tollgate_model::route::split_path(request.path.as_bytes());
    let misses = virtual_host.routes.iter().map(|route| {
        let conditions = &route.route_match;
        let header = conditions.headers.iter().find(|matcher| !matcher.matches(request));
        let parameter = conditions.query_parameters.iter().find(|matcher| !matcher.matches(query));
        let reason = match (header, parameter) {
            _ if !conditions.path.matches(path) => format!("its path is {:?}", conditions.path),
            (Some(header), _) => format!("it wants another header {}", header.name.as_str()),
            (None, Some(parameter)) => format!("it wants another query parameter {}", parameter.name),
            (None, None) => "it is for gRPC only".to_owned(),
        };
        format!("the route \"{}\" does not apply: {reason}", route.name)
    });
    misses.take(10).collect()
}

fn describe_route(route: &Route, explanation: Option<&Explanation>) -> Value {
    let mut described = json!({
        "name": route.name,
        "match": serde_json::to_value(&route.route_match).unwrap_or_default(),
        "action": describe_action(&route.action),
    });
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
                let shares = shares.iter().map(|share| match &share.action {
                    WeightedAction::Cluster(name) => format!("{} of the cluster {name}", share.weight),
                    WeightedAction::Redirect(_) => format!("{} of a redirect", share.weight),
                    WeightedAction::DirectResponse(answer) => {
                        format!("{} of the answer {}", share.weight, answer.status.as_u16())
                    }
                });
                json!(format!("shares: {}", shares.collect::<Vec<_>>().join(", ")))
            }
        },
        Action::Redirect(redirect) => json!(format!("redirect with {}", redirect.response_code.as_u16())),
        Action::DirectResponse(answer) => json!(format!("answer {}", answer.status.as_u16())),
        Action::NonForwarding => json!("answer nothing"),
    }
}

fn origin(origin: &Origin) -> Value {
    json!({ "name": origin.name, "place": place(&origin.place) })
}

fn place(place: &Place) -> Value {
    json!(place.to_string())
}
