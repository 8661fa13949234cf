use std::sync::Arc;

use regex::Regex;
use tollgate_model::{
    cluster::{Cluster, Discovery},
    filter::{FilterOverride, HttpFilter},
    http_connection_manager::HttpConnectionManager,
};

use super::*;

fn workers(number: usize) -> (Arc<Stats>, Vec<WorkerStats>) {
    let stats = Stats::new();
    let workers = (0..number).map(|worker| WorkerStats::new(stats.clone(), worker)).collect();
    (stats, workers)
}

#[test]
fn filters_without_a_prefix_have_no_counters() {
    let (stats, workers) = workers(1);
    let filter = |name: &str, stat_prefix: &str| {
        Arc::new(HttpFilter {
            name: name.to_owned(),
            stat_prefix: stat_prefix.to_owned(),
            default: FilterOverride::Idle,
        })
    };
    let filters = vec![filter("cors", ""), filter("ext_proc", "http.my.ext_proc.")];
    let http = HttpConnectionManager::new("my".to_owned(), Arc::default(), filters);
    let of_chain = ConnectionStats::new(&workers[0], &workers[0].listener("l"), &http, None);
    let has_any: Vec<_> = of_chain.filters.iter().map(Option::is_some).collect();
    assert_eq!(has_any, [false, true]);
    let text = stats.envoy_text(None);
    assert!(text.contains("http.my.ext_proc.streams_started: 0\n"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("ext_proc.")), "{text}");
}

/// Z-1, Z-2: the names and order of Envoy, but for the counter of HTTP services, which are not supported.
#[test]
fn ext_proc_counters() {
    let (stats, workers) = workers(1);
    let plain = workers[0].ext_proc("my.prefix", "http.my.prefix.ext_proc.");
    let named = workers[0].ext_proc("my.prefix", "http.my.prefix.ext_proc.pre.");
    plain.add(ExtProcMetric::ServerHalfClosed, 4);
    named.increment(ExtProcMetric::StreamsStarted);
    let text = stats.envoy_text(None);
    let expected = [
        ("clear_route_cache_disabled", 0),
        ("clear_route_cache_ignored", 0),
        ("clear_route_cache_upstream_ignored", 0),
        ("failure_mode_allowed", 0),
        ("immediate_responses_sent", 0),
        ("message_timeouts", 0),
        ("override_message_timeout_ignored", 0),
        ("override_message_timeout_received", 0),
        ("rejected_header_mutations", 0),
        ("server_half_closed", 4),
        ("spurious_msgs_received", 0),
        ("stream_msgs_received", 0),
        ("stream_msgs_sent", 0),
        ("streams_closed", 0),
        ("streams_failed", 0),
        ("streams_started", 0),
    ]
    .map(|(name, value)| format!("http.my.prefix.ext_proc.{name}: {value}"));
    let own: Vec<_> = text.lines().filter(|line| !line.contains(".pre.")).collect();
    assert_eq!(own, expected);
    assert!(text.contains("http.my.prefix.ext_proc.pre.streams_started: 1\n"));
    assert!(stats.prometheus_text().contains(
        "tollgate_http_ext_proc_streams_started_total{http_conn_manager_prefix=\"my.prefix\",ext_proc_prefix=\"pre\"} 1\n"
    ));
}

/// Z-1: as in Envoy 1.40, without a dot.
#[test]
fn counters_behind_the_router() {
    let (stats, workers) = workers(1);
    let filters = [("one", "ext_proc."), ("other", "ext_proc."), ("one", "ext_proc.pre.")];
    let metrics = filters.map(|(manager, prefix)| workers[0].ext_proc(manager, prefix));
    metrics.iter().for_each(|metrics| metrics.increment(ExtProcMetric::StreamsStarted));
    let text = stats.envoy_text(None);
    let started: Vec<_> = text.lines().filter(|line| line.contains("streams_started")).collect();
    assert_eq!(
        started,
        [
            "http.oneext_proc.pre.streams_started: 1",
            "http.oneext_proc.streams_started: 1",
            "http.otherext_proc.streams_started: 1"
        ]
    );
    assert!(stats.prometheus_text().contains(
        "tollgate_http_ext_proc_streams_started_total{http_conn_manager_prefix=\"one\",ext_proc_prefix=\"pre\",filter_chain=\"upstream\"} 1\n"
    ));
}

#[test]
fn workers_are_summed() {
    let (stats, workers) = workers(3);
    let metrics: Vec<_> = workers.iter().map(|worker| worker.cluster("a:80")).collect();
    for (number, metrics) in metrics.iter().enumerate() {
        metrics.add(ClusterMetric::UpstreamRqTotal, number as u64 + 1);
        metrics.record(Duration::from_millis(3));
    }
    metrics[0].increment(ClusterMetric::UpstreamCxActive);
    metrics[1].increment(ClusterMetric::UpstreamCxActive);
    metrics[1].decrement(ClusterMetric::UpstreamCxActive);
    let text = stats.envoy_text(None);
    assert!(text.contains("cluster.a_80.upstream_rq_total: 6\n"), "{text}");
    assert!(text.contains("cluster.a_80.upstream_cx_active: 1\n"), "{text}");
    assert!(text.contains("cluster.a_80.upstream_cx_connect_ms: No recorded values\n"), "{text}");
    assert!(text.contains("cluster.a_80.upstream_rq_time: P0(nan,"), "{text}");
    let text = stats.prometheus_text();
    assert!(text.contains("# TYPE tollgate_cluster_upstream_rq_time_seconds histogram\n"), "{text}");
    for line in [
        "tollgate_cluster_upstream_rq_time_seconds_bucket{cluster_name=\"a:80\",le=\"0.001\"} 0",
        "tollgate_cluster_upstream_rq_time_seconds_bucket{cluster_name=\"a:80\",le=\"0.005\"} 3",
        "tollgate_cluster_upstream_rq_time_seconds_bucket{cluster_name=\"a:80\",le=\"+Inf\"} 3",
        "tollgate_cluster_upstream_rq_time_seconds_sum{cluster_name=\"a:80\"} 0.009",
        "tollgate_cluster_upstream_rq_time_seconds_count{cluster_name=\"a:80\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn response_classes() {
    let (stats, workers) = workers(1);
    let metrics = workers[0].http("p");
    for status in [200, 204, 404, 599, 101, 600, 999] {
        metrics.count_response(StatusCode::from_u16(status).unwrap());
    }
    let text = stats.prometheus_text();
    for (class, value) in [(1, 1), (2, 2), (3, 0), (4, 1), (5, 1)] {
        let line = format!(
            "tollgate_http_downstream_rq_xx_total{{http_conn_manager_prefix=\"p\",response_code_class=\"{class}\"}} {value}"
        );
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert_eq!(text.matches("# TYPE tollgate_http_downstream_rq_xx_total counter").count(), 1);
}

#[test]
fn filtered() {
    let (stats, workers) = workers(1);
    let _http = workers[0].http("p");
    let filter = Regex::new("rq_to.al$").unwrap();
    assert_eq!(stats.envoy_text(Some(&filter)), "http.p.downstream_rq_total: 0\nhttp.p.rq_total: 0\n");
    let histograms = Regex::new("rq_time$").unwrap();
    assert_eq!(stats.envoy_text(Some(&histograms)), "http.p.downstream_rq_time: No recorded values\n");
}

/// A new configuration goes on counting where the old one stopped; what nothing names any more is forgotten.
#[test]
fn live_as_long_as_their_configuration() {
    let (stats, workers) = workers(1);
    let mut snapshot = Snapshot::default();
    let app = Cluster::new("app".to_owned(), Discovery::Static, Vec::new());
    snapshot.clusters.insert("app".to_owned(), Arc::new(app));
    let counted = |name: &str| {
        let metrics = workers[0].cluster(name);
        metrics.increment(ClusterMetric::UpstreamRqTotal);
        metrics
    };
    drop((counted("app"), counted("gone")));
    let held = counted("held");
    stats.forget_all_but(&snapshot);
    drop(counted("app"));
    let text = stats.envoy_text(None);
    assert!(text.contains("cluster.app.upstream_rq_total: 2\n"), "{text}");
    assert!(text.contains("cluster.held.upstream_rq_total: 1\n"), "{text}");
    assert!(!text.contains("cluster.gone."), "{text}");
    drop(held);
    stats.forget_all_but(&Snapshot::default());
    assert!(stats.registry().is_empty());
}

#[test]
fn routes_are_shown_when_used() {
    let (stats, workers) = workers(1);
    let route = workers[0].route("host", "first");
    assert_eq!(stats.envoy_text(None), "");
    route.increment(RouteMetric::UpstreamRqTotal);
    assert!(stats.envoy_text(None).contains("vhost.host.route.first.upstream_rq_total: 1\n"));
}

/// Names come from configuration files and may hold anything.
#[test]
fn labels_are_escaped() {
    let (stats, workers) = workers(1);
    let _cluster = workers[0].cluster("a\"\\\n");
    assert!(stats.prometheus_text().contains(r#"{cluster_name="a\"\\\n"}"#));
}

/// The conventions of Prometheus: units, suffixes, a line of help for each family, and no name that means two things.
#[test]
fn prometheus_conventions_hold() {
    let (stats, workers) = workers(1);
    let worker = &workers[0];
    let _all = (worker.server(), worker.http("p"), worker.listener("l"), worker.cluster("c"));
    let processor = worker.processor("c");
    worker.route("h", "r").increment(RouteMetric::UpstreamRqTotal);
    worker.ext_proc("p", "http.p.ext_proc.");
    processor.record_step(Direction::Response, Step::Body, Duration::from_micros(80));
    processor.record_stream_wait(Duration::from_micros(30));
    let text = stats.prometheus_text();
    let mut families = std::collections::HashSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} twice");
            assert!(help.len() > 5 && help.ends_with('.'), "{line}");
            let kind = lines.next().unwrap().rsplit(' ').next().unwrap();
            match kind {
                "counter" => assert!(name.ends_with("_total"), "{name}"),
                "histogram" => assert!(name.ends_with("_seconds"), "{name}"),
                _ => assert!(!name.ends_with("_total"), "{name}"),
            }
        } else {
            assert!(families.iter().any(|family| line.starts_with(family.as_str())), "{line}");
        }
    }
    for line in [
        "tollgate_processor_message_time_seconds_bucket{processor=\"c\",step=\"response_body\",le=\"0.00005\"} 0",
        "tollgate_processor_message_time_seconds_bucket{processor=\"c\",step=\"response_body\",le=\"0.0001\"} 1",
        "tollgate_processor_message_time_seconds_count{processor=\"c\",step=\"request_headers\"} 0",
        "tollgate_processor_stream_wait_time_seconds_bucket{processor=\"c\",le=\"0.00005\"} 1",
        "tollgate_processor_failures_total{processor=\"c\",reason=\"timeout\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let text = stats.envoy_text(None);
    assert!(text.contains("processor.c.failures.timeout: 0\n"), "{text}");
    assert!(text.contains("processor.c.message_time.response_body: P0("), "{text}");
}
