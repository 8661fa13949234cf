//! How exchanges are ended by this side (L-5, V-6).

use std::time::Duration;

use extproc_client::{ClientSettings, Close, EndpointSettings};
use tokio::time::Instant;

use crate::support::*;

const CANCEL: u32 = 8;
const SECOND: Duration = Duration::from_secs(1);

/// What this side says about streams between now and the answers to two PINGs: the first may be answered before what
/// is ready is written.
async fn said(peer: &mut Peer) -> Vec<Frame> {
    let mut frames = Vec::new();
    for question in [b"first...", b"second.."] {
        peer.put(PING, 0, 0, question).flush().await;
        loop {
            let frame = peer.next().await.expect("the connection has ended");
            match frame.kind {
                PING if frame.payload == question => break,
                DATA | HEADERS | RST_STREAM => frames.push(frame),
                _ => {}
            }
        }
    }
    frames
}

fn is_half_close(frame: &Frame) -> bool {
    frame.kind == DATA && frame.is_end() && frame.payload.is_empty()
}

/// L-5 a: half-close and reset, in this order; END_STREAM is never put on a message.
#[tokio::test(flavor = "local", start_paused = true)]
async fn reset_half_closes_first() {
    let (_client, _network, mut call, mut peer) = opened().await;
    peer.head(1).reply(1, b"one").flush().await;
    assert_eq!(message(&mut call).await, "one");
    call.send(framed(b"last words"));
    call.close(Close::Reset);
    let frames = said(&mut peer).await;
    assert_eq!(frames.len(), 4, "{frames:?}");
    assert_eq!(frames[0].payload, framed(b"hello"));
    assert_eq!((frames[1].payload.as_slice(), frames[1].is_end()), (&framed(b"last words")[..], false));
    assert!(is_half_close(&frames[2]));
    assert_eq!((frames[3].kind, frames[3].number()), (RST_STREAM, CANCEL));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn dropping_is_resetting() {
    let (_client, _network, call, mut peer) = opened().await;
    peer.expect(DATA).await;
    drop(call);
    let frames = said(&mut peer).await;
    assert!(is_half_close(&frames[0]));
    assert_eq!((frames[1].kind, frames[1].number()), (RST_STREAM, CANCEL));
}

/// L-5 b: the processor has its time, and what it says in it is dropped.
#[tokio::test(flavor = "local", start_paused = true)]
async fn graceful_waits_for_the_end() {
    let (client, network, mut call, mut peer) = opened().await;
    peer.expect(DATA).await;
    peer.head(1).reply(1, b"one").flush().await;
    assert_eq!(message(&mut call).await, "one");
    call.close(Close::Graceful(SECOND));
    let frames = said(&mut peer).await;
    assert_eq!(frames.len(), 1);
    assert!(is_half_close(&frames[0]));
    peer.reply(1, b"too late").trailers(1, "0").flush().await;
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(said(&mut peer).await.len(), 0);
    let (_call, stream) = open(&client, &mut peer).await;
    assert_eq!((stream, network.attempts.get()), (3, 1));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn graceful_resets_in_the_end() {
    let (_client, _network, call, mut peer) = opened().await;
    peer.expect(DATA).await;
    call.close(Close::Graceful(SECOND));
    assert!(is_half_close(&peer.expect_stream().await));
    let start = Instant::now();
    let reset = peer.expect_stream().await;
    assert_eq!((reset.kind, reset.number()), (RST_STREAM, CANCEL));
    assert!((1000..1100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

/// Streams that are being ended count against the peer's limit until they have ended.
#[tokio::test(flavor = "local", start_paused = true)]
async fn graceful_keeps_its_place() {
    let settings =
        EndpointSettings { max_connections: 1, max_concurrent_streams: 1, ..EndpointSettings::default() };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut first = client.open(request()).unwrap();
    idle(&mut first).await;
    let mut peer = network.accept().await;
    idle(&mut first).await;
    peer.expect(HEADERS).await;
    first.close(Close::Graceful(SECOND));
    let mut second = client.open(request()).unwrap();
    idle(&mut second).await;
    assert!(is_half_close(&peer.expect_stream().await));
    assert_eq!(said(&mut peer).await.len(), 0);
    peer.head(1).trailers(1, "0").flush().await;
    tokio::select! {
        event = event(&mut second) => panic!("{event:?}"),
        head = peer.expect(HEADERS) => assert_eq!(head.stream, 3),
    }
}

/// A processor that has ended before is answered with the half-close and nothing else.
#[tokio::test(flavor = "local", start_paused = true)]
async fn graceful_after_the_end_needs_no_reset() {
    for close in [Close::Graceful(SECOND), Close::Reset] {
        let (_client, _network, mut call, mut peer) = opened().await;
        peer.expect(DATA).await;
        peer.head(1).reply(1, b"one").trailers(1, "0").flush().await;
        assert_eq!(message(&mut call).await, "one");
        call.close(close);
        let frames = said(&mut peer).await;
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert!(is_half_close(&frames[0]));
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(said(&mut peer).await.len(), 0);
    }
}

/// V-6: the stream stays open, and is then ended.
#[tokio::test(flavor = "local", start_paused = true)]
async fn deferred_leaves_the_stream_open() {
    let (_client, _network, mut call, mut peer) = opened().await;
    call.send(framed(b"more"));
    call.close(Close::Deferred(5 * SECOND));
    peer.expect(DATA).await;
    assert_eq!(peer.expect(DATA).await.payload, framed(b"more"));
    peer.head(1).reply(1, b"ignored").flush().await;
    let start = Instant::now();
    assert!(is_half_close(&peer.expect_stream().await));
    assert!((5000..5100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let reset = peer.expect_stream().await;
    assert_eq!((reset.kind, reset.number()), (RST_STREAM, CANCEL));
    assert!((6000..6200).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

/// V-6: if the processor ends first there is nothing to wait for.
#[tokio::test(flavor = "local", start_paused = true)]
async fn deferred_ends_with_the_processor() {
    let (_client, _network, call, mut peer) = opened().await;
    call.close(Close::Deferred(5 * SECOND));
    peer.expect(DATA).await;
    peer.head(1).trailers(1, "0").flush().await;
    let start = Instant::now();
    assert!(is_half_close(&peer.expect_stream().await));
    assert_eq!(start.elapsed(), Duration::ZERO);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(said(&mut peer).await.len(), 0);
}

/// V-6: an exchange may be over before there is a connection; what it observed is sent nevertheless.
#[tokio::test(flavor = "local", start_paused = true)]
async fn deferred_outlives_the_wait_for_a_connection() {
    let (client, mut network) = default_client();
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"observed"));
    idle(&mut call).await;
    call.close(Close::Deferred(5 * SECOND));
    // One that was never polled.
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"as well"));
    call.close(Close::Deferred(5 * SECOND));
    let mut peer = network.accept().await;
    let mut frames = said(&mut peer).await;
    frames.sort_by_key(|frame| (frame.stream, frame.kind != HEADERS));
    let seen: Vec<_> = frames.iter().map(|frame| (frame.stream, frame.kind)).collect();
    assert_eq!(seen, [(1, HEADERS), (1, DATA), (3, HEADERS), (3, DATA)]);
    assert_eq!(
        (&frames[1].payload, &frames[3].payload),
        (&framed(b"observed").to_vec(), &framed(b"as well").to_vec())
    );
    // One on a connection that is there.
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"at once"));
    call.close(Close::Deferred(5 * SECOND));
    assert_eq!(peer.expect(HEADERS).await.stream, 5);
    assert_eq!(peer.expect(DATA).await.payload, framed(b"at once"));
    assert!(is_half_close(&peer.expect_stream().await));
}

/// But not for ever, and not for exchanges that are of no interest any more.
#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_else_outlives_the_wait_for_a_connection() {
    let settings =
        EndpointSettings { max_connections: 1, max_concurrent_streams: 1, ..EndpointSettings::default() };
    let (client, mut network) = client(settings, ClientSettings::default());
    let mut first = client.open(request()).unwrap();
    idle(&mut first).await;
    let mut peer = network.accept().await;
    idle(&mut first).await;
    peer.expect(HEADERS).await;
    for close in [Close::Deferred(SECOND), Close::Graceful(SECOND), Close::Reset] {
        let mut call = client.open(request()).unwrap();
        call.send(framed(b"lost"));
        idle(&mut call).await;
        call.close(close);
    }
    tokio::time::sleep(2 * SECOND).await;
    drop(first);
    let frames = said(&mut peer).await;
    assert_eq!(frames.len(), 2, "{frames:?}");
    let (_call, stream) = open(&client, &mut peer).await;
    assert_eq!(stream, 3);
}

/// Thousands of ends are waited for at a time, without one waiting for another.
#[tokio::test(flavor = "local", start_paused = true)]
async fn many_ends_are_waited_for() {
    let (client, _network, first, mut peer) = opened().await;
    first.close(Close::Graceful(SECOND));
    let mut streams = vec![1];
    for _ in 0..90 {
        let (call, stream) = open(&client, &mut peer).await;
        call.close(Close::Graceful(SECOND));
        streams.push(stream);
    }
    for stream in &streams {
        if stream % 3 != 0 {
            peer.head(*stream).trailers(*stream, "0");
        }
    }
    peer.flush().await;
    let mut reset = Vec::new();
    while reset.len() < streams.iter().filter(|stream| *stream % 3 == 0).count() {
        let frame = peer.expect(RST_STREAM).await;
        assert_eq!(frame.stream % 3, 0);
        reset.push(frame.stream);
    }
    tokio::time::sleep(2 * SECOND).await;
    assert!(said(&mut peer).await.is_empty());
}

/// A reset does not wait for a processor that does not read.
#[tokio::test(flavor = "local", start_paused = true)]
async fn reset_gives_up_what_cannot_be_sent() {
    let (client, mut network) = default_client();
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept_with(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    said(&mut peer).await;
    call.send(framed(b"stuck"));
    idle(&mut call).await;
    call.close(Close::Reset);
    let frames = said(&mut peer).await;
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!((frames[0].kind, frames[0].number()), (RST_STREAM, CANCEL));
    // A processor that ends without taking everything is reset as well, or the rest would be kept for ever.
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"stuck"));
    idle(&mut call).await;
    let stream = peer.expect(HEADERS).await.stream;
    peer.head(stream).trailers(stream, "0").flush().await;
    assert_eq!(closed(&mut call).await, Ok(()));
    assert_eq!(peer.expect_stream().await.kind, RST_STREAM);
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"stuck"));
    idle(&mut call).await;
    let stream = peer.expect(HEADERS).await.stream;
    call.close(Close::Graceful(SECOND));
    assert!(said(&mut peer).await.is_empty());
    peer.head(stream).trailers(stream, "0").flush().await;
    let start = Instant::now();
    assert_eq!(peer.expect_stream().await.kind, RST_STREAM);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
