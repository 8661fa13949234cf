//! Reports.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::Arc,
};

use regex::Regex;

use super::{
    Block, Stats,
    cell::Summary,
    metrics::{Description, Kind, Metric},
    scope::Scope,
};

/// Percentiles of the text form: Envoy's.
pub(super) const PERCENTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// The sums of one scope.
pub(super) struct Totals {
    pub(super) scope: Scope,
    pub(super) values: Vec<(&'static Metric, u64)>,
    pub(super) histograms: Vec<(&'static Metric, Summary)>,
    bounds: &'static [f64],
}

/// A family of metrics in the Prometheus form.
struct Family {
    kind: Kind,
    help: String,
    lines: String,
}

impl Stats {
    /// Every number as Envoy's `/stats` has it: `name: value`, sorted by name, histograms last. With a filter only the
    /// names in which it finds something.
    #[must_use]
    pub fn envoy_text(&self, filter: Option<&Regex>) -> String {
        let mut numbers = BTreeMap::new();
        let mut histograms = BTreeMap::new();
        for totals in self.totals() {
            let prefix = totals.scope.prefix();
            let name_of = |metric: &Metric| {
                let name = format!("{prefix}{}", metric.envoy_name());
                filter.is_none_or(|filter| filter.is_match(&name)).then_some(name)
            };
            for (metric, value) in &totals.values {
                if let Some(name) = name_of(metric) {
                    numbers.insert(name, *value);
                }
            }
            for (metric, summary) in &totals.histograms {
                if let Some(name) = name_of(metric) {
                    histograms.insert(name, percentiles(summary));
                }
            }
        }
        let mut text = String::new();
        for (name, value) in numbers {
            let _ = writeln!(text, "{name}: {value}");
        }
        for (name, value) in histograms {
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }

    /// Every number in the Prometheus text format, by its conventions: counters end in `_total`, times are in seconds, and
    /// metrics that differ in one word are one family with a label.
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        self.prometheus_text_of(&|_, _| true)
    }

    /// The same of what is wanted: by its name in Envoy's form, and whether anything was counted.
    #[must_use]
    pub fn prometheus_text_of(&self, wanted: &dyn Fn(&str, bool) -> bool) -> String {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        for totals in self.totals() {
            let prefix = totals.scope.prefix();
            let is_wanted =
                |metric: &Metric, used: bool| wanted(&format!("{prefix}{}", metric.envoy_name()), used);
            for (metric, value) in &totals.values {
                if !is_wanted(metric, *value > 0) {
                    continue;
                }
                let name = metric.prometheus_name(totals.scope.family());
                let labels = labels(&totals.scope, metric.label(), None);
                let family = families.entry(name.clone()).or_insert_with(|| Family::of(metric));
                let _ = writeln!(family.lines, "{name}{labels} {value}");
            }
            for (metric, summary) in &totals.histograms {
                if !is_wanted(metric, summary.count() > 0) {
                    continue;
                }
                let name = metric.prometheus_name(totals.scope.family());
                let family = families.entry(name.clone()).or_insert_with(|| Family::of(metric));
                let _ = write_histogram(&mut family.lines, &name, metric, &totals, summary);
            }
        }
        let mut text = String::new();
        for (name, Family { kind, help, lines }) in families {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        }
        text
    }

    /// Nobody waits for a report: the registry is free again when it is known what there is to add up.
    pub(super) fn totals(&self) -> Vec<Totals> {
        let zero = self.zero().clone();
        let mut totals = self.totals_since_the_start();
        for totals in &mut totals {
            let Some(zero) = zero.get(&totals.scope) else { continue };
            for ((metric, value), zero) in totals.values.iter_mut().zip(zero) {
                if metric.kind == Kind::Counter {
                    *value = value.saturating_sub(*zero);
                }
            }
        }
        totals
    }

    /// Counts everything from here on.
    pub fn reset_counters(&self) {
        let totals = self.totals_since_the_start().into_iter();
        let zero =
            totals.map(|totals| (totals.scope, totals.values.into_iter().map(|(_, value)| value).collect()));
        *self.zero() = zero.collect();
    }

    fn totals_since_the_start(&self) -> Vec<Totals> {
        let registry = self.registry();
        let known: Vec<(Scope, &'static Description, Vec<Arc<Block>>)> = registry
            .iter()
            .filter(|(scope, _)| !matches!(scope, Scope::Endpoint { .. }))
            .map(|(scope, entry)| {
                let blocks = entry.workers.iter().map(|(_, block)| block.clone()).collect();
                (scope.clone(), entry.description, blocks)
            })
            .collect();
        drop(registry);
        known
            .into_iter()
            .filter_map(|(scope, description, blocks)| {
                let values: Vec<_> = description
                    .metrics
                    .iter()
                    .enumerate()
                    .map(|(index, metric)| {
                        let values = blocks.iter().filter_map(|block| block.values.get(index));
                        let total = values.fold(0_u64, |total, value| total.wrapping_add(value.get()));
                        // Workers are read one after the other: what moves between them could seem to be less than
                        // none.
                        let negative = metric.kind == Kind::Gauge && total > u64::MAX / 2;
                        (metric, if negative { 0 } else { total })
                    })
                    .collect();
                if description.quiet && values.iter().all(|(_, value)| *value == 0) {
                    return None;
                }
                let histograms = description.histograms.iter().enumerate().map(|(index, metric)| {
                    let mut summary = Summary::default();
                    for histogram in blocks.iter().filter_map(|block| block.histograms.get(index)) {
                        histogram.add_to(&mut summary);
                    }
                    (metric, summary)
                });
                Some(Totals { histograms: histograms.collect(), scope, values, bounds: description.bounds })
            })
            .collect()
    }
}

impl Metric {
    /// Family, and the label in which it differs from others of the family. Responses by the class of their status are
    /// one family in the Prometheus form only.
    fn split(&self) -> (&'static str, Option<(&'static str, &'static str)>) {
        let Some((family, label)) = self.name.strip_suffix(']').and_then(|name| name.split_once('[')) else {
            return (self.name, None);
        };
        (family, label.split_once('='))
    }

    /// `downstream_rq_2xx` is the class `2` of `downstream_rq_xx`.
    fn class(&self) -> Option<(&'static str, &'static str)> {
        let (family, class) =
            self.name.strip_suffix("xx")?.split_at_checked(self.name.len() - "2xx".len())?;
        (family.ends_with("_rq_") && class.ends_with(|last: char| last.is_ascii_digit()))
            .then_some((family, class))
    }

    pub(super) fn envoy_name(&self) -> String {
        match self.split() {
            (family, Some((_, value))) => format!("{family}.{value}"),
            (name, None) => name.to_owned(),
        }
    }

    pub(super) fn label(&self) -> Option<(&'static str, &'static str)> {
        match self.class() {
            Some((_, class)) => Some(("response_code_class", class)),
            None => self.split().1,
        }
    }

    /// With what the conventions of Prometheus ask for.
    pub(super) fn prometheus_name(&self, scope: &str) -> String {
        let name = match self.class() {
            Some((family, _)) => format!("{family}xx"),
            None => self.split().0.replace('.', "_"),
        };
        match self.kind {
            // Only counters end in this.
            Kind::Gauge => format!("{scope}{}", name.trim_end_matches("_total")),
            Kind::Counter => format!("{scope}{}_total", name.trim_end_matches("_total")),
            Kind::Histogram => format!("{scope}{}_seconds", name.trim_end_matches("_ms")),
        }
    }
}

impl Family {
    fn of(metric: &Metric) -> Self {
        let help = metric.help.trim().trim_end_matches('.');
        // Those of one family differ behind the colon, or in the class of a status.
        let help = match metric.label() {
            Some(("response_code_class", _)) => "Responses by the class of their status",
            Some(_) => help.split(':').next().unwrap_or(help),
            None => help,
        };
        Self { kind: metric.kind, help: format!("{help}."), lines: String::new() }
    }
}

fn labels(scope: &Scope, more: Option<(&str, &str)>, bound: Option<&str>) -> String {
    let mut text = String::new();
    let bound = bound.map(|bound| ("le", bound));
    for (name, value) in scope.labels().into_iter().chain(more).chain(bound) {
        text.push(if text.is_empty() { '{' } else { ',' });
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{name}=\"{value}\"");
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

fn write_histogram(
    text: &mut String,
    family: &str,
    metric: &Metric,
    totals: &Totals,
    summary: &Summary,
) -> fmt::Result {
    let count = summary.count();
    let labels = |bound: Option<&str>| labels(&totals.scope, metric.label(), bound);
    for bound in totals.bounds {
        let seconds = (bound / 1000.0).to_string();
        writeln!(
            text,
            "{family}_bucket{} {}",
            labels(Some(&seconds)),
            summary.count_up_to(*bound).min(count)
        )?;
    }
    writeln!(text, "{family}_bucket{} {count}", labels(Some("+Inf")))?;
    writeln!(text, "{family}_sum{} {}", labels(None), summary.sum() / 1000.0)?;
    writeln!(text, "{family}_count{} {count}", labels(None))
}

/// `P0(nan,1) P25(nan,1.025) …`: of the last interval, which we do not have, and of all time.
fn percentiles(summary: &Summary) -> String {
    if summary.count() == 0 {
        return "No recorded values".to_owned();
    }
    let values = PERCENTILES.iter().filter_map(|percentile| {
        let value = summary.quantile(percentile / 100.0)?;
        Some(format!("P{percentile}(nan,{value:.3})"))
    });
    values.collect::<Vec<_>>().join(" ")
}
