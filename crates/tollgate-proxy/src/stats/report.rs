//! Every number with its name and kind, for those who write reports of their own.

use super::{Stats, metrics::Kind, text::PERCENTILES};

/// The percentages that values of histograms are shown for.
pub const QUANTILES: [f64; 10] = PERCENTILES;

/// A metric by Envoy's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Stat {
    /// Its name.
    pub name: String,
    /// What it stands at.
    pub value: StatValue,
}

/// What a metric stands at.
#[derive(Debug, Clone, PartialEq)]
pub enum StatValue {
    /// Only grows.
    Counter(u64),
    /// Grows and shrinks.
    Gauge(u64),
    /// Values for [`QUANTILES`]; `None` = nothing was recorded.
    Histogram(Option<Vec<f64>>),
}

impl StatValue {
    /// Whether anything was counted or recorded.
    #[must_use]
    pub fn is_used(&self) -> bool {
        match self {
            Self::Counter(value) | Self::Gauge(value) => *value > 0,
            Self::Histogram(values) => values.is_some(),
        }
    }
}

impl Stats {
    /// Everything, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<Stat> {
        let mut all = Vec::new();
        for totals in self.totals() {
            let prefix = totals.scope.prefix();
            for (metric, value) in &totals.values {
                let value = match metric.kind {
                    Kind::Gauge => StatValue::Gauge(*value),
                    Kind::Counter | Kind::Histogram => StatValue::Counter(*value),
                };
                all.push(Stat { name: format!("{prefix}{}", metric.envoy_name()), value });
            }
            for (metric, summary) in &totals.histograms {
                let quantiles = QUANTILES.iter().map(|quantile| summary.quantile(quantile / 100.0));
                let values = quantiles.collect::<Option<Vec<f64>>>().filter(|_| summary.count() > 0);
                let name = format!("{prefix}{}", metric.envoy_name());
                all.push(Stat { name, value: StatValue::Histogram(values) });
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}
