//! What processors answer, and what it counts as (F-8, F-12, N-7). Expectations were observed on Envoy 1.39.3.

use extproc_client::{ClientSettings, EndpointSettings, Event, GrpcStatus};

use crate::support::*;

fn status(code: i32, message: &str, details: &str) -> GrpcStatus {
    GrpcStatus { code, message: message.to_owned(), details: details.to_owned() }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_whole_exchange() {
    let (_client, _network, mut call, mut peer) = opened().await;
    let data = peer.expect(DATA).await;
    assert_eq!((data.payload.as_slice(), data.is_end()), (&framed(b"hello")[..], false));
    peer.head(1).reply(1, b"one").flush().await;
    assert_eq!(message(&mut call).await, "one");
    call.send(framed(b"again"));
    idle(&mut call).await;
    assert_eq!(peer.expect(DATA).await.payload, framed(b"again"));
    peer.reply(1, b"two").trailers(1, "0").flush().await;
    assert_eq!(message(&mut call).await, "two");
    assert_eq!(closed(&mut call).await, Ok(()));
    // F-11: this side ends its half in order.
    let end = peer.expect_stream().await;
    assert_eq!((end.kind, end.stream, end.is_end(), end.payload.len()), (DATA, 1, true, 0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_reply_may_come_before_the_request_was_sent() {
    let (client, mut network) = default_client();
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    peer.head(1).reply(1, b"early").flush().await;
    assert_eq!(message(&mut call).await, "early");
    call.send(framed(b"late"));
    idle(&mut call).await;
    assert_eq!(peer.expect(DATA).await.payload, framed(b"late"));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn replies_need_not_respect_frames() {
    let (_client, _network, mut call, mut peer) = opened().await;
    let both = [&framed(b"one")[..], &framed(b"two")].concat();
    peer.head(1).data(1, &both).flush().await;
    assert_eq!(message(&mut call).await, "one");
    assert_eq!(message(&mut call).await, "two");
    for byte in framed(b"three").iter() {
        idle(&mut call).await;
        peer.data(1, &[*byte]).flush().await;
    }
    assert_eq!(message(&mut call).await, "three");
    idle(&mut call).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_thousand_tiny_replies_in_one_segment() {
    let (_client, _network, mut call, mut peer) = opened().await;
    peer.head(1);
    for _ in 0..1000 {
        peer.reply(1, b"c");
    }
    peer.trailers(1, "0").flush().await;
    for _ in 0..1000 {
        assert_eq!(message(&mut call).await, "c");
    }
    assert_eq!(closed(&mut call).await, Ok(()));
}

/// Anything after END_STREAM is a protocol violation of the processor; the exchange has ended before it.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_reply_after_the_end_is_not_seen() {
    let (_client, _network, mut call, mut peer) = opened().await;
    peer.head(1).reply(1, b"one").trailers(1, "0").reply(1, b"two").flush().await;
    assert_eq!(message(&mut call).await, "one");
    assert_eq!(closed(&mut call).await, Ok(()));
}

/// A processor that ends with OK and then resets, as some servers do, has ended with OK.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_reset_after_the_end_changes_nothing() {
    let (_client, _network, mut call, mut peer) = opened().await;
    peer.head(1).reply(1, b"one").trailers(1, "0").reset(1, 0).flush().await;
    assert_eq!(message(&mut call).await, "one");
    assert_eq!(closed(&mut call).await, Ok(()));
}

/// F-11, F-12: ends with and without status, in every place.
#[tokio::test(flavor = "local", start_paused = true)]
async fn ends_are_told_by_their_fields() {
    type Answer = for<'a> fn(&'a mut Peer, u32) -> &'a mut Peer;
    let cases: &[(&str, Answer, Result<(), GrpcStatus>)] = &[
        ("trailers OK", |p, s| p.head(s).trailers(s, "0"), Ok(())),
        ("headers-only OK", |p, s| p.fields(s, &[(":status", "200"), ("grpc-status", "0")], true), Ok(())),
        (
            "headers-only error",
            |p, s| {
                let fields = [(":status", "200"), ("grpc-status", "14"), ("grpc-message", "x y")];
                p.fields(s, &fields, true)
            },
            Err(status(14, "x y", "via_upstream")),
        ),
        (
            "percent-encoding stays",
            |p, s| p.head(s).fields(s, &[("grpc-status", "14"), ("grpc-message", "no%20way")], true),
            Err(status(14, "no%20way", "via_upstream")),
        ),
        (
            "not a code",
            |p, s| p.head(s).fields(s, &[("grpc-status", "abc"), ("grpc-message", "m")], true),
            Err(status(-1, "m", "via_upstream")),
        ),
        ("no status in the head", |p, s| p.fields(s, &[(":status", "200")], true), {
            Err(status(2, "", "via_upstream"))
        }),
        ("no status in trailers", |p, s| p.head(s).fields(s, &[("x", "y")], true), {
            Err(status(2, "", "via_upstream"))
        }),
        ("no trailers", |p, s| p.head(s).put(DATA, 1, s, &[]), Err(status(2, "", "via_upstream"))),
        ("half a message and OK", |p, s| p.head(s).data(s, b"\0\0\0\0\x05ab").trailers(s, "0"), Ok(())),
        ("HTTP 503", |p, s| p.fields(s, &[(":status", "503")], true), Err(status(14, "", "via_upstream"))),
        (
            "HTTP 404 with a body",
            |p, s| p.fields(s, &[(":status", "404")], false).put(DATA, 1, s, &framed(b"x")),
            Err(status(12, "", "via_upstream")),
        ),
        (
            "HTTP 503 with a status",
            |p, s| {
                let fields = [(":status", "503"), ("grpc-status", "5"), ("grpc-message", "mm")];
                p.fields(s, &fields, true)
            },
            Err(status(5, "mm", "via_upstream")),
        ),
        ("HTTP 503 with OK", |p, s| p.fields(s, &[(":status", "503"), ("grpc-status", "0")], true), Ok(())),
        (
            "HTTP 503 with a status that is not the end",
            |p, s| p.fields(s, &[(":status", "503"), ("grpc-status", "5")], false),
            Err(status(14, "", "via_upstream")),
        ),
        ("not gRPC", |p, s| p.head(s).data(s, b"hello"), Err(status(13, "", "via_upstream"))),
        ("compressed", |p, s| p.head(s).data(s, b"\x01\0\0\0\x02ab"), Err(status(13, "", "via_upstream"))),
        ("interim head", |p, s| p.fields(s, &[(":status", "100")], false).head(s).trailers(s, "0"), Ok(())),
        ("no content type", |p, s| p.fields(s, &[(":status", "200")], false).trailers(s, "0"), Ok(())),
        (
            "reset before the head",
            |p, s| p.reset(s, 8),
            Err(status(
                14,
                "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
                "upstream_reset_before_response_started{remote_reset}",
            )),
        ),
        (
            "refused",
            |p, s| p.reset(s, 7),
            Err(status(
                14,
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 remote refused stream reset",
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
            )),
        ),
        (
            "reset after the head",
            |p, s| p.head(s).reset(s, 8),
            Err(status(13, "", "upstream_reset_after_response_started{remote_reset}")),
        ),
        (
            "accused after the head",
            |p, s| p.head(s).reset(s, 1),
            Err(status(13, "", "upstream_reset_after_response_started{protocol_error}")),
        ),
        (
            "malformed head",
            |p, s| p.fields(s, &[("content-type", "application/grpc")], false),
            Err(status(
                14,
                "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
                "upstream_reset_before_response_started{protocol_error}",
            )),
        ),
        (
            "too many fields",
            |p, s| {
                let fields: Vec<_> = [(":status", "200")].into_iter().chain([("x", "y"); 101]).collect();
                p.fields(s, &fields, false)
            },
            Err(status(
                14,
                "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
                "upstream_reset_before_response_started{remote_reset}",
            )),
        ),
    ];
    let (client, mut network) = default_client();
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    drop(call);
    // One connection serves them all: none of these may harm another exchange.
    for (name, answer, expected) in cases {
        let (mut call, stream) = open(&client, &mut peer).await;
        answer(&mut peer, stream);
        peer.flush().await;
        assert_eq!(closed(&mut call).await, *expected, "{name}");
    }
    assert_eq!(network.attempts.get(), 1);
}

/// N-7: a reply is refused by what it announces, before it arrives.
#[tokio::test(flavor = "local", start_paused = true)]
async fn replies_beyond_the_limit_are_refused() {
    let settings = ClientSettings { max_receive_message_length: 10, ..ClientSettings::default() };
    let (client, mut network) = client(EndpointSettings::default(), settings);
    let mut call = client.open(request()).unwrap();
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    peer.expect(HEADERS).await;
    peer.head(1).reply(1, b"0123456789").data(1, b"\0\0\0\0\x0b").flush().await;
    assert_eq!(message(&mut call).await, "0123456789");
    assert_eq!(closed(&mut call).await, Err(status(8, "", "via_upstream")));
    // L-5 a: half-close and reset.
    let end = peer.expect_stream().await;
    assert_eq!((end.kind, end.is_end()), (DATA, true));
    assert_eq!(peer.expect_stream().await.number(), 8);
}

/// A message of 64 MiB that is announced and never sent neither ends the exchange nor costs memory.
#[tokio::test(flavor = "local", start_paused = true)]
async fn an_announced_message_that_never_comes() {
    let (_client, _network, mut call, mut peer) = opened().await;
    peer.head(1).data(1, b"\0\x04\0\0\0only this").flush().await;
    idle(&mut call).await;
    peer.put(PING, 0, 0, b"12345678").flush().await;
    peer.expect(PING).await;
    idle(&mut call).await;
    drop(call);
    let end = peer.expect(RST_STREAM).await;
    assert_eq!(end.number(), 8);
}

/// G-7: what is counted is what the processor's side of the wire shows, and what RFC 7541 makes of a response head.
#[tokio::test(flavor = "local", start_paused = true)]
async fn bytes_are_counted_as_on_the_wire() {
    /// HEADERS and DATA of a stream, as they arrive; their payload is beside their own headers of nine bytes.
    async fn size(peer: &mut Peer, stream: u32) -> u64 {
        let mut size = 0;
        loop {
            let frame = peer.expect_stream().await;
            if frame.stream == stream {
                size += 9 + frame.payload.len() as u64;
                if frame.kind == DATA {
                    return size;
                }
            }
        }
    }
    let (client, mut network) = default_client();
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"hello"));
    idle(&mut call).await;
    let mut peer = network.accept().await;
    idle(&mut call).await;
    assert_eq!(call.bytes_sent(), size(&mut peer, 1).await);
    // `:status: 200` is an index, `content-type` too, and its value takes a byte of length and 88 bits.
    let (head, message_frame) = (9 + 1 + 1 + 1 + 11, 9 + 5 + 2);
    peer.head(1).reply(1, b"\x0a\0").flush().await;
    let Event::Message(_) = event(&mut call).await else { panic!() };
    assert_eq!(call.bytes_received(), head + message_frame);
    call.send(framed(&[0; 40_000]));
    idle(&mut call).await;
    // In frames of 16 KiB, the usual size.
    let before = call.bytes_sent();
    let mut frames = 0;
    while frames < 40_005 + 3 * 9 {
        frames += 9 + peer.expect(DATA).await.payload.len() as u64;
    }
    let first = before - frames;
    drop(call);
    // Heads that were seen before are compressed.
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"hello"));
    idle(&mut call).await;
    let again = size(&mut peer, 3).await;
    assert_eq!(call.bytes_sent(), again);
    assert!(again < first);
    peer.head(3).reply(3, b"\x0a\0").flush().await;
    message(&mut call).await;
    let repeated = 9 + 1 + 1;
    assert_eq!(call.bytes_received(), repeated + message_frame);
}
