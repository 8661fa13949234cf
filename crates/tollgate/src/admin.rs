//! What the admin address answers: state, statistics and the effective configuration, for people, scripts and
//! monitoring. Paths and forms are Envoy's where Envoy has them.

mod clusters;
mod hosts;
mod labels;
mod logging;
mod recording;
mod server_info;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use hyper::{
    Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};
use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_json::Value;
use tokio::sync::watch;
use tollgate_proxy::{AccessLogs, HealthReports, NameLookups, Recorder, Stats};

use self::{clusters::Clusters, hosts::Hosts, server_info::ServerInfo};
use crate::{address::Address, in_force::InForce, process_metrics, xds::status::Status};

const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json";
/// JSON, a document a line.
const JSON_LINES: &str = "application/x-ndjson";
/// The Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

const PATHS: &str = "\
/ready        LIVE, or DRAINING with status 503
/healthz      whether the process is alive
/metrics      statistics for Prometheus (/stats/prometheus is the same)
/stats        statistics, one a line; filter=REGEX keeps the names that match
/config       the configuration in force and since when (/config_dump is the same)
/xds          what management servers have delivered and what was refused; format=json
/listeners    names and addresses
/clusters     limits and numbers of clusters and endpoints, and what names resolve to; format=json
/server_info  version, state, uptime
/logging      POST: what is logged; level=debug or paths=PART:LEVEL,... changes it
/reopen_logs  POST: opens the files of access logs again
/record       POST: exchanges with processors, as they happen in the next seconds=10, up to exchanges=1000 and
              bytes=16777216; `tollgate record` writes them into a file
";

/// What is known about the running gateway.
#[derive(Debug)]
pub(crate) struct Admin {
    in_force: Mutex<InForce>,
    /// Where it is reached, whoever has said so.
    address: Option<SocketAddr>,
    stats: Arc<Stats>,
    access_logs: Option<AccessLogs>,
    name_lookups: Option<NameLookups>,
    health: HealthReports,
    hosts: Hosts,
    recorder: Recorder,
    workers: NonZeroUsize,
    started: Instant,
    draining: AtomicBool,
    /// Whether something is waited for before requests are welcome.
    initializing: watch::Sender<bool>,
    discovery: Arc<Status>,
    as_envoy: Option<AsEnvoy>,
}

/// What is different for a process that acts as Envoy.
#[derive(Debug, Clone)]
pub(crate) struct AsEnvoy {
    /// Envoy's `CommandLineOptions`, without the number of threads.
    pub(crate) command_line_options: Value,
    /// Labels of every metric.
    pub(crate) stats_tags: Vec<(String, String)>,
}

/// Whether requests are welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    Draining,
    /// What management servers deliver is waited for.
    Initializing,
}

impl Admin {
    /// Of a gateway that has just started.
    pub(crate) fn new(in_force: InForce, stats: Arc<Stats>, workers: NonZeroUsize, started: Instant) -> Self {
        Self {
            in_force: Mutex::new(in_force),
            stats,
            address: None,
            access_logs: None,
            name_lookups: None,
            health: HealthReports::default(),
            hosts: Hosts::default(),
            recorder: Recorder::default(),
            workers,
            started,
            draining: AtomicBool::new(false),
            initializing: watch::Sender::new(false),
            discovery: Arc::default(),
            as_envoy: None,
        }
    }

    /// With clusters whose names are looked up.
    pub(crate) fn with_name_lookups(self, name_lookups: NameLookups) -> Self {
        Self { name_lookups: Some(name_lookups), ..self }
    }

    /// With what is known of the health of endpoints.
    pub(crate) fn with_health(self, health: HealthReports) -> Self {
        Self { health, ..self }
    }

    /// With what records exchanges.
    pub(crate) fn with_recorder(self, recorder: Recorder) -> Self {
        Self { recorder, ..self }
    }

    /// With the address that it is reached at.
    pub(crate) fn with_address(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// With access logs whose files can be opened again.
    pub(crate) fn with_access_logs(self, access_logs: AccessLogs) -> Self {
        Self { access_logs: Some(access_logs), ..self }
    }

    /// That is asked by these names, too.
    pub(crate) fn with_hosts(self, names: &[String]) -> Self {
        Self { hosts: Hosts::new(names), ..self }
    }

    /// Of a process that acts as Envoy.
    pub(crate) fn with_as_envoy(self, as_envoy: Option<AsEnvoy>) -> Self {
        Self { as_envoy, ..self }
    }

    /// Opens the files of access logs again, and that of the log.
    pub(crate) fn reopen_logs(&self) {
        crate::logging::reopen();
        self.access_logs.iter().for_each(AccessLogs::reopen);
    }

    /// The configuration in force.
    pub(crate) fn in_force(&self) -> InForce {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another configuration is in force.
    pub(crate) fn set_in_force(&self, in_force: InForce) {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = in_force;
    }

    /// What is known of management servers.
    pub(crate) fn discovery(&self) -> Arc<Status> {
        Arc::clone(&self.discovery)
    }

    /// Requests are welcome only when what belongs to the start has come.
    pub(crate) fn initialize(&self) {
        self.initializing.send_replace(true);
    }

    /// It has come.
    pub(crate) fn set_initialized(&self) {
        self.initializing.send_replace(false);
    }

    /// Waits until it has come.
    pub(crate) async fn until_initialized(&self) {
        // The sender lives as long as this waits.
        let _ = self.initializing.subscribe().wait_for(|initializing| !initializing).await;
    }

    /// From here on nobody should send requests.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Answers one request, in its time.
    pub(crate) async fn respond<B>(&self, request: Request<B>) -> Response<String> {
        if request.uri().path() != "/record" {
            return self.answer(&request);
        }
        if let Some(refusal) = self.refusal(&request) {
            return refusal;
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        // What is held while it waits has to be sent between threads, and bodies cannot.
        drop(request);
        let (status, text) = recording::answer(&self.recorder, &query).await;
        response(status, if status == StatusCode::OK { JSON_LINES } else { TEXT }, text)
    }

    /// Why a request is not answered.
    fn refusal<B>(&self, request: &Request<B>) -> Option<Response<String>> {
        let path = request.uri().path();
        // These reveal nothing, so everybody gets them: probes come by any name.
        if !matches!(path, "/ready" | "/healthz")
            && let Some(host) = self.hosts.foreign(request)
        {
            return Some(response(StatusCode::FORBIDDEN, TEXT, Hosts::refusal(&host)));
        }
        let changes_something = matches!(path, "/logging" | "/reopen_logs" | "/record");
        match *request.method() {
            Method::GET | Method::HEAD if !changes_something => None,
            Method::POST if changes_something => None,
            _ => {
                let allowed = if changes_something { "POST" } else { "GET or HEAD" };
                Some(response(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("{allowed} only\n")))
            }
        }
    }

    /// Answers a request that takes no time.
    fn answer<B>(&self, request: &Request<B>) -> Response<String> {
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let query = request.uri().query().unwrap_or_default();
        let path = request.uri().path();
        match path {
            "/" => ok(TEXT, PATHS.to_owned()),
            "/reopen_logs" => {
                self.reopen_logs();
                ok(TEXT, "OK\n".to_owned())
            }
            "/logging" => {
                let (status, text) = logging::answer(query);
                response(status, TEXT, text)
            }
            "/ready" => match self.state() {
                State::Live => ok(TEXT, "LIVE\n".to_owned()),
                State::Draining => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "DRAINING\n".to_owned()),
                State::Initializing => {
                    response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "INITIALIZING\n".to_owned())
                }
            },
            "/healthz" => ok(TEXT, "OK\n".to_owned()),
            "/metrics" | "/stats/prometheus" => ok(PROMETHEUS, self.prometheus_text()),
            "/stats" => match filter(query) {
                Ok(filter) => {
                    let own = self.in_force().envoy_text(filter.as_ref());
                    ok(TEXT, own + &self.stats.envoy_text(filter.as_ref()))
                }
                Err(error) => response(StatusCode::BAD_REQUEST, TEXT, format!("Invalid regex: {error}\n")),
            },
            "/config" | "/config_dump" => match self.config() {
                Ok(config) => ok(JSON, format!("{config:#}\n")),
                Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
            },
            "/xds" => match query.split('&').any(|parameter| parameter == "format=json") {
                true => ok(JSON, format!("{:#}\n", self.discovery.table().json())),
                false => ok(TEXT, self.discovery.table().text()),
            },
            "/listeners" => ok(TEXT, self.listeners()),
            "/clusters" => {
                let in_force = self.in_force();
                let clusters = Clusters {
                    snapshot: &in_force.snapshot,
                    stats: &self.stats,
                    lookups: self.name_lookups.as_ref(),
                    health: &self.health,
                };
                match query.split('&').any(|parameter| parameter == "format=json") {
                    true => ok(JSON, clusters.json()),
                    false => ok(TEXT, clusters.text()),
                }
            }
            "/server_info" => ok(JSON, self.server_info(Instant::now())),
            path => response(StatusCode::NOT_FOUND, TEXT, format!("not found: {path}\n{PATHS}")),
        }
    }

    fn prometheus_text(&self) -> String {
        let text = self.stats.prometheus_text()
            + &self.in_force().prometheus_text()
            + &process_metrics::prometheus_text(self.started);
        match &self.as_envoy {
            Some(AsEnvoy { stats_tags, .. }) if !stats_tags.is_empty() => labels::add(&text, stats_tags),
            _ => text,
        }
    }

    fn config(&self) -> serde_json::Result<Value> {
        let mut config = self.in_force().json()?;
        if let Some(address) = self.address {
            config["admin_address"] = address.to_string().into();
        }
        Ok(config)
    }

    /// `name::address` of each.
    fn listeners(&self) -> String {
        let listeners = self.in_force().listeners;
        listeners.iter().map(|(name, address)| format!("{name}::{}\n", Address(address))).collect()
    }

    fn state(&self) -> State {
        if self.draining.load(Relaxed) {
            State::Draining
        } else if *self.initializing.borrow() {
            State::Initializing
        } else {
            State::Live
        }
    }

    fn server_info(&self, now: Instant) -> String {
        ServerInfo {
            state: self.state(),
            uptime: now.saturating_duration_since(self.started),
            workers: self.workers,
            node: &self.in_force().snapshot.node,
            options: self.as_envoy.as_ref().map(|as_envoy| &as_envoy.command_line_options),
        }
        .write()
    }
}

/// The parameter `filter` of a query; as in Envoy it need not match the whole name, and other parameters are ignored.
fn filter(query: &str) -> Result<Option<Regex>, regex::Error> {
    let filter = query.split('&').find_map(|pair| pair.strip_prefix("filter="));
    filter.map(|filter| Regex::new(&percent_decode_str(filter).decode_utf8_lossy())).transpose()
}

fn ok(content_type: &'static str, body: String) -> Response<String> {
    response(StatusCode::OK, content_type, body)
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
