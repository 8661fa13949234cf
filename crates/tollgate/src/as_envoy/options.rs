//! What the flags mean, with the values that Envoy takes.

use std::{num::NonZeroUsize, path::PathBuf};

use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use super::{components, flags::Typed};
use crate::logging::{Levels, level};

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Serve it.
    #[default]
    Serve,
    /// Read it.
    Validate,
    /// Start, and exit when everything is there.
    InitOnly,
}

/// The options of a process that acts as Envoy.
#[derive(Debug)]
pub(crate) struct EnvoyOptions {
    pub(crate) config_path: Option<PathBuf>,
    pub(crate) config_yaml: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) service_cluster: Option<String>,
    pub(crate) service_node: Option<String>,
    pub(crate) service_zone: Option<String>,
    pub(crate) concurrency: Option<NonZeroUsize>,
    pub(crate) levels: Levels,
    pub(crate) log_format: Option<String>,
    pub(crate) escapes_logs: bool,
    pub(crate) log_path: Option<PathBuf>,
    pub(crate) admin_address_path: Option<PathBuf>,
    pub(crate) drain_time_s: u64,
    pub(crate) base_id: u32,
    pub(crate) base_id_path: Option<PathBuf>,
    /// Labels of every metric.
    pub(crate) stats_tags: Vec<(String, String)>,
    /// Envoy's `CommandLineOptions`, for those who ask the admin server.
    pub(crate) shown: Value,
}

/// Form of log lines if none is asked for.
pub(crate) const DEFAULT_LOG_FORMAT: &str = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

impl EnvoyOptions {
    /// # Errors
    /// What is wrong, in Envoy's words where it has some.
    pub(super) fn new(typed: &Typed) -> Result<Self, String> {
        let text = |name: &str| typed.text(name).map(str::to_owned);
        let path = |name: &str| typed.text(name).map(PathBuf::from);
        let mode = match typed.all("mode").first().map_or("serve", String::as_str) {
            "serve" => Mode::Serve,
            "validate" => Mode::Validate,
            "init_only" => Mode::InitOnly,
            other => return Err(format!("error: unknown mode '{other}'")),
        };
        if let Some(other) = typed.all("drain-strategy").first()
            && !matches!(other.as_str(), "gradual" | "immediate")
        {
            return Err(format!("error: unknown drain-strategy '{other}'"));
        }
        if let Some(other) = typed.all("local-address-ip-version").first()
            && !matches!(other.as_str(), "v4" | "v6")
        {
            return Err(format!("error: unknown IP address version '{other}'"));
        }
        if let Some(extensions) = text("disable-extensions") {
            return Err(format!(
                "error: --disable-extensions is not supported: leave {extensions} out of the configuration"
            ));
        }
        let levels = levels(typed)?;
        let epoch = typed.number("restart-epoch").unwrap_or(0);
        if epoch > 0 && typed.has("use-dynamic-base-id") {
            return Err(format!("error: cannot use --restart-epoch={epoch} with --use-dynamic-base-id"));
        }
        if epoch > 0 && !typed.has("disable-hot-restart") && !typed.has("skip-hot-restart-on-no-parent") {
            return Err(format!(
                "error: --restart-epoch {epoch} is not supported: there is no hot restart; start the process again, or add \
                 --disable-hot-restart"
            ));
        }
        let base_id = match typed.number("base-id") {
            _ if typed.has("use-dynamic-base-id") => fastrand::u32(1..100_000_000),
            base_id => base_id.unwrap_or(0),
        };
        // 0 threads are one.
        let concurrency = typed.number("concurrency").map(|threads| {
            NonZeroUsize::new(usize::try_from(threads).unwrap_or(usize::MAX)).unwrap_or(NonZeroUsize::MIN)
        });
        let drain_time_s = u64::from(typed.number("drain-time-s").unwrap_or(600));
        Ok(Self {
            config_path: path("config-path"),
            config_yaml: text("config-yaml"),
            mode,
            service_cluster: text("service-cluster"),
            service_node: text("service-node"),
            service_zone: text("service-zone"),
            concurrency,
            levels,
            log_format: text("log-format"),
            escapes_logs: typed.has("log-format-escaped"),
            log_path: path("log-path"),
            admin_address_path: path("admin-address-path"),
            drain_time_s,
            base_id,
            base_id_path: path("base-id-path"),
            stats_tags: stats_tags(typed)?,
            shown: shown(typed, mode, base_id, drain_time_s),
        })
    }
}

fn levels(typed: &Typed) -> Result<Levels, String> {
    let wished = |text: &str| level(text).map_err(|_| format!("error: invalid log level specified '{text}'"));
    let default = typed.all("log-level").first().map_or(Ok(LevelFilter::INFO), |text| wished(text))?;
    let mut levels = Levels::new(default);
    for pair in typed.text("component-log-level").iter().flat_map(|text| text.split(',')) {
        let Some((component, of_it)) = pair.split_once(':').filter(|(_, level)| !level.contains(':')) else {
            return Err(format!("error: component log level not correctly specified '{pair}'"));
        };
        let of_it = wished(of_it)?;
        let Some(paths) = components::paths(component) else {
            return Err(format!("error: invalid component specified '{component}'"));
        };
        paths.iter().for_each(|path| levels.set(path, of_it));
    }
    Ok(levels)
}

fn stats_tags(typed: &Typed) -> Result<Vec<(String, String)>, String> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in typed.all("stats-tag") {
        let Some((name, value)) =
            tag.split_once(':').filter(|(name, value)| !name.is_empty() && !value.is_empty())
        else {
            return Err(format!("error: misformatted stats-tag '{tag}'"));
        };
        let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric());
        if !is_name || value.contains('.') {
            let wrong = if is_name { value } else { name };
            return Err(format!("error: misformatted stats-tag '{tag}' contains invalid char in '{wrong}'"));
        }
        tags.push((name.to_owned(), value.to_owned()));
    }
    Ok(tags)
}

/// Envoy's `CommandLineOptions`, with the fields that are empty. The number of threads is added by who knows it.
fn shown(typed: &Typed, mode: Mode, base_id: u32, drain_time_s: u64) -> Value {
    let text = |name: &str| typed.text(name).unwrap_or_default();
    let number = |name: &str, default: u32| typed.number(name).unwrap_or(default);
    let is_immediate = text("drain-strategy") == "immediate";
    json!({
        "base_id": base_id.to_string(),
        "use_dynamic_base_id": typed.has("use-dynamic-base-id"),
        "base_id_path": text("base-id-path"),
        "config_path": text("config-path"),
        "config_yaml": text("config-yaml"),
        "allow_unknown_static_fields": typed.has("allow-unknown-static-fields") || typed.has("allow-unknown-fields"),
        "reject_unknown_dynamic_fields": typed.has("reject-unknown-dynamic-fields"),
        "ignore_unknown_dynamic_fields": typed.has("ignore-unknown-dynamic-fields"),
        "skip_deprecated_logs": typed.has("skip-deprecated-logs"),
        "admin_address_path": text("admin-address-path"),
        "local_address_ip_version": typed.text("local-address-ip-version").unwrap_or("v4"),
        "log_level": typed.text("log-level").unwrap_or("info"),
        "component_log_level": text("component-log-level"),
        "log_format": typed.text("log-format").unwrap_or(DEFAULT_LOG_FORMAT),
        "log_format_escaped": typed.has("log-format-escaped"),
        "log_path": text("log-path"),
        "log_stacktrace_single_entry": typed.has("log-stacktrace-single-entry"),
        "enable_fine_grain_logging": typed.has("enable-fine-grain-logging"),
        "service_cluster": text("service-cluster"),
        "service_node": text("service-node"),
        "service_zone": text("service-zone"),
        "file_flush_interval": seconds(u64::from(number("file-flush-interval-msec", 10_000))),
        "file_flush_min_size": number("file-flush-min-size-kb", 64),
        "drain_time": format!("{drain_time_s}s"),
        "drain_strategy": if is_immediate { "Immediate" } else { "Gradual" },
        "parent_shutdown_time": format!("{}s", number("parent-shutdown-time-s", 900)),
        "mode": match mode {
            Mode::Serve => "Serve",
            Mode::Validate => "Validate",
            Mode::InitOnly => "InitOnly",
        },
        "disable_hot_restart": typed.has("disable-hot-restart"),
        "restart_epoch": number("restart-epoch", 0),
        "skip_hot_restart_on_no_parent": typed.has("skip-hot-restart-on-no-parent"),
        "skip_hot_restart_parent_stats": typed.has("skip-hot-restart-parent-stats"),
        "socket_path": typed.text("socket-path").unwrap_or("@envoy_domain_socket"),
        "socket_mode": u32::from_str_radix(text("socket-mode"), 8).unwrap_or(0),
        "enable_mutex_tracing": typed.has("enable-mutex-tracing"),
        "enable_core_dump": typed.has("enable-core-dump"),
        "cpuset_threads": typed.has("cpuset-threads"),
        "disabled_extensions": [],
        "stats_tag": typed.all("stats-tag"),
    })
}

/// `10s`, or `1.500s`.
fn seconds(milliseconds: u64) -> String {
    match milliseconds % 1000 {
        0 => format!("{}s", milliseconds / 1000),
        rest => format!("{}.{rest:03}s", milliseconds / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::flags, *};

    fn options(arguments: &str) -> Result<EnvoyOptions, String> {
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        EnvoyOptions::new(&flags::read("envoy", &arguments)?)
    }

    #[test]
    fn what_envoy_gateway_says() {
        let options = options(
            "--service-cluster default/eg --service-node n1 --config-yaml {} --log-level warn --cpuset-threads \
             --drain-strategy immediate --component-log-level misc:error,upstream:debug --drain-time-s 60 \
             --concurrency 0 --admin-address-path /run/admin -- --run-id 7",
        )
        .unwrap();
        assert_eq!(options.service_cluster.as_deref(), Some("default/eg"));
        assert_eq!(options.concurrency, Some(NonZeroUsize::MIN));
        assert_eq!(options.drain_time_s, 60);
        let mut levels = Levels::new(LevelFilter::WARN);
        levels.set("tollgate_proxy::upstream", LevelFilter::DEBUG);
        assert_eq!(options.levels, levels);
        for (field, expected) in [
            ("log_level", json!("warn")),
            ("drain_time", json!("60s")),
            ("drain_strategy", json!("Immediate")),
            ("config_yaml", json!("{}")),
            ("config_path", json!("")),
            ("service_cluster", json!("default/eg")),
            ("cpuset_threads", json!(true)),
            ("file_flush_interval", json!("10s")),
            ("base_id", json!("0")),
            ("mode", json!("Serve")),
        ] {
            assert_eq!(options.shown[field], expected, "{field}");
        }
    }

    #[test]
    fn wrong_values_are_refused_in_envoys_words() {
        for (arguments, expected) in [
            ("--mode foo", "error: unknown mode 'foo'"),
            ("-l loud", "error: invalid log level specified 'loud'"),
            ("--component-log-level bogus:debug", "error: invalid component specified 'bogus'"),
            (
                "--component-log-level upstream",
                "error: component log level not correctly specified 'upstream'",
            ),
            ("--drain-strategy x", "error: unknown drain-strategy 'x'"),
            ("--local-address-ip-version v5", "error: unknown IP address version 'v5'"),
            (
                "--use-dynamic-base-id --restart-epoch 1",
                "error: cannot use --restart-epoch=1 with --use-dynamic-base-id",
            ),
            ("--stats-tag foo", "error: misformatted stats-tag 'foo'"),
            ("--stats-tag foo:a.b", "error: misformatted stats-tag 'foo:a.b' contains invalid char in 'a.b'"),
        ] {
            assert_eq!(options(arguments).unwrap_err(), expected);
        }
        assert!(options("--restart-epoch 1").unwrap_err().contains("--disable-hot-restart"));
        assert!(options("--restart-epoch 1 --disable-hot-restart").is_ok());
        assert!(options("--disable-extensions envoy.filters.http.rbac").is_err());
    }
}
