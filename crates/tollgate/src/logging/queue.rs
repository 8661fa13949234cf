//! Log lines on their way to a slow destination.

use std::{
    io::{self, Write},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Most bytes that wait.
const MOST_WAITING: usize = 1024 * 1024;

/// Lines that wait to be written. Who adds one waits for nobody but others who add one.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Something was taken out, or written.
    taken: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Dropped since the log said so last.
    untold: u64,
    writing: bool,
}

impl Queue {
    /// Adds a line, or drops it if too much waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.lines.len() + line.len() > MOST_WAITING {
            state.untold += 1;
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        drop(state);
        self.filled.notify_one();
    }

    /// How many lines were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until everything is written, but no longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        self.wait(limit, |state| !state.writing && state.lines.is_empty());
    }

    /// Waits until the queue is less than half full, but no longer than `limit`. Whether it is.
    pub(super) fn wait_for_room(&self, limit: Duration) -> bool {
        self.wait(limit, |state| state.lines.len() < MOST_WAITING / 2)
    }

    fn wait(&self, limit: Duration, done: impl Fn(&State) -> bool) -> bool {
        let mut state = self.state();
        if done(&state) {
            return true;
        }
        let deadline = Instant::now() + limit;
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = match self.taken.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written next; waits for it. With it the number of lines that were dropped behind it.
    fn take(&self, into: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        state.writing = false;
        self.taken.notify_all();
        while state.lines.is_empty() && state.untold == 0 {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writing = true;
        std::mem::swap(&mut state.lines, into);
        self.taken.notify_all();
        std::mem::take(&mut state.untold)
    }

    fn write_for_ever(&self, mut output: impl Write, told: impl Fn(u64) -> String) {
        let mut lines = Vec::new();
        loop {
            let dropped = self.take(&mut lines);
            if dropped > 0 {
                lines.extend_from_slice(told(dropped).as_bytes());
            }
            // Who closed standard error does not want to know.
            let _ = output.write_all(&lines).and_then(|()| output.flush());
            lines.clear();
        }
    }
}

/// A queue and the thread that empties it. Without a thread lines are dropped when the queue is full: then the system
/// refuses threads, and nothing else works either.
pub(super) fn start(
    output: impl Write + Send + 'static,
    told: impl Fn(u64) -> String + Send + 'static,
) -> &'static Queue {
    let queue: &'static Queue = Box::leak(Box::default());
    let _ = std::thread::Builder::new()
        .name("tollgate-log".to_owned())
        .spawn(move || queue.write_for_ever(output, told));
    queue
}

/// One line being written; it joins the queue as a whole.
#[derive(Debug)]
pub(super) struct Line {
    queue: &'static Queue,
    text: Vec<u8>,
}

impl Line {
    pub(super) fn new(queue: &'static Queue) -> Self {
        Self { queue, text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.queue.push(&self.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output that takes one write for each permission.
    struct Slow {
        permissions: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.permissions.recv().map_err(io::Error::other)?;
            self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_destination_that_takes_nothing_costs_lines_and_says_how_many() {
        let (permit, permissions) = channel();
        let (written, output) = channel();
        let queue = start(Slow { permissions, written }, |dropped| format!("{dropped} dropped\n"));
        let line = [b'x'; 1024];
        // The writer may have taken a part already, which it cannot write.
        for _ in 0..3 * MOST_WAITING / line.len() {
            queue.push(&line);
        }
        let dropped = queue.dropped();
        assert!(dropped >= (MOST_WAITING / line.len()) as u64, "{dropped}");
        queue.flush(Duration::from_millis(1));
        // One for what it has taken before the queue was full, if it was that fast, one for the rest, one for the end.
        for _ in 0..3 {
            permit.send(()).unwrap();
        }
        let next = || String::from_utf8(output.recv_timeout(Duration::from_secs(20)).unwrap()).unwrap();
        let mut text = next();
        while !text.ends_with(&format!("{dropped} dropped\n")) {
            text += &next();
        }
        queue.push(b"later\n");
        queue.flush(Duration::from_secs(20));
        assert_eq!(next(), "later\n");
    }
}
