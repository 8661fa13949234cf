//! A processor of this crate beside one that is written by hand with tonic: exchanges a second, and CPU time of the server for
//! an exchange.
//!
//! ```sh
//! cargo bench -p extproc-server --bench beside_tonic
//! ```
//!
//! Each server has one thread, and the client another one, with the same code for both servers. Rounds are paired: both servers
//! are measured one right after the other, in an order that alternates. `ROUNDS` and `SECONDS` are environment variables.
//!
//! Time depends on what else the machine does; the number of instructions does not. With `EXCHANGES`, `SERVER` (`ours` or `tonic`)
//! and `CASE` (the beginning of a name) one server does so many exchanges and that is all: `instructions` beside this file has
//! valgrind count them.

#![allow(clippy::print_stdout, reason = "the result")]

mod client;
mod handler;
mod handwritten;
mod server;

use std::{env, time::Duration};

use self::{
    client::{CASES, Case, Measured, exchange_so_often, measure},
    server::Kind,
};

fn main() {
    let number =
        |name: &str, default: f64| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    if let Ok(exchanges) = env::var("EXCHANGES") {
        return only(exchanges.parse().expect("a number"));
    }
    let (rounds, seconds) = (number("ROUNDS", 7.0), Duration::from_secs_f64(number("SECONDS", 1.0)));
    println!("| case | server | exchanges/s | CPU for an exchange | beside tonic |");
    println!("|---|---|---|---|---|");
    for case in CASES {
        let mut rounds_of_case = Vec::new();
        for round in 0..rounds as u32 {
            let kinds = [Kind::Ours, Kind::Tonic];
            let order = if round % 2 == 0 { kinds } else { [Kind::Tonic, Kind::Ours] };
            let mut measured = order.map(|kind| (kind, measure(kind, case, seconds)));
            measured.sort_by_key(|(kind, _)| *kind);
            rounds_of_case.push(measured.map(|(_, measured)| measured));
        }
        print(case, &rounds_of_case);
    }
}

/// Nothing but exchanges, for a profiler.
fn only(exchanges: u32) {
    let text = |name: &str| env::var(name).unwrap_or_default();
    let (server, name) = (text("SERVER"), text("CASE"));
    let kind = match server.as_str() {
        "ours" => Kind::Ours,
        "tonic" => Kind::Tonic,
        other => panic!("SERVER is ours or tonic, not {other:?}"),
    };
    let case = CASES.iter().find(|case| case.name.starts_with(&name)).expect("CASE begins a name");
    exchange_so_often(kind, case, exchanges);
}

fn print(case: &Case, rounds: &[[Measured; 2]]) {
    let ratio = median(rounds.iter().map(|[ours, tonic]| ours.cpu / tonic.cpu));
    for (index, kind) in ["extproc-server", "tonic"].into_iter().enumerate() {
        let rate = median(rounds.iter().map(|round| round[index].rate));
        let cpu = median(rounds.iter().map(|round| round[index].cpu));
        let beside = if index == 0 { format!("{:.2}", ratio) } else { String::new() };
        println!("| {} | {kind} | {rate:.0} | {:.1} µs | {beside} |", case.name, cpu * 1e6);
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
