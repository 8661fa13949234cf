//! Exchanges with processors, recorded for somebody who asks.
//!
//! As long as nobody asks, an exchange costs a look at a flag. While a recording goes on, messages are copied as they pass, up
//! to its limits; nothing waits for it.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::Notify;

/// Length of gRPC's framing of a message.
const PREFIX: usize = 5;

/// Records exchanges of all workers with processors. Clones are the same recorder.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether there is a tape, for those who need to know nothing else.
    active: AtomicBool,
    tape: Mutex<Option<Arc<Tape>>>,
}

/// How much is recorded at most. What begins later, and messages that come later, are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingLimits {
    /// Exchanges.
    pub exchanges: usize,
    /// Bytes of messages, of all exchanges together.
    pub bytes: usize,
}

/// Exchanges are recorded already, for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("exchanges are recorded already")]
pub struct AlreadyRecording;

/// A recording that goes on. Dropping it ends it.
#[derive(Debug)]
pub struct Recording {
    recorder: Recorder,
    tape: Arc<Tape>,
}

/// One stream to a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedExchange {
    /// The processor's name in metrics and logs.
    pub processor: String,
    /// When the stream was opened.
    pub began: SystemTime,
    /// Its messages.
    pub messages: Vec<RecordedMessage>,
    /// The gRPC status that the processor has ended it with; `None` if the gateway did.
    pub status: Option<i32>,
    /// Messages are missing at its end, because of the limit.
    pub truncated: bool,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedMessage {
    /// Since the stream was opened.
    pub at: Duration,
    /// Who has sent it.
    pub from: Party,
    /// A `ProcessingRequest` of the gateway or a `ProcessingResponse` of the processor in protobuf's wire format.
    pub message: Vec<u8>,
}

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The gateway.
    Gateway,
    /// The processor.
    Processor,
}

/// What is recorded.
#[derive(Debug)]
struct Tape {
    limits: RecordingLimits,
    begun: AtomicUsize,
    bytes: AtomicUsize,
    ended: AtomicUsize,
    full: Notify,
    exchanges: Mutex<Vec<RecordedExchange>>,
}

/// An exchange that is recorded. It is on the tape when it is dropped.
#[derive(Debug)]
pub(crate) struct Track {
    tape: Arc<Tape>,
    exchange: RecordedExchange,
    opened: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Records exchanges that begin from now on, until the recording is dropped or finished.
    ///
    /// # Errors
    ///
    /// If a recording goes on.
    pub fn start(&self, limits: RecordingLimits) -> Result<Recording, AlreadyRecording> {
        let mut tape = lock(&self.0.tape);
        if tape.is_some() {
            return Err(AlreadyRecording);
        }
        let new = Arc::new(Tape {
            limits,
            begun: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            full: Notify::new(),
            exchanges: Mutex::default(),
        });
        *tape = Some(new.clone());
        self.0.active.store(true, Relaxed);
        Ok(Recording { recorder: self.clone(), tape: new })
    }

    /// A stream to a processor is opened: whether it is recorded.
    pub(crate) fn begin(&self, processor: &str, now: Instant) -> Option<Box<Track>> {
        if !self.0.active.load(Relaxed) {
            return None;
        }
        let tape = lock(&self.0.tape).clone()?;
        if tape.begun.fetch_add(1, Relaxed) >= tape.limits.exchanges {
            return None;
        }
        let exchange = RecordedExchange {
            processor: processor.to_owned(),
            began: SystemTime::now(),
            messages: Vec::new(),
            status: None,
            truncated: false,
        };
        Some(Box::new(Track { tape, exchange, opened: now }))
    }
}

impl Recording {
    /// Waits until the limit of exchanges is reached, and all of them have ended.
    pub async fn full(&self) {
        self.tape.full.notified().await;
    }

    /// Ends the recording. Exchanges that have not ended are left out.
    #[must_use]
    pub fn finish(self) -> Vec<RecordedExchange> {
        let mut exchanges = mem::take(&mut *lock(&self.tape.exchanges));
        exchanges.sort_by_key(|exchange| exchange.began);
        exchanges
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.recorder.0.active.store(false, Relaxed);
        *lock(&self.recorder.0.tape) = None;
    }
}

impl Track {
    /// The gateway has sent a message, with its framing.
    pub(crate) fn sent<'b>(
        &mut self,
        framed: &'b Bytes,
        payload: impl Iterator<Item = &'b Bytes>,
        now: Instant,
    ) {
        let head = framed.get(PREFIX..).unwrap_or_default();
        self.add(Party::Gateway, std::iter::once(head).chain(payload.map(|piece| &piece[..])), now);
    }

    /// The processor has sent a message, without its framing.
    pub(crate) fn received<'b>(&mut self, message: impl Iterator<Item = &'b Bytes>, now: Instant) {
        self.add(Party::Processor, message.map(|piece| &piece[..]), now);
    }

    /// The processor has ended the stream.
    pub(crate) fn ended(&mut self, status: i32) {
        self.exchange.status = Some(status);
    }

    fn add<'b>(&mut self, from: Party, pieces: impl Iterator<Item = &'b [u8]>, now: Instant) {
        if self.exchange.truncated {
            return;
        }
        let mut message = Vec::new();
        for piece in pieces {
            let before = self.tape.bytes.fetch_add(piece.len(), Relaxed);
            if before + piece.len() > self.tape.limits.bytes {
                self.exchange.truncated = true;
                return;
            }
            message.extend_from_slice(piece);
        }
        let at = now.saturating_duration_since(self.opened);
        self.exchange.messages.push(RecordedMessage { at, from, message });
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        let exchange = RecordedExchange {
            processor: mem::take(&mut self.exchange.processor),
            messages: mem::take(&mut self.exchange.messages),
            ..self.exchange
        };
        lock(&self.tape.exchanges).push(exchange);
        if self.tape.ended.fetch_add(1, Relaxed) + 1 == self.tape.limits.exchanges {
            self.tape.full.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
