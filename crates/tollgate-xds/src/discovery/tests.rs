//! Resources that need others, come in any order, are refused and resumed.

mod property;

use prost::Message as _;

use super::*;
use crate::{Incoming, Settings};

/// A resource of the tests.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Body {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bool, tag = "2")]
    pub(super) is_bad: bool,
    /// `endpoints NAME`, `routes NAME`, `secret NAME`.
    #[prost(string, repeated, tag = "3")]
    pub(super) needs: Vec<String>,
    #[prost(uint32, tag = "4")]
    pub(super) data: u32,
}

/// Reads [`Body`]s, and counts them.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    pub(super) reads: usize,
}

impl Reader for Bodies {
    type Value = Body;

    fn read(&mut self, _: Kind, name: &str, body: &Bytes) -> Result<Read<Body>, String> {
        self.reads += 1;
        let value = Body::decode(body.clone()).map_err(|error| error.to_string())?;
        assert_eq!(value.name, name);
        if value.is_bad {
            return Err("it is bad".to_owned());
        }
        let needs = value.needs.iter().map(|need| {
            let (kind, name) = need.split_once(' ').unwrap();
            let kind = match kind {
                "endpoints" => Kind::Endpoints,
                "routes" => Kind::Routes,
                _ => Kind::Secret,
            };
            Need { kind, name: name.to_owned() }
        });
        let needs = needs.collect();
        Ok(Read { needs, ..Read::new(value) })
    }
}

fn body(name: &str, data: u32, needs: &[&str]) -> Body {
    Body {
        name: name.to_owned(),
        is_bad: false,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        data,
    }
}

fn update(kind: Kind, bodies: &[Body]) -> Update {
    let resources = bodies.iter().map(|body| Incoming {
        name: body.name.clone(),
        version: body.data.to_string(),
        body: body.encode_to_vec().into(),
    });
    Update { kind, is_complete: kind.is_wildcard(), resources: resources.collect(), removed: Vec::new() }
}

fn discovery(now: Instant) -> Discovery<Bodies> {
    let channel = Channel::new(Settings::aggregated(Variant::Delta, Bytes::new()));
    Discovery::new(Bodies::default(), vec![channel], now)
}

/// The number in what works.
fn working(discovery: &Discovery<Bodies>, kind: Kind, name: &str) -> Option<u32> {
    discovery.active(kind, name).map(|resource| resource.value.data)
}

#[test]
fn a_cluster_waits_for_its_endpoints_and_its_secret() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    let cluster = body("a", 1, &["endpoints e", "secret s"]);
    assert_eq!(discovery.handle_update(now, &update(Kind::Cluster, &[cluster])), []);
    assert_eq!(working(&discovery, Kind::Cluster, "a"), None);
    discovery.handle_update(now, &update(Kind::Endpoints, &[body("e", 1, &[])]));
    assert_eq!(working(&discovery, Kind::Cluster, "a"), None);
    let (_, entry) = discovery.entries(Kind::Cluster).next().unwrap();
    assert_eq!(entry.waits_for, BTreeSet::from([Need { kind: Kind::Secret, name: "s".to_owned() }]));
    discovery.handle_update(now, &update(Kind::Secret, &[body("s", 1, &[])]));
    assert_eq!(working(&discovery, Kind::Cluster, "a"), Some(1));
    let changes = discovery.take_changes();
    let changed = [(Kind::Cluster, "a"), (Kind::Endpoints, "e"), (Kind::Secret, "s")];
    assert_eq!(changes, changed.map(|(kind, name)| (kind, name.to_owned())).into());
    // Other endpoints touch nothing else.
    discovery.handle_update(now, &update(Kind::Endpoints, &[body("e", 2, &[])]));
    assert_eq!(discovery.take_changes(), BTreeSet::from([(Kind::Endpoints, "e".to_owned())]));
}

#[test]
fn the_one_before_works_while_the_new_one_waits() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    discovery.handle_update(now, &update(Kind::Listener, &[body("l", 1, &[])]));
    discovery.handle_update(now, &update(Kind::Listener, &[body("l", 2, &["routes r"])]));
    assert_eq!(working(&discovery, Kind::Listener, "l"), Some(1));
    // A third one takes the place of the one that waits.
    discovery.handle_update(now, &update(Kind::Listener, &[body("l", 3, &["routes r", "secret s"])]));
    discovery.handle_update(now, &update(Kind::Routes, &[body("r", 1, &[])]));
    assert_eq!(working(&discovery, Kind::Listener, "l"), Some(1));
    discovery.handle_update(now, &update(Kind::Secret, &[body("s", 1, &[])]));
    assert_eq!(working(&discovery, Kind::Listener, "l"), Some(3));
}

#[test]
fn what_does_not_come_is_waited_for_no_longer_than_the_initial_fetch_timeout() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    discovery.handle_update(now, &update(Kind::Cluster, &[body("a", 1, &["endpoints e"])]));
    assert_eq!(discovery.next_deadline(), Some(now + Duration::from_secs(15)));
    discovery.handle_time(now + Duration::from_secs(14));
    assert_eq!(working(&discovery, Kind::Cluster, "a"), None);
    assert!(!discovery.is_ready());
    discovery.handle_time(now + Duration::from_secs(15));
    assert_eq!(working(&discovery, Kind::Cluster, "a"), Some(1));
    // Listeners have a time of their own.
    assert!(!discovery.is_ready());
    assert_eq!(discovery.next_deadline(), Some(now + Duration::from_secs(30)));
    discovery.handle_time(now + Duration::from_secs(30));
    assert!(discovery.is_ready());
    assert_eq!(discovery.next_deadline(), None);
}

#[test]
fn listeners_are_asked_for_when_clusters_work() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    let asked = |discovery: &mut Discovery<Bodies>| {
        let mut types = Vec::new();
        while let Some((_, action)) = discovery.poll_action() {
            if let Action::Send { message, .. } = action {
                let request = crate::proto::DeltaDiscoveryRequest::decode(message).unwrap();
                types.push((Kind::of_type_url(&request.type_url).unwrap(), request.resource_names_subscribe));
            }
        }
        types
    };
    assert_eq!(asked(&mut discovery), []);
    discovery.handle_opened(ChannelId(0));
    assert_eq!(asked(&mut discovery), [(Kind::Cluster, vec![])]);
    discovery.handle_update(now, &update(Kind::Cluster, &[body("a", 1, &["endpoints e"])]));
    assert_eq!(asked(&mut discovery), [(Kind::Endpoints, vec!["e".to_owned()])]);
    discovery.handle_update(now, &update(Kind::Endpoints, &[body("e", 1, &[])]));
    assert_eq!(asked(&mut discovery), [(Kind::Listener, vec![])]);
    discovery.handle_update(now, &update(Kind::Listener, &[]));
    assert!(discovery.is_ready());
}

#[test]
fn the_last_good_one_is_kept_and_nothing_is_read_twice() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    let good = body("a", 1, &[]);
    let bad = Body { is_bad: true, data: 2, ..good.clone() };
    discovery.handle_update(now, &update(Kind::Cluster, std::slice::from_ref(&good)));
    let other = body("b", 1, &[]);
    for _ in 0..3 {
        let refused = discovery.handle_update(now, &update(Kind::Cluster, &[bad.clone(), other.clone()]));
        assert_eq!(refused, [Refusal { name: "a".to_owned(), reason: "it is bad".to_owned() }]);
    }
    assert_eq!(working(&discovery, Kind::Cluster, "a"), Some(1));
    assert_eq!(working(&discovery, Kind::Cluster, "b"), Some(1));
    let entry = discovery.entries(Kind::Cluster).next().unwrap().1;
    assert_eq!(entry.refused.as_ref().unwrap().version, "2");
    // Back to the good one.
    assert_eq!(discovery.handle_update(now, &update(Kind::Cluster, &[good])), []);
    assert_eq!(discovery.entries(Kind::Cluster).next().unwrap().1.refused, None);
    assert_eq!(discovery.world.reader().reads, 3);
    // What is not there any more is gone, good or bad.
    discovery.handle_update(now, &update(Kind::Cluster, &[bad]));
    assert_eq!(discovery.entries(Kind::Cluster).count(), 1);
}

#[test]
fn what_nobody_needs_is_given_back_and_forgotten() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    discovery.handle_opened(ChannelId(0));
    discovery.handle_update(now, &update(Kind::Cluster, &[body("a", 1, &["endpoints e"])]));
    discovery.handle_update(now, &update(Kind::Endpoints, &[body("e", 1, &[])]));
    while discovery.poll_action().is_some() {}
    discovery.handle_update(now, &update(Kind::Cluster, &[]));
    assert_eq!(working(&discovery, Kind::Endpoints, "e"), Some(1), "the server does not know yet");
    let mut given_back = Vec::new();
    while let Some((_, action)) = discovery.poll_action() {
        if let Action::Send { message, .. } = action {
            let request = crate::proto::DeltaDiscoveryRequest::decode(message).unwrap();
            given_back.extend(request.resource_names_unsubscribe);
        }
    }
    assert_eq!(given_back, ["e"]);
    assert_eq!(discovery.entries(Kind::Endpoints).count(), 0);
    assert!(discovery.take_changes().contains(&(Kind::Endpoints, "e".to_owned())));
}

#[test]
fn what_is_needed_stays_when_a_server_takes_it_back() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    discovery.handle_update(now, &update(Kind::Listener, &[body("l", 1, &["routes r"])]));
    discovery.handle_update(now, &update(Kind::Routes, &[body("r", 1, &[])]));
    let removed = Update { removed: vec!["r".to_owned()], ..update(Kind::Routes, &[]) };
    discovery.handle_update(now, &removed);
    assert_eq!(working(&discovery, Kind::Routes, "r"), Some(1));
    assert_eq!(working(&discovery, Kind::Listener, "l"), Some(1));
}

#[test]
fn what_waits_when_it_is_removed_is_gone_without_a_trace() {
    let now = Instant::now();
    let mut discovery = discovery(now);
    discovery.handle_update(now, &update(Kind::Cluster, &[body("a", 1, &["endpoints e"])]));
    discovery.handle_update(now, &update(Kind::Cluster, &[]));
    assert_eq!(discovery.take_changes(), BTreeSet::new());
    discovery.handle_update(now, &update(Kind::Listener, &[]));
    assert!(discovery.is_ready());
    assert_eq!(discovery.next_deadline(), None);
}
