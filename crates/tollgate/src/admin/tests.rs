use std::time::{Duration, SystemTime};

use hyper::Request;
use serde_json::Value;
use tollgate_model::listener::BindAddress;

use crate::in_force::Refused;

use super::*;

const CONFIGURATION: &str = "
node: {id: gateway-1, cluster: edge}
static_resources:
  clusters:
  - name: httpbin
    type: STRICT_DNS
    load_assignment:
      cluster_name: httpbin
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: httpbin.example, port_value: 8080}}}
          load_balancing_weight: 3
";

fn admin() -> Admin {
    let source = tollgate_config::Source { path: "test".into(), text: CONFIGURATION.into() };
    let snapshot = tollgate_config::load(&[source]).snapshot.unwrap();
    let listeners = vec![
        ("http".to_owned(), BindAddress::Socket("127.0.0.1:10000".parse().unwrap())),
        ("http".to_owned(), BindAddress::Pipe { path: "/run/http.sock".into(), mode: None }),
    ];
    let in_force = InForce {
        generation: 1,
        since: SystemTime::UNIX_EPOCH,
        snapshot: Arc::new(snapshot),
        objects: Arc::default(),
        listeners,
        refused: None,
    };
    Admin::new(in_force, Stats::new(), NonZeroUsize::MIN, Instant::now())
}

fn get(admin: &Admin, path: &str) -> (u16, String) {
    let answer = admin.answer(&Request::get(path).body(()).unwrap());
    (answer.status().as_u16(), answer.into_body())
}

#[test]
fn readiness_ends_with_the_drain_and_health_does_not() {
    let admin = admin();
    assert_eq!(get(&admin, "/ready"), (200, "LIVE\n".into()));
    assert_eq!(get(&admin, "/healthz").0, 200);
    admin.drain();
    assert_eq!(get(&admin, "/ready"), (503, "DRAINING\n".into()));
    assert_eq!(get(&admin, "/healthz").0, 200);
}

#[test]
fn prometheus_is_told_the_version_of_its_format() {
    let admin = admin();
    let metrics = admin.answer(&Request::get("/metrics").body(()).unwrap());
    assert_eq!(metrics.status(), 200);
    assert_eq!(metrics.headers()[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    let families =
        |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(families(&get(&admin, "/stats/prometheus").1), families(metrics.body()));
}

#[test]
fn the_configuration_is_json() {
    let admin = admin();
    let config: Value = serde_json::from_str(&get(&admin, "/config").1).unwrap();
    assert_eq!(config["node"]["id"], "gateway-1");
    assert_eq!(config["clusters"]["httpbin"]["endpoints"][0]["weight"], 3);
    assert_eq!((&config["generation"], &config["refused"]), (&1.into(), &Value::Null));
    assert_eq!(config["in_force_since"], "1970-01-01T00:00:00Z");
    let admin = admin.with_address("127.0.0.1:15000".parse().unwrap());
    let config: Value = serde_json::from_str(&get(&admin, "/config").1).unwrap();
    assert_eq!(config["admin_address"], "127.0.0.1:15000");
}

#[test]
fn what_was_refused_is_shown_beside_what_is_in_force() {
    let admin = admin();
    let source = tollgate_config::Source { path: "test".into(), text: "static_resourcez: {}".into() };
    let diagnostics = tollgate_config::load(&[source]).diagnostics;
    let refused = Some(Arc::new(Refused { since: SystemTime::UNIX_EPOCH, diagnostics }));
    admin.set_in_force(InForce { refused, ..admin.in_force() });
    let config: Value = serde_json::from_str(&get(&admin, "/config").1).unwrap();
    assert_eq!(config["node"]["id"], "gateway-1");
    assert_eq!(config["refused"]["since"], "1970-01-01T00:00:00Z");
    let problem = &config["refused"]["diagnostics"][0];
    assert_eq!((&problem["file"], &problem["line"]), (&"test".into(), &1.into()));
    assert_eq!(get(&admin, "/ready").0, 200);
    assert_eq!(
        get(&admin, "/stats?filter=config").1,
        "server.config_generation: 1\nserver.config_refused: 1\n"
    );
    assert!(get(&admin, "/metrics").1.contains("\ntollgate_server_config_refused 1\n"));
}

#[test]
fn listeners_and_clusters_are_lines() {
    let admin = admin();
    assert_eq!(get(&admin, "/listeners").1, "http::127.0.0.1:10000\nhttp::/run/http.sock\n");
    let json: Value = serde_json::from_str(&get(&admin, "/clusters?format=json").1).unwrap();
    let status = &json["cluster_statuses"][0];
    assert_eq!((&status["name"], &status["observability_name"]), (&"httpbin".into(), &"httpbin".into()));
    assert_eq!(status["circuit_breakers"]["thresholds"][0]["max_retries"], 3);
    let host = &status["host_statuses"][0];
    assert_eq!(
        host["address"],
        serde_json::json!({"socket_address": {"address": "httpbin.example", "port_value": 8080}})
    );
    assert_eq!(host["weight"], 3);
    assert_eq!(host["stats"][0], serde_json::json!({"name": "cx_active", "type": "GAUGE"}));
    let clusters = get(&admin, "/clusters").1;
    for line in [
        "cx_active::0",
        "rq_total::0",
        "health_flags::healthy",
        "canary::false",
        "success_rate::-1",
        "zone::",
    ] {
        assert!(clusters.contains(&format!("httpbin::httpbin.example:8080::{line}\n")), "{line}: {clusters}");
    }
    assert!(clusters.contains("httpbin::default_priority::max_connections::1024\n"), "{clusters}");
    assert!(clusters.contains("httpbin::httpbin.example:8080::weight::3\n"), "{clusters}");
}

#[test]
fn the_server_tells_who_it_is() {
    let admin = admin();
    let info: Value =
        serde_json::from_str(&admin.server_info(admin.started + Duration::from_secs(62))).unwrap();
    assert_eq!(info["state"], "LIVE");
    assert_eq!(info["uptime_current_epoch"], "62s");
    assert_eq!(info["node"]["id"], "gateway-1");
    assert_eq!(info["command_line_options"]["concurrency"], 1);
    assert!(info["version"].as_str().unwrap().starts_with("tollgate/"));
}

#[test]
fn the_index_is_there() {
    let (status, text) = get(&admin(), "/");
    assert_eq!(status, 200);
    assert!(text.contains("/logging") && text.contains("/metrics"), "{text}");
}

#[test]
fn levels_are_changed_by_post_only() {
    let admin = admin();
    assert_eq!(get(&admin, "/logging?level=debug").0, 405);
    let answer = admin.answer(&Request::post("/logging").body(()).unwrap());
    assert_eq!(answer.status(), 200);
    assert!(answer.body().starts_with("active loggers:\n"), "{}", answer.body());
    let answer = admin.answer(&Request::post("/logging?level=loud").body(()).unwrap());
    assert_eq!(answer.status(), 400);
    assert!(answer.body().contains("usage: "), "{}", answer.body());
}

#[test]
fn anything_else_is_not_there() {
    let admin = admin();
    let (status, text) = get(&admin, "/nothing");
    assert_eq!(status, 404);
    assert!(text.contains("/metrics"), "{text}");
    assert_eq!(admin.answer(&Request::post("/ready").body(()).unwrap()).status(), 405);
}
