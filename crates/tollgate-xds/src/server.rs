//! A management server for tests, without I/O and on a socket: it holds resources, keeps strictly to the protocol, and says what clients answer.

#[cfg(feature = "server")]
mod socket;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use prost::Message as _;

#[cfg(feature = "server")]
pub use self::socket::Management;
use crate::{
    Kind, Variant,
    proto::{
        Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
    },
};

/// Resources by kind and name, with their versions.
pub type Having = BTreeMap<Kind, BTreeMap<String, (u64, Bytes)>>;

/// A management server, and one stream of one client at a time.
#[derive(Debug)]
pub struct Server {
    variant: Variant,
    having: Having,
    version: u64,
    nonce: u64,
    /// Of the stream, by kind.
    streams: BTreeMap<Kind, Stream>,
    out: VecDeque<Bytes>,
    is_introduced: bool,
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

/// What a client has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// About which kind.
    pub kind: Kind,
    /// Which response it answers; empty for none.
    pub nonce: String,
    /// Why that is refused.
    pub refused: Option<String>,
    /// What it wants now, none for all.
    pub wants: BTreeSet<String>,
    /// Versions that it has from an earlier stream.
    pub has: BTreeMap<String, String>,
    /// Whether it is the first request of the stream.
    pub node: Option<Bytes>,
}

impl Server {
    /// A server without resources.
    #[must_use]
    pub fn new(variant: Variant) -> Self {
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

    /// What it has.
    #[must_use]
    pub fn having(&self) -> &Having {
        &self.having
    }

    /// Adds a resource, or changes it. Nobody is told yet.
    pub fn put(&mut self, kind: Kind, name: &str, body: Bytes) {
        self.version = next_version();
        self.having.entry(kind).or_default().insert(name.to_owned(), (self.version, body));
    }

    /// Removes a resource. Nobody is told yet.
    pub fn remove(&mut self, kind: Kind, name: &str) {
        self.version = next_version();
        self.having.entry(kind).or_default().remove(name);
    }

    /// The client has a new stream.
    pub fn reset(&mut self) {
        self.streams.clear();
        self.out.clear();
        self.is_introduced = false;
    }

    /// The next message for the client.
    pub fn next_message(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// Whether everything was sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes what a client says.
    ///
    /// # Errors
    /// How it does not keep to the protocol.
    pub fn handle(&mut self, message: Bytes) -> Result<Said, String> {
        let broken = |error: prost::DecodeError| error.to_string();
        match self.variant {
            Variant::StateOfTheWorld => self.handle_sotw(DiscoveryRequest::decode(message).map_err(broken)?),
            Variant::Delta => self.handle_delta(DeltaDiscoveryRequest::decode(message).map_err(broken)?),
        }
    }

    fn introduce(&mut self, node: Option<&Bytes>) -> Result<(), String> {
        let is_first = !std::mem::replace(&mut self.is_introduced, true);
        match node.is_some() == is_first {
            true => Ok(()),
            // Envoy says it again unless it is told not to.
            false if node.is_some() => Ok(()),
            false => Err("the node is missing in the first request".to_owned()),
        }
    }

    fn handle_sotw(&mut self, request: DiscoveryRequest) -> Result<Said, String> {
        self.introduce(request.node.as_ref())?;
        let kind = Kind::of_type_url(&request.type_url).ok_or("an unknown type")?;
        let is_first = !self.streams.contains_key(&kind);
        let stream = self.streams.entry(kind).or_default();
        if is_first && !request.response_nonce.is_empty() {
            return Err("a first request answers nothing".to_owned());
        }
        let names: BTreeSet<String> = request.resource_names.into_iter().collect();
        // Otherwise it answers an older response; the answer to the last one is on its way.
        if request.response_nonce == stream.nonce {
            stream.is_due |= is_first || names != stream.names;
            stream.names.clone_from(&names);
        }
        Ok(Said {
            kind,
            nonce: request.response_nonce,
            refused: request.error_detail.map(|status| status.message),
            wants: names,
            has: BTreeMap::new(),
            node: request.node,
        })
    }

    fn handle_delta(&mut self, request: DeltaDiscoveryRequest) -> Result<Said, String> {
        self.introduce(request.node.as_ref())?;
        let kind = Kind::of_type_url(&request.type_url).ok_or("an unknown type")?;
        let is_first = !self.streams.contains_key(&kind);
        let stream = self.streams.entry(kind).or_default();
        let has = request.initial_resource_versions;
        if is_first {
            if !request.response_nonce.is_empty() {
                return Err("a first request answers nothing".to_owned());
            }
            for (name, version) in &has {
                stream.sent.insert(name.clone(), version.parse().unwrap_or_default());
            }
            stream.is_due = true;
        } else {
            if !has.is_empty() {
                return Err("initial versions belong into a first request".to_owned());
            }
            for name in &request.resource_names_subscribe {
                stream.sent.remove(name);
            }
        }
        stream.is_due |= !request.resource_names_subscribe.is_empty();
        let subscribed = request.resource_names_subscribe.into_iter().filter(|name| name != "*");
        stream.names.extend(subscribed);
        for name in request.resource_names_unsubscribe {
            if !stream.names.remove(&name) && name != "*" {
                return Err(format!("{name} was not asked for"));
            }
            stream.sent.remove(&name);
        }
        Ok(Said {
            kind,
            nonce: request.response_nonce,
            refused: request.error_detail.map(|status| status.message),
            wants: stream.names.clone(),
            has,
            node: request.node,
        })
    }

    /// The nonce of the last response of a kind.
    #[must_use]
    pub fn last_nonce(&self, kind: Kind) -> Option<String> {
        self.streams.get(&kind).map(|stream| stream.nonce.clone()).filter(|nonce| !nonce.is_empty())
    }

    /// Sends what is other than what was sent, of every kind that is asked for.
    pub fn push(&mut self) {
        for kind in Kind::ALL {
            self.push_kind(kind);
        }
    }

    /// Sends what is other than what was sent of a kind, if it is asked for. Gives the nonce of the response.
    pub fn push_kind(&mut self, kind: Kind) -> Option<String> {
        match self.variant {
            Variant::StateOfTheWorld => self.push_sotw(kind),
            Variant::Delta => self.push_delta(kind),
        }
    }

    fn push_sotw(&mut self, kind: Kind) -> Option<String> {
        let stream = self.streams.get_mut(&kind)?;
        let having = self.having.entry(kind).or_default();
        if !stream.is_due && stream.sent_version == self.version {
            return None;
        }
        let is_wanted =
            |name: &String| stream.names.is_empty() && kind.is_wildcard() || stream.names.contains(name);
        let resources = having.iter().filter(|(name, _)| is_wanted(name));
        let resources = resources.map(|(_, (_, body))| any(kind, body)).collect();
        self.nonce += 1;
        stream.nonce = self.nonce.to_string();
        stream.is_due = false;
        stream.sent_version = self.version;
        let nonce = stream.nonce.clone();
        let response = DiscoveryResponse {
            version_info: self.version.to_string(),
            resources,
            type_url: kind.type_url(),
            nonce: nonce.clone(),
        };
        self.out.push_back(response.encode_to_vec().into());
        Some(nonce)
    }

    fn push_delta(&mut self, kind: Kind) -> Option<String> {
        let stream = self.streams.get_mut(&kind)?;
        let having = self.having.entry(kind).or_default();
        let is_wanted = |name: &String| kind.is_wildcard() || stream.names.contains(name);
        let mut response = DeltaDiscoveryResponse {
            type_url: kind.type_url(),
            system_version_info: self.version.to_string(),
            ..Default::default()
        };
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
            return None;
        }
        for resource in &response.resources {
            stream.sent.insert(resource.name.clone(), resource.version.parse().unwrap_or_default());
        }
        for name in &response.removed_resources {
            stream.sent.remove(name);
        }
        stream.is_due = false;
        self.nonce += 1;
        response.nonce = self.nonce.to_string();
        stream.nonce.clone_from(&response.nonce);
        let nonce = response.nonce.clone();
        self.out.push_back(response.encode_to_vec().into());
        Some(nonce)
    }
}

/// Versions of one server are not those of another one.
fn next_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}

fn any(kind: Kind, body: &Bytes) -> Any {
    Any { type_url: kind.type_url(), value: body.clone() }
}
