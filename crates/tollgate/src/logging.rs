//! Where log lines go: to standard error or a file, by a thread of their own.
//!
//! Whoever logs never waits for that. Lines wait in a bounded [`Queue`]; those that find no room are dropped
//! and counted, and the log says how many as soon as it can.

mod file;
mod levels;
mod pattern;
mod queue;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use tracing::Metadata;
use tracing_subscriber::{
    Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use self::{
    file::LogFile,
    queue::{Line, Queue},
};
pub(crate) use self::{
    levels::{LevelError, Levels, level},
    pattern::Pattern,
};
use crate::{cli::LogFormat, in_force::timestamp};

/// The environment variable that chooses what is logged.
const FILTER: &str = "TOLLGATE_LOG";
/// How long the end of a process waits for its last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The log of the process.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    queue: &'static Queue,
    levels: Mutex<Levels>,
    filter: reload::Handle<Targets, Registry>,
}

impl Log {
    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits, when it is dropped, until the last lines are written, but not for a standard error that takes nothing.
#[derive(Debug)]
#[must_use = "lines that were not written yet are lost"]
pub(crate) struct Flush(());

impl Drop for Flush {
    fn drop(&mut self) {
        flush();
    }
}

/// Waits until the last lines are written, but not for a standard error that takes nothing.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.queue.flush(LAST_WORDS);
    }
}

/// Sends log lines to standard error, from `default` up unless the environment says otherwise.
pub(crate) fn start(format: LogFormat, default: &str) -> Flush {
    let default = level(default).unwrap_or(tracing::level_filters::LevelFilter::INFO);
    let wished = std::env::var(FILTER).ok().map(|text| Levels::parse(&text, default));
    let (levels, problem) = match wished {
        Some(Ok(levels)) => (levels, None),
        Some(Err(error)) => (Levels::new(default), Some(error)),
        None => (Levels::new(default), None),
    };
    let queue = queue::start(io::stderr(), move |dropped| told(format, dropped));
    let writer = ToQueue(queue);
    let (filter, handle) = reload::Layer::new(levels.targets());
    let registry = tracing_subscriber::registry().with(filter);
    let is_started = match format {
        LogFormat::Text | LogFormat::Events => {
            let layer = tracing_subscriber::fmt::layer().with_ansi(takes_colours()).with_target(false);
            registry.with(layer.with_writer(writer)).try_init().is_ok()
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true);
            registry.with(layer.with_writer(writer)).try_init().is_ok()
        }
    };
    if is_started {
        let _ = LOG.set(Log { queue, levels: Mutex::new(levels), filter: handle });
    }
    if let Some(error) = problem {
        tracing::warn!(%error, "{FILTER} is not understood");
    }
    Flush(())
}

/// Sends log lines in a form of somebody's own to standard error, or adds them to a file.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn start_with(pattern: Pattern, levels: Levels, file: Option<&Path>) -> io::Result<Flush> {
    let dropped = |dropped| told(LogFormat::Text, dropped);
    let queue = match file {
        Some(path) => queue::start(LogFile::open(path)?, dropped),
        None => queue::start(io::stderr(), dropped),
    };
    let (filter, handle) = reload::Layer::new(levels.targets());
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).event_format(pattern);
    let registry = tracing_subscriber::registry().with(filter).with(layer.with_writer(ToQueue(queue)));
    if registry.try_init().is_ok() {
        let _ = LOG.set(Log { queue, levels: Mutex::new(levels), filter: handle });
    }
    Ok(Flush(()))
}

/// A file of log lines was moved away: it is opened again.
pub(crate) fn reopen() {
    file::reopen();
}

/// Writes text that is not a log line among the log lines.
pub(crate) fn write(text: &str) {
    match LOG.get() {
        Some(log) => log.queue.push(text.as_bytes()),
        // Who closed standard error does not want to know.
        None => drop(io::stderr().write_all(text.as_bytes())),
    }
}

/// Waits a moment until there is room for much more. Only for threads on which nothing else waits. Whether there is.
pub(crate) fn wait_for_room() -> bool {
    LOG.get().is_none_or(|log| log.queue.wait_for_room(LAST_WORDS))
}

/// Lines that standard error did not take in time.
pub(crate) fn dropped_lines() -> u64 {
    LOG.get().map_or(0, |log| log.queue.dropped())
}

/// The levels in force.
pub(crate) fn levels() -> Levels {
    LOG.get().map_or_else(Levels::default, |log| log.levels().clone())
}

/// Puts other levels in force.
///
/// # Errors
/// When nothing is logged in this process.
pub(crate) fn set_levels(levels: Levels) -> Result<(), reload::Error> {
    let Some(log) = LOG.get() else { return Ok(()) };
    let mut current = log.levels();
    log.filter.reload(levels.targets())?;
    *current = levels;
    Ok(())
}

/// Colours are for terminals; `CLICOLOR_FORCE` wants them everywhere, `NO_COLOR` nowhere.
fn takes_colours() -> bool {
    match anstream::AutoStream::choice(&io::stderr()) {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::AlwaysAnsi | anstream::ColorChoice::Always => true,
        anstream::ColorChoice::Auto => io::stderr().is_terminal(),
    }
}

/// The line about lines that are not there.
fn told(format: LogFormat, dropped: u64) -> String {
    let time = timestamp(SystemTime::now());
    let message = "log lines were dropped because standard error did not take them in time";
    match format {
        LogFormat::Text | LogFormat::Events => format!("{time}  WARN {message} dropped={dropped}\n"),
        LogFormat::Json => {
            let line = serde_json::json!({
                "timestamp": time, "level": "WARN", "message": message, "dropped": dropped,
                "target": "tollgate::logging",
            });
            format!("{line}\n")
        }
    }
}

/// Gives each log line its way into the queue.
#[derive(Debug, Clone, Copy)]
struct ToQueue(&'static Queue);

impl MakeWriter<'_> for ToQueue {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line::new(self.0)
    }

    fn make_writer_for(&self, _metadata: &Metadata<'_>) -> Line {
        self.make_writer()
    }
}
