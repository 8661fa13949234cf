//! Which answer belongs to which path.

use std::{
    borrow::Cow,
    time::{Instant, SystemTime},
};

use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tollgate_config::write_bootstrap;
use tollgate_proxy::Stat;

use super::{
    Admin, AsEnvoy, JSON, JSON_LINES, PROMETHEUS, State, TEXT, certs,
    clusters::Clusters,
    config_dump::{self, Dump, Refused},
    hosts::Hosts,
    labels, listeners, logging, ok,
    parameters::Parameters,
    process, recording, response,
    server_info::ServerInfo,
    stats::{self, Form},
};
use crate::{as_envoy::HOT_RESTART_VERSION, process_metrics};

const PATHS: &str = "\
/ready              LIVE, or DRAINING or INITIALIZING with status 503
/healthz            whether the process is alive
/metrics            statistics for Prometheus (/stats/prometheus is the same)
/stats              statistics, one a line; filter=REGEX, invert_filter, usedonly, type=Counters|Gauges|Histograms,
                    format=text|json|prometheus
/reset_counters     POST: counters begin at zero again
/config             the configuration in force and since when
/config_dump        the same in the messages of Envoy's API; resource=LIST, mask=FIELDS, name_regex=REGEX, include_eds
/xds                what management servers have delivered and what was refused; format=json
/listeners          names and addresses; format=json
/clusters           limits and numbers of clusters and endpoints, and what names resolve to; format=json
/certs              certificates in use, and how long they are valid
/server_info        version, state, uptime
/runtime            runtime keys and the layers they are in
/init_dump          what the start waits for
/memory             memory of the process
/hot_restart_version
/logging            POST: what is logged; level=debug or paths=PART:LEVEL,... changes it
/reopen_logs        POST: opens the files of logs again
/healthcheck/fail   POST: health checks fail, and connections end with their next request, until /healthcheck/ok
/drain_listeners    POST: accepts no connection any more; graceful: only after the drain time, while connections end with
                    their next request; skip_exit: that, but connections are accepted for ever
/quitquitquit       POST: ends the process
/record             POST: exchanges with processors, as they happen in the next seconds=10, up to exchanges=1000 and
                    bytes=16777216; `tollgate record` writes them into a file
";

/// Paths that change something, for which one has to POST.
const CHANGES: [&str; 9] = [
    "/drain_listeners",
    "/healthcheck/fail",
    "/healthcheck/ok",
    "/logging",
    "/quitquitquit",
    "/record",
    "/reopen_logs",
    "/reset_counters",
    "/runtime_modify",
];

impl Admin {
    /// Answers one request, in its time.
    pub(crate) async fn respond<B>(&self, request: Request<B>) -> Response<String> {
        if path(&request) != "/record" {
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
        let path = &*path(request);
        // These reveal nothing, so everybody gets them: probes come by any name.
        if !matches!(path, "/ready" | "/healthz")
            && let Some(host) = self.hosts.foreign(request)
        {
            return Some(response(StatusCode::FORBIDDEN, TEXT, Hosts::refusal(&host)));
        }
        let changes_something = CHANGES.contains(&path);
        let text = match (request.method(), changes_something) {
            (&Method::GET | &Method::HEAD, false) | (&Method::POST, true) => return None,
            (method, true) => format!("Method {method} not allowed, POST required."),
            (_, false) => "GET or HEAD only\n".to_owned(),
        };
        Some(response(StatusCode::METHOD_NOT_ALLOWED, TEXT, text))
    }

    /// Answers a request that takes no time.
    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<String> {
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let query = request.uri().query().unwrap_or_default();
        let parameters = Parameters::new(query);
        let path = &*path(request);
        if CHANGES.contains(&path) {
            return self.change(path, query, &parameters);
        }
        match path {
            "/" | "/help" => ok(TEXT, PATHS.to_owned()),
            "/ready" => self.ready(),
            "/healthz" => ok(TEXT, "OK\n".to_owned()),
            "/metrics" => ok(PROMETHEUS, self.prometheus_text(&|_, _| true)),
            "/stats" | "/stats/prometheus" => self.statistics(path, &parameters),
            "/config" => match self.config() {
                Ok(config) => ok(JSON, format!("{config:#}\n")),
                Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
            },
            "/config_dump" => match self.config_dump(&parameters) {
                Ok(dump) => ok(JSON, format!("{dump:#}\n")),
                Err(Refused(status, text)) => response(status, TEXT, text),
            },
            "/xds" => match parameters.get("format") == Some("json") {
                true => ok(JSON, format!("{:#}\n", self.discovery.table().json())),
                false => ok(TEXT, self.discovery.table().text()),
            },
            "/listeners" => {
                let listeners = self.in_force().listeners;
                match parameters.get("format") == Some("json") {
                    true => ok(JSON, format!("{:#}\n", listeners::json(&listeners))),
                    false => ok(TEXT, listeners::text(&listeners)),
                }
            }
            "/clusters" => self.clusters(&parameters),
            "/certs" => {
                let certificates = certs::json(&self.in_force().snapshot, SystemTime::now());
                ok(JSON, format!("{certificates:#}\n"))
            }
            "/server_info" => ok(JSON, self.server_info(Instant::now())),
            "/runtime" => match self.bootstrap() {
                Ok(bootstrap) => ok(JSON, format!("{:#}\n", process::runtime(&bootstrap))),
                Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
            },
            "/memory" => ok(JSON, format!("{:#}\n", process::memory())),
            "/init_dump" => ok(JSON, format!("{:#}\n", self.init_dump())),
            "/hot_restart_version" => ok(TEXT, HOT_RESTART_VERSION.to_owned()),
            _ => response(StatusCode::NOT_FOUND, TEXT, format!("invalid path. admin commands are:\n{PATHS}")),
        }
    }

    /// Changes something.
    fn change(&self, path: &str, query: &str, parameters: &Parameters) -> Response<String> {
        match (path, &self.leaving) {
            ("/reopen_logs", _) => self.reopen_logs(),
            ("/logging", _) => {
                let (status, text) = logging::answer(query, self.as_envoy.is_some());
                return response(status, TEXT, text);
            }
            ("/reset_counters", _) => self.stats.reset_counters(),
            ("/quitquitquit", _) => {
                self.quit.send_replace(true);
            }
            ("/runtime_modify", _) => {
                let text = "the keys of the bootstrap stay as they are: nothing can be set at run time\n";
                return response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text.to_owned());
            }
            ("/drain_listeners", Some(_)) if parameters.has("inboundonly") => {
                let text = "inboundonly is not supported: listeners have no direction here\n";
                return response(StatusCode::BAD_REQUEST, TEXT, text.to_owned());
            }
            ("/drain_listeners", Some(leaving)) => {
                match (parameters.has("graceful"), parameters.has("skip_exit")) {
                    (_, true) => leaving.drain(true),
                    (true, false) => leaving.drain(false),
                    (false, false) => leaving.stop_accepting(),
                }
            }
            ("/healthcheck/fail" | "/healthcheck/ok", Some(leaving)) => {
                leaving.fail_health_checks(path == "/healthcheck/fail");
            }
            _ => {
                let text = "nothing is served here\n".to_owned();
                return response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
            }
        }
        ok(TEXT, "OK\n".to_owned())
    }

    fn ready(&self) -> Response<String> {
        let unavailable = |text: &str| response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text.to_owned());
        match self.state() {
            State::Live => ok(TEXT, "LIVE\n".to_owned()),
            State::Draining => unavailable("DRAINING\n"),
            State::Initializing => unavailable("INITIALIZING\n"),
        }
    }

    fn statistics(&self, path: &str, parameters: &Parameters) -> Response<String> {
        let query = match stats::Query::new(parameters) {
            Ok(query) => query,
            Err((status, text)) => return response(status, TEXT, text),
        };
        if path == "/stats/prometheus" || query.form == Form::Prometheus {
            return ok(PROMETHEUS, self.prometheus_text(&|name, used| query.wants(name, used)));
        }
        let mut all: Vec<Stat> = self.in_force().stats();
        all.append(&mut self.stats.all());
        all.sort_by(|one, other| one.name.cmp(&other.name));
        match query.form {
            Form::Json => ok(JSON, query.json(&all)),
            Form::Text | Form::Prometheus => ok(TEXT, query.text(&all)),
        }
    }

    /// What is wanted of the statistics for Prometheus, and what is known of the process.
    fn prometheus_text(&self, wanted: &dyn Fn(&str, bool) -> bool) -> String {
        let mut text = self.stats.prometheus_text_of(wanted);
        if wanted("server.process", true) {
            text += &self.in_force().prometheus_text();
            text += &process_metrics::prometheus_text(self.started);
        }
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

    fn config_dump(&self, parameters: &Parameters) -> Result<Value, Refused> {
        let query = config_dump::Query::new(parameters)?;
        let snapshot = self.in_force().snapshot;
        let bootstrap = self.bootstrap();
        let bootstrap = bootstrap.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error))?;
        let since = self.origin().map_or_else(|| self.in_force().since, |origin| origin.since);
        Dump::new(bootstrap, since, &self.discovery, &snapshot).answer(&query)
    }

    /// The bootstrap in the messages of Envoy's API.
    fn bootstrap(&self) -> Result<Value, String> {
        match self.origin() {
            Some(origin) => config_dump::bootstrap(&origin),
            // Nobody has said where it comes from.
            None => Ok(write_bootstrap(&tollgate_ir::Resources::default()).bootstrap),
        }
    }

    fn init_dump(&self) -> Value {
        let waiting = self.discovery.table().waiting();
        if waiting.is_empty() { json!({}) } else { json!({ "unready_targets_dumps": waiting }) }
    }

    fn clusters(&self, parameters: &Parameters) -> Response<String> {
        let in_force = self.in_force();
        let clusters = Clusters {
            snapshot: &in_force.snapshot,
            stats: &self.stats,
            lookups: self.name_lookups.as_ref(),
            health: &self.health,
            delivered: self.discovery.table().names(tollgate_xds::Kind::Cluster),
        };
        match parameters.get("format") == Some("json") {
            true => ok(JSON, clusters.json()),
            false => ok(TEXT, clusters.text()),
        }
    }

    pub(super) fn server_info(&self, now: Instant) -> String {
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

/// The path, in which several slashes are one: there are callers who put one too many.
fn path<B>(request: &Request<B>) -> Cow<'_, str> {
    let path = request.uri().path();
    if !path.contains("//") {
        return path.into();
    }
    let mut merged = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !merged.ends_with('/') {
            merged.push(letter);
        }
    }
    merged.into()
}
