//! Workers that hang: those that do not come to a task of theirs that only notes the time.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tollgate_model::watchdog::Watchdog as Settings;

use crate::stats::{Metrics, WorkersMetric};

/// Shortest and longest time between signs of life.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How long the log has to be written before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Of a worker that is not watched: it has not begun, or it has ended.
const NOT_WATCHED: u64 = u64::MAX;

/// When each worker was seen last.
#[derive(Debug)]
pub(super) struct Pulses {
    began: Instant,
    /// Milliseconds since then, by worker.
    seen: Vec<AtomicU64>,
    settings: Mutex<Arc<Settings>>,
}

impl Pulses {
    pub(super) fn new(workers: usize, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            seen: (0..workers).map(|_| AtomicU64::new(NOT_WATCHED)).collect(),
            settings: Mutex::new(Arc::new(settings.clone())),
        })
    }

    /// Other settings are in force.
    pub(super) fn configure(&self, settings: &Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings.clone());
    }

    /// What a worker shows that it lives with.
    pub(super) fn of(self: &Arc<Self>, worker: usize) -> Pulse {
        Pulse { pulses: self.clone(), worker }
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now(&self) -> u64 {
        let elapsed = Instant::now().saturating_duration_since(self.began);
        u64::try_from(elapsed.as_millis()).unwrap_or(NOT_WATCHED - 1)
    }

    fn set(&self, worker: usize, seen: u64) {
        if let Some(last) = self.seen.get(worker) {
            last.store(seen, Relaxed);
        }
    }
}

fn pause(settings: &Settings) -> Duration {
    (settings.miss.min(settings.megamiss) / 2).clamp(PAUSE.0, PAUSE.1)
}

/// What a worker shows that it lives with. It is not watched any more when this is dropped.
#[derive(Debug)]
pub(super) struct Pulse {
    pulses: Arc<Pulses>,
    worker: usize,
}

impl Pulse {
    /// Notes the time for ever, on the worker's thread: now, so that a worker that never comes to this task is noticed, and
    /// whenever it comes to it.
    pub(super) fn beat(self) -> impl Future<Output = ()> {
        self.note();
        async move {
            loop {
                tokio::time::sleep(pause(&self.pulses.settings())).await;
                self.note();
            }
        }
    }

    fn note(&self) {
        self.pulses.set(self.worker, self.pulses.now());
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.pulses.set(self.worker, NOT_WATCHED);
    }
}

/// A thread that looks after the workers. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to look.
    pub(super) fn start(pulses: Arc<Pulses>, metrics: Metrics<WorkersMetric>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("tollgate-watchdog".to_owned())
            .spawn(move || watch(&pulses, &metrics, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(pulses: &Pulses, metrics: &Metrics<WorkersMetric>, stopped: &Receiver<()>) {
    let jitter = fastrand::f64();
    let mut looks: Vec<Look> = pulses.seen.iter().map(|_| Look::default()).collect();
    let mut before = pulses.now();
    loop {
        let settings = pulses.settings();
        let pause = pause(&settings);
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let now = pulses.now();
        // The whole process stood still, or the machine did: nobody is to blame. A busy machine delays this thread, too,
        // but less than that.
        let stood_still = Duration::from_millis(now - before) > pause + settings.megamiss;
        before = now;
        if stood_still {
            looks.fill_with(Look::default);
            continue;
        }
        let silent = |seen: &AtomicU64| match seen.load(Relaxed) {
            NOT_WATCHED => Duration::ZERO,
            seen => Duration::from_millis(now.saturating_sub(seen)),
        };
        let silences: Vec<Duration> = pulses.seen.iter().map(silent).collect();
        for (worker, (look, silence)) in looks.iter_mut().zip(&silences).enumerate() {
            look.note(worker, *silence, &settings, metrics);
        }
        if must_end(&silences, &settings, jitter) {
            tracing::error!(
                silences = ?silences,
                "workers hang for longer than the watchdog allows: the process ends"
            );
            let _ = stopped.recv_timeout(LAST_WORDS);
            std::process::abort();
        }
    }
}

/// What was seen of a worker's present silence.
#[derive(Debug, Default)]
struct Look {
    missed: bool,
    megamissed: Option<Duration>,
}

impl Look {
    fn note(
        &mut self,
        worker: usize,
        silence: Duration,
        settings: &Settings,
        metrics: &Metrics<WorkersMetric>,
    ) {
        if silence < settings.miss {
            self.missed = false;
        } else if !std::mem::replace(&mut self.missed, true) {
            metrics.increment(WorkersMetric::WatchdogMiss);
        }
        match self.megamissed {
            Some(longest) if silence < settings.megamiss => {
                self.megamissed = None;
                tracing::warn!(worker, longest_ms = longest.as_millis(), "the worker makes progress again");
            }
            Some(longest) => self.megamissed = Some(longest.max(silence)),
            None if silence >= settings.megamiss => {
                self.megamissed = Some(silence);
                metrics.increment(WorkersMetric::WatchdogMegaMiss);
                tracing::error!(
                    worker,
                    silence_ms = silence.as_millis(),
                    limit_ms = settings.megamiss.as_millis(),
                    "a worker hangs: its requests make no progress"
                );
            }
            None => {}
        }
    }
}

/// Whether workers have hung for so long that the process has to end.
fn must_end(silences: &[Duration], settings: &Settings, jitter: f64) -> bool {
    let longer_than = |limit: Duration| silences.iter().filter(|silence| **silence >= limit).count();
    let kill = settings.kill.map(|kill| kill + settings.max_kill_jitter.mul_f64(jitter));
    // A number of workers; rounded up.
    let several = (settings.multikill_share * silences.len() as f64).ceil() as usize;
    kill.is_some_and(|limit| longer_than(limit) > 0)
        || settings.multikill.is_some_and(|limit| longer_than(limit) >= several.max(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Stats, WorkerStats};

    #[test]
    fn every_silence_counts_once() {
        let stats = Stats::new();
        let metrics = WorkerStats::new(stats.clone(), 0).workers();
        let settings = Settings::default();
        let mut look = Look::default();
        for millis in [0, 199, 200, 300, 999, 1000, 5000, 10, 250, 0] {
            look.note(0, Duration::from_millis(millis), &settings, &metrics);
        }
        let text = stats.envoy_text(None);
        assert!(text.contains("workers.watchdog_miss: 2\n"), "{text}");
        assert!(text.contains("workers.watchdog_mega_miss: 1\n"), "{text}");
    }

    #[test]
    fn the_process_ends_when_it_is_to() {
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
        let second = Duration::from_secs(1);
        let kill = Settings { kill: Some(5 * second), max_kill_jitter: 2 * second, ..Settings::default() };
        assert!(!must_end(&seconds(&[60, 60]), &Settings::default(), 0.0));
        assert!(!must_end(&seconds(&[0, 4]), &kill, 0.0));
        assert!(must_end(&seconds(&[0, 5]), &kill, 0.0));
        assert!(!must_end(&seconds(&[0, 5]), &kill, 0.9));
        let several = Settings { multikill: Some(3 * second), multikill_share: 0.6, ..Settings::default() };
        assert!(!must_end(&seconds(&[9, 9, 0, 0]), &several, 0.0));
        assert!(must_end(&seconds(&[9, 9, 3, 0]), &several, 0.0));
        let two = Settings { multikill: Some(3 * second), ..Settings::default() };
        assert!(!must_end(&seconds(&[9, 0, 0, 0]), &two, 0.0));
        assert!(must_end(&seconds(&[9, 3, 0, 0]), &two, 0.0));
    }
}
