//! State of the world: every response has all that is wanted, and one version for all of it.

use super::{Wanted, status};
use crate::{Kind, proto::DiscoveryRequest};

/// The state of one kind.
#[derive(Debug)]
pub(crate) struct Sotw {
    kind: Kind,
    wanted: Wanted,
    /// Whether something else is wanted than was asked for.
    changed: bool,
    /// The version that was accepted last; it survives streams.
    version: String,
    stream: Stream,
}

/// What belongs to the present stream.
#[derive(Debug, Default)]
struct Stream {
    /// What the server was asked for; `None` before the first request.
    asked: Option<Vec<String>>,
    /// Of the last response.
    nonce: String,
    answer: Option<Answer>,
    /// What was wanted when the last response came, if that has changed before or since. It is what the answer says, even if the
    /// server knows better things already: what was not wanted then was left out of the response, and a server sends it again to
    /// those only who ask anew.
    wanted_then: Option<Vec<String>>,
}

/// The answer that is due.
#[derive(Debug)]
enum Answer {
    Accepted,
    Refused(String),
}

impl Sotw {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            wanted: Wanted::nothing(),
            changed: false,
            version: String::new(),
            stream: Stream::default(),
        }
    }

    /// A new stream knows nothing of the ones before, but for the version.
    pub(crate) fn opened(&mut self) {
        self.stream = Stream::default();
    }

    /// What is wanted, to be changed.
    pub(crate) fn wanted_mut(&mut self) -> &mut Wanted {
        if self.stream.answer.is_some() && self.stream.wanted_then.is_none() {
            self.stream.wanted_then = Some(self.wanted.names());
        }
        self.changed = true;
        &mut self.wanted
    }

    /// Whether a resource of that name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.has(name)
    }

    /// Whether responses are expected on this stream.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.stream.asked.is_some()
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Notes the outcome of a response. A response of which a part was refused is refused, for there is one version for all;
    /// the next request says that with the version before.
    pub(crate) fn answer(&mut self, version: String, nonce: String, refused: Option<String>) {
        self.stream.nonce = nonce;
        self.stream.wanted_then = self.changed.then(|| self.wanted.names());
        self.stream.answer = Some(match refused {
            Some(reason) => Answer::Refused(reason),
            None => {
                self.version = version;
                Answer::Accepted
            }
        });
    }

    /// The request that is due. It has no node yet.
    pub(crate) fn next_request(&mut self) -> Option<DiscoveryRequest> {
        if self.stream.asked.is_none() && self.wanted.is_nothing() {
            return None;
        }
        let other = self.stream.wanted_then.take().or_else(|| {
            let changed = std::mem::take(&mut self.changed) || self.stream.asked.is_none();
            changed.then(|| self.wanted.names()).filter(|names| self.stream.asked.as_ref() != Some(names))
        });
        if other.is_none() && self.stream.answer.is_none() {
            return None;
        }
        let error_detail = match self.stream.answer.take() {
            Some(Answer::Refused(reason)) => Some(status(&reason)),
            Some(Answer::Accepted) | None => None,
        };
        let names = other.or_else(|| self.stream.asked.take()).unwrap_or_default();
        self.stream.asked = Some(names.clone());
        Some(DiscoveryRequest {
            version_info: self.version.clone(),
            node: None,
            resource_names: names,
            type_url: self.kind.type_url(),
            response_nonce: self.stream.nonce.clone(),
            error_detail,
        })
    }
}
