//! Access logs: one line a request, written off the request path.
//!
//! Lines are formatted by the worker and handed to one writer thread for all sinks over a bounded channel. A writer that
//! cannot keep up costs lines, never requests: what does not fit is dropped and counted.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;
use tollgate_model::access_log::{AccessLog, JsonFormat, LogFormat, LogSink};
use tracing::warn;

use crate::format::{FormatContext, evaluate, evaluate_json};

/// Lines that may wait for the writer.
const QUEUE: usize = 16 * 1024;
/// How long lines may stay in the writer's buffers while more keep coming.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// Where workers leave their lines.
#[derive(Debug, Clone)]
pub(crate) struct AccessLogger {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Line {
    sink: LogSink,
    text: String,
}

/// The thread that writes. It ends, with everything written, when the last logger is gone.
#[derive(Debug)]
pub(crate) struct AccessLogWriter {
    thread: Option<JoinHandle<()>>,
}

impl AccessLogWriter {
    /// Starts the thread. Files are opened when the first line for them comes.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start() -> io::Result<(Self, AccessLogger)> {
        let (lines, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = dropped.clone();
        let thread = std::thread::Builder::new()
            .name("tollgate-access-log".to_owned())
            .spawn(move || write_lines(&queue, &counter))?;
        Ok((Self { thread: Some(thread) }, AccessLogger { lines, dropped }))
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            _ = thread.join();
        }
    }
}

impl AccessLogger {
    /// Writes a request to its logs.
    pub(crate) fn log(&self, logs: &[Arc<AccessLog>], context: &FormatContext<'_>) {
        for log in logs {
            let text = match &log.format {
                LogFormat::Text(format) => evaluate(format, context),
                LogFormat::Json(format) => {
                    let mut text = json(format, context).to_string();
                    text.push('\n');
                    text
                }
            };
            if self.lines.try_send(Line { sink: log.sink.clone(), text }).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn json(format: &JsonFormat, context: &FormatContext<'_>) -> Value {
    match format {
        JsonFormat::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), json(value, context))).collect())
        }
        JsonFormat::Array(values) => Value::Array(values.iter().map(|value| json(value, context)).collect()),
        JsonFormat::Format(format) => evaluate_json(format, context),
        JsonFormat::Literal(text) => serde_json::from_str(text).unwrap_or(Value::Null),
    }
}

fn write_lines(queue: &Receiver<Line>, dropped: &AtomicU64) {
    let mut sinks: HashMap<LogSink, Option<io::BufWriter<Sink>>> = HashMap::new();
    let mut unwritten = false;
    loop {
        let line = if unwritten {
            queue.recv_timeout(FLUSH_INTERVAL)
        } else {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match line {
            Ok(Line { sink, text }) => {
                let writer = sinks.entry(sink).or_insert_with_key(open);
                if let Some(open) = writer
                    && let Err(error) = open.write_all(text.as_bytes())
                {
                    warn!(%error, "an access log cannot be written; its lines are lost from here on");
                    *writer = None;
                }
                unwritten = true;
            }
            Err(reason) => {
                for writer in sinks.values_mut().flatten() {
                    if let Err(error) = writer.flush() {
                        warn!(%error, "an access log cannot be written");
                    }
                }
                unwritten = false;
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    warn!(lost, "access log lines were dropped: the writer cannot keep up");
                }
                if reason == RecvTimeoutError::Disconnected {
                    return;
                }
            }
        }
    }
}

enum Sink {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
    File(File),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::Stderr(stderr) => stderr.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::Stderr(stderr) => stderr.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

fn open(sink: &LogSink) -> Option<io::BufWriter<Sink>> {
    let sink = match sink {
        LogSink::Stdout => Sink::Stdout(io::stdout()),
        LogSink::Stderr => Sink::Stderr(io::stderr()),
        LogSink::File(path) => match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Sink::File(file),
            Err(error) => {
                warn!(path = %path.display(), %error, "an access log cannot be opened; its lines are lost");
                return None;
            }
        },
    };
    Some(io::BufWriter::with_capacity(64 * 1024, sink))
}
