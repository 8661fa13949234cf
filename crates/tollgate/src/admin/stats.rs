//! `/stats`: everything that is counted, in Envoy's forms.

use std::fmt::Write as _;

use hyper::StatusCode;
use regex::Regex;
use serde_json::{Value, json};
use tollgate_proxy::{QUANTILES, Stat, StatValue};

use super::parameters::Parameters;

/// What of the statistics is asked for, and how.
#[derive(Debug)]
pub(super) struct Query {
    filter: Option<Regex>,
    inverts_filter: bool,
    used_only: bool,
    kind: Kind,
    pub(super) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Counters,
    Gauges,
    Histograms,
    /// There are none.
    TextReadouts,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Prometheus,
}

impl Query {
    /// # Errors
    /// When something is asked for that does not exist.
    pub(super) fn new(parameters: &Parameters) -> Result<Self, (StatusCode, String)> {
        let wrong = |text: String| (StatusCode::BAD_REQUEST, text);
        let text = |name: &str| parameters.get(name).filter(|text| !text.is_empty());
        let filter = text("filter").map(Regex::new).transpose();
        let form = match text("format") {
            None | Some("text") => Form::Text,
            Some("json") => Form::Json,
            Some("prometheus") => Form::Prometheus,
            Some("html" | "active-html") => {
                return Err(wrong("there is no HTML here: text, json and prometheus\n".to_owned()));
            }
            Some(_) => {
                return Err(wrong(
                    "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n".to_owned(),
                ));
            }
        };
        let kind = match text("type") {
            None | Some("All") => Kind::All,
            Some("Counters") => Kind::Counters,
            Some("Gauges") => Kind::Gauges,
            Some("Histograms") => Kind::Histograms,
            Some("TextReadouts") => Kind::TextReadouts,
            Some(_) => return Err(wrong("invalid &type= param".to_owned())),
        };
        match text("histogram_buckets") {
            None | Some("summary" | "none") => {}
            Some(other) => {
                return Err(wrong(format!(
                    "histogram_buckets={other} is not supported: summary, or Prometheus' buckets\n"
                )));
            }
        }
        Ok(Self {
            filter: filter.map_err(|error| wrong(format!("Invalid re2 regex: {error}\n")))?,
            inverts_filter: parameters.has("invert_filter"),
            used_only: parameters.has("usedonly"),
            kind,
            form,
        })
    }

    /// Whether a metric of the name is asked for that was used or not.
    pub(super) fn wants(&self, name: &str, used: bool) -> bool {
        let matches = self.filter.as_ref().is_none_or(|filter| filter.is_match(name) != self.inverts_filter);
        matches && (used || !self.used_only)
    }

    fn takes(&self, stat: &Stat) -> bool {
        let is_of_kind = matches!(
            (self.kind, &stat.value),
            (Kind::All, _)
                | (Kind::Counters, StatValue::Counter(_))
                | (Kind::Gauges, StatValue::Gauge(_))
                | (Kind::Histograms, StatValue::Histogram(_))
        );
        is_of_kind && self.wants(&stat.name, stat.value.is_used())
    }

    /// A line each, histograms last.
    pub(super) fn text(&self, stats: &[Stat]) -> String {
        let (mut numbers, mut histograms) = (String::new(), String::new());
        for stat in stats.iter().filter(|stat| self.takes(stat)) {
            let name = &stat.name;
            // Writing to a string cannot fail.
            let _ = match &stat.value {
                StatValue::Counter(value) | StatValue::Gauge(value) => writeln!(numbers, "{name}: {value}"),
                StatValue::Histogram(None) => writeln!(histograms, "{name}: No recorded values"),
                StatValue::Histogram(Some(values)) => {
                    let pairs = QUANTILES.iter().zip(values);
                    let pairs: Vec<String> =
                        pairs.map(|(quantile, value)| format!("P{quantile}(nan,{value:.3})")).collect();
                    writeln!(histograms, "{name}: {}", pairs.join(" "))
                }
            };
        }
        numbers + &histograms
    }

    /// An object with a list, of which the last one is about all histograms.
    pub(super) fn json(&self, stats: &[Stat]) -> String {
        let (mut shown, mut histograms) = (Vec::new(), Vec::new());
        for stat in stats.iter().filter(|stat| self.takes(stat)) {
            match &stat.value {
                StatValue::Counter(value) | StatValue::Gauge(value) => {
                    shown.push(json!({ "name": stat.name, "value": value }));
                }
                StatValue::Histogram(values) => {
                    let value = |index: usize| values.as_ref().and_then(|values| values.get(index)).copied();
                    // The last interval is not known.
                    let values: Vec<Value> = (0..QUANTILES.len())
                        .map(|index| json!({ "interval": null, "cumulative": value(index) }))
                        .collect();
                    histograms.push(json!({ "name": stat.name, "values": values }));
                }
            }
        }
        if !histograms.is_empty() {
            shown.push(json!({ "histograms": {
                "supported_quantiles": QUANTILES,
                "computed_quantiles": histograms,
            }}));
        }
        json!({ "stats": shown }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Vec<Stat> {
        let stat = |name: &str, value| Stat { name: name.to_owned(), value };
        vec![
            stat("a.count", StatValue::Counter(3)),
            stat("a.now", StatValue::Gauge(0)),
            stat("a.time", StatValue::Histogram(Some(vec![1.0; QUANTILES.len()]))),
            stat("b.time", StatValue::Histogram(None)),
        ]
    }

    fn text(query: &str) -> String {
        Query::new(&Parameters::new(query)).map_or_else(|(_, error)| error, |query| query.text(&stats()))
    }

    #[test]
    fn what_is_asked_for_is_shown() {
        assert!(text("").starts_with("a.count: 3\na.now: 0\na.time: P0(nan,1.000) P25(nan,1.000)"));
        assert!(text("").ends_with("b.time: No recorded values\n"));
        assert_eq!(text("filter=%5Ea%5C.n"), "a.now: 0\n");
        assert_eq!(text("filter=time&invert_filter"), "a.count: 3\na.now: 0\n");
        assert_eq!(text("usedonly&type=Gauges"), "");
        assert_eq!(text("type=Counters"), "a.count: 3\n");
        assert_eq!(text("type=TextReadouts"), "");
        assert_eq!(text("type=nope"), "invalid &type= param");
        assert!(text("filter=%5B").starts_with("Invalid re2 regex"));
        assert!(text("format=xml").starts_with("usage: /stats?format="));
    }

    #[test]
    fn histograms_are_one_entry_of_the_json_form() {
        let query = Query::new(&Parameters::new("format=json")).unwrap();
        let shown: Value = serde_json::from_str(&query.json(&stats())).unwrap();
        assert_eq!(shown["stats"][0], json!({"name": "a.count", "value": 3}));
        let histograms = &shown["stats"][2]["histograms"];
        assert_eq!(histograms["supported_quantiles"][1], 25.0);
        assert_eq!(
            histograms["computed_quantiles"][0]["values"][0],
            json!({"interval": null, "cumulative": 1.0})
        );
        assert_eq!(histograms["computed_quantiles"][1]["values"][9]["cumulative"], Value::Null);
    }
}
