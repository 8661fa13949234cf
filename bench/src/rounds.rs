//! The order of measurements: in each round every case, and in each case the gateways one right after the other, so that
//! whatever else happens on the machine happens to both.

use std::path::{Path, PathBuf};

use crate::{
    Result,
    case::{self, Case},
    gateway::Gateway,
    measure::{self, Settings},
    print,
    report::{self, Results},
    warn,
};

/// Shares of the slower gateway's highest rate at which latencies are measured, per cent.
pub(crate) const LOADS: [u32; 3] = [25, 50, 75];

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<Case>,
    pub(crate) gateways: Vec<(Gateway, PathBuf)>,
    pub(crate) rounds: usize,
    pub(crate) latency: bool,
    /// Idle connections whose memory is measured.
    pub(crate) idle: Option<usize>,
    pub(crate) settings: Settings,
}

/// Measures everything and prints the table; a failed measurement is told and left out.
pub(crate) async fn run(plan: &Plan, directory: &Path, save: Option<&Path>) -> Result<()> {
    let mut results = Results::new(&plan.gateways)?;
    let mut failures = 0;
    for round in 0..plan.rounds {
        print(&format!("round {} of {}", round + 1, plan.rounds));
        for case in &plan.cases {
            for (gateway, binary) in ordered(&plan.gateways, round) {
                let settings = Settings { system_calls: round == 0, ..plan.settings.clone() };
                match measure::saturate(case, *gateway, binary, directory, &settings).await {
                    Ok(found) => {
                        print(&format!(
                            "{:16} {:9} {:8.2} us/request {:9.0} requests/s  busy {:.2}  p99 {:8.0} us",
                            case.name,
                            gateway.name(),
                            found.cpu,
                            found.rate,
                            found.busy,
                            found.p99
                        ));
                        results.case(case).saturation.entry(*gateway).or_default().push(found);
                    }
                    Err(error) => {
                        warn(&format!("{} {gateway}: {error}", case.name));
                        failures += 1;
                    }
                }
            }
        }
        if let Some(connections) = plan.idle {
            failures += idle(plan, directory, connections, round, &mut results).await;
        }
        save_to(save, &results)?;
    }
    if plan.latency {
        failures += latencies(plan, directory, save, &mut results).await?;
    }
    print(&report::table(&results));
    if failures > 0 { Err(format!("{failures} measurements failed").into()) } else { Ok(()) }
}

fn ordered(
    gateways: &[(Gateway, PathBuf)],
    round: usize,
) -> Box<dyn Iterator<Item = &(Gateway, PathBuf)> + '_> {
    if round.is_multiple_of(2) { Box::new(gateways.iter()) } else { Box::new(gateways.iter().rev()) }
}

async fn idle(
    plan: &Plan,
    directory: &Path,
    connections: usize,
    round: usize,
    results: &mut Results,
) -> usize {
    let Some(case) = case::all().into_iter().find(|case| case.name == "headers") else { return 0 };
    let mut failures = 0;
    for (gateway, binary) in ordered(&plan.gateways, round) {
        match measure::idle_connections(&case, *gateway, binary, directory, connections).await {
            Ok(bytes) => {
                print(&format!("{:16} {:9} {bytes:8.0} bytes/connection", "idle", gateway.name()));
                results.idle.entry(*gateway).or_default().push(bytes);
            }
            Err(error) => {
                warn(&format!("idle {gateway}: {error}"));
                failures += 1;
            }
        }
    }
    failures
}

async fn latencies(
    plan: &Plan,
    directory: &Path,
    save: Option<&Path>,
    results: &mut Results,
) -> Result<usize> {
    let mut failures = 0;
    for round in 0..plan.rounds {
        print(&format!("latencies, round {} of {}", round + 1, plan.rounds));
        for case in plan.cases.iter().filter(|case| case.latency) {
            let Some(highest) = results.case(case).slower_rate() else { continue };
            for load in LOADS {
                let rate = highest * f64::from(load) / 100.0;
                for (gateway, binary) in ordered(&plan.gateways, round) {
                    let found =
                        measure::latency(case, *gateway, binary, directory, &plan.settings, rate).await;
                    match found {
                        Ok(found) => {
                            print(&format!(
                                "{:16} {:9} {load} % p50 {:6.0} p90 {:6.0} p99 {:6.0} p99.9 {:6.0} us",
                                case.name,
                                gateway.name(),
                                found.p50,
                                found.p90,
                                found.p99,
                                found.p999
                            ));
                            let loads = results.case(case).latency.entry(load).or_default();
                            loads.entry(*gateway).or_default().push(found);
                        }
                        Err(error) => {
                            warn(&format!("{} {gateway} at {load} %: {error}", case.name));
                            failures += 1;
                        }
                    }
                }
            }
        }
        save_to(save, results)?;
    }
    Ok(failures)
}

fn save_to(directory: Option<&Path>, results: &Results) -> Result<()> {
    directory.map_or(Ok(()), |directory| report::save(directory, results))
}
