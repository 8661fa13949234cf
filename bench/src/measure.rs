//! One measurement of one gateway in one case.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::{
    Result,
    case::Case,
    environment::Environment,
    gateway::{Gateway, Process, count_system_calls},
    histogram::Histogram,
    load::{self, Clients, Pace, Running},
};

/// Clients of an open loop. Requests that find all of them busy wait, and their wait counts.
const OPEN_CLIENTS: usize = 64;
/// Longer backlogs mean that the gateway does not keep up; a measurement would never end.
const MAX_BACKLOG: usize = 100_000;
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// How long and what.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Workers of the gateway, each with a core.
    pub(crate) workers: usize,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    pub(crate) system_calls: bool,
    /// Where perf writes what it sampled.
    pub(crate) profile: Option<std::path::PathBuf>,
}

/// Figures of a saturated gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Saturation {
    /// Microseconds on the core for each request.
    pub(crate) cpu: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Share of its core that the gateway used: where it is below 0.95, not the gateway was the limit.
    pub(crate) busy: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Bytes resident before the first request, at the end of the load, and the most ever.
    pub(crate) memory_idle: f64,
    pub(crate) memory_busy: f64,
    pub(crate) memory_peak: f64,
    /// For each request.
    pub(crate) system_calls: Option<f64>,
    /// Messages to processors for each request.
    pub(crate) messages: f64,
}

/// Latencies at a fixed rate, microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// A case's surroundings and a gateway in their middle.
struct Stage {
    environment: Environment,
    process: Process,
}

impl Stage {
    async fn start(
        case: &Case,
        gateway: Gateway,
        binary: &Path,
        directory: &Path,
        workers: usize,
    ) -> Result<Self> {
        let environment = Environment::start(case, directory).await?;
        let (bootstrap, port) = (&environment.bootstrap, environment.port);
        let process = Process::start(gateway, binary, bootstrap, port, workers).await?;
        Ok(Self { environment, process })
    }

    fn load(&self, case: &Case, clients: Clients, pace: Pace) -> Running {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.environment.port));
        load::start(address, clients, case.exchange(self.environment.upstream), pace)
    }

    fn check(&self, load: &Running) -> Result<()> {
        let wrong = self.environment.seen.wrong.get();
        if wrong > 0 {
            return Err(format!("the upstream got {wrong} requests with another body").into());
        }
        load.load.check().map_err(|error| format!("{error}\n{}", self.process.log()).into())
    }

    async fn stop(self, load: Running) -> Result<()> {
        drop(load);
        self.process.stop().await
    }
}

/// Loads a gateway with as much as it can take.
pub(crate) async fn saturate(
    case: &Case,
    gateway: Gateway,
    binary: &Path,
    directory: &Path,
    settings: &Settings,
) -> Result<Saturation> {
    let stage = Stage::start(case, gateway, binary, directory, settings.workers).await?;
    sleep(Duration::from_millis(50)).await;
    let idle = stage.process.memory()?;
    let load = stage.load(case, case.clients, Pace::Closed);
    sleep(settings.warm_up).await;
    load.load.take_latency();
    let profile = settings.profile.as_ref().map(|directory| {
        let file = directory.join(format!("{}-{gateway}.data", case.name));
        let mut perf = std::process::Command::new("perf");
        perf.args(["record", "-q", "-e", "cpu-clock", "-F", "1999", "-g", "-o"]).arg(file);
        perf.args(["-p", &stage.process.pid().to_string(), "--", "sleep"]);
        perf.arg(settings.time.as_secs_f64().to_string()).spawn()
    });
    let received = &stage.environment.received;
    let (count, messages) = (load.load.completed(), received.messages.get());
    let (cpu, begin) = (stage.process.cpu()?, Instant::now());
    sleep(settings.time).await;
    let (cpu, time) = (stage.process.cpu()?.saturating_sub(cpu), Instant::now().duration_since(begin));
    let count = load.load.completed() - count;
    let messages = (received.messages.get() - messages) as f64 / count as f64;
    stage.check(&load)?;
    if count == 0 {
        return Err(format!("no request was answered in {time:?}").into());
    }
    let latency = load.load.take_latency();
    let memory = stage.process.memory()?;
    if let Some(Ok(mut perf)) = profile {
        perf.wait()?;
    }
    let system_calls = if settings.system_calls { system_calls(&stage, &load).await } else { None };
    stage.check(&load)?;
    stage.stop(load).await?;
    if let Some(expected) = case.messages() {
        // Those of requests that began before the measurement or end after it.
        let (expected, cut) = (expected as f64, load::in_flight(case.clients) as f64 / count as f64);
        if (messages - expected).abs() > expected * (0.05 + cut) {
            return Err(format!("{messages:.2} messages for a request instead of {expected}").into());
        }
    }
    Ok(Saturation {
        cpu: cpu.as_secs_f64() * 1e6 / count as f64,
        rate: count as f64 / time.as_secs_f64(),
        busy: cpu.as_secs_f64() / time.as_secs_f64(),
        p50: latency.quantile(0.5),
        p99: latency.quantile(0.99),
        memory_idle: idle.resident as f64,
        memory_busy: memory.resident as f64,
        memory_peak: memory.peak as f64,
        system_calls,
        messages,
    })
}

async fn system_calls(stage: &Stage, load: &Running) -> Option<f64> {
    // perf needs a moment to begin and to end: rates are compared, not counts.
    const TIME: Duration = Duration::from_millis(400);
    let (count, begin) = (load.load.completed(), Instant::now());
    let calls = count_system_calls(stage.process.pid(), TIME).await?;
    let rate = (load.load.completed() - count) as f64 / Instant::now().duration_since(begin).as_secs_f64();
    Some(calls as f64 / (rate * TIME.as_secs_f64()))
}

/// Measures latencies at a fixed rate, as clients see them that do not wait for each other.
pub(crate) async fn latency(
    case: &Case,
    gateway: Gateway,
    binary: &Path,
    directory: &Path,
    settings: &Settings,
    rate: f64,
) -> Result<Latency> {
    let stage = Stage::start(case, gateway, binary, directory, settings.workers).await?;
    let clients = match case.clients {
        Clients::Http1 { .. } => Clients::Http1 { connections: OPEN_CLIENTS },
        Clients::Http2 { connections, .. } => Clients::Http2 { connections, streams: 1000 },
    };
    let load = stage.load(case, clients, Pace::open());
    load::generate(&load.load, rate, settings.warm_up).await;
    settle(&stage, &load).await?;
    load.load.take_latency();
    load::generate(&load.load, rate, settings.time).await;
    settle(&stage, &load).await?;
    let latency: Histogram = load.load.take_latency();
    stage.stop(load).await?;
    Ok(Latency {
        rate: latency.total() as f64 / settings.time.as_secs_f64(),
        p50: latency.quantile(0.5),
        p90: latency.quantile(0.9),
        p99: latency.quantile(0.99),
        p999: latency.quantile(0.999),
    })
}

/// Waits until everything that was due is answered: what is late counts as well.
async fn settle(stage: &Stage, load: &Running) -> Result<()> {
    let begin = Instant::now();
    while load.load.begun() > load.load.completed() || load.load.pace().backlog() > 0 {
        stage.check(load)?;
        if load.load.pace().backlog() > MAX_BACKLOG || Instant::now().duration_since(begin) > ANSWER_DEADLINE
        {
            return Err("the gateway does not keep up".into());
        }
        sleep(Duration::from_millis(1)).await;
    }
    stage.check(load)
}

/// Bytes of memory for each of many connections that had one answer and stay open.
pub(crate) async fn idle_connections(
    case: &Case,
    gateway: Gateway,
    binary: &Path,
    directory: &Path,
    connections: usize,
) -> Result<f64> {
    const AT_ONCE: usize = 200;
    let stage = Stage::start(case, gateway, binary, directory, 1).await?;
    // Pools and the like are not what a connection costs.
    let first = stage.load(case, Clients::Http1 { connections: AT_ONCE }, Pace::open());
    answer_each(&stage, &first, AT_ONCE).await?;
    let before = stage.process.memory()?.resident;
    let mut loads = vec![first];
    for _ in 0..connections / AT_ONCE {
        let load = stage.load(case, Clients::Http1 { connections: AT_ONCE }, Pace::open());
        answer_each(&stage, &load, AT_ONCE).await?;
        loads.push(load);
    }
    sleep(Duration::from_millis(200)).await;
    let after = stage.process.memory()?.resident;
    for load in &loads {
        stage.check(load)?;
    }
    let opened = (loads.len() - 1) * AT_ONCE;
    drop(loads);
    stage.process.stop().await?;
    Ok(after.saturating_sub(before) as f64 / opened as f64)
}

async fn answer_each(stage: &Stage, load: &Running, clients: usize) -> Result<()> {
    let begin = Instant::now();
    while load.load.pace().waiting() < clients {
        stage.check(load)?;
        if Instant::now().duration_since(begin) > ANSWER_DEADLINE {
            return Err("clients cannot connect".into());
        }
        sleep(Duration::from_millis(1)).await;
    }
    load.load.pace().push_many(clients);
    settle(stage, load).await
}
