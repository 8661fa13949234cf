//! What metrics belong to, and how reports name it.

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
    /// HTTP/2 with clients.
    Http2,
    Route {
        virtual_host: String,
        route: String,
    },
    Cluster {
        name: String,
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
    /// Filters behind the router count for all connection managers together: their `http_stat_prefix` is empty (Z-1).
    ExtProc {
        http_stat_prefix: String,
        filter_stat_prefix: String,
    },
}

impl Scope {
    /// From the prefix of the connection manager and the whole prefix of the filter (Z-1).
    pub(super) fn ext_proc(http_stat_prefix: &str, prefix: &str) -> Self {
        let of_manager = prefix
            .strip_prefix("http.")
            .and_then(|rest| rest.strip_prefix(http_stat_prefix))
            .and_then(|rest| rest.strip_prefix(".ext_proc."));
        let (http_stat_prefix, own) = match of_manager {
            Some(own) => (http_stat_prefix, own),
            None => ("", prefix.strip_prefix("ext_proc.").unwrap_or(prefix)),
        };
        Self::ExtProc {
            http_stat_prefix: http_stat_prefix.to_owned(),
            filter_stat_prefix: own.trim_end_matches('.').to_owned(),
        }
    }

    /// What precedes the names of its metrics in Envoy's text form.
    pub(super) fn prefix(&self) -> String {
        match self {
            Self::Server => "server.".to_owned(),
            Self::Listener { name } => format!("listener.{}.", name.replace(':', "_")),
            Self::Http { stat_prefix } => format!("http.{stat_prefix}."),
            Self::Http2 => "http2.".to_owned(),
            Self::Workers => "workers.".to_owned(),
            Self::Route { virtual_host, route } => format!("vhost.{virtual_host}.route.{route}."),
            Self::Cluster { name } => format!("cluster.{}.", name.replace(':', "_")),
            Self::Processor { name } => format!("processor.{}.", name.replace(':', "_")),
            Self::OverloadResource { name }
            | Self::OverloadAction { name }
            | Self::LoadShedPoint { name } => {
                format!("overload.{name}.")
            }
            Self::ExtProc { http_stat_prefix, filter_stat_prefix } => {
                let manager = match http_stat_prefix.as_str() {
                    "" => String::new(),
                    prefix => format!("http.{prefix}."),
                };
                match filter_stat_prefix.as_str() {
                    "" => format!("{manager}ext_proc."),
                    prefix => format!("{manager}ext_proc.{prefix}."),
                }
            }
        }
    }

    /// What precedes the names of its metrics in the Prometheus form.
    pub(super) fn family(&self) -> &'static str {
        match self {
            Self::Server => "tollgate_server_",
            Self::Listener { .. } => "tollgate_listener_",
            Self::Http { .. } => "tollgate_http_",
            Self::Http2 => "tollgate_http2_",
            Self::Workers => "tollgate_workers_",
            Self::Route { .. } => "tollgate_vhost_route_",
            Self::Cluster { .. } => "tollgate_cluster_",
            Self::Processor { .. } => "tollgate_processor_",
            Self::OverloadResource { .. } => "tollgate_overload_resource_",
            Self::OverloadAction { .. } => "tollgate_overload_action_",
            Self::LoadShedPoint { .. } => "tollgate_load_shed_point_",
            Self::ExtProc { .. } => "tollgate_http_ext_proc_",
        }
    }

    /// The labels of its metrics in the Prometheus form.
    pub(super) fn labels(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Server | Self::Http2 | Self::Workers => Vec::new(),
            Self::Listener { name } => vec![("listener_name", name)],
            Self::Http { stat_prefix } => vec![("http_conn_manager_prefix", stat_prefix)],
            Self::Route { virtual_host, route } => vec![("virtual_host", virtual_host), ("route", route)],
            Self::Cluster { name } => vec![("cluster_name", name)],
            Self::Processor { name } => vec![("processor", name)],
            Self::OverloadResource { name } => vec![("resource", name)],
            Self::OverloadAction { name } => vec![("action", name)],
            Self::LoadShedPoint { name } => vec![("point", name)],
            Self::ExtProc { http_stat_prefix, filter_stat_prefix } => {
                vec![("http_conn_manager_prefix", http_stat_prefix), ("ext_proc_prefix", filter_stat_prefix)]
            }
        }
    }
}
