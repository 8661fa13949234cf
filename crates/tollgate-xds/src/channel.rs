//! A stream of requests and responses, again and again: opened, lost, waited for, resumed.

mod response;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use prost::Message as _;

pub use self::response::{Handled, Incoming, Refusal, Update};
use crate::{
    Kind,
    backoff::Backoff,
    kind::{AGGREGATED_DELTA, AGGREGATED_SOTW},
    variant::{Wanted, delta::Delta, sotw::Sotw},
};

/// The form of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Every response has everything.
    StateOfTheWorld,
    /// A response has what changed.
    Delta,
}

/// What a channel is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The form of the protocol.
    pub variant: Variant,
    /// The kinds that come on it: all of them on an aggregated stream, or one.
    pub kinds: Vec<Kind>,
    /// Whether it is the aggregated service.
    pub aggregated: bool,
    /// Who asks: the bytes of an `envoy.config.core.v3.Node`.
    pub node: Bytes,
    /// The longest first waiting time after a lost stream. Envoy's default: 500 ms.
    pub base_backoff: Duration,
    /// The longest waiting time of all. Envoy's default: 30 s.
    pub max_backoff: Duration,
    /// What chance begins with.
    pub seed: u64,
}

impl Settings {
    /// An aggregated stream of every kind.
    #[must_use]
    pub fn aggregated(variant: Variant, node: Bytes) -> Self {
        Self {
            variant,
            kinds: Kind::ALL.to_vec(),
            aggregated: true,
            node,
            base_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            seed: 0,
        }
    }

    /// A stream of one kind.
    #[must_use]
    pub fn single(variant: Variant, kind: Kind, node: Bytes) -> Self {
        Self { kinds: vec![kind], aggregated: false, ..Self::aggregated(variant, node) }
    }
}

/// What the transport has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a stream of [`Channel::method`], and report it as opened or closed.
    Open,
    /// Send a message on it.
    Send {
        /// What it is about.
        kind: Kind,
        /// The whole message.
        message: Bytes,
    },
    /// Close it: the server does not keep to the protocol. The channel counts it as closed.
    Close(String),
}

/// A stream of requests and responses, without the stream: events go in (`handle_*`), actions come out
/// ([`poll_action`](Self::poll_action)).
#[derive(Debug)]
pub struct Channel {
    settings: Settings,
    states: BTreeMap<Kind, State>,
    phase: Phase,
    backoff: Backoff,
}

#[derive(Debug)]
enum State {
    Sotw(Sotw),
    Delta(Delta),
}

#[derive(Debug)]
enum Phase {
    /// To be opened.
    Idle,
    /// The transport is at it.
    Opening,
    Open {
        /// Whether the server knows who asks.
        introduced: bool,
    },
    /// To be closed by the transport.
    Broken { reason: String, until: Instant },
    /// To be opened then.
    Waiting { until: Instant },
}

impl Channel {
    /// A channel that wants to be opened.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let state = |kind: Kind| match settings.variant {
            Variant::StateOfTheWorld => State::Sotw(Sotw::new(kind)),
            Variant::Delta => State::Delta(Delta::new(kind)),
        };
        let states = settings.kinds.iter().map(|kind| (*kind, state(*kind))).collect();
        let backoff = Backoff::new(settings.base_backoff, settings.max_backoff, settings.seed);
        Self { states, phase: Phase::Idle, backoff, settings }
    }

    /// The method of the stream.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match (self.settings.variant, self.settings.kinds.first()) {
            (Variant::StateOfTheWorld, Some(kind)) if !self.settings.aggregated => kind.sotw_method(),
            (Variant::Delta, Some(kind)) if !self.settings.aggregated => kind.delta_method(),
            (Variant::StateOfTheWorld, _) => AGGREGATED_SOTW,
            (Variant::Delta, _) => AGGREGATED_DELTA,
        }
    }

    /// The form of the protocol.
    #[must_use]
    pub fn variant(&self) -> Variant {
        self.settings.variant
    }

    /// Whether resources of this kind come here.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.states.contains_key(&kind)
    }

    /// The kinds that come here.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.states.keys().copied()
    }

    /// Whether a stream is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// The version that was accepted last of a kind that has one version for all; `None` in the delta form.
    #[must_use]
    pub fn version(&self, kind: Kind) -> Option<&str> {
        match self.states.get(&kind)? {
            State::Sotw(state) => Some(state.version()),
            State::Delta(_) => None,
        }
    }

    /// Asks for everything of a kind.
    pub fn want_all(&mut self, kind: Kind) {
        if let Some(wanted) = self.wanted_mut(kind) {
            *wanted = Wanted::All;
        }
    }

    /// Asks for a resource by its name.
    pub fn want(&mut self, kind: Kind, name: &str) {
        if let Some(Wanted::Names(names)) = self.wanted_mut(kind) {
            names.insert(name.to_owned());
        }
    }

    /// Does not ask for a resource any more.
    pub fn forgo(&mut self, kind: Kind, name: &str) {
        if let Some(Wanted::Names(names)) = self.wanted_mut(kind) {
            names.remove(name);
        }
    }

    fn wanted_mut(&mut self, kind: Kind) -> Option<&mut Wanted> {
        Some(match self.states.get_mut(&kind)? {
            State::Sotw(state) => state.wanted_mut(),
            State::Delta(state) => state.wanted_mut(),
        })
    }

    /// The stream is open.
    pub fn handle_opened(&mut self) {
        self.phase = Phase::Open { introduced: false };
        for state in self.states.values_mut() {
            match state {
                State::Sotw(state) => state.opened(),
                State::Delta(state) => state.opened(),
            }
        }
    }

    /// The stream is closed, or could not be opened.
    pub fn handle_closed(&mut self, now: Instant) {
        self.phase = Phase::Waiting { until: now + self.backoff.next() };
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Waiting { until } if until <= now) {
            self.phase = Phase::Idle;
        }
    }

    /// When [`handle_time`](Self::handle_time) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// A message has come. `take` is given what it holds, and answers what of it is refused; that is the answer to the server,
    /// too. A message that is none ends the stream. Gives what has become of it, if anybody wanted it.
    pub fn handle_message(
        &mut self,
        now: Instant,
        message: Bytes,
        take: &mut dyn FnMut(&Update) -> Vec<Refusal>,
    ) -> Option<Handled> {
        if !self.is_open() {
            return None;
        }
        // The server is there: the next time need not be waited for long.
        self.backoff.reset();
        let handled = match self.settings.variant {
            Variant::StateOfTheWorld => response::handle_sotw(&mut self.states, message, take),
            Variant::Delta => response::handle_delta(&mut self.states, message, take),
        };
        handled.unwrap_or_else(|reason| {
            self.phase = Phase::Broken { reason, until: now + self.backoff.next() };
            None
        })
    }

    /// What is to be done next; to be asked until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        match &mut self.phase {
            Phase::Idle => {
                self.phase = Phase::Opening;
                Some(Action::Open)
            }
            Phase::Broken { reason, until } => {
                let (reason, until) = (std::mem::take(reason), *until);
                self.phase = Phase::Waiting { until };
                Some(Action::Close(reason))
            }
            Phase::Open { introduced } => {
                let node = (!*introduced).then(|| self.settings.node.clone());
                let (kind, request) = self.states.iter_mut().find_map(|(kind, state)| match state {
                    State::Sotw(state) => {
                        let mut request = state.next_request()?;
                        request.node.clone_from(&node);
                        Some((*kind, request.encode_to_vec()))
                    }
                    State::Delta(state) => {
                        let mut request = state.next_request()?;
                        request.node.clone_from(&node);
                        Some((*kind, request.encode_to_vec()))
                    }
                })?;
                *introduced = true;
                Some(Action::Send { kind, message: request.into() })
            }
            Phase::Opening | Phase::Waiting { .. } => None,
        }
    }
}
