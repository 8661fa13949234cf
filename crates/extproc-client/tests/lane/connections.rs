//! How connections are made, shared, lost and replaced.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use extproc_client::{
    Call, Client, ClientSettings, Close, ConnectError, Connecting, Connector, Endpoint, EndpointSettings,
    GrpcStatus, KeepAlive, PickError,
};
use tokio::{io::AsyncWriteExt, time::Instant};

use crate::support::*;

fn before_headers(reason: &str, details: &str) -> Result<(), GrpcStatus> {
    Err(GrpcStatus {
        code: 14,
        message: format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}"),
        details: format!("upstream_reset_before_response_started{{{details}}}"),
    })
}

fn after_headers(reason: &str) -> Result<(), GrpcStatus> {
    Err(GrpcStatus {
        code: 13,
        message: String::new(),
        details: format!("upstream_reset_after_response_started{{{reason}}}"),
    })
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn many_exchanges_share_a_connection() {
    let (client, mut network) = default_client();
    let mut calls: Vec<_> = (0..50).map(|_| client.open(request()).unwrap()).collect();
    for call in &mut calls {
        call.send(framed(b"hello"));
        idle(call).await;
    }
    let mut peer = network.accept().await;
    for (number, call) in calls.iter_mut().enumerate() {
        idle(call).await;
        assert_eq!(peer.expect(HEADERS).await.stream, 2 * number as u32 + 1);
    }
    // Answered in the opposite order.
    for (number, call) in calls.iter_mut().enumerate().rev() {
        let stream = 2 * number as u32 + 1;
        peer.head(stream).reply(stream, number.to_string().as_bytes()).trailers(stream, "0").flush().await;
        assert_eq!(message(call).await, number.to_string());
        assert_eq!(closed(call).await, Ok(()));
    }
    assert_eq!(network.attempts.get(), 1);
}

/// F-8: the words are the transport's, and nobody waits for a second failure.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_refused_connection_fails_every_exchange_that_waits() {
    let (client, network) = default_client();
    let refused = || ConnectError::Remote("delayed connect error: Connection refused".to_owned());
    let expected = before_headers(
        "remote connection failure",
        "remote_connection_failure|delayed_connect_error:_Connection_refused",
    );
    network.failures.borrow_mut().push(refused());
    let mut calls: Vec<_> = (0..3).map(|_| client.open(request()).unwrap()).collect();
    for call in &mut calls {
        assert_eq!(closed(call).await, expected);
        assert_eq!((call.bytes_sent(), call.bytes_received()), (0, 0));
    }
    assert_eq!(network.attempts.get(), 1);
    // Too early for another attempt.
    assert_eq!(closed(&mut client.open(request()).unwrap()).await, expected);
    assert_eq!(network.attempts.get(), 1);
    tokio::time::advance(Duration::from_millis(26)).await;
    network.failures.borrow_mut().push(refused());
    assert_eq!(closed(&mut client.open(request()).unwrap()).await, expected);
    assert_eq!(network.attempts.get(), 2);
    // The processor is back.
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut network = network;
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn connecting_has_a_deadline() {
    let settings =
        EndpointSettings { connect_timeout: Duration::from_millis(250), ..EndpointSettings::default() };
    let (client, network) = client(settings, ClientSettings::default());
    // Without a receiver attempts hang.
    drop(network);
    let start = Instant::now();
    let mut call = client.open(request()).unwrap();
    assert_eq!(closed(&mut call).await, before_headers("connection timeout", "connection_timeout"));
    let took = start.elapsed();
    assert!((250..300).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn only_so_many_exchanges_wait() {
    let settings = EndpointSettings { max_pending_requests: 2, ..EndpointSettings::default() };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut first = client.open(request()).unwrap();
    let second = client.open(request()).unwrap();
    let refused = client.open(request()).unwrap_err();
    assert_eq!(Err(refused), before_headers("overflow", "overflow"));
    // One that gives up makes room.
    drop(second);
    let mut third = client.open(request()).unwrap();
    let mut peer = network.accept().await;
    for call in [&mut first, &mut third] {
        idle(call).await;
        peer.expect(HEADERS).await;
    }
}

/// F-9.
#[tokio::test(flavor = "local", start_paused = true)]
async fn without_endpoints_there_is_no_exchange() {
    let status = client_of(Vec::new(), ClientSettings::default()).open(request()).unwrap_err();
    assert_eq!(status.rcd(), "ext_proc_error_gRPC_error_14{no_healthy_upstream{no_healthy_upstream}}");
    let status: GrpcStatus = PickError::ClusterNotAvailable.into();
    assert_eq!(status.rcd(), "ext_proc_error_gRPC_error_14{Cluster_not_available}");
}

/// A peer that takes one stream at a time gets as many connections as there are exchanges.
#[tokio::test(flavor = "local", start_paused = true)]
async fn the_peers_limit_is_learned_and_kept() {
    let (client, mut network) = default_client();
    let mut first = client.open(request()).unwrap();
    idle(&mut first).await;
    let mut one = network.accept_with(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    idle(&mut first).await;
    one.expect(HEADERS).await;
    one.put(PING, 0, 0, b"12345678").flush().await;
    one.expect(PING).await;
    let mut second = client.open(request()).unwrap();
    let mut third = client.open(request()).unwrap();
    idle(&mut second).await;
    idle(&mut third).await;
    let mut two = network.accept_with(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    idle(&mut second).await;
    assert_eq!(two.expect(HEADERS).await.stream, 1);
    let mut three = network.accept_with(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    idle(&mut third).await;
    assert_eq!(three.expect(HEADERS).await.stream, 1);
    // A place that becomes free is used before another connection is made.
    one.head(1).trailers(1, "0").flush().await;
    assert_eq!(closed(&mut first).await, Ok(()));
    let mut fourth = client.open(request()).unwrap();
    idle(&mut fourth).await;
    assert_eq!(one.expect(HEADERS).await.stream, 3);
    assert_eq!(network.attempts.get(), 3);
}

/// A peer that takes no streams for now is not asked on further connections, and exchanges go on when it takes some.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_peer_that_takes_no_streams_is_waited_for() {
    let (client, mut network) = default_client();
    let mut first = client.open(request()).unwrap();
    idle(&mut first).await;
    let mut peer = network.accept_with(&[(MAX_CONCURRENT_STREAMS, 0)]).await;
    peer.put(PING, 0, 0, b"12345678").flush().await;
    peer.expect(PING).await;
    let mut calls: Vec<_> = (0..20).map(|_| client.open(request()).unwrap()).collect();
    for call in calls.iter_mut().chain([&mut first]) {
        idle(call).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    for call in calls.iter_mut().chain([&mut first]) {
        idle(call).await;
    }
    assert_eq!((network.attempts.get(), network.pending()), (1, 0));
    let limit = MAX_CONCURRENT_STREAMS.to_be_bytes();
    peer.put(SETTINGS, 0, 0, &[&limit[..], &100_u32.to_be_bytes()].concat()).flush().await;
    peer.put(PING, 0, 0, b"12345678").flush().await;
    peer.expect(PING).await;
    for call in calls.iter_mut().chain([&mut first]) {
        idle(call).await;
    }
    for _ in 0..21 {
        peer.expect(HEADERS).await;
    }
    assert_eq!(network.attempts.get(), 1);
}

/// V-6: exchanges whose time has run out before there was a connection take no place in the queue from others.
#[tokio::test(flavor = "local", start_paused = true)]
async fn places_of_those_who_are_too_late_are_given_to_others() {
    let settings = EndpointSettings {
        max_pending_requests: 2,
        connect_timeout: Duration::from_secs(60),
        ..EndpointSettings::default()
    };
    let (client, network) = client(settings, ClientSettings::default());
    drop(network);
    let leave = |seconds| {
        let mut call = client.open(request()).unwrap();
        call.send(framed(b"seen by nobody"));
        call.close(Close::Deferred(Duration::from_secs(seconds)));
    };
    leave(10);
    leave(1);
    let overflow = before_headers("overflow", "overflow");
    assert_eq!(Err(client.open(request()).unwrap_err()), overflow);
    tokio::time::advance(Duration::from_secs(2)).await;
    let second = client.open(request()).unwrap();
    assert_eq!(Err(client.open(request()).unwrap_err()), overflow, "the other one still waits");
    tokio::time::advance(Duration::from_secs(9)).await;
    let _third = client.open(request()).unwrap();
    drop(second);
}

/// Connectors are foreign code: they may look at their endpoint, and one that panics harms only those who wait for it.
#[tokio::test(flavor = "local", start_paused = true)]
async fn connectors_may_look_and_may_panic() {
    #[derive(Default)]
    struct Curious {
        endpoint: RefCell<Weak<Endpoint>>,
        seen: Cell<usize>,
    }
    impl Connector for Curious {
        fn connect(&self) -> Connecting {
            let endpoint = self.endpoint.borrow().upgrade().expect("an endpoint");
            self.seen.set(endpoint.active_requests());
            Box::pin(async { panic!("as it was told") })
        }
    }
    let connector = Rc::<Curious>::default();
    let settings = EndpointSettings { max_connections: 1, ..EndpointSettings::default() };
    let endpoint = Endpoint::new(connector.clone(), settings);
    *connector.endpoint.borrow_mut() = Rc::downgrade(&endpoint);
    let client = client_of(vec![endpoint], ClientSettings::default());
    for _ in 0..2 {
        let mut call = client.open(request()).unwrap();
        let failed = "remote_connection_failure|the_connection_attempt_was_given_up";
        assert_eq!(closed(&mut call).await, before_headers("remote connection failure", failed));
        assert_eq!(connector.seen.replace(0), 1);
        // The pause after a failed attempt.
        tokio::time::advance(Duration::from_secs(2)).await;
    }
}

/// With no further connection allowed, exchanges wait for a place, in order.
#[tokio::test(flavor = "local", start_paused = true)]
async fn exchanges_wait_for_a_place() {
    let settings =
        EndpointSettings { max_connections: 1, max_concurrent_streams: 1, ..EndpointSettings::default() };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut calls: Vec<_> = (0..4).map(|_| client.open(request()).unwrap()).collect();
    for call in &mut calls {
        idle(call).await;
    }
    let mut peer = network.accept().await;
    // The second gives up while it waits, the third when it has just been given its place.
    drop(calls.remove(1));
    idle(&mut calls[0]).await;
    peer.expect(HEADERS).await;
    peer.head(1).trailers(1, "0").flush().await;
    assert_eq!(closed(&mut calls[0]).await, Ok(()));
    drop(calls.remove(1));
    idle(&mut calls[1]).await;
    assert_eq!(peer.expect(HEADERS).await.stream, 3);
    assert_eq!(network.attempts.get(), 1);
}

/// Places that become free are taken before the last frames of those who left are written, and the peer's limit is
/// kept nevertheless.
#[tokio::test(flavor = "local", start_paused = true)]
async fn places_change_hands_at_once() {
    const LIMIT: u32 = 3;
    let settings = EndpointSettings { max_connections: 1, ..EndpointSettings::default() };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut first = client.open(request()).unwrap();
    idle(&mut first).await;
    let mut peer = network.accept_with(&[(MAX_CONCURRENT_STREAMS, LIMIT)]).await;
    peer.put(PING, 0, 0, b"12345678").flush().await;
    peer.expect(PING).await;
    let mut calls = vec![first];
    calls.extend((1..30).map(|_| client.open(request()).unwrap()));
    for call in &mut calls {
        idle(call).await;
    }
    let mut open = Vec::new();
    let mut seen = 0;
    while seen < 30 {
        while open.len() < (LIMIT as usize).min(30 - seen) {
            let frame = peer.expect_stream().await;
            if frame.kind == HEADERS {
                open.push(frame.stream);
            }
        }
        // More than the limit would be here by now.
        peer.put(PING, 0, 0, b"12345678").flush().await;
        while peer.next().await.is_some_and(|frame| frame.kind != PING) {}
        for stream in open.drain(..) {
            peer.head(stream).trailers(stream, "0");
            seen += 1;
        }
        peer.flush().await;
        for call in calls.drain(..calls.len().min(LIMIT as usize)) {
            let mut call = call;
            assert_eq!(closed(&mut call).await, Ok(()));
        }
        for call in &mut calls {
            idle(call).await;
        }
    }
    assert_eq!((network.attempts.get(), calls.len()), (1, 0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_departing_connection_finishes_what_it_has() {
    let (client, mut network, mut call, mut peer) = opened().await;
    peer.go_away(1, 0).flush().await;
    // A replacement is made before anyone needs it.
    let mut other = network.accept().await;
    let (mut next, stream) = open(&client, &mut other).await;
    assert_eq!(stream, 1);
    peer.head(1).reply(1, b"still here").trailers(1, "0").flush().await;
    assert_eq!(message(&mut call).await, "still here");
    assert_eq!(closed(&mut call).await, Ok(()));
    // And then it ends.
    while peer.next().await.is_some() {}
    other.head(1).trailers(1, "0").flush().await;
    assert_eq!(closed(&mut next).await, Ok(()));
}

/// F-12: exchanges the peer says it has not looked at are refused ones, whatever it says besides.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_departing_connection_refuses_later_exchanges() {
    for code in [0, 2] {
        let (_client, _network, mut call, mut peer) = opened().await;
        peer.go_away(0, code).flush().await;
        let refused = before_headers("remote refused stream reset", "remote_refused_stream_reset");
        assert_eq!(closed(&mut call).await, refused);
    }
    let (_client, _network, mut call, mut peer) = opened().await;
    peer.head(1).go_away(0, 0).flush().await;
    assert_eq!(closed(&mut call).await, after_headers("remote_refused_stream_reset"));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_broken_connection_ends_its_exchanges() {
    // Before and after the head; announced or not.
    let (client, mut network, mut call, peer) = opened().await;
    drop(peer);
    let broken = before_headers("connection termination", "connection_termination");
    assert_eq!(closed(&mut call).await, broken);
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    peer.head(1).reply(1, b"one").flush().await;
    drop(peer);
    assert_eq!(message(&mut call).await, "one");
    assert_eq!(closed(&mut call).await, after_headers("connection_termination"));
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    peer.go_away(1, 11).flush().await;
    drop(peer);
    assert_eq!(closed(&mut call).await, broken);
}

/// F-12: what is not HTTP/2.
#[tokio::test(flavor = "local", start_paused = true)]
async fn protocol_violations_end_the_connection_and_its_exchanges() {
    let violated = before_headers("protocol error", "protocol_error");
    let (client, mut network, mut call, mut peer) = opened().await;
    peer.data(0, b"x").flush().await;
    assert_eq!(closed(&mut call).await, violated);
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut io = network.accept_raw().await;
    within(io.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")).await.unwrap();
    assert_eq!(closed(&mut call).await, violated);
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    peer.head(1).head(1).flush().await;
    assert_eq!(closed(&mut call).await, after_headers("protocol_error"));
}

/// An exchange that was given a place on a connection that is gone when it is first polled takes another.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_place_that_is_lost_before_use_is_replaced() {
    let (client, mut network, mut call, mut peer) = opened().await;
    let mut late = client.open(request()).unwrap();
    peer.head(1).go_away(1, 0).flush().await;
    idle(&mut call).await;
    let mut other = network.accept().await;
    idle(&mut late).await;
    assert_eq!(other.expect(HEADERS).await.stream, 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn idle_connections_are_closed() {
    let settings =
        EndpointSettings { idle_timeout: Some(Duration::from_secs(60)), ..EndpointSettings::default() };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    // Used for longer than that.
    tokio::time::sleep(Duration::from_secs(100)).await;
    peer.head(1).trailers(1, "0").flush().await;
    assert_eq!(closed(&mut call).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(40)).await;
    let (mut call, stream) = open(&client, &mut peer).await;
    peer.head(stream).trailers(stream, "0").flush().await;
    assert_eq!(closed(&mut call).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(peer.expect(GOAWAY).await.payload[4..8], [0, 0, 0, 0]);
    assert!(peer.next().await.is_none());
    assert_eq!(network.attempts.get(), 1);
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    network.accept().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn connections_have_a_last_exchange() {
    let settings = EndpointSettings { max_requests_per_connection: Some(2), ..EndpointSettings::default() };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut first = client.open(request()).unwrap();
    idle(&mut first).await;
    let mut one = network.accept().await;
    idle(&mut first).await;
    one.expect(HEADERS).await;
    let (mut second, _) = open(&client, &mut one).await;
    let mut third = client.open(request()).unwrap();
    idle(&mut third).await;
    let mut two = network.accept().await;
    idle(&mut third).await;
    two.expect(HEADERS).await;
    one.head(1).trailers(1, "0").head(3).trailers(3, "0").flush().await;
    assert_eq!(closed(&mut first).await, Ok(()));
    assert_eq!(closed(&mut second).await, Ok(()));
    one.expect(GOAWAY).await;
    assert!(one.next().await.is_none());
}

fn with(keepalive: KeepAlive) -> EndpointSettings {
    EndpointSettings { keepalive: Some(keepalive), ..EndpointSettings::default() }
}

/// A client that asks for signs of life, a call of its, and the processor that has seen the call's head.
async fn watched(keepalive: KeepAlive) -> (Client, Network, Call, Peer) {
    let (client, mut network) = client(with(keepalive), ClientSettings::default());
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    (client, network, call, peer)
}

/// The connection goes on for that long, and nobody asks whether the peer is there.
async fn stays_quiet(peer: &mut Peer, time: Duration) {
    let quiet = tokio::time::timeout(time, async {
        while let Some(frame) = peer.next().await {
            assert_ne!(frame.kind, PING);
        }
    });
    assert!(quiet.await.is_err(), "the connection stays");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn pings_find_a_dead_peer() {
    let interval = Some(Duration::from_secs(10));
    let keepalive = KeepAlive { interval, jitter: 0.15, ..KeepAlive::on_suspicion(Duration::from_secs(2)) };
    let (_client, _network, mut call, mut peer) = watched(keepalive).await;
    let start = Instant::now();
    for _ in 0..3 {
        let ping = peer.expect(PING).await;
        peer.put(PING, 1, 0, &ping.payload).flush().await;
        idle(&mut call).await;
    }
    assert!((30..36).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    peer.expect(PING).await;
    let silent = Instant::now();
    let broken = before_headers("connection termination", "connection_termination");
    assert_eq!(closed(&mut call).await, broken);
    assert_eq!(silent.elapsed().as_secs(), 2);
}

/// Exchanges under way survive the endpoint, and its connection ends with them.
#[tokio::test(flavor = "local", start_paused = true)]
async fn connections_outlive_their_endpoint_only_for_their_exchanges() {
    let (client, network, mut call, mut peer) = opened().await;
    drop(client);
    peer.head(1).reply(1, b"one").flush().await;
    assert_eq!(message(&mut call).await, "one");
    drop(call);
    drop(network);
    while let Some(frame) = peer.next().await {
        assert_ne!(frame.kind, HEADERS);
    }
}

/// An exchange that was given up without a sign of life asks whether the peer is there; others on the connection fail
/// when it is not, instead of each one waiting for its own timeout.
#[tokio::test(flavor = "local", start_paused = true)]
async fn silence_is_questioned() {
    let keepalive = KeepAlive::on_suspicion(Duration::from_secs(2));
    let (client, _network, mut second, mut peer) = watched(keepalive).await;
    idle(&mut second).await;
    let mut first = client.open(request()).unwrap();
    idle(&mut first).await;
    peer.expect(HEADERS).await;
    drop(first);
    let ping = peer.expect(PING).await;
    peer.put(PING, 1, 0, &ping.payload).flush().await;
    idle(&mut second).await;
    // The answer was the last that came: another PING would look like an attack.
    let mut third = client.open(request()).unwrap();
    idle(&mut third).await;
    drop(third);
    stays_quiet(&mut peer, Duration::from_secs(20)).await;
    peer.head(1).flush().await;
    // The connection's task takes it.
    tokio::time::sleep(Duration::from_millis(1)).await;
    idle(&mut second).await;
    let mut fourth = client.open(request()).unwrap();
    idle(&mut fourth).await;
    drop(fourth);
    peer.expect(PING).await;
    let silent = Instant::now();
    assert!(closed(&mut second).await.is_err());
    assert_eq!(silent.elapsed().as_secs(), 2);
}

/// The answer may be stuck behind something large: whatever is received is a sign of life.
#[tokio::test(flavor = "local", start_paused = true)]
async fn any_frame_is_a_sign_of_life() {
    let interval = Some(Duration::from_secs(10));
    let keepalive = KeepAlive { interval, ..KeepAlive::on_suspicion(Duration::from_secs(2)) };
    let (_client, _network, mut call, mut peer) = watched(keepalive).await;
    peer.head(1).flush().await;
    peer.expect(PING).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        peer.reply(1, b"still here").flush().await;
        assert_eq!(message(&mut call).await, "still here");
        call.credit(10);
    }
    let silent = Instant::now();
    assert!(closed(&mut call).await.is_err());
    assert_eq!(silent.elapsed().as_secs(), 2);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_ping_goes_ahead_of_an_exchange_after_a_long_rest() {
    let idle_interval = Some(Duration::from_secs(60));
    let keepalive = KeepAlive { idle_interval, ..KeepAlive::on_suspicion(Duration::from_secs(2)) };
    let (client, _network, mut first, mut peer) = watched(keepalive).await;
    peer.head(1).trailers(1, "0").flush().await;
    assert_eq!(closed(&mut first).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(61)).await;
    let mut second = client.open(request()).unwrap();
    idle(&mut second).await;
    let ping = peer.expect(PING).await;
    peer.put(PING, 1, 0, &ping.payload).flush().await;
    let mut third = client.open(request()).unwrap();
    idle(&mut third).await;
    stays_quiet(&mut peer, Duration::from_secs(10)).await;
}
