//! What was found, kept and shown.

mod plot;
mod table;
mod targets;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

pub(crate) use self::table::table;
use crate::{
    Result,
    case::{self, Case},
    find,
    gateway::Gateway,
    measure::{Latency, Saturation},
    repository,
};

type ByGateway<T> = BTreeMap<Gateway, Vec<T>>;

/// All results.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    cases: BTreeMap<String, CaseResults>,
    /// Bytes for each idle connection, by round.
    #[serde(default)]
    pub(crate) idle: ByGateway<f64>,
    /// Of the latest run.
    run: Run,
}

/// Under what circumstances.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    date: String,
    command: String,
    commit: String,
    processor: String,
    kernel: String,
    load_average: String,
    versions: BTreeMap<Gateway, String>,
}

/// Results of a case.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CaseResults {
    title: String,
    run: Run,
    pub(crate) saturation: ByGateway<Saturation>,
    /// By load, per cent.
    #[serde(default)]
    pub(crate) latency: BTreeMap<u32, ByGateway<Latency>>,
}

impl Results {
    pub(crate) fn new(gateways: &[(Gateway, PathBuf)]) -> Result<Self> {
        let versions = gateways
            .iter()
            .map(|(gateway, binary)| Ok((*gateway, find::version(binary)?)))
            .collect::<Result<_>>()?;
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let processor = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
        let memory = fs::read_to_string("/proc/meminfo")?;
        let memory = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .unwrap_or_default();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let run = Run {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            command: format!("cargo run --release -p bench -- {}", arguments.join(" ")).trim().to_owned(),
            commit: said("git", &["rev-parse", "--short=12", "HEAD"]),
            processor: format!(
                "{cores} cores of {}, {} GB",
                processor.trim_start_matches([' ', '\t', ':']),
                memory.div_ceil(1024 * 1024)
            ),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_average: fs::read_to_string("/proc/loadavg")?
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
            versions,
        };
        Ok(Self { cases: BTreeMap::new(), idle: BTreeMap::new(), run })
    }

    pub(crate) fn case(&mut self, case: &Case) -> &mut CaseResults {
        let run = &self.run;
        self.cases.entry(case.name.to_owned()).or_insert_with(|| CaseResults {
            title: case.title.to_owned(),
            run: run.clone(),
            saturation: BTreeMap::new(),
            latency: BTreeMap::new(),
        })
    }

    /// Those with both gateways, in the order of the table.
    fn in_order(&self) -> impl Iterator<Item = (&'static str, &CaseResults)> {
        case::all().into_iter().filter_map(|case| Some((case.name, self.cases.get(case.name)?)))
    }
}

impl CaseResults {
    /// The rate of the slower gateway.
    pub(crate) fn slower_rate(&self) -> Option<f64> {
        Gateway::BOTH.iter().filter_map(|gateway| self.figure(*gateway, |it| it.rate)).min_by(f64::total_cmp)
    }

    /// The median over the rounds.
    fn figure(&self, gateway: Gateway, figure: impl Fn(&Saturation) -> f64) -> Option<f64> {
        median(self.saturation.get(&gateway)?.iter().map(figure).collect())
    }

    fn latency(&self, load: u32, gateway: Gateway, figure: impl Fn(&Latency) -> f64) -> Option<f64> {
        median(self.latency.get(&load)?.get(&gateway)?.iter().map(figure).collect())
    }

    /// Tollgate's figure as a multiple of Envoy's: the median of the rounds' own ratios.
    fn ratio(&self, figure: impl Fn(&Saturation) -> f64) -> Option<f64> {
        let (envoy, tollgate) =
            (self.saturation.get(&Gateway::Envoy)?, self.saturation.get(&Gateway::Tollgate)?);
        median(envoy.iter().zip(tollgate).map(|(envoy, tollgate)| figure(tollgate) / figure(envoy)).collect())
    }

    fn latency_ratio(&self, load: u32, figure: impl Fn(&Latency) -> f64) -> Option<f64> {
        let by_gateway = self.latency.get(&load)?;
        let (envoy, tollgate) = (by_gateway.get(&Gateway::Envoy)?, by_gateway.get(&Gateway::Tollgate)?);
        median(envoy.iter().zip(tollgate).map(|(envoy, tollgate)| figure(tollgate) / figure(envoy)).collect())
    }
}

/// Writes the results, those of cases that were not measured now left as they are.
pub(crate) fn save(directory: &Path, results: &Results) -> Result<()> {
    fs::create_dir_all(directory)?;
    let path = directory.join("latest.json");
    let mut merged: Results = serde_json::from_str(&serde_json::to_string(results)?)?;
    if let Ok(text) = fs::read_to_string(&path) {
        let before: Results = serde_json::from_str(&text)?;
        for (name, case) in before.cases {
            merged.cases.entry(name).or_insert(case);
        }
        if merged.idle.is_empty() {
            merged.idle = before.idle;
        }
    }
    fs::write(path, serde_json::to_string_pretty(&merged)? + "\n")?;
    fs::write(directory.join("latest.md"), table(&merged))?;
    fs::write(directory.join("latest.svg"), plot::plot(&merged))?;
    Ok(())
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .current_dir(repository())
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
