//! A configuration in short.

use std::{fmt::Write as _, io, net::IpAddr, path::Path};

use serde_json::Value;
use tollgate_config::{Explanations, Files, Options, Outcome, RouteKey, RouteOrigin, Source, load_with};
use tollgate_model::{
    cluster::{Cluster, Discovery},
    http_connection_manager::HttpConnectionManager,
    processor::FilterOverride,
};

/// Nothing outside of the text itself.
struct NoFiles;

impl Files for NoFiles {
    fn has_address(&self, address: IpAddr) -> bool {
        // TEST-NET-1
        !address.to_string().starts_with("192.0.2.")
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn environment_variable(&self, _: &str) -> Option<String> {
        None
    }

    fn system_roots(&self) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        Vec::new()
    }
}

/// The snapshot, the statuses and the diagnostics of a file, in short; strict if it begins with `# strict`. With everything
/// that connection managers and clusters say other than Envoy's defaults if it begins with `# whole`.
pub(crate) fn summary(name: &str, text: &str) -> String {
    let options = Options { strict: text.starts_with("# strict"), ..Options::default() };
    let source = Source { path: name.to_owned(), text: text.to_owned() };
    let outcome = load_with(&[source], &NoFiles, &options);
    let mut out = String::new();
    snapshot(&outcome, text.starts_with("# whole"), &mut out);
    statuses(&outcome, &mut out);
    for said in &outcome.diagnostics {
        let severity = format!("{:?}", said.severity).to_lowercase();
        writeln!(out, "{severity} {}:{}: {}", said.place.line(), said.place.column(), said.message)
            .expect("text");
        if let Some(help) = &said.help {
            writeln!(out, "    help: {help}").expect("text");
        }
    }
    out
}

fn snapshot(outcome: &Outcome, whole: bool, out: &mut String) {
    let Some(snapshot) = &outcome.snapshot else { return out.push_str("no snapshot\n") };
    for listener in &snapshot.listeners {
        writeln!(out, "listener {} {}", listener.name, short(&listener.addresses)).expect("text");
        for (filter_chain, chain) in listener.filter_chains.iter().enumerate() {
            let tls = if chain.tls.is_some() { " TLS" } else { "" };
            writeln!(out, "  chain {}{tls} {}", chain.name, short(&chain.filter_chain_match)).expect("text");
            if whole {
                let http = &chain.http;
                let (prefix, routes) = (http.stat_prefix.clone(), http.route_config.clone());
                let usual = HttpConnectionManager::new(prefix, routes, http.http_filters.clone());
                differences(&**http, &usual, "    ", out);
            }
            for filter in chain.http.filters() {
                writeln!(out, "    filter {}", filter.name).expect("text");
            }
            for (virtual_host, host) in chain.http.route_config.virtual_hosts.iter().enumerate() {
                writeln!(out, "    host {}", host.domains.join(", ")).expect("text");
                for (index, route) in host.routes.iter().enumerate() {
                    let key = RouteKey {
                        listener: listener.name.clone(),
                        filter_chain: Some(filter_chain),
                        virtual_host,
                        route: index,
                    };
                    check_explanation(&outcome.explanations, &key, &route.name);
                    writeln!(out, "      {}", route.name).expect("text");
                    writeln!(out, "        {}", short(&route.route_match)).expect("text");
                    writeln!(out, "        {}", short(&route.action)).expect("text");
                    let filters: Vec<_> = route.filters.dense().map(what_filter_does).collect();
                    if filters.iter().any(|does| does != "-") {
                        writeln!(out, "        filters {}", filters.join(" ")).expect("text");
                    }
                    let headers = short(&route.headers);
                    if headers != "{}" {
                        writeln!(out, "        {headers}").expect("text");
                    }
                }
            }
        }
    }
    let mut clusters: Vec<_> = snapshot.clusters.values().collect();
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    for cluster in clusters {
        if whole {
            writeln!(out, "cluster {} {}", cluster.name, short(&cluster.endpoints)).expect("text");
            let usual: Cluster =
                Cluster::new(cluster.name.clone(), Discovery::Static, cluster.endpoints.clone());
            differences(&**cluster, &usual, "  ", out);
            continue;
        }
        let endpoints: Vec<String> =
            cluster.endpoints.iter().map(|endpoint| short(&endpoint.address)).collect();
        let tls = cluster.tls.as_ref().map_or_else(String::new, |tls| format!(" {}", short(tls)));
        let protocol = serde_json::to_value(&cluster.protocol).expect("JSON");
        let protocol = protocol.as_object().and_then(|it| it.keys().next().cloned()).unwrap_or_default();
        writeln!(out, "cluster {} {protocol} {}{tls}", cluster.name, endpoints.join(" ")).expect("text");
    }
}

/// Each member that is not the usual one, on a line of its own.
fn differences(value: &impl serde::Serialize, usual: &impl serde::Serialize, indent: &str, out: &mut String) {
    let [value, usual] =
        [serde_json::to_value(value), serde_json::to_value(usual)].map(|it| it.expect("JSON"));
    for (name, value) in value.as_object().into_iter().flatten() {
        if *value != usual[name] {
            writeln!(out, "{indent}{name}: {value}").expect("text");
        }
    }
}

/// Every route says where it comes from, and that is where its name says.
fn check_explanation(explanations: &Explanations, key: &RouteKey, name: &str) {
    let found = explanations.get(key).unwrap_or_else(|| panic!("{name} is not explained"));
    let RouteOrigin::Rule(rule) = &found.origin else { panic!("{name} is of no object") };
    let (kind, object) = rule.object.name.split_once(' ').expect("a kind and a name");
    if kind == "VirtualService" || kind == "Gateway" {
        // These give names themselves, or none.
        assert_eq!(rule.name.as_deref().unwrap_or_default(), name);
        return;
    }
    let of_istio = object.replace('/', ".");
    let by_name = name.contains(&format!("/{object}/rule/{}/match/{}/", rule.index, rule.match_index));
    assert!(by_name || name == format!("{of_istio}.{}", rule.index), "{name}: {found:?}");
}

fn what_filter_does(filter: &FilterOverride) -> String {
    match filter {
        FilterOverride::Disabled => "-".to_owned(),
        FilterOverride::Idle => "idle".to_owned(),
        FilterOverride::ExtProc(settings) => format!("ext_proc {}", short(&settings.grpc_service.target)),
        FilterOverride::Matched(matched) => format!("matched {}", short(&**matched)),
        FilterOverride::Settings(settings) => format!("settings {}", short(settings)),
        FilterOverride::Cors(policy) => format!("cors {}", short(&**policy)),
    }
}

fn statuses(outcome: &Outcome, out: &mut String) {
    for object in &outcome.objects {
        let Some(status) = &object.status else { continue };
        writeln!(out, "status {} {}/{}", object.kind, object.namespace, object.name).expect("text");
        status_of(status, "  ", out);
    }
}

/// Conditions on one line each, everything else on the way to them as it is.
fn status_of(status: &Value, indent: &str, out: &mut String) {
    let Value::Object(members) = status else { return };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("conditions", Value::Array(conditions)) => {
                for condition in conditions {
                    let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
                    let (kind, status) = (text("type"), text("status"));
                    let (reason, message) = (text("reason"), text("message"));
                    writeln!(out, "{indent}{kind} {status} {reason}: {message}").expect("text");
                }
            }
            ("supportedFeatures", _) => {}
            ("parents" | "ancestors" | "listeners", Value::Array(entries)) => {
                for entry in entries {
                    let title = ["parentRef", "ancestorRef", "name"].iter().find_map(|name| entry.get(*name));
                    let counted = match entry.get("attachedRoutes") {
                        Some(routes) => {
                            let kinds = entry["supportedKinds"].as_array().into_iter().flatten();
                            let kinds: Vec<_> = kinds.filter_map(|kind| kind["kind"].as_str()).collect();
                            format!(" routes {routes} kinds {}", kinds.join(" "))
                        }
                        None => String::new(),
                    };
                    writeln!(out, "{indent}{name} {}{counted}", short(&title)).expect("text");
                    status_of(entry, &format!("{indent}  "), out);
                }
            }
            ("addresses" | "attachedListenerSets", value) => {
                writeln!(out, "{indent}{name} {}", short(value)).expect("text");
            }
            _ => {}
        }
    }
}

/// JSON without what says nothing.
fn short(value: &impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(value).expect("JSON");
    prune(&mut value);
    value.to_string()
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(prune);
            members.retain(|name, value| {
                let usual = match name.as_str() {
                    "case_sensitive" => *value == Value::Bool(true),
                    "cluster_not_found_response_code" => *value == 500,
                    "group" => *value == "gateway.networking.k8s.io",
                    _ => false,
                };
                !usual && !is_nothing(value)
            });
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
