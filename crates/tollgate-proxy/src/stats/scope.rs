//! What metrics belong to, and how reports name it.

use super::discovery::DiscoveryType;

/// What a set of metrics belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    Server,
    Listener {
        name: String,
    },
    Http {
        stat_prefix: String,
    },
    /// Connections that are passed on as they are.
    Tcp {
        stat_prefix: String,
    },
    /// HTTP/2 with clients.
    Http2,
    Route {
        virtual_host: String,
        route: String,
    },
    Cluster {
        name: String,
    },
    /// An endpoint of a cluster. `/clusters` shows it; reports of statistics leave it out.
    Endpoint {
        cluster: String,
        address: String,
    },
    Processor {
        name: String,
    },
    OverloadResource {
        name: String,
    },
    OverloadAction {
        name: String,
    },
    LoadShedPoint {
        name: String,
    },
    Workers,
    /// Management servers.
    ControlPlane,
    /// What they deliver.
    Discovery {
        kind: DiscoveryType,
    },
    /// Filters of another kind, under a prefix that follows from their settings.
    Filter {
        /// What precedes the names of the metrics of this kind in the Prometheus form.
        family: &'static str,
        prefix: String,
    },
    /// External processing filters of a connection manager (Z-1).
    ExtProc {
        http_stat_prefix: String,
        /// They are among the router's `upstream_http_filters`.
        behind_router: bool,
        filter_stat_prefix: String,
    },
    /// External processing filters behind the router that belong to a cluster.
    ClusterExtProc {
        cluster: String,
        filter_stat_prefix: String,
    },
}

impl Scope {
    /// From the prefix of the connection manager and the whole prefix of the filter (Z-1).
    pub(super) fn ext_proc(http_stat_prefix: &str, prefix: &str) -> Self {
        let of_cluster = prefix.strip_prefix("cluster.").and_then(|rest| rest.rsplit_once(".ext_proc."));
        if let Some((cluster, own)) = of_cluster {
            let own = own.trim_end_matches('.').to_owned();
            return Self::ClusterExtProc { cluster: cluster.to_owned(), filter_stat_prefix: own };
        }
        let of_manager = prefix
            .strip_prefix("http.")
            .and_then(|rest| rest.strip_prefix(http_stat_prefix))
            .and_then(|rest| rest.strip_prefix(".ext_proc."));
        let own = of_manager.unwrap_or_else(|| prefix.strip_prefix("ext_proc.").unwrap_or(prefix));
        Self::ExtProc {
            http_stat_prefix: http_stat_prefix.to_owned(),
            behind_router: of_manager.is_none(),
            filter_stat_prefix: own.trim_end_matches('.').to_owned(),
        }
    }

    /// What precedes the names of its metrics in Envoy's text form.
    pub(super) fn prefix(&self) -> String {
        match self {
            Self::Server => "server.".to_owned(),
            Self::Filter { prefix, .. } => prefix.clone(),
            Self::Listener { name } => format!("listener.{}.", name.replace(':', "_")),
            Self::Http { stat_prefix } => format!("http.{stat_prefix}."),
            Self::Tcp { stat_prefix } => format!("tcp.{stat_prefix}."),
            Self::Http2 => "http2.".to_owned(),
            Self::Workers => "workers.".to_owned(),
            Self::ControlPlane => "control_plane.".to_owned(),
            Self::Discovery { kind } => kind.prefix().to_owned(),
            Self::Route { virtual_host, route } => format!("vhost.{virtual_host}.route.{route}."),
            Self::Cluster { name } => format!("cluster.{}.", name.replace(':', "_")),
            Self::Endpoint { cluster, address } => format!("cluster.{cluster}.endpoint.{address}."),
            Self::Processor { name } => format!("processor.{}.", name.replace(':', "_")),
            Self::OverloadResource { name }
            | Self::OverloadAction { name }
            | Self::LoadShedPoint { name } => {
                format!("overload.{name}.")
            }
            Self::ExtProc { http_stat_prefix, behind_router, filter_stat_prefix } => {
                // Envoy writes no dot between the two where filters are behind the router.
                let dot = if *behind_router { "" } else { "." };
                match filter_stat_prefix.as_str() {
                    "" => format!("http.{http_stat_prefix}{dot}ext_proc."),
                    own => format!("http.{http_stat_prefix}{dot}ext_proc.{own}."),
                }
            }
            Self::ClusterExtProc { cluster, filter_stat_prefix } => {
                let cluster = cluster.replace(':', "_");
                match filter_stat_prefix.as_str() {
                    "" => format!("cluster.{cluster}.ext_proc."),
                    own => format!("cluster.{cluster}.ext_proc.{own}."),
                }
            }
        }
    }

    /// What precedes the names of its metrics in the Prometheus form.
    pub(super) fn family(&self) -> &'static str {
        match self {
            Self::Server => "tollgate_server_",
            Self::Filter { family, .. } => family,
            Self::Listener { .. } => "tollgate_listener_",
            Self::Http { .. } => "tollgate_http_",
            Self::Tcp { .. } => "tollgate_tcp_",
            Self::Http2 => "tollgate_http2_",
            Self::Workers => "tollgate_workers_",
            Self::ControlPlane => "tollgate_control_plane_",
            Self::Discovery { .. } => "tollgate_discovery_",
            Self::Route { .. } => "tollgate_vhost_route_",
            Self::Cluster { .. } => "tollgate_cluster_",
            Self::Endpoint { .. } => "tollgate_cluster_endpoint_",
            Self::Processor { .. } => "tollgate_processor_",
            Self::OverloadResource { .. } => "tollgate_overload_resource_",
            Self::OverloadAction { .. } => "tollgate_overload_action_",
            Self::LoadShedPoint { .. } => "tollgate_load_shed_point_",
            Self::ExtProc { .. } | Self::ClusterExtProc { .. } => "tollgate_http_ext_proc_",
        }
    }

    /// The labels of its metrics in the Prometheus form.
    pub(super) fn labels(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Server | Self::Http2 | Self::Workers | Self::ControlPlane => Vec::new(),
            Self::Discovery { kind } => vec![("type", kind.label())],
            Self::Listener { name } => vec![("listener_name", name)],
            Self::Filter { prefix, .. } => vec![("prefix", prefix.trim_end_matches('.'))],
            Self::Http { stat_prefix } => vec![("http_conn_manager_prefix", stat_prefix)],
            Self::Tcp { stat_prefix } => vec![("tcp_prefix", stat_prefix)],
            Self::Route { virtual_host, route } => vec![("virtual_host", virtual_host), ("route", route)],
            Self::Cluster { name } => vec![("cluster_name", name)],
            Self::Endpoint { cluster, address } => vec![("cluster_name", cluster), ("endpoint", address)],
            Self::Processor { name } => vec![("processor", name)],
            Self::OverloadResource { name } => vec![("resource", name)],
            Self::OverloadAction { name } => vec![("action", name)],
            Self::LoadShedPoint { name } => vec![("point", name)],
            Self::ClusterExtProc { cluster, filter_stat_prefix } => vec![
                ("cluster_name", cluster),
                ("ext_proc_prefix", filter_stat_prefix),
                ("filter_chain", "cluster"),
            ],
            Self::ExtProc { http_stat_prefix, behind_router, filter_stat_prefix } => {
                let mut labels = vec![
                    ("http_conn_manager_prefix", http_stat_prefix.as_str()),
                    ("ext_proc_prefix", filter_stat_prefix),
                ];
                if *behind_router {
                    labels.push(("filter_chain", "upstream"));
                }
                labels
            }
        }
    }
}
