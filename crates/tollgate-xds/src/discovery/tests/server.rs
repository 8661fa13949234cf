//! A management server: what it has, and one stream.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::proto::{
    Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};

/// What it has: bodies with their versions.
pub(super) type Having = BTreeMap<Kind, BTreeMap<String, (u64, Body)>>;

#[derive(Debug)]
pub(super) struct Server {
    variant: Variant,
    pub(super) having: Having,
    version: u64,
    nonce: u64,
    /// Of the stream, by kind.
    streams: BTreeMap<Kind, Stream>,
    /// What was sent and has not arrived.
    pub(super) out: VecDeque<Bytes>,
    pub(super) is_introduced: bool,
}

#[derive(Debug, Default)]
struct Stream {
    /// Names that are wanted; none for all.
    names: BTreeSet<String>,
    /// Of the last response.
    nonce: String,
    /// Whether the client waits for a response to its last request.
    is_due: bool,
    /// What was sent last, name by name.
    sent: BTreeMap<String, u64>,
    /// The version of all that was sent last.
    sent_version: u64,
}

impl Server {
    pub(super) fn new(variant: Variant) -> Self {
        Self {
            variant,
            having: Having::new(),
            version: 0,
            nonce: 0,
            streams: BTreeMap::new(),
            out: VecDeque::new(),
            is_introduced: false,
        }
    }

    pub(super) fn put(&mut self, kind: Kind, body: Body) {
        self.version += 1;
        self.having.entry(kind).or_default().insert(body.name.clone(), (self.version, body));
    }

    pub(super) fn remove(&mut self, kind: Kind, name: &str) {
        self.version += 1;
        self.having.entry(kind).or_default().remove(name);
    }

    /// A new stream.
    pub(super) fn reset(&mut self) {
        self.streams.clear();
        self.out.clear();
        self.is_introduced = false;
    }

    pub(super) fn handle(&mut self, message: Bytes) {
        match self.variant {
            Variant::StateOfTheWorld => self.handle_sotw(&DiscoveryRequest::decode(message).unwrap()),
            Variant::Delta => self.handle_delta(DeltaDiscoveryRequest::decode(message).unwrap()),
        }
    }

    fn introduce(&mut self, node: Option<&Bytes>) {
        assert_eq!(node.is_some(), !self.is_introduced, "the node is in the first request, and only there");
        self.is_introduced = true;
    }

    fn handle_sotw(&mut self, request: &DiscoveryRequest) {
        self.introduce(request.node.as_ref());
        let kind = Kind::of_type_url(&request.type_url).unwrap();
        let is_first = !self.streams.contains_key(&kind);
        let stream = self.streams.entry(kind).or_default();
        assert_eq!(is_first, request.response_nonce.is_empty() && stream.nonce.is_empty() && is_first);
        if request.response_nonce != stream.nonce {
            // It answers an older response; the answer to the last one is on its way.
            return;
        }
        let names: BTreeSet<String> = request.resource_names.iter().cloned().collect();
        stream.is_due |= is_first || names != stream.names;
        stream.names = names;
    }

    fn handle_delta(&mut self, request: DeltaDiscoveryRequest) {
        self.introduce(request.node.as_ref());
        let kind = Kind::of_type_url(&request.type_url).unwrap();
        let is_first = !self.streams.contains_key(&kind);
        let stream = self.streams.entry(kind).or_default();
        if is_first {
            assert_eq!(request.response_nonce, "");
            for (name, version) in request.initial_resource_versions {
                stream.sent.insert(name, version.parse().unwrap());
            }
            stream.is_due = true;
        } else {
            assert!(request.initial_resource_versions.is_empty());
            for name in &request.resource_names_subscribe {
                stream.sent.remove(name);
            }
        }
        stream.is_due |= !request.resource_names_subscribe.is_empty();
        stream.names.extend(request.resource_names_subscribe);
        for name in request.resource_names_unsubscribe {
            assert!(stream.names.remove(&name), "{name} was not asked for");
            stream.sent.remove(&name);
        }
    }

    /// Sends what is other than what was sent.
    pub(super) fn push(&mut self) {
        let kinds: Vec<Kind> = self.streams.keys().copied().collect();
        for kind in kinds {
            match self.variant {
                Variant::StateOfTheWorld => self.push_sotw(kind),
                Variant::Delta => self.push_delta(kind),
            }
        }
    }

    fn push_sotw(&mut self, kind: Kind) {
        let stream = self.streams.get_mut(&kind).unwrap();
        let having = self.having.entry(kind).or_default();
        if !stream.is_due && stream.sent_version == self.version {
            return;
        }
        let is_wanted =
            |name: &String| stream.names.is_empty() && kind.is_wildcard() || stream.names.contains(name);
        let resources = having.iter().filter(|(name, _)| is_wanted(name));
        let resources = resources.map(|(_, (_, body))| any(kind, body)).collect();
        self.nonce += 1;
        stream.nonce = self.nonce.to_string();
        stream.is_due = false;
        stream.sent_version = self.version;
        let response = DiscoveryResponse {
            version_info: self.version.to_string(),
            resources,
            type_url: kind.type_url(),
            nonce: stream.nonce.clone(),
        };
        self.out.push_back(response.encode_to_vec().into());
    }

    fn push_delta(&mut self, kind: Kind) {
        let stream = self.streams.get_mut(&kind).unwrap();
        let having = self.having.entry(kind).or_default();
        let is_wanted = |name: &String| kind.is_wildcard() || stream.names.contains(name);
        let mut response = DeltaDiscoveryResponse { type_url: kind.type_url(), ..Default::default() };
        for (name, (version, body)) in having.iter().filter(|(name, _)| is_wanted(name)) {
            if stream.sent.get(name) != Some(version) {
                response.resources.push(Resource {
                    version: version.to_string(),
                    resource: Some(any(kind, body)),
                    name: name.clone(),
                });
            }
        }
        let gone = stream.sent.keys().filter(|name| !having.contains_key(*name));
        response.removed_resources = gone.cloned().collect();
        if response.resources.is_empty() && response.removed_resources.is_empty() && !stream.is_due {
            return;
        }
        for resource in &response.resources {
            stream.sent.insert(resource.name.clone(), resource.version.parse().unwrap());
        }
        for name in &response.removed_resources {
            stream.sent.remove(name);
        }
        stream.is_due = false;
        self.nonce += 1;
        response.nonce = self.nonce.to_string();
        self.out.push_back(response.encode_to_vec().into());
    }
}

fn any(kind: Kind, body: &Body) -> Any {
    Any { type_url: kind.type_url(), value: body.encode_to_vec().into() }
}
