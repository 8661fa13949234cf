//! Streams that come and go.

use super::*;
use crate::proto::{
    Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};

fn sent(channel: &mut Channel) -> Bytes {
    match channel.poll_action() {
        Some(Action::Send { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

fn opened(settings: Settings) -> Channel {
    let mut channel = Channel::new(settings);
    assert_eq!(channel.poll_action(), Some(Action::Open));
    assert_eq!(channel.poll_action(), None);
    channel.handle_opened();
    channel
}

#[test]
fn who_asks_is_said_once_on_a_stream() {
    let now = Instant::now();
    let mut channel =
        opened(Settings::aggregated(Variant::StateOfTheWorld, Bytes::from_static(b"\x0a\x01n")));
    assert_eq!(channel.poll_action(), None, "nothing is wanted");
    channel.want_all(Kind::Cluster);
    channel.want_all(Kind::Listener);
    let first = DiscoveryRequest::decode(sent(&mut channel)).unwrap();
    assert_eq!(first.node.as_deref(), Some(&b"\x0a\x01n"[..]));
    assert_eq!(first.type_url, Kind::Cluster.type_url());
    let second = DiscoveryRequest::decode(sent(&mut channel)).unwrap();
    assert_eq!((second.node, second.type_url), (None, Kind::Listener.type_url()));
    assert_eq!(channel.poll_action(), None);

    channel.handle_closed(now);
    assert_eq!(channel.poll_action(), None);
    let until = channel.next_deadline().unwrap();
    assert!(until <= now + Duration::from_millis(500));
    channel.handle_time(until);
    assert_eq!(channel.poll_action(), Some(Action::Open));
    channel.handle_opened();
    let again = DiscoveryRequest::decode(sent(&mut channel)).unwrap();
    assert!(again.node.is_some());
}

#[test]
fn waiting_grows_until_the_server_says_something() {
    let mut now = Instant::now();
    let mut channel = Channel::new(Settings::single(Variant::Delta, Kind::Cluster, Bytes::new()));
    channel.want_all(Kind::Cluster);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        channel.handle_time(now);
        assert_eq!(channel.poll_action(), Some(Action::Open));
        channel.handle_closed(now);
        let until = channel.next_deadline().unwrap();
        longest = longest.max(until - now);
        assert!(until - now <= Duration::from_secs(30));
        now = until;
    }
    assert!(longest > Duration::from_secs(5), "{longest:?}");
    channel.handle_time(now);
    channel.poll_action();
    channel.handle_opened();
    sent(&mut channel);
    let response = DeltaDiscoveryResponse { type_url: Kind::Cluster.type_url(), ..Default::default() };
    channel.handle_message(now, response.encode_to_vec().into(), &mut |_| Vec::new());
    channel.handle_closed(now);
    assert!(channel.next_deadline().unwrap() - now <= Duration::from_millis(500));
}

#[test]
fn what_is_no_response_ends_the_stream() {
    let now = Instant::now();
    for message in [&b"\xff\xff"[..], b""] {
        let mut channel = opened(Settings::aggregated(Variant::Delta, Bytes::new()));
        channel.handle_message(now, Bytes::from_static(message), &mut |_| panic!("nothing is taken"));
        assert!(matches!(channel.poll_action(), Some(Action::Close(_))));
        assert!(!channel.is_open());
        assert!(channel.next_deadline().is_some());
    }
}

fn cluster(body: &[u8]) -> Any {
    Any { type_url: Kind::Cluster.type_url(), value: Bytes::copy_from_slice(body) }
}

#[test]
fn what_is_refused_in_part_is_refused_with_its_names() {
    let now = Instant::now();
    let mut channel = opened(Settings::aggregated(Variant::Delta, Bytes::new()));
    channel.want_all(Kind::Cluster);
    sent(&mut channel);
    let resource = |name: &str, version: &str| Resource {
        name: name.to_owned(),
        version: version.to_owned(),
        resource: Some(cluster(b"")),
    };
    let response = DeltaDiscoveryResponse {
        type_url: Kind::Cluster.type_url(),
        nonce: "n".to_owned(),
        resources: vec![
            resource("good", "1"),
            resource("bad", "1"),
            Resource { resource: None, ..resource("alive", "1") },
        ],
        ..Default::default()
    };
    channel.handle_message(now, response.encode_to_vec().into(), &mut |update| {
        assert_eq!(update.resources.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["good", "bad"]);
        vec![Refusal { name: "bad".to_owned(), reason: "no port".to_owned() }]
    });
    let answer = DeltaDiscoveryRequest::decode(sent(&mut channel)).unwrap();
    assert_eq!(answer.error_detail.unwrap().message, "bad: no port");
    // The good one is resumed, the bad one comes again.
    channel.handle_closed(now);
    channel.handle_time(channel.next_deadline().unwrap());
    channel.poll_action();
    channel.handle_opened();
    let again = DeltaDiscoveryRequest::decode(sent(&mut channel)).unwrap();
    assert_eq!(again.initial_resource_versions.into_keys().collect::<Vec<_>>(), ["good"]);
}

/// Sends a state of the world with clusters, and returns the reason for which it is refused.
fn refused(resources: Vec<Any>) -> Option<String> {
    let mut channel = opened(Settings::aggregated(Variant::StateOfTheWorld, Bytes::new()));
    channel.want_all(Kind::Cluster);
    sent(&mut channel);
    let response = DiscoveryResponse {
        type_url: Kind::Cluster.type_url(),
        nonce: "n".to_owned(),
        version_info: "1".to_owned(),
        resources,
    };
    channel.handle_message(Instant::now(), response.encode_to_vec().into(), &mut |_| Vec::new());
    let answer = DiscoveryRequest::decode(sent(&mut channel)).unwrap();
    answer.error_detail.map(|detail| detail.message)
}

#[test]
fn what_contradicts_itself_is_refused_as_a_whole() {
    assert_eq!(refused(vec![cluster(b"\x0a\x01a"), cluster(b"\x0a\x01b")]), None);
    let reason = refused(vec![cluster(b"\x0a\x01a"), cluster(b"\x0a\x01a")]).unwrap();
    assert_eq!(reason, "duplicate name a found among added/updated resources");
    assert_eq!(refused(vec![cluster(b"")]).unwrap(), "a Cluster without a name");
    assert!(refused(vec![cluster(b"\xff")]).is_some());
    let other = Any { type_url: Kind::Listener.type_url(), value: Bytes::new() };
    assert!(refused(vec![other]).unwrap().starts_with("a resource of the type"));
}

#[test]
fn resources_of_a_state_of_the_world_may_be_wrapped() {
    let wrapped = Resource { name: "a".to_owned(), version: "7".to_owned(), resource: Some(cluster(b"")) };
    let wrapped = Any {
        type_url: "type.googleapis.com/envoy.service.discovery.v3.Resource".to_owned(),
        value: wrapped.encode_to_vec().into(),
    };
    assert_eq!(refused(vec![wrapped]), None);
}

#[test]
fn methods_are_those_of_the_services() {
    let method = |settings| Channel::new(settings).method();
    let node = Bytes::new();
    assert_eq!(method(Settings::aggregated(Variant::Delta, node.clone())), AGGREGATED_DELTA);
    assert_eq!(method(Settings::aggregated(Variant::StateOfTheWorld, node.clone())), AGGREGATED_SOTW);
    assert_eq!(
        method(Settings::single(Variant::Delta, Kind::Secret, node.clone())),
        "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"
    );
    assert_eq!(
        method(Settings::single(Variant::StateOfTheWorld, Kind::Routes, node)),
        "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes"
    );
}
