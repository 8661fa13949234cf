//! What all parties of one playing scenario have seen so far, and waiting for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    message::Message,
    scenario::{
        condition::{Condition, Happened, Party},
        steps::Pause,
        text::Field,
    },
};

/// How an incoming HTTP message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says.
    Complete,
    /// Too early, with the reason.
    Cut(String),
}

/// The body of an incoming message: all bytes, and the pieces its framing showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Chunks (HTTP/1.1) or DATA frames (HTTP/2).
    pub chunks: Vec<Vec<u8>>,
}

impl Body {
    /// Adds bytes; `new_chunk` begins another chunk.
    pub(crate) fn add(&mut self, bytes: &[u8], new_chunk: bool) {
        self.bytes.extend_from_slice(bytes);
        match self.chunks.last_mut() {
            Some(last) if !new_chunk => last.extend_from_slice(bytes),
            _ => self.chunks.push(bytes.to_vec()),
        }
    }
}

/// The response at the client.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientSeen {
    /// Statuses of informational heads.
    pub informational: Vec<u16>,
    /// Status and headers.
    pub head: Option<(u16, Vec<Field>)>,
    /// Body.
    pub body: Body,
    /// Trailers.
    pub trailers: Vec<Field>,
    /// How and when it ended.
    pub end: Option<(End, Instant)>,
    /// The gateway closed the connection.
    pub closed: bool,
    /// The script closed or reset it.
    pub left: bool,
}

/// One request at an upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestSeen {
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers.
    pub headers: Vec<Field>,
    /// Body.
    pub body: Body,
    /// Trailers.
    pub trailers: Vec<Field>,
    /// How it ended.
    pub end: Option<End>,
    /// Bytes that came behind its end before it was answered.
    pub after_end: Vec<u8>,
    /// The gateway went away before the response was complete.
    pub response_cut: bool,
    /// The upstream has done everything its script says.
    pub done: bool,
    /// The script closed or reset the connection.
    pub left: bool,
}

/// An upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamSeen {
    /// Connections accepted.
    pub connections: usize,
    /// Requests, in order.
    pub requests: Vec<RequestSeen>,
}

/// How a side stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SideEnd {
    /// END_STREAM from the gateway.
    HalfClosed,
    /// Reset by the gateway, or its connection broke.
    Reset(String),
    /// The script ended it.
    ByProcessor,
}

/// One side stream at a processor.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamSeen {
    /// Request headers, pseudo-headers first.
    pub headers: Vec<Field>,
    /// Messages.
    pub messages: Vec<Message>,
    /// The first end that was seen.
    pub end: Option<SideEnd>,
    /// The script came to its end, or was stopped by a failure.
    pub script_done: bool,
    /// Number of messages the script asked for, if it wants no others.
    pub expected: Option<usize>,
}

/// A processor.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessorSeen {
    /// Streams in the order they were opened.
    pub streams: Vec<StreamSeen>,
}

/// Everything seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The client.
    pub client: ClientSeen,
    /// Statuses of the responses to earlier requests; 0 = there was none.
    pub before: Vec<u16>,
    /// Upstreams by cluster name.
    pub upstreams: BTreeMap<String, UpstreamSeen>,
    /// Processors by number.
    pub processors: Vec<ProcessorSeen>,
    signals: BTreeSet<String>,
    /// What went against the script, in the order it was noticed.
    pub failures: Vec<String>,
    transcript: Vec<String>,
}

impl State {
    /// Whether a condition holds.
    pub(crate) fn holds(&self, condition: &Condition) -> bool {
        let (party, happened) = match condition {
            Condition::Signal(name) => return self.signals.contains(name),
            Condition::Seen(party, happened) => (party, happened),
        };
        match party {
            Party::Client => match happened {
                Happened::Head => self.client.head.is_some(),
                Happened::Body(n) => self.client.body.bytes.len() >= *n,
                Happened::End => self.client.end.is_some(),
                Happened::Messages(_) | Happened::Opened(_) => false,
            },
            Party::Upstream(name) => {
                let Some(seen) = self.upstreams.get(name) else { return false };
                let last = seen.requests.last();
                match happened {
                    Happened::Head => last.is_some(),
                    Happened::Body(n) => last.is_some_and(|request| request.body.bytes.len() >= *n),
                    Happened::End => last.is_some_and(|request| request.end.is_some()),
                    Happened::Opened(n) => seen.connections >= *n,
                    Happened::Messages(_) => false,
                }
            }
            Party::Processor(n) => {
                let Some(seen) = self.processors.get(*n) else { return false };
                let messages = || seen.streams.iter().flat_map(|stream| &stream.messages);
                match happened {
                    Happened::Head => !seen.streams.is_empty(),
                    Happened::Opened(n) => seen.streams.len() >= *n,
                    Happened::Messages(n) => messages().count() >= *n,
                    Happened::Body(n) => messages().map(|message| message.body.len()).sum::<usize>() >= *n,
                    Happened::End => seen.streams.last().is_some_and(|stream| stream.end.is_some()),
                }
            }
        }
    }
}

/// A script cannot go on: its failure is already on the board, or another script failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop;

/// The shared state of one playing scenario.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    started: Instant,
    deadline: Duration,
}

impl Board {
    /// A board for a scenario with so many processors; `deadline` bounds every wait.
    pub(crate) fn new(processors: usize, deadline: Duration) -> Self {
        let state = State { processors: vec![ProcessorSeen::default(); processors], ..State::default() };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()), started: Instant::now(), deadline }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the scenario began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Longest wait of a single step.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Changes the state and writes a line into the transcript.
    pub(crate) fn note<T>(&self, who: &str, what: &str, change: impl FnOnce(&mut State) -> T) -> T {
        let at = Instant::now().duration_since(self.started).as_secs_f64() * 1000.0;
        let mut state = self.lock();
        state.transcript.push(format!("{at:9.1} ms  {who:<12} {what}"));
        let result = change(&mut state);
        drop(state);
        self.changed.send_replace(());
        result
    }

    /// Records something that went against the script.
    pub(crate) fn fail(&self, who: &str, what: &str) -> Stop {
        self.note(who, &format!("FAILED: {what}"), |state| state.failures.push(format!("{who}: {what}")));
        Stop
    }

    /// Looks at the state.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// A copy of the state.
    pub(crate) fn snapshot(&self) -> State {
        self.lock().clone()
    }

    /// The transcript so far.
    pub(crate) fn transcript(&self) -> Vec<String> {
        self.lock().transcript.clone()
    }

    /// Waits until something holds, for at most so long.
    pub(crate) async fn until(&self, longest: Duration, mut holds: impl FnMut(&State) -> bool) -> bool {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                if holds(&self.lock()) {
                    return true;
                }
                if changes.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(longest, wait).await.unwrap_or(false)
    }

    /// Waits until something holds; a failure elsewhere or the deadline stops the script.
    pub(crate) async fn require(
        &self,
        who: &str,
        what: &str,
        mut holds: impl FnMut(&State) -> bool,
    ) -> Result<(), Stop> {
        let mut failed = false;
        let held = self
            .until(self.deadline, |state| {
                failed = !state.failures.is_empty();
                failed || holds(state)
            })
            .await;
        match (held, failed) {
            (true, false) => Ok(()),
            (_, true) => Err(Stop),
            (false, false) => Err(self.fail(who, &format!("{what}: not within {:?}", self.deadline))),
        }
    }

    /// Does what a step does before it acts.
    pub(crate) async fn pause(&self, who: &str, pause: &Pause) -> Result<(), Stop> {
        for condition in &pause.wait_for {
            self.require(who, &format!("wait for `{condition}`"), |state| state.holds(condition)).await?;
        }
        if let Some(condition) = &pause.not_yet
            && self.until(Duration::from_millis(100), |state| state.holds(condition)).await
        {
            return Err(self.fail(who, &format!("`{condition}` too early")));
        }
        if let Some(delay) = pause.delay {
            tokio::time::sleep(delay.0).await;
        }
        if let Some(name) = &pause.signal {
            self.note(who, &format!("signal {name}"), |state| state.signals.insert(name.clone()));
        }
        Ok(())
    }
}
