//! Envoy's own command line, for those who start a program named `envoy`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum};

/// Envoy's command line.
///
/// Flags without an effect here are accepted: there is no hot restart, and there are no extensions to load or to leave out.
#[derive(Debug, Clone, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Envoy {
    /// The bootstrap: YAML, JSON, or protobuf's wire format if its name ends in .pb.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config_path: Option<PathBuf>,
    /// More of the bootstrap, laid over that of the file as protobuf merges messages.
    #[arg(long, value_name = "YAML")]
    pub(crate) config_yaml: Option<String>,
    /// `node.cluster`.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) service_cluster: String,
    /// `node.id`.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) service_node: String,
    /// `node.locality.zone`.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) service_zone: String,
    /// Threads that serve requests [default: one for each core that the process may use].
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// As many threads as the process may use cores, which is the default.
    #[arg(long)]
    pub(crate) cpuset_threads: bool,
    /// trace, debug, info, warning, error, critical or off.
    #[arg(short, long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// The log goes to this file instead of standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) log_path: Option<PathBuf>,
    /// serve, validate (read the bootstrap and end) or `init_only` (the same, and bind nothing).
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub(crate) mode: Mode,
    /// Seconds that connections may go on when what they belong to is removed.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) drain_time_s: u64,
    /// Where the address of the admin server is written.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_address_path: Option<PathBuf>,
    /// Number of the restart. There is no hot restart: it has to be 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) restart_epoch: u32,
    /// Shows the version.
    #[arg(long)]
    pub(crate) version: bool,
    /// Shows that there is no hot restart.
    #[arg(long)]
    pub(crate) hot_restart_version: bool,
    #[command(flatten)]
    pub(crate) without_effect: WithoutEffect,
}

/// What the process does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Serves requests.
    #[default]
    Serve,
    /// Reads the bootstrap.
    Validate,
    /// Reads the bootstrap.
    #[value(name = "init_only")]
    InitOnly,
}

/// Flags that are accepted and change nothing here.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Without effect")]
pub(crate) struct WithoutEffect {
    #[arg(long, value_name = "PARTS", hide_short_help = true)]
    pub(crate) component_log_level: Option<String>,
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    #[arg(long)]
    pub(crate) log_format_escaped: bool,
    #[arg(long)]
    pub(crate) enable_fine_grain_logging: bool,
    #[arg(long)]
    pub(crate) log_stacktrace_single_entry: bool,
    #[arg(long)]
    pub(crate) skip_deprecated_logs: bool,
    #[arg(long, value_name = "STRATEGY")]
    pub(crate) drain_strategy: Option<String>,
    #[arg(long, value_name = "SECONDS")]
    pub(crate) parent_shutdown_time_s: Option<u64>,
    #[arg(long, value_name = "N")]
    pub(crate) base_id: Option<u32>,
    #[arg(long)]
    pub(crate) use_dynamic_base_id: bool,
    #[arg(long, value_name = "FILE")]
    pub(crate) base_id_path: Option<PathBuf>,
    #[arg(long)]
    pub(crate) disable_hot_restart: bool,
    #[arg(long)]
    pub(crate) skip_hot_restart_on_no_parent: bool,
    #[arg(long)]
    pub(crate) skip_hot_restart_parent_stats: bool,
    #[arg(long, value_name = "FILE")]
    pub(crate) socket_path: Option<PathBuf>,
    #[arg(long, value_name = "MODE")]
    pub(crate) socket_mode: Option<String>,
    #[arg(long, value_name = "VERSION")]
    pub(crate) local_address_ip_version: Option<String>,
    /// Unknown fields are refused wherever they are.
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,
    /// Unknown fields are refused wherever they are.
    #[arg(long)]
    pub(crate) allow_unknown_static_fields: bool,
    /// Unknown fields are refused wherever they are.
    #[arg(long)]
    pub(crate) reject_unknown_dynamic_fields: bool,
    /// Unknown fields are refused wherever they are.
    #[arg(long)]
    pub(crate) ignore_unknown_dynamic_fields: bool,
    #[arg(long, value_name = "TIME")]
    pub(crate) file_flush_interval_msec: Option<u64>,
    #[arg(long, value_name = "SIZE")]
    pub(crate) file_flush_min_size_kb: Option<u64>,
    #[arg(long, value_name = "NAMES")]
    pub(crate) disable_extensions: Option<String>,
    #[arg(long)]
    pub(crate) enable_mutex_tracing: bool,
    #[arg(long)]
    pub(crate) enable_core_dump: bool,
    #[arg(long, value_name = "TAG:VALUE")]
    pub(crate) stats_tag: Vec<String>,
    /// Everything behind `--`.
    #[arg(last = true, value_name = "ANYTHING", allow_hyphen_values = true)]
    pub(crate) rest: Vec<String>,
}

impl Envoy {
    /// Threads that are asked for; 0 is one, as in Envoy.
    pub(crate) fn workers(&self) -> Option<NonZeroUsize> {
        self.concurrency.map(|count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN))
    }
}
