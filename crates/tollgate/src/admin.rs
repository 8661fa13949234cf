//! What the admin address answers: state, statistics and the effective configuration, for people, scripts and
//! monitoring. Paths and forms are Envoy's where Envoy has them.

mod answer;
mod certs;
mod clusters;
mod config_dump;
mod hosts;
mod labels;
mod listeners;
mod logging;
mod parameters;
mod process;
mod recording;
mod server_info;
mod stats;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};
use serde_json::Value;
use tokio::sync::watch;
use tollgate_config::Options;
use tollgate_proxy::{AccessLogs, HealthReports, Leaving, NameLookups, Recorder, Stats};

pub(crate) use self::config_dump::Origin;
use self::hosts::Hosts;
use crate::{in_force::InForce, sources::Sources, xds::status::Status};

const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json";
/// JSON, a document a line.
const JSON_LINES: &str = "application/x-ndjson";
/// The Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

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
    /// What the configuration in force was read from.
    origin: Mutex<Option<Arc<Origin>>>,
    leaving: Option<Leaving>,
    /// Whether somebody has asked for the end of the process.
    quit: watch::Sender<bool>,
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
            origin: Mutex::default(),
            leaving: None,
            quit: watch::Sender::new(false),
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

    /// With what sends clients elsewhere.
    pub(crate) fn with_leaving(self, leaving: Leaving) -> Self {
        Self { leaving: Some(leaving), ..self }
    }

    /// The configuration in force was read from something else.
    pub(crate) fn set_origin(&self, sources: Sources, options: Options) {
        let origin = Origin { sources, options, since: SystemTime::now() };
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(origin));
    }

    fn origin(&self) -> Option<Arc<Origin>> {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until somebody asks for the end of the process.
    pub(crate) async fn until_asked_to_quit(&self) {
        // The sender lives as long as this waits.
        let _ = self.quit.subscribe().wait_for(|quit| *quit).await;
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

    fn state(&self) -> State {
        let fails_health_checks = self.leaving.as_ref().is_some_and(Leaving::fails_health_checks);
        match (self.draining.load(Relaxed), *self.initializing.borrow()) {
            (true, _) => State::Draining,
            (false, true) => State::Initializing,
            (false, false) if fails_health_checks => State::Draining,
            (false, false) => State::Live,
        }
    }
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
