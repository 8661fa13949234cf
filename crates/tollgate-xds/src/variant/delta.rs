//! Changes only: every resource has its version, and names are asked for and given back one by one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Wanted, status};
use crate::{Kind, proto::DeltaDiscoveryRequest};

/// The state of one kind.
#[derive(Debug)]
pub(crate) struct Delta {
    kind: Kind,
    wanted: Wanted,
    /// Whether something else is wanted than was asked for.
    changed: bool,
    /// What was accepted, with versions; it survives streams.
    versions: BTreeMap<String, String>,
    stream: Stream,
}

/// What belongs to the present stream.
#[derive(Debug, Default)]
struct Stream {
    /// The names that the server was asked for, none for all; `None` before the first request.
    asked: Option<BTreeSet<String>>,
    /// What came while it was not wanted, though the server was still asked for it.
    left_out: BTreeSet<String>,
    answers: VecDeque<Answer>,
}

/// An answer that is due: to that response, with the reason if it was refused.
#[derive(Debug)]
struct Answer {
    nonce: String,
    refused: Option<String>,
}

impl Delta {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            wanted: Wanted::nothing(),
            changed: false,
            versions: BTreeMap::new(),
            stream: Stream::default(),
        }
    }

    /// A new stream knows nothing of the ones before, but for the versions.
    pub(crate) fn opened(&mut self) {
        self.stream = Stream::default();
    }

    /// What is wanted, to be changed.
    pub(crate) fn wanted_mut(&mut self) -> &mut Wanted {
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

    /// Notes that a resource was accepted.
    pub(crate) fn accepted(&mut self, name: String, version: String) {
        if self.wanted.has(&name) {
            self.versions.insert(name, version);
        }
    }

    /// Notes that a resource was left out because it is not wanted. If it is wanted again before the server learns that, it has to
    /// be asked for anew.
    pub(crate) fn left_out(&mut self, name: String) {
        if self.stream.asked.as_ref().is_some_and(|asked| asked.contains(&name)) {
            self.stream.left_out.insert(name);
        }
    }

    /// Notes that a resource is gone.
    pub(crate) fn removed(&mut self, name: &str) {
        self.versions.remove(name);
    }

    /// Notes the outcome of a response.
    pub(crate) fn answer(&mut self, nonce: String, refused: Option<String>) {
        self.stream.answers.push_back(Answer { nonce, refused });
    }

    /// The request that is due. It has no node yet.
    pub(crate) fn next_request(&mut self) -> Option<DeltaDiscoveryRequest> {
        let mut request =
            DeltaDiscoveryRequest { type_url: self.kind.type_url(), ..DeltaDiscoveryRequest::default() };
        let Some(asked) = &mut self.stream.asked else {
            if self.wanted.is_nothing() {
                return None;
            }
            request.initial_resource_versions = self.versions.clone();
            request.resource_names_subscribe = self.wanted.names();
            self.stream.asked = Some(request.resource_names_subscribe.iter().cloned().collect());
            self.changed = false;
            return Some(request);
        };
        let answer = self.stream.answers.pop_front();
        if std::mem::take(&mut self.changed) {
            let wanted: BTreeSet<String> = self.wanted.names().into_iter().collect();
            let left_out = std::mem::take(&mut self.stream.left_out);
            let is_new = |name: &&String| !asked.contains(*name) || left_out.contains(*name);
            request.resource_names_subscribe = wanted.iter().filter(is_new).cloned().collect();
            request.resource_names_unsubscribe = asked.difference(&wanted).cloned().collect();
            for name in &request.resource_names_unsubscribe {
                self.versions.remove(name);
            }
            *asked = wanted;
        }
        let is_needed = answer.is_some()
            || !request.resource_names_subscribe.is_empty()
            || !request.resource_names_unsubscribe.is_empty();
        if let Some(Answer { nonce, refused }) = answer {
            request.response_nonce = nonce;
            request.error_detail = refused.as_deref().map(status);
        }
        is_needed.then_some(request)
    }
}
