//! What a second worker costs: the same gateway with one worker and with two, in turns.
//!
//! The load shares the second core, so rates say nothing here. The time on a core that a request costs does: what workers
//! share, they wait for.

use std::path::{Path, PathBuf};

use crate::{
    Result,
    case::Case,
    gateway::Gateway,
    measure::{self, Settings},
    print,
    report::median,
};

/// How many workers are compared.
const WORKERS: [usize; 2] = [1, 2];

/// What is to be compared.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<Case>,
    pub(crate) gateways: Vec<(Gateway, PathBuf)>,
    pub(crate) rounds: usize,
    pub(crate) settings: Settings,
}

/// Measures every case with one worker and with two, and prints what a request costs.
pub(crate) async fn run(plan: &Plan, directory: &Path) -> Result<()> {
    print("us of CPU a request    1 worker   2 workers   ratio (median of the rounds)");
    for case in &plan.cases {
        for (gateway, binary) in &plan.gateways {
            let mut found = WORKERS.map(|_| Vec::new());
            for round in 0..plan.rounds {
                let turns: [usize; 2] = if round.is_multiple_of(2) { [0, 1] } else { [1, 0] };
                for turn in turns {
                    let settings = Settings { workers: WORKERS[turn], ..plan.settings.clone() };
                    let saturation = measure::saturate(case, *gateway, binary, directory, &settings).await?;
                    found[turn].push(saturation.cpu);
                }
            }
            let ratios = found[0].iter().zip(&found[1]).map(|(one, two)| two / one).collect();
            let [one, two] = found.map(median);
            if let (Some(one), Some(two), Some(ratio)) = (one, two, median(ratios)) {
                let (case, gateway) = (case.name, gateway.name());
                print(&format!("{case:14} {gateway:9} {one:8.2}    {two:8.2}    {ratio:.3}"));
            }
        }
    }
    Ok(())
}
