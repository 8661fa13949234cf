//! Exchanges that are tried again before the processor has answered (N-5). Conditions were observed on Envoy 1.39.3.

use std::time::Duration;

use bytes::Bytes;
use extproc_client::{ClientSettings, ConnectError, Endpoint, EndpointSettings, RetryPolicy};

use crate::support::*;

fn retrying(policy: RetryPolicy) -> ClientSettings {
    ClientSettings { retry: Some(policy), ..ClientSettings::default() }
}

/// One endpoint per network, picked in turn.
fn two_endpoints(policy: RetryPolicy) -> (extproc_client::Client, Network, Network) {
    let (one, to_one) = Network::new(1 << 20);
    let (two, to_two) = Network::new(1 << 20);
    let endpoints =
        [to_one, to_two].map(|connector| Endpoint::new(connector, EndpointSettings::default())).to_vec();
    (client_of(endpoints, retrying(policy)), one, two)
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn everything_sent_is_replayed_elsewhere() {
    let policy = RetryPolicy { retriable_codes: vec![14], ..RetryPolicy::default() };
    let (client, mut one, mut two) = two_endpoints(policy);
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"first"));
    idle(&mut call).await;
    let mut peer = one.accept().await;
    idle(&mut call).await;
    assert_eq!(peer.expect(DATA).await.payload, framed(b"first"));
    call.send(framed(b"second"));
    idle(&mut call).await;
    assert_eq!(peer.expect(DATA).await.payload, framed(b"second"));
    let sent = call.bytes_sent();
    call.send(framed(b"third"));
    peer.fields(1, &[(":status", "200"), ("grpc-status", "14")], true).flush().await;
    let mut other = tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        peer = two.accept() => peer,
    };
    tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        data = other.expect(DATA) => {
            let all = [framed(b"first"), framed(b"second"), framed(b"third")].concat();
            assert_eq!(data.payload, all);
        }
    }
    other.head(1).reply(1, b"answer").trailers(1, "14").flush().await;
    assert_eq!(message(&mut call).await, "answer");
    // After an answer nothing is tried again.
    assert_eq!(closed(&mut call).await.unwrap_err().code, 14);
    assert!(call.bytes_sent() > 2 * sent);
    assert_eq!((one.attempts.get(), two.attempts.get()), (1, 1));
}

/// Each condition covers what it covers on Envoy, and nothing else.
#[tokio::test(flavor = "local", start_paused = true)]
async fn conditions_cover_what_they_name() {
    type Failure = for<'a> fn(&'a mut Peer, u32) -> &'a mut Peer;
    let failures: [(&str, Failure); 7] = [
        ("head 14", |p, s| p.fields(s, &[(":status", "200"), ("grpc-status", "14")], true)),
        ("head 14, not the end", |p, s| p.fields(s, &[(":status", "200"), ("grpc-status", "14")], false)),
        ("head 2", |p, s| p.fields(s, &[(":status", "200"), ("grpc-status", "2")], true)),
        ("trailers 14", |p, s| p.head(s).trailers(s, "14")),
        ("HTTP 503", |p, s| p.fields(s, &[(":status", "503")], true)),
        ("refused", |p, s| p.reset(s, 7)),
        ("cancelled", |p, s| p.reset(s, 8)),
    ];
    let unavailable = RetryPolicy { retriable_codes: vec![14], ..RetryPolicy::default() };
    let refused_stream = RetryPolicy { refused_stream: true, ..RetryPolicy::default() };
    let connect_failure = RetryPolicy { connect_failure: true, ..RetryPolicy::default() };
    let reset = RetryPolicy { reset: true, ..RetryPolicy::default() };
    let gateway_error =
        RetryPolicy { reset: true, retriable_statuses: vec![502..=504], ..RetryPolicy::default() };
    let cases: [(&str, RetryPolicy, &[&str]); 5] = [
        ("unavailable", unavailable, &["head 14", "head 14, not the end"]),
        ("refused-stream", refused_stream, &["refused"]),
        ("connect-failure", connect_failure, &[]),
        ("reset", reset, &["refused", "cancelled"]),
        ("gateway-error", gateway_error, &["HTTP 503", "refused", "cancelled"]),
    ];
    for (condition, policy, covered) in cases {
        for (name, failure) in failures {
            let (client, mut network) = client(EndpointSettings::default(), retrying(policy.clone()));
            let mut call = client.open(request()).unwrap();
            idle(&mut call).await;
            let mut peer = network.accept().await;
            idle(&mut call).await;
            peer.expect(HEADERS).await;
            failure(&mut peer, 1).flush().await;
            let again = async {
                loop {
                    let head = peer.expect(HEADERS).await;
                    if head.stream == 3 {
                        break;
                    }
                }
            };
            let retried = tokio::select! {
                _ = event(&mut call) => false,
                () = again => true,
                () = tokio::time::sleep(Duration::from_secs(1)) => false,
            };
            assert_eq!(retried, covered.contains(&name), "{condition}: {name}");
        }
    }
}

/// The texts of an exchange that was tried as often as it may be.
#[tokio::test(flavor = "local", start_paused = true)]
async fn retries_are_limited_and_told() {
    let policy = RetryPolicy { connect_failure: true, num_retries: 2, ..RetryPolicy::default() };
    let (client, network) = client(EndpointSettings::default(), retrying(policy));
    let refused = ConnectError::Remote("delayed connect error: Connection refused".to_owned());
    network.failures.borrow_mut().extend([refused.clone(), refused.clone(), refused]);
    let mut call = client.open(request()).unwrap();
    let status = closed(&mut call).await.unwrap_err();
    assert_eq!(
        status.message,
        "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: \
         remote connection failure"
    );
}

/// A try after a refused connection may find the next one accepted.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_second_connection_may_succeed() {
    let policy = RetryPolicy { connect_failure: true, ..RetryPolicy::default() };
    let (client, one, mut two) = two_endpoints(policy);
    one.failures.borrow_mut().push(ConnectError::Timeout);
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"hello"));
    let mut peer = tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        peer = two.accept() => peer,
    };
    tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        data = peer.expect(DATA) => assert_eq!(data.payload, framed(b"hello")),
    }
    peer.head(1).reply(1, b"answer").flush().await;
    assert_eq!(message(&mut call).await, "answer");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn exchanges_that_sent_much_are_not_tried_again() {
    let policy = RetryPolicy { reset: true, buffer_limit: 100, ..RetryPolicy::default() };
    let (client, mut network) = client(EndpointSettings::default(), retrying(policy));
    for (length, retried) in [(100, true), (101, false)] {
        let mut call = client.open(request()).unwrap();
        call.send(Bytes::from(vec![0; length]));
        idle(&mut call).await;
        let mut peer = network.accept().await;
        idle(&mut call).await;
        peer.expect(HEADERS).await;
        drop(peer);
        if retried {
            let accepted = tokio::select! {
                event = event(&mut call) => panic!("{event:?}"),
                peer = network.accept() => peer,
            };
            drop(accepted);
        }
        assert_eq!(closed(&mut call).await.unwrap_err().code, 14);
    }
}

/// What is sent during a pause belongs to the next try, even if it is the last one because of that.
#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_is_lost_in_a_pause() {
    let policy = RetryPolicy { reset: true, buffer_limit: 100, num_retries: 5, ..RetryPolicy::default() };
    let (client, mut network) = client(EndpointSettings::default(), retrying(policy));
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"before"));
    idle(&mut call).await;
    drop(network.accept().await);
    let paused = tokio::time::timeout(Duration::from_nanos(1), event(&mut call)).await;
    assert!(paused.is_err());
    call.send(framed(&[b'x'; 100]));
    let mut peer = tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        peer = network.accept() => peer,
    };
    let data = tokio::select! {
        event = event(&mut call) => panic!("{event:?}"),
        data = peer.expect(DATA) => data,
    };
    assert_eq!(data.payload, [framed(b"before"), framed(&[b'x'; 100])].concat());
    drop(peer);
    assert_eq!(closed(&mut call).await.unwrap_err().code, 14);
}

/// A pause between tries ends with the exchange.
#[tokio::test(flavor = "local", start_paused = true)]
async fn an_exchange_may_end_while_it_pauses() {
    let policy =
        RetryPolicy { reset: true, base_interval: Duration::from_secs(10), ..RetryPolicy::default() };
    let (client, mut network) = client(EndpointSettings::default(), retrying(policy));
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    drop(network.accept().await);
    let paused = tokio::time::timeout(Duration::from_millis(1), event(&mut call)).await;
    assert!(paused.is_err());
    drop(call);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!((network.attempts.get(), network.pending()), (1, 0));
}
