//! Windows, watermarks and floods (N-9 and the receiving side of flow control).

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use extproc_client::{Call, ClientSettings, EndpointSettings, Event};

use crate::support::*;

const KIB: usize = 1024;

/// Sends everything a window of the given size allows, on one stream.
async fn fill(peer: &mut Peer, stream: u32, bytes: &[u8]) {
    for chunk in bytes.chunks(16 * KIB) {
        peer.data(stream, chunk);
    }
    peer.flush().await;
}

/// The processor may not send more than the caller is done with, and a slow caller does not slow others.
#[tokio::test(flavor = "local", start_paused = true)]
async fn windows_open_when_the_caller_is_done() {
    let (client, _network, mut call, mut peer) = opened().await;
    let large = framed(&vec![b'x'; 200 * KIB]);
    peer.head(1);
    fill(&mut peer, 1, &large).await;
    let Event::Message(reply) = event(&mut call).await else { panic!() };
    assert_eq!(reply.len(), 200 * KIB);
    idle(&mut call).await;
    // Nothing was given back for the stream: an answer to a PING comes first.
    peer.put(PING, 0, 0, b"12345678").flush().await;
    loop {
        let frame = peer.next().await.unwrap();
        if frame.kind == PING {
            break;
        }
        assert!(frame.kind != WINDOW_UPDATE || frame.stream == 0, "{frame:?}");
    }
    // Other streams have the whole connection window although this one holds on to bytes.
    let mut calls = Vec::new();
    for _ in 0..60 {
        let (call, stream) = open(&client, &mut peer).await;
        calls.push((call, stream));
    }
    for (call, stream) in &mut calls {
        peer.head(*stream);
        fill(&mut peer, *stream, &large).await;
        let Event::Message(reply) = event(call).await else { panic!() };
        assert_eq!(reply.len(), 200 * KIB);
        idle(call).await;
    }
    call.credit(reply.len());
    idle(&mut call).await;
    loop {
        let frame = peer.expect(WINDOW_UPDATE).await;
        if frame.stream == 1 {
            assert_eq!(frame.number() as usize, large.len());
            break;
        }
    }
}

/// A reply larger than the window must arrive nevertheless.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_reply_may_be_larger_than_the_window() {
    let (_client, _network, mut call, mut peer) = opened().await;
    let large = framed(&vec![b'x'; 3 * KIB * KIB]);
    peer.head(1).flush().await;
    let mut window = 256 * KIB;
    let mut rest = &large[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(window).min(16 * KIB));
        window -= now.len();
        rest = later;
        peer.data(1, now).flush().await;
        while window == 0 && !rest.is_empty() {
            let update = tokio::select! {
                event = event(&mut call) => panic!("{event:?}"),
                update = peer.expect(WINDOW_UPDATE) => update,
            };
            if update.stream == 1 {
                window += update.number() as usize;
            }
        }
    }
    assert_eq!(message(&mut call).await.len(), 3 * KIB * KIB);
    // The rest of the window comes back as well, once.
    idle(&mut call).await;
    peer.reply(1, b"next").flush().await;
    assert_eq!(message(&mut call).await, "next");
}

/// N-9: with a window of zero everything stays queued, the caller is told to pause, and is woken to go on.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stalled_reader_pauses_the_source() {
    let (client, mut network) = default_client();
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept_with(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    let piece = framed(&vec![b'x'; 32 * KIB]);
    let mut queued = 0;
    while call.is_writable() {
        call.send_parts(piece.slice(..5), piece.slice(5..).into());
        queued += piece.len();
        assert_eq!(call.queued_bytes(), queued);
        assert!(queued < 200 * KIB);
    }
    assert!(queued >= 128 * KIB);
    idle(&mut call).await;
    let counted = call.bytes_sent();
    assert!(counted > queued as u64, "what is queued on a stream counts as sent");
    peer.window(1, 1).flush().await;
    assert_eq!(peer.expect(DATA).await.payload, [0]);
    assert_eq!(call.queued_bytes(), queued - 1);
    assert!(!call.is_writable());
    assert_eq!(call.bytes_sent(), counted);
    peer.window(0, 1 << 20).window(1, 1 << 20).flush().await;
    let woken = within(poll_fn(|cx| match (call.poll(cx), call.is_writable()) {
        (Poll::Ready(event), _) => panic!("{event:?}"),
        (Poll::Pending, true) => Poll::Ready(call.queued_bytes()),
        (Poll::Pending, false) => Poll::Pending,
    }))
    .await;
    assert!(woken <= 64 * KIB, "{woken}");
    let mut received = 1;
    while received < queued {
        received += peer.expect(DATA).await.payload.len();
    }
    assert_eq!(received, queued);
    assert_eq!(call.queued_bytes(), 0);
}

/// What is queued at the time of a poll goes out in one frame, and large pieces are not cut at message boundaries.
#[tokio::test(flavor = "local", start_paused = true)]
async fn queued_messages_share_a_frame() {
    let (_client, _network, mut call, mut peer) = opened().await;
    peer.expect(DATA).await;
    let mut expected = Vec::new();
    for number in 0..20 {
        let frame = framed(format!("message {number}").as_bytes());
        expected.extend_from_slice(&frame);
        call.send(frame);
    }
    idle(&mut call).await;
    assert_eq!(peer.expect(DATA).await.payload, expected);
}

/// A processor that does not read its socket holds up nothing but its own exchanges, and those are told.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_socket_that_takes_nothing_pauses_the_source() {
    let (mut network, connector) = Network::new(1024);
    let endpoint = extproc_client::Endpoint::new(connector, EndpointSettings::default());
    let client = client_of(vec![endpoint], ClientSettings::default());
    let mut call = client.open(request()).unwrap();
    call.send(Bytes::from(vec![0; 1024 * KIB]));
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    assert!(!call.is_writable());
    peer.expect(HEADERS).await;
    peer.window(1, 1 << 24).window(0, 1 << 24).flush().await;
    let mut received = 0;
    while received < 1024 * KIB {
        received += peer.expect(DATA).await.payload.len();
    }
    assert!(call.is_writable());
}

/// Small frames that lie unread must not end the connection: 3,000 streams are answered in one burst before any of
/// their callers has its turn.
#[tokio::test(flavor = "local", start_paused = true)]
async fn three_thousand_tiny_replies_in_one_burst() {
    const CALLS: usize = 3000;
    let settings = EndpointSettings {
        max_concurrent_streams: CALLS,
        max_pending_requests: CALLS,
        ..EndpointSettings::default()
    };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut calls: Vec<Call> = (0..100).map(|_| client.open(request()).unwrap()).collect();
    for call in &mut calls {
        idle(call).await;
    }
    let mut peer = network.accept_with(&[(MAX_CONCURRENT_STREAMS, CALLS as u32)]).await;
    peer.put(PING, 0, 0, b"12345678").flush().await;
    peer.expect(PING).await;
    calls.extend((100..CALLS).map(|_| client.open(request()).unwrap()));
    for call in &mut calls {
        call.send(framed(b"hello"));
        idle(call).await;
    }
    let streams: Vec<u32> = (0..CALLS as u32).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        assert_eq!(peer.expect(HEADERS).await.stream, *stream);
    }
    for stream in &streams {
        peer.head(*stream);
    }
    for stream in &streams {
        peer.reply(*stream, b"c\0ntinue");
    }
    peer.put(PING, 0, 0, b"abcdefgh").flush().await;
    // The connection has read everything when it answers.
    while peer.expect(PING).await.payload != b"abcdefgh" {}
    for call in &mut calls {
        assert_eq!(message(call).await, &b"c\0ntinue"[..]);
    }
    for stream in &streams {
        peer.trailers(*stream, "0");
    }
    peer.flush().await;
    for call in &mut calls {
        assert_eq!(closed(call).await, Ok(()));
    }
    assert_eq!(network.attempts.get(), 1);
}
