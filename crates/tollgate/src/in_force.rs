//! Which configuration is in force, for those who ask.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Value, json};
use tollgate_config::{Diagnostic, ObjectReport};
use tollgate_ir::Compiled;
use tollgate_model::listener::BindAddress;
use tollgate_proxy::{Stat, StatValue};

use crate::{logging, shown::for_people};

/// The configuration that new requests are served by.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    /// 1 for the configuration of the start, one more with each that came after it.
    pub(crate) generation: u64,
    /// Since when.
    pub(crate) since: SystemTime,
    /// What it is.
    pub(crate) snapshot: Arc<Compiled>,
    /// The Kubernetes objects that it was made of, with the statuses that their controllers would write.
    pub(crate) objects: Arc<[ObjectReport]>,
    /// The names of its listeners and the addresses really bound, in the order of the configuration.
    pub(crate) listeners: Vec<(String, BindAddress)>,
    /// The files are different now, but that was refused.
    pub(crate) refused: Option<Arc<Refused>>,
}

/// A configuration that was not put in force.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Since when.
    pub(crate) since: SystemTime,
    /// Why.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl InForce {
    /// What can be watched: name, kind, meaning, value.
    fn metrics(&self) -> [(&'static str, &'static str, &'static str, u64); 3] {
        [
            ("config_generation", "gauge", "Number of the configuration in force.", self.generation),
            (
                "config_refused",
                "gauge",
                "Whether the files hold a configuration that was refused (1) or the one in force (0).",
                u64::from(self.refused.is_some()),
            ),
            (
                "log_lines_dropped",
                "counter",
                "Log lines that standard error did not take in time.",
                logging::dropped_lines(),
            ),
        ]
    }

    /// The metrics of the process for Prometheus.
    pub(crate) fn prometheus_text(&self) -> String {
        let metrics = self.metrics().map(|(name, kind, help, value)| {
            let family = format!("tollgate_server_{name}{}", if kind == "counter" { "_total" } else { "" });
            format!("# HELP {family} {help}\n# TYPE {family} {kind}\n{family} {value}\n")
        });
        metrics.concat()
    }

    /// The same by Envoy's names.
    pub(crate) fn stats(&self) -> Vec<Stat> {
        let stats = self.metrics().map(|(name, kind, _, value)| Stat {
            name: format!("server.{name}"),
            value: if kind == "counter" { StatValue::Counter(value) } else { StatValue::Gauge(value) },
        });
        stats.into()
    }

    /// The configuration with its number, and why a later one is not in force.
    pub(crate) fn json(&self) -> serde_json::Result<Value> {
        let mut document = serde_json::to_value(&*self.snapshot)?;
        for_people(&mut document);
        document["generation"] = self.generation.into();
        document["in_force_since"] = timestamp(self.since).into();
        document["objects"] = self.objects.iter().map(object).collect();
        document["refused"] = match &self.refused {
            None => Value::Null,
            Some(refused) => {
                json!({ "since": timestamp(refused.since), "diagnostics": refused.diagnostics })
            }
        };
        Ok(document)
    }
}

/// What became of an object.
fn object(report: &ObjectReport) -> Value {
    let ObjectReport { group, kind, namespace, name, generation, place, status, .. } = report;
    json!({
        "group": group, "kind": kind, "namespace": namespace, "name": name, "generation": generation,
        "place": place.to_string(), "status": status,
    })
}

/// `2026-11-26T08:55:03Z` (RFC 3339).
pub(crate) fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    let rest = seconds % 86_400;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-11-26T08:55:03.012Z`.
pub(crate) fn timestamp_with_milliseconds(time: SystemTime) -> String {
    let milliseconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_millis());
    format!("{}.{milliseconds:03}Z", timestamp(time).trim_end_matches('Z'))
}

/// Year, month and day of month of a day since 1970.
pub(crate) fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the leap day is the last one, and eras of 400 years in year 0.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_795_683_303, "2026-11-26T08:55:03Z"),
        ] {
            assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
