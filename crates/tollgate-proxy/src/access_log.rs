//! Access logs: one line a request or connection, written off the request path.
//!
//! Each worker formats lines into a buffer of its own for each destination; one thread takes the buffers' contents every
//! so often and writes them. A destination that cannot keep up costs lines, never requests: what does not fit into a
//! buffer is dropped and counted. Files are opened again when somebody asks for it ([`AccessLogs::reopen`]).

mod filter;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::{JoinHandle, Thread},
    time::Duration,
};

use tollgate_model::access_log::{AccessLog, LogFormat, LogSink};
use tracing::warn;

use crate::format::{Facts, write_json, write_text};
pub(crate) use filter::{Subject, admits};

/// How long lines stay in buffers.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// A buffer with that many bytes is written at once.
const WRITE_AT: usize = 256 * 1024;
/// Most bytes that wait in a buffer.
const MOST_WAITING: usize = 8 * 1024 * 1024;

/// How long the end of a gateway waits for destinations that take nothing.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What one worker has to say to one destination.
#[derive(Debug)]
struct Buffer {
    sink: LogSink,
    lines: Mutex<Vec<u8>>,
}

/// All buffers, for the thread that writes.
#[derive(Debug, Default)]
struct Buffers {
    all: Mutex<Vec<Arc<Buffer>>>,
    /// The thread sleeps without end and must be woken by the next line.
    idle: AtomicBool,
    stop: AtomicBool,
    /// Files are to be opened again.
    reopen: AtomicBool,
}

impl Buffers {
    fn is_empty(&self) -> bool {
        lock(&self.all).iter().all(|buffer| lock(&buffer.lines).is_empty())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where one worker leaves its lines. A clone is for another worker.
#[derive(Debug)]
pub(crate) struct AccessLogger {
    buffers: Arc<Buffers>,
    writer: Thread,
    own: RefCell<HashMap<LogSink, Arc<Buffer>>>,
    line: RefCell<Vec<u8>>,
}

impl Clone for AccessLogger {
    fn clone(&self) -> Self {
        Self {
            buffers: self.buffers.clone(),
            writer: self.writer.clone(),
            own: RefCell::default(),
            line: RefCell::default(),
        }
    }
}

impl AccessLogger {
    /// Writes a request or a connection to its logs. Gives how many lines were dropped.
    pub(crate) fn log<S: Facts + Subject>(&self, logs: &[Arc<AccessLog>], subject: &S) -> u64 {
        let mut line = self.line.borrow_mut();
        let mut dropped = 0;
        for log in logs {
            if log.filter.as_ref().is_some_and(|filter| !admits(filter, subject)) {
                continue;
            }
            line.clear();
            match &log.format {
                LogFormat::Text(format) => write_text(format, subject, &mut line),
                LogFormat::Json(format) => {
                    write_json(format, subject, &mut line);
                    line.push(b'\n');
                }
            }
            dropped += u64::from(!self.push(&log.sink, &line));
        }
        dropped
    }

    /// Forgets the destinations that are not among `sinks`. What waits to be written is written.
    pub(crate) fn keep_only(&self, sinks: &HashSet<LogSink>) {
        self.own.borrow_mut().retain(|sink, _| sinks.contains(sink));
    }

    /// Whether there was room for the line.
    fn push(&self, sink: &LogSink, line: &[u8]) -> bool {
        let mut own = self.own.borrow_mut();
        let buffer = match own.get(sink) {
            Some(buffer) => buffer,
            None => {
                let buffer = Arc::new(Buffer { sink: sink.clone(), lines: Mutex::default() });
                lock(&self.buffers.all).push(buffer.clone());
                own.entry(sink.clone()).or_insert(buffer)
            }
        };
        let mut lines = lock(&buffer.lines);
        let before = lines.len();
        if before + line.len() > MOST_WAITING {
            return false;
        }
        lines.extend_from_slice(line);
        let after = lines.len();
        drop(lines);
        let is_idle = before == 0 && self.buffers.idle.swap(false, Ordering::SeqCst);
        if is_idle || before < WRITE_AT && after >= WRITE_AT {
            self.writer.unpark();
        }
        true
    }
}

/// The files of access logs.
#[derive(Debug, Clone)]
pub struct AccessLogs {
    buffers: Arc<Buffers>,
    writer: Thread,
}

impl AccessLogs {
    /// Opens every file again before its next lines, as tools that move log files away ask for. Returns at once.
    pub fn reopen(&self) {
        self.buffers.reopen.store(true, Ordering::SeqCst);
        self.writer.unpark();
    }
}

/// The thread that writes. It ends when this is dropped, with everything written.
#[derive(Debug)]
pub(crate) struct AccessLogWriter {
    buffers: Arc<Buffers>,
    thread: Option<JoinHandle<()>>,
    writer: Thread,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl AccessLogWriter {
    /// What can be done with its files.
    pub(crate) fn files(&self) -> AccessLogs {
        AccessLogs { buffers: self.buffers.clone(), writer: self.writer.clone() }
    }
}

impl AccessLogWriter {
    /// Starts the thread. Files are opened when the first lines for them come.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start() -> io::Result<(Self, AccessLogger)> {
        let buffers = Arc::new(Buffers::default());
        let seen = buffers.clone();
        let (running, ended) = channel();
        let thread = std::thread::Builder::new().name("tollgate-access-log".to_owned()).spawn(move || {
            write_until_stopped(&seen);
            drop(running);
        })?;
        let writer = thread.thread().clone();
        let logger = AccessLogger {
            buffers: buffers.clone(),
            writer: writer.clone(),
            own: RefCell::default(),
            line: RefCell::default(),
        };
        Ok((Self { buffers, thread: Some(thread), writer, ended: Mutex::new(ended) }, logger))
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        self.buffers.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A destination that takes nothing must not keep the gateway from its end.
            if lock(&self.ended).recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout) {
                warn!("an access log takes no lines; its last ones are lost");
                return;
            }
            // It has nothing to tell.
            _ = thread.join();
        }
    }
}

fn write_until_stopped(buffers: &Buffers) {
    let mut outputs: HashMap<LogSink, Output> = HashMap::new();
    let mut lines = Vec::new();
    loop {
        // What comes before the stop is written: it is looked at first.
        let stop = buffers.stop.load(Ordering::Acquire);
        let mut wrote = false;
        if buffers.reopen.swap(false, Ordering::SeqCst) {
            outputs.retain(|sink, _| !matches!(sink, LogSink::File(_)));
        }
        let all = lock(&buffers.all).clone();
        for buffer in all {
            std::mem::swap(&mut *lock(&buffer.lines), &mut lines);
            if !lines.is_empty() {
                wrote = true;
                outputs.entry(buffer.sink.clone()).or_default().write(&buffer.sink, &lines);
                lines.clear();
                lines.shrink_to(WRITE_AT);
            }
        }
        // Buffers whose worker has ended.
        lock(&buffers.all).retain(|buffer| Arc::strong_count(buffer) > 1 || !lock(&buffer.lines).is_empty());
        {
            let all = lock(&buffers.all);
            outputs.retain(|sink, _| all.iter().any(|buffer| buffer.sink == *sink));
        }
        if stop {
            return;
        }
        if !wrote {
            buffers.idle.store(true, Ordering::SeqCst);
            // A line may have come before it could see that.
            if buffers.is_empty() && !buffers.stop.load(Ordering::Acquire) {
                std::thread::park();
            }
            buffers.idle.store(false, Ordering::SeqCst);
        }
        if !buffers.stop.load(Ordering::Acquire) {
            // What comes close behind is written together.
            std::thread::park_timeout(FLUSH_INTERVAL);
        }
    }
}

/// A destination; without a writer before the first line, and after an error until it can be opened again.
#[derive(Default)]
struct Output {
    writer: Option<Box<dyn Write>>,
    /// The last try failed and was reported.
    failing: bool,
}

impl Output {
    fn write(&mut self, sink: &LogSink, lines: &[u8]) {
        let result = match &mut self.writer {
            Some(writer) => Ok(writer),
            None => open(sink).map(|opened| self.writer.insert(opened)),
        };
        match result.and_then(|writer| writer.write_all(lines).and_then(|()| writer.flush())) {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.writer = None;
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(?sink, %error, "an access log cannot be written; its lines are lost until it can");
                }
            }
        }
    }
}

fn open(sink: &LogSink) -> io::Result<Box<dyn Write>> {
    Ok(match sink {
        LogSink::Stdout => Box::new(io::stdout()),
        LogSink::Stderr => Box::new(io::stderr()),
        LogSink::File(path) => Box::new(open_file(path)?),
    })
}

fn open_file(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
