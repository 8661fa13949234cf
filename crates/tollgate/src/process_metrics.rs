//! What Prometheus expects to know about every process, from `/proc`; what cannot be read is left out.

use std::{
    fs,
    time::{Instant, SystemTime},
};

/// Parts of a second in which the kernel reports CPU time: the same on every platform of Linux.
const TICKS: f64 = 100.0;
/// What `/proc/self/statm` counts in.
const PAGE: u64 = 4096;

/// The metrics of this process, which started at `started`.
pub(crate) fn prometheus_text(started: Instant) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "# HELP tollgate_build_info What runs; always 1.\n# TYPE tollgate_build_info gauge\n\
         tollgate_build_info{{version=\"{version}\"}} 1\n"
    );
    let mut add = |name: &str, kind: &str, help: &str, value: Option<String>| {
        if let Some(value) = value {
            text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    let uptime = Instant::now().saturating_duration_since(started);
    let start = SystemTime::now().checked_sub(uptime);
    let start = start.and_then(|start| start.duration_since(SystemTime::UNIX_EPOCH).ok());
    add(
        "process_start_time_seconds",
        "gauge",
        "When the process started, seconds since 1970.",
        start.map(|start| format!("{:.3}", start.as_secs_f64())),
    );
    add(
        "process_resident_memory_bytes",
        "gauge",
        "Memory in use.",
        resident_bytes().map(|bytes| bytes.to_string()),
    );
    add(
        "process_cpu_seconds_total",
        "counter",
        "CPU time used.",
        cpu_seconds().map(|seconds| format!("{seconds:.2}")),
    );
    let descriptors = fs::read_dir("/proc/self/fd").ok().map(|open| open.count().to_string());
    add("process_open_fds", "gauge", "Open file descriptors.", descriptors);
    add("process_max_fds", "gauge", "Most file descriptors the process may open.", most_descriptors());
    text
}

pub(crate) fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process, in parentheses, may hold anything.
    let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

fn most_descriptors() -> Option<String> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next().filter(|limit| limit.parse::<u64>().is_ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_there_and_in_the_reference() {
        let text = prometheus_text(Instant::now());
        let page = include_str!("../../../docs/metrics.md");
        for name in [
            "tollgate_build_info{version=",
            "process_start_time_seconds ",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            "process_open_fds ",
            "process_max_fds ",
        ] {
            let line = text.lines().find(|line| line.starts_with(name));
            let value: f64 =
                line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap();
            assert!(value >= 0.0, "{text}");
            assert!(page.contains(name.split(['{', ' ']).next().unwrap()), "{name}");
        }
    }
}
