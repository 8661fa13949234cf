//! Reports.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use regex::Regex;

use super::{Stats, cell::Summary, metrics::Kind, scope::Scope};

/// Upper bounds of the buckets shown, milliseconds: Envoy's.
const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Percentiles of the text form: Envoy's.
const PERCENTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// The sums of one scope.
struct Totals<'a> {
    scope: &'a Scope,
    values: Vec<(&'static str, Kind, u64)>,
    histogram: Option<(&'static str, Summary)>,
}

impl Stats {
    /// Every number as Envoy's `/stats` has it: `name: value`, sorted by name, histograms last. With a filter only the
    /// names in which it finds something.
    #[must_use]
    pub fn envoy_text(&self, filter: Option<&Regex>) -> String {
        let mut numbers = BTreeMap::new();
        let mut histograms = BTreeMap::new();
        self.each_total(|totals| {
            let prefix = totals.scope.prefix();
            let wanted = |name: &str| filter.is_none_or(|filter| filter.is_match(name));
            for (name, _, value) in &totals.values {
                let name = format!("{prefix}{name}");
                if wanted(&name) {
                    numbers.insert(name, *value);
                }
            }
            if let Some((name, summary)) = totals.histogram {
                let name = format!("{prefix}{name}");
                if wanted(&name) {
                    histograms.insert(name, percentiles(&summary));
                }
            }
        });
        let mut text = String::new();
        for (name, value) in numbers {
            let _ = writeln!(text, "{name}: {value}");
        }
        for (name, value) in histograms {
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }

    /// Every number in the Prometheus text format. Counters by class of response status (`…_2xx`) are one family
    /// (`…_xx`) with the label `response_code_class`.
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        let mut families: BTreeMap<String, (&str, String)> = BTreeMap::new();
        self.each_total(|totals| {
            for (name, kind, value) in &totals.values {
                let (name, class) = split_class(name);
                let family = format!("{}{}", totals.scope.family(), name.replace('.', "_"));
                let kind = match kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                };
                let (_, lines) = families.entry(family.clone()).or_insert_with(|| (kind, String::new()));
                let labels = labels(totals.scope, class.map(|class| ("response_code_class", class)));
                let _ = writeln!(lines, "{family}{labels} {value}");
            }
            if let Some((name, summary)) = &totals.histogram {
                let family = format!("{}{name}", totals.scope.family());
                let (_, lines) =
                    families.entry(family.clone()).or_insert_with(|| ("histogram", String::new()));
                let _ = write_histogram(lines, &family, totals.scope, summary);
            }
        });
        let mut text = String::new();
        for (family, (kind, lines)) in families {
            let _ = write!(text, "# TYPE {family} {kind}\n{lines}");
        }
        text
    }

    fn each_total(&self, mut report: impl FnMut(Totals<'_>)) {
        let registry = self.registry();
        for (scope, entry) in &*registry {
            let blocks: Vec<_> = entry.workers.iter().map(|(_, block)| block.clone()).collect();
            let values: Vec<_> = entry
                .description
                .metrics
                .iter()
                .enumerate()
                .map(|(index, metric)| {
                    let values = blocks.iter().filter_map(|block| block.values.get(index));
                    let total = values.fold(0_u64, |total, value| total.wrapping_add(value.get()));
                    // Workers are read one after the other: what moves between them could seem to be less than none.
                    let negative = metric.kind == Kind::Gauge && total > u64::MAX / 2;
                    (metric.name, metric.kind, if negative { 0 } else { total })
                })
                .collect();
            if entry.description.quiet && values.iter().all(|(_, _, value)| *value == 0) {
                continue;
            }
            let histogram = entry.description.histogram.map(|name| {
                let mut summary = Summary::default();
                for block in &blocks {
                    block.histogram.add_to(&mut summary);
                }
                (name, summary)
            });
            report(Totals { scope, values, histogram });
        }
    }
}

/// `downstream_rq_2xx` is the class `2` of `downstream_rq_xx`.
fn split_class(name: &'static str) -> (String, Option<&'static str>) {
    if let Some(start) = name.strip_suffix("xx")
        && start.ends_with(|last: char| last.is_ascii_digit())
    {
        let (family, class) = start.split_at(start.len() - 1);
        return (format!("{family}xx"), Some(class));
    }
    (name.to_owned(), None)
}

fn labels(scope: &Scope, more: Option<(&str, &str)>) -> String {
    let mut text = String::new();
    for (name, value) in scope.labels().into_iter().chain(more) {
        text.push(if text.is_empty() { '{' } else { ',' });
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{name}=\"{value}\"");
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

fn write_histogram(text: &mut String, family: &str, scope: &Scope, summary: &Summary) -> fmt::Result {
    let count = summary.count();
    for bound in BOUNDS {
        let bound_text = bound.to_string();
        let labels = labels(scope, Some(("le", &bound_text)));
        writeln!(text, "{family}_bucket{labels} {}", summary.count_up_to(bound).min(count))?;
    }
    writeln!(text, "{family}_bucket{} {count}", labels(scope, Some(("le", "+Inf"))))?;
    writeln!(text, "{family}_sum{} {}", labels(scope, None), summary.sum())?;
    writeln!(text, "{family}_count{} {count}", labels(scope, None))
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
