//! Exchanges at a fixed rate, and how long their answers take.

use std::{
    collections::BTreeMap,
    fmt::Write,
    io,
    num::NonZeroU32,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use extproc_server::test::{Played, TestGateway};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{Outcome, connect::Connector, given, in_mode, with_trailers};
use crate::cli::Try;

/// Exchanges in progress; further ones begin late, which their times show.
const IN_PROGRESS: usize = 10_000;
/// Exchanges that are due and have not begun.
const DUE: usize = 1024;
/// The name of the row for whole exchanges.
const WHOLE: &str = "whole exchange";
/// In thousandths.
const PERCENTILES: [(&str, usize); 5] =
    [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999), ("max", 1000)];

/// What was measured.
#[derive(Debug)]
pub(super) struct Load {
    exchanges: u32,
    rate: NonZeroU32,
    took: Duration,
    /// By kind of message, sorted.
    times: BTreeMap<&'static str, Vec<Duration>>,
    /// Exchanges with problems, and the first of them.
    wrong: usize,
    example: Option<String>,
}

/// Plays `exchanges` at `rate`.
pub(super) async fn load(
    arguments: &Try,
    connector: &Connector<'_>,
    exchanges: u32,
    rate: NonZeroU32,
) -> io::Result<Load> {
    let mode = arguments.modes.first().copied().unwrap_or(crate::cli::TryMode::Headers);
    let mut gateways = Vec::new();
    for _ in 0..arguments.connections.get() {
        let gateway = with_trailers(given(arguments, &connector.connect().await?), arguments);
        gateways.push(Arc::new(in_mode(gateway, mode)));
    }
    let began = Instant::now();
    let mut due = due(began, exchanges, rate)?;
    let places = Arc::new(Semaphore::new(IN_PROGRESS));
    let (mut playing, mut times) = (JoinSet::new(), Times::default());
    let mut next = gateways.iter().cycle();
    loop {
        tokio::select! {
            biased;
            Some(played) = playing.join_next() => times.add(&played.map_err(io::Error::other)?),
            at = due.recv() => {
                let (Some(at), Some(gateway)) = (at, next.next()) else { break };
                playing.spawn(play(gateway.clone(), at, places.clone()));
            }
        }
    }
    while let Some(played) = playing.join_next().await {
        times.add(&played.map_err(io::Error::other)?);
    }
    let took = Instant::now().saturating_duration_since(began);
    let Times { mut times, wrong, example } = times;
    times.values_mut().for_each(|times| times.sort_unstable());
    Ok(Load { exchanges, rate, took, times, wrong, example })
}

async fn play(gateway: Arc<TestGateway>, due: Instant, places: Arc<Semaphore>) -> Played {
    // Never closed, so always given.
    let _place = places.acquire().await;
    gateway.once(due.into()).await
}

/// When each exchange is due, at that time. A thread of its own wakes more precisely than the timer of a runtime.
fn due(began: Instant, exchanges: u32, rate: NonZeroU32) -> io::Result<mpsc::Receiver<Instant>> {
    let (sender, due) = mpsc::channel(DUE);
    let run = move || {
        for number in 0..exchanges {
            let due = began + Duration::from_secs(1) * number / rate.get();
            loop {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                thread::park_timeout(left);
            }
            if sender.blocking_send(due).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("clock".to_owned()).spawn(run)?;
    Ok(due)
}

#[derive(Default)]
struct Times {
    times: BTreeMap<&'static str, Vec<Duration>>,
    wrong: usize,
    example: Option<String>,
}

impl Times {
    fn add(&mut self, played: &Played) {
        self.times.entry(WHOLE).or_default().push(played.took());
        for step in played.steps() {
            self.times.entry(step.kind).or_default().push(step.time);
        }
        if !super::report::problems(played).is_empty() {
            self.wrong += 1;
            self.example.get_or_insert_with(|| played.to_string());
        }
    }
}

/// The smallest time that so many thousandths of them do not exceed.
fn percentile(sorted: &[Duration], thousandths: usize) -> Duration {
    let rank = (sorted.len() * thousandths).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Load {
    /// Whole exchanges first, then the messages in the order of an exchange.
    fn rows(&self) -> impl Iterator<Item = (&'static str, &[Duration])> {
        const ORDER: [&str; 7] = [
            WHOLE,
            "request_headers",
            "request_body",
            "request_trailers",
            "response_headers",
            "response_body",
            "response_trailers",
        ];
        ORDER.into_iter().filter_map(|kind| Some((kind, &self.times.get(kind)?[..])))
    }

    fn summary(&self) -> String {
        let seconds = self.took.as_secs_f64();
        format!(
            "{} exchanges, {} a second to begin, {:.0} a second done, {} with problems",
            self.exchanges,
            self.rate,
            f64::from(self.exchanges) / seconds,
            self.wrong
        )
    }
}

impl Outcome for Load {
    fn text(&self) -> String {
        let mut text = self.summary() + "; times in ms, from when each exchange was due\n";
        let _ = write!(text, "{:<18}{:>9}", "", "answers");
        PERCENTILES.iter().for_each(|(name, _)| text += &format!("{name:>10}"));
        text.push('\n');
        for (kind, times) in self.rows() {
            let _ = write!(text, "{kind:<18}{:>9}", times.len());
            for (_, thousandths) in PERCENTILES {
                let _ = write!(text, "{:>10.3}", milliseconds(percentile(times, thousandths)));
            }
            text.push('\n');
        }
        text + self.example.as_deref().unwrap_or_default()
    }

    fn markdown(&self) -> String {
        let mut text =
            format!("{}.\n\nTimes in ms, from when each exchange was due.\n\n| | answers |", self.summary());
        PERCENTILES.iter().for_each(|(name, _)| text += &format!(" {name} |"));
        text += "\n|---|---|---|---|---|---|---|\n";
        for (kind, times) in self.rows() {
            let _ = write!(text, "| {kind} | {} |", times.len());
            for (_, thousandths) in PERCENTILES {
                let _ = write!(text, " {:.3} |", milliseconds(percentile(times, thousandths)));
            }
            text.push('\n');
        }
        if let Some(example) = &self.example {
            let _ = write!(text, "\n```text\n{example}```\n");
        }
        text
    }

    fn has_problems(&self) -> bool {
        self.wrong > 0
    }

    fn json(&self) -> String {
        let steps = self.rows().map(|(kind, times)| {
            let mut row = json!({ "step": kind, "answers": times.len() });
            for (name, thousandths) in PERCENTILES {
                row[format!("{name}_ms")] = milliseconds(percentile(times, thousandths)).into();
            }
            row
        });
        let document = json!({
            "exchanges": self.exchanges,
            "rate": self.rate,
            "seconds": self.took.as_secs_f64(),
            "with_problems": self.wrong,
            "steps": steps.collect::<Vec<Value>>(),
            "example": self.example,
        });
        format!("{document:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_those_measured() {
        let times: Vec<_> = (1..=1000).map(Duration::from_millis).collect();
        let all = PERCENTILES.map(|(_, thousandths)| percentile(&times, thousandths).as_millis());
        assert_eq!(all, [500, 900, 990, 999, 1000]);
        assert_eq!(percentile(&times[..1], 1), Duration::from_millis(1));
        assert_eq!(percentile(&[], 500), Duration::ZERO);
    }
}
