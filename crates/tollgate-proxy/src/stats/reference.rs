//! The reference of metrics, made of their descriptions.

use std::{fmt::Write as _, path::Path};

use super::{
    metrics::{Description, Kind, Metric},
    scope::Scope,
    *,
};

const HEAD: &str = "# Metrics

`/stats` on the admin server has Envoy's names, `/metrics` the names and units that Prometheus expects: counters end in `_total`, times are
in seconds, and what differs in one word is a label. This page is made of the descriptions in the code
(`UPDATE_REFERENCE=1 cargo test -p tollgate-proxy --lib stats`).

Questions and where the answer is:

| question | metric |
|---|---|
| How long do processors take, by step? | `tollgate_processor_message_time_seconds` |
| Do exchanges wait for connections? | `tollgate_processor_stream_wait_time_seconds` |
| Why do exchanges fail? | `tollgate_processor_failures_total`, by `reason` |
| How many requests go on without their processor? | `tollgate_processor_failed_open_total` |
| Which changes of processors have no effect? | `tollgate_processor_rejected_header_mutations_total` |
| Does the upstream fail, or the processor? | `tollgate_cluster_upstream_rq_xx_total` counts what upstreams answered, `tollgate_http_downstream_rq_xx_total` what clients got |
| Can a cluster be reached? | `tollgate_cluster_upstream_cx_connect_fail_total`, `tollgate_cluster_upstream_cx_connect_timeout_total` |
| Is the configuration in force the one in the files? | `tollgate_server_config_refused` |

";

const TAIL: &str = "## Of the process, beside `/metrics` of the data plane

| `/stats` | `/metrics` | kind | meaning |
|---|---|---|---|
| `server.config_generation` | `tollgate_server_config_generation` | gauge | Number of the configuration in force. |
| `server.config_refused` | `tollgate_server_config_refused` | gauge | Whether the files hold a configuration that was refused (1) or the one in force (0). |
| `server.log_lines_dropped` | `tollgate_server_log_lines_dropped_total` | counter | Log lines that standard error did not take in time. |
| | `tollgate_build_info` | gauge | Always 1; the label `version` says what runs. |
| | `process_start_time_seconds` | gauge | When the process started, seconds since 1970. |
| | `process_resident_memory_bytes` | gauge | Memory in use. |
| | `process_cpu_seconds_total` | counter | CPU time used. |
| | `process_open_fds` | gauge | Open file descriptors. |
| | `process_max_fds` | gauge | Most file descriptors the process may open. |
";

fn name(text: &str) -> String {
    text.to_owned()
}

fn sections() -> Vec<(&'static str, Scope, &'static Description)> {
    vec![
        ("Processors", Scope::Processor { name: name("NAME") }, ProcessorMetric::DESCRIPTION),
        (
            "External processing filters",
            Scope::ExtProc {
                http_stat_prefix: name("PREFIX"),
                behind_router: false,
                filter_stat_prefix: String::new(),
            },
            ExtProcMetric::DESCRIPTION,
        ),
        filter_section::<ExtAuthzMetric>("ext_authz filters", "STAT_PREFIX"),
        filter_section::<ExtAuthzOfClusterMetric>(
            "ext_authz filters, by the cluster of the route",
            "cluster.NAME.ext_authz.STAT_PREFIX.",
        ),
        filter_section::<JwtAuthnMetric>("jwt_authn filters", "STAT_PREFIX"),
        filter_section::<LocalRateLimitMetric>("local_ratelimit filters", "STAT_PREFIX"),
        filter_section::<RateLimitMetric>(
            "ratelimit filters, by the cluster of the route",
            "cluster.NAME.ratelimit.STAT_PREFIX.",
        ),
        filter_section::<CompressorMetric>("compressor filters, by direction", "LIBRARY.ENCODING.DIRECTION."),
        filter_section::<CompressorAcceptMetric>(
            "compressor filters, what clients accept",
            "LIBRARY.ENCODING.",
        ),
        filter_section::<CorsMetric>("cors filters", ""),
        filter_section::<DecompressorMetric>(
            "decompressor filters, by direction",
            "LIBRARY.ENCODING.DIRECTION.",
        ),
        filter_section::<FaultMetric>("fault filters", ""),
        filter_section::<LuaMetric>("lua filters", "STAT_PREFIX"),
        filter_section::<CompositeMetric>("Composite filters", ""),
        filter_section::<SetMetadataMetric>("set_metadata filters", SetMetadataMetric::OF_FILTER),
        filter_section::<HeaderToMetadataMetric>("header_to_metadata filters", "STAT_PREFIX"),
        ("Connection managers", Scope::Http { stat_prefix: name("PREFIX") }, HttpMetric::DESCRIPTION),
        (
            "Connections that are passed on as they are",
            Scope::Tcp { stat_prefix: name("PREFIX") },
            TcpMetric::DESCRIPTION,
        ),
        ("Listeners", Scope::Listener { name: name("NAME") }, ListenerMetric::DESCRIPTION),
        ("Clusters", Scope::Cluster { name: name("NAME") }, ClusterMetric::DESCRIPTION),
        (
            "Routes",
            Scope::Route { virtual_host: name("HOST"), route: name("ROUTE") },
            RouteMetric::DESCRIPTION,
        ),
        ("Management servers", Scope::ControlPlane, ControlPlaneMetric::DESCRIPTION),
        (
            "Clusters of management servers",
            Scope::Discovery { kind: DiscoveryType::Cds },
            DiscoveryMetric::DESCRIPTION,
        ),
        (
            "Endpoints of management servers",
            Scope::Discovery { kind: DiscoveryType::Eds },
            DiscoveryMetric::DESCRIPTION,
        ),
        (
            "Secrets of management servers",
            Scope::Discovery { kind: DiscoveryType::Sds },
            DiscoveryMetric::DESCRIPTION,
        ),
        (
            "Listeners of management servers",
            Scope::Discovery { kind: DiscoveryType::Lds },
            DiscoveryMetric::DESCRIPTION,
        ),
        (
            "Route tables of management servers",
            Scope::Discovery { kind: DiscoveryType::Rds },
            DiscoveryMetric::DESCRIPTION,
        ),
        ("Process", Scope::Server, ServerMetric::DESCRIPTION),
        ("Watch over the workers", Scope::Workers, WorkersMetric::DESCRIPTION),
        ("HTTP/2", Scope::Http2, Http2Metric::DESCRIPTION),
        (
            "Resources of the overload manager",
            Scope::OverloadResource { name: name("NAME") },
            OverloadResourceMetric::DESCRIPTION,
        ),
        ("Overload actions", Scope::OverloadAction { name: name("NAME") }, OverloadActionMetric::DESCRIPTION),
        ("Load shed points", Scope::LoadShedPoint { name: name("NAME") }, LoadShedPointMetric::DESCRIPTION),
    ]
}

fn filter_section<S: FilterMetrics>(
    title: &'static str,
    own: &str,
) -> (&'static str, Scope, &'static Description) {
    (title, Scope::Filter { family: S::FAMILY, prefix: S::prefix("PREFIX", own) }, S::DESCRIPTION)
}

fn row(text: &mut String, scope: &Scope, metric: &Metric) {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let label = metric.label().map(|(label, value)| format!("{{{label}=\"{value}\"}}")).unwrap_or_default();
    let (envoy, prometheus) = (metric.envoy_name(), metric.prometheus_name(scope.family()));
    let help = metric.help.trim();
    let _ = writeln!(text, "| `{envoy}` | `{prometheus}{label}` | {kind} | {help} |");
}

fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (title, scope, description) in sections() {
        let prefix = scope.prefix();
        let labels: Vec<_> = scope.labels().iter().map(|(label, _)| format!("`{label}`")).collect();
        let labels = match labels.as_slice() {
            [] => "no labels".to_owned(),
            labels => format!("labels {}", labels.join(", ")),
        };
        let _ = writeln!(text, "## {title}\n\n`{prefix}` in `/stats`; {labels} in `/metrics`.\n");
        text.push_str("| `/stats` | `/metrics` | kind | meaning |\n|---|---|---|---|\n");
        for metric in description.metrics.iter().chain(description.histograms) {
            row(&mut text, &scope, metric);
        }
        text.push('\n');
    }
    text + TAIL
}

#[test]
fn every_metric_is_in_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let reference = reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &reference).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == reference, "docs/metrics.md is stale: run the test with UPDATE_REFERENCE=1");
}
