//! Builds the bootstrap of a batch: one listener, route table and set of clusters a scenario.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::types::{self, HTTP_OPTIONS, url};
use crate::{
    prepare::Prepared,
    scenario::{Filter, Protocol, Scenario, load::lay_over},
};

/// Canonical name of the filter.
pub(crate) const FILTER: &str = "envoy.filters.http.ext_proc";

/// The bootstrap of all these scenarios in one process.
pub(crate) fn build(batch: &[Prepared], admin_port: u16) -> Value {
    let mut listeners = Vec::new();
    let mut clusters = Vec::new();
    for prepared in batch {
        listeners.push(listener(prepared));
        clusters.extend(all_clusters(prepared));
    }
    let mut bootstrap = json!({
        "admin": {"address": address(admin_port)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    if let Some(first) = batch.first().map(|prepared| &prepared.scenario) {
        if !first.runtime.is_empty() {
            bootstrap["layered_runtime"] =
                json!({"layers": [{"name": "static", "static_layer": first.runtime}]});
        }
        lay_over(&mut bootstrap, &Value::Object(first.bootstrap.clone()));
    }
    types::write_out(&mut bootstrap);
    bootstrap
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn listener(prepared: &Prepared) -> Value {
    let scenario = &prepared.scenario;
    let mut hcm = json!({
        "@type": "HttpConnectionManager",
        "stat_prefix": prepared.id,
        "http_protocol_options": {"enable_trailers": true},
        "route_config": {"name": prepared.id, "virtual_hosts": virtual_hosts(prepared)},
        "http_filters": filters(prepared),
    });
    if prepared.wants_log() {
        hcm["access_log"] = access_log(scenario, prepared);
    }
    lay_over(&mut hcm, &Value::Object(scenario.hcm.clone()));
    let mut filter_chains = scenario.filter_chains.clone();
    filter_chains.push(json!({
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}],
    }));
    let mut listener = json!({
        "name": prepared.id,
        "address": address(prepared.port),
        "filter_chains": filter_chains,
    });
    if !scenario.connection_log.is_empty() {
        listener["access_log"] =
            json!([logger(&json!(scenario.connection_log), &prepared.connection_log_file)]);
    }
    lay_over(&mut listener, &Value::Object(scenario.listener.clone()));
    listener
}

fn virtual_hosts(prepared: &Prepared) -> Value {
    let scenario = &prepared.scenario;
    if let Some(hosts) = &scenario.virtual_hosts {
        return json!(hosts);
    }
    let everything = json!({"match": {"prefix": "/"}, "route": {"cluster": prepared.cluster("upstream")}});
    let routes = scenario.routes.clone().unwrap_or_else(|| vec![everything]);
    json!([{"name": "all", "domains": ["*"], "routes": routes}])
}

fn filters(prepared: &Prepared) -> Vec<Value> {
    let mut chain = Vec::new();
    let mut upstream_chain = Vec::new();
    let mut number = 0;
    for filter in prepared.scenario.filters() {
        let chain = if filter.upstream { &mut upstream_chain } else { &mut chain };
        chain.push(match &filter.typed_config {
            Some(config) => {
                let mut entry =
                    json!({"name": filter.name.as_deref().unwrap_or("other"), "typed_config": config});
                if let Some(disabled) = filter.disabled {
                    entry["disabled"] = json!(disabled);
                }
                entry
            }
            None => {
                number += 1;
                ext_proc(prepared, &filter, number)
            }
        });
    }
    let mut router = json!({"@type": "Router"});
    if !upstream_chain.is_empty() {
        upstream_chain.push(
            json!({"name": "envoy.filters.http.upstream_codec", "typed_config": {"@type": "UpstreamCodec"}}),
        );
        router["upstream_http_filters"] = json!(upstream_chain);
    }
    chain.push(json!({"name": "envoy.filters.http.router", "typed_config": router}));
    chain
}

/// One ext_proc filter; its own processor and a message timeout that never strikes by accident are filled in.
fn ext_proc(prepared: &Prepared, filter: &Filter, number: usize) -> Value {
    let mut config = match &filter.config {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    config.entry("@type").or_insert_with(|| json!("ExternalProcessor"));
    if !config.contains_key("http_service") {
        let service = config.entry("grpc_service").or_insert_with(|| json!({}));
        if let Some(service) = service.as_object_mut()
            && !service.contains_key("google_grpc")
        {
            let envoy_grpc = service.entry("envoy_grpc").or_insert_with(|| json!({}));
            if let Some(envoy_grpc) = envoy_grpc.as_object_mut() {
                envoy_grpc.entry("cluster_name").or_insert_with(|| json!(prepared.processor_cluster(number)));
            }
        }
    }
    config.entry("message_timeout").or_insert_with(|| json!("10s"));
    config.retain(|_, value| !value.is_null());
    let default = if number == 1 { FILTER.to_owned() } else { format!("{FILTER}.{number}") };
    let mut entry = json!({"name": filter.name.as_ref().unwrap_or(&default), "typed_config": config});
    if let Some(disabled) = filter.disabled {
        entry["disabled"] = json!(disabled);
    }
    entry
}

fn access_log(scenario: &Scenario, prepared: &Prepared) -> Value {
    let mut format = json!({
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "code": "%RESPONSE_CODE%",
    });
    for (name, operator) in &scenario.log_format {
        format[name] = json!(operator);
    }
    let mut logs = vec![logger(&format, &prepared.log_file)];
    if let Some(filter) = &scenario.log_filter {
        logs[0]["filter"] = filter.clone();
        logs.push(logger(&format, &prepared.unfiltered_log_file));
    }
    json!(logs)
}

fn logger(format: &Value, file: &Path) -> Value {
    let config = json!({"@type": "FileAccessLog", "path": file.to_string_lossy(), "log_format": {"json_format": format}});
    json!({"name": "envoy.access_loggers.file", "typed_config": config})
}

fn all_clusters(prepared: &Prepared) -> Vec<Value> {
    let scenario = &prepared.scenario;
    let mut clusters: Vec<(String, Value)> = Vec::new();
    for (name, port) in &prepared.upstream_ports {
        let answers =
            if name == "upstream" { Some(&scenario.upstream) } else { scenario.upstreams.get(name) };
        let protocol =
            answers.and_then(|all| all.0.first()).map_or(Protocol::Http1, |answer| answer.protocol);
        let options = match protocol {
            Protocol::Http1 => json!({"http_protocol_options": {"enable_trailers": true}}),
            Protocol::Http2 => json!({"http2_protocol_options": {}}),
        };
        clusters.push((name.clone(), cluster(&prepared.cluster(name), *port, &options)));
    }
    for (index, port) in prepared.processor_ports.iter().enumerate() {
        let name = Prepared::processor_name(index + 1);
        let options = json!({"http2_protocol_options": {}});
        clusters.push((name.clone(), cluster(&prepared.cluster(&name), *port, &options)));
    }
    for (name, over) in &scenario.clusters {
        let over = Value::Object(over.clone());
        match clusters.iter_mut().find(|(known, _)| known == name) {
            Some((_, cluster)) => lay_over(cluster, &over),
            None => {
                let mut cluster = json!({"name": prepared.cluster(name)});
                lay_over(&mut cluster, &over);
                clusters.push((name.clone(), cluster));
            }
        }
    }
    clusters.into_iter().map(|(_, cluster)| cluster).collect()
}

fn cluster(name: &str, port: u16, options: &Value) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {"@type": url("HttpProtocolOptions"), "explicit_http_config": options},
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    })
}
