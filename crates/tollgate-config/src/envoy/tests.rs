//! Whole configurations: what they become, and what is said about them.

use std::{io, path::Path, sync::OnceLock};

use rcgen::CertifiedKey;
use rustls::pki_types::CertificateDer;
use tollgate_ir::Compiled;

use crate::{Files, Options, Outcome, Severity, Source, load_with, render};

mod access_log;
mod bootstrap;
mod cluster;
mod delivered;
mod everything;
mod explanations;
mod ext_proc;
mod goldens;
mod grpc_service;
mod http_connection_manager;
mod listener;
mod per_route;
mod problems;
mod route;
mod tls;
mod update;
mod worked_example;

/// The files and variables that configurations of tests name: one self-signed certificate in all its parts.
struct TestFiles;

fn certificate() -> &'static CertifiedKey<rcgen::KeyPair> {
    static CERTIFICATE: OnceLock<CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    CERTIFICATE.get_or_init(|| rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap())
}

impl Files for TestFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str().map(|path| path.trim_start_matches("./")) {
            Some("text.txt") => Ok(b"of a file".to_vec()),
            Some("certificate.pem" | "ca.pem") => Ok(certificate().cert.pem().into_bytes()),
            Some("key.pem") => Ok(certificate().signing_key.serialize_pem().into_bytes()),
            Some("other-key.pem") => Ok(rcgen::KeyPair::generate().unwrap().serialize_pem().into_bytes()),
            Some("empty.pem") => Ok(Vec::new()),
            Some("binary") => Ok(vec![0xff]),
            Some("cds.yaml") => Ok(include_bytes!("tests/files/cds.yaml").to_vec()),
            Some("eds.yaml") => Ok(include_bytes!("tests/files/eds.yaml").to_vec()),
            Some("lds.yaml") => Ok(include_bytes!("tests/files/lds.yaml").to_vec()),
            Some("rds.yaml") => Ok(include_bytes!("tests/files/rds.yaml").to_vec()),
            Some("sds.yaml") => Ok(include_bytes!("tests/files/sds.yaml").to_vec()),
            Some("broken.yaml") => Ok(include_bytes!("tests/files/broken.yaml").to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn environment_variable(&self, name: &str) -> Option<String> {
        (name == "PRIVATE_KEY").then(|| certificate().signing_key.serialize_pem())
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        vec![certificate().cert.der().clone()]
    }

    fn has_address(&self, _: std::net::IpAddr) -> bool {
        true
    }
}

fn source(text: &str) -> Vec<Source> {
    vec![Source { path: "gateway.yaml".into(), text: text.into() }]
}

fn load(text: &str) -> Outcome {
    load_with(&source(text), &TestFiles, &Options::default())
}

/// Everything that is said about a configuration, as people see it.
fn diagnostics(text: &str) -> String {
    let sources = source(text);
    let outcome = load(text);
    let said: Vec<String> = outcome.diagnostics.iter().map(|one| render(one, &sources)).collect();
    said.join("\n")
}

/// The snapshot of a configuration.
fn snapshot(text: &str) -> Compiled {
    load(text).snapshot.unwrap_or_else(|| panic!("{}", diagnostics(text)))
}

/// The snapshot in JSON.
fn json(text: &str) -> String {
    let value = serde_json::to_value(snapshot(text)).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// What is said, a line each: `severity: message [help]`.
fn said(text: &str) -> Vec<String> {
    load(text)
        .diagnostics
        .iter()
        .map(|one| {
            let severity = match one.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            let help = one.help.as_ref().map(|help| format!(" [{help}]")).unwrap_or_default();
            format!("{severity}: {}{help}", one.message)
        })
        .collect()
}

/// A gateway in one YAML document, made of parts that a test replaces. Each part is the inside of a flow mapping or
/// list.
struct Gateway {
    bootstrap: String,
    listener: String,
    chain: String,
    manager: String,
    filters: String,
    table: String,
    virtual_host: String,
    routes: String,
    clusters: String,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            bootstrap: String::new(),
            listener: "name: main, address: {socket_address: {address: 127.0.0.1, port_value: 10000}}".into(),
            chain: String::new(),
            manager: String::new(),
            filters: ext_proc("ext", ""),
            table: String::new(),
            virtual_host: "domains: ['*']".into(),
            routes: "{match: {prefix: /}, route: {cluster: app}}".into(),
            clusters: format!(
                "{}, {}",
                cluster("app", ""),
                cluster("processor", "http2_protocol_options: {}")
            ),
        }
    }
}

impl std::fmt::Display for Gateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bootstrap, listener, chain, manager, filters, table, virtual_host, routes, clusters } =
            self;
        let separator = if filters.is_empty() { "" } else { ", " };
        write!(
            formatter,
            "{bootstrap}\n\
             static_resources: {{\n\
             clusters: [{clusters}],\n\
             listeners: [{{{listener}, filter_chains: [{{{chain}\n filters: [{{name: hcm, typed_config: {{\n\
             \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,\n\
             stat_prefix: ingress,\n {manager}\n http_filters: [{filters}{separator}{ROUTER}],\n\
             route_config: {{{table}\n virtual_hosts: [{{name: host, {virtual_host},\n routes: [{routes}]}}]}}}}}}]}}]}}]}}\n"
        )
    }
}

const ROUTER: &str = "{name: router, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";

/// An external processing filter with further fields.
fn ext_proc(name: &str, fields: &str) -> String {
    ext_proc_with("grpc_service: {envoy_grpc: {cluster_name: processor}}", name, fields)
}

fn ext_proc_with(service: &str, name: &str, fields: &str) -> String {
    format!(
        "{{name: {name}, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor, {service}, {fields}}}}}"
    )
}

/// A static cluster with further fields.
fn cluster(name: &str, fields: &str) -> String {
    format!("{{name: {name}, {fields}, load_assignment: {{cluster_name: x, endpoints: [{{lb_endpoints: [{ENDPOINT}]}}]}}}}")
        .replace(", ,", ",")
}

const ENDPOINT: &str = "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 8080}}}}";

/// `typed_per_filter_config` for the filter `ext`.
fn per_route(config: &str) -> String {
    format!(
        "typed_per_filter_config: {{ext: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute, {config}}}}}"
    )
}

impl Gateway {
    fn said(&self) -> Vec<String> {
        said(&self.to_string())
    }

    fn snapshot(&self) -> Compiled {
        snapshot(&self.to_string())
    }
}
