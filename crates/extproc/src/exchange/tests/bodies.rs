//! Body modes.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::sim::{
    Out, World, bodies, body_reply, continue_headers, duplex_reply, headers_reply, mode, plan, trailers_reply,
};
use crate::{
    BodySendMode,
    Direction::{Request, Response},
    HeaderSendMode,
    exchange::Close,
    messages::{
        BodyMutation, CommonResponse, body_mutation::Mutation, common_response::CONTINUE_AND_REPLACE,
        processing_request,
    },
};

fn sent_body(world: &World, index: usize) -> (Vec<u8>, bool) {
    match &world.sent[index].request {
        Some(
            processing_request::Request::RequestBody(body) | processing_request::Request::ResponseBody(body),
        ) => (body.body.to_vec(), body.end_of_stream),
        other => panic!("not a body: {other:?}"),
    }
}

/// B-3.1: headers stay until the body is answered.
#[test]
fn buffered() {
    let mut world = World::with_mode(bodies(BodySendMode::Buffered));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"abc", false);
    world.data(Request, b"def", false);
    world.data(Request, b"", true);
    assert_eq!(world.request, []);
    assert_eq!(sent_body(&world, 1), (b"abcdef".to_vec(), true));
    world.answer(body_reply(Request, Some(Mutation::Body(Bytes::from_static(b"xyz")))));
    let whole = [
        Out::Headers { end_stream: false },
        Out::Data { data: Bytes::from_static(b"xyz"), end_stream: true },
    ];
    assert_eq!(world.request, whole);
}

/// B-3.2: trailers end the body; everything waits for their reply.
#[test]
fn buffered_with_trailers() {
    let mut world = World::with_mode(bodies(BodySendMode::Buffered));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"abc", false);
    world.trailers(Request);
    assert_eq!(sent_body(&world, 1), (b"abc".to_vec(), false));
    world.answer(body_reply(Request, None));
    assert_eq!(world.kinds().last(), Some(&"request_trailers"));
    assert_eq!(world.request, []);
    world.answer(trailers_reply(Request));
    assert_eq!(world.body(Request), b"abc");
    assert_eq!(world.request.last(), Some(&Out::Trailers));
}

/// B-3.4.
#[test]
fn content_length_must_match() {
    for (length, fails) in [("3", false), ("4", true), ("none", false)] {
        let mut world = World::with_mode(bodies(BodySendMode::Buffered));
        let fields = &mut world.transaction.messages.request.fields;
        fields.insert("content-length", HeaderValue::from_static(length));
        world.headers(Request, false);
        world.answer(continue_headers(Request));
        world.data(Request, b"abcd", true);
        world.answer(body_reply(Request, Some(Mutation::Body(Bytes::from_static(b"xyz")))));
        assert_eq!(world.reply.is_some(), fails, "{length}");
    }
}

/// B-3.6: too much is too much, even while the header reply is outstanding.
#[test]
fn buffered_beyond_the_limit() {
    let mut world = World::with_mode(bodies(BodySendMode::Buffered));
    world.transaction.limit = 4;
    world.headers(Request, false);
    world.data(Request, b"abcde", false);
    assert_eq!(world.too_large, Some(Request));
}

/// B-3.6: the processor learns of the 413 like of any response. It may answer what it was shown before, in whatever way, and
/// the 413 reaches the client.
#[test]
fn late_replies_behind_a_body_that_was_too_large() {
    let replacement = CommonResponse {
        status: CONTINUE_AND_REPLACE,
        body_mutation: Some(BodyMutation { mutation: Some(Mutation::Body(Bytes::from_static(b"new"))) }),
        ..Default::default()
    };
    for late in [continue_headers(Request), headers_reply(Request, replacement)] {
        let mut world = World::with_mode(bodies(BodySendMode::Buffered));
        world.transaction.limit = 4;
        world.headers(Request, false);
        world.data(Request, b"abcde", false);
        assert_eq!(world.too_large, Some(Request));
        world.headers(Response, true);
        world.answer(late);
        world.answer(continue_headers(Response));
        assert_eq!((world.reply.as_ref(), &world.request), (None, &vec![]));
        assert_eq!(world.response, [Out::Headers { end_stream: true }]);
        assert_eq!(world.exchange.take_counters().stream_msgs_received, 2);
        assert_eq!(world.exchange.poll_timeout(), None);
    }
}

/// B-3.6: the reply to the headers of a body that was too large stays due.
#[test]
fn a_body_that_was_too_large_leaves_the_headers_to_be_answered_in_time() {
    let mut world = World::with_mode(bodies(BodySendMode::Buffered));
    world.transaction.limit = 4;
    world.headers(Request, false);
    world.data(Request, b"abcde", false);
    world.headers(Response, false);
    world.answer(continue_headers(Response));
    world.pass(Duration::from_millis(200));
    assert_eq!(world.reply.expect("an error").status, 504);
}

/// B-4.2: many tiny pieces pause the source as few large ones do.
#[test]
fn streamed_pauses_at_many_pieces() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    let mut sent = 0;
    while world.exchange.wants(Request) {
        world.data(Request, b"x", false);
        sent += 1;
        assert!(sent < 10_000, "never paused");
    }
    while !world.exchange.wants(Request) {
        world.answer(body_reply(Request, None));
    }
    assert!(world.body(Request).len() >= sent / 2);
}

/// B-4.11: an empty piece that ends nothing is shown to nobody, unless that is asked for.
#[test]
fn empty_pieces() {
    for (send_empty_data, messages) in [(false, 1), (true, 2)] {
        let mut plan = plan(bodies(BodySendMode::Streamed));
        plan.send_empty_data = send_empty_data;
        let mut world = World::new(plan);
        world.headers(Request, false);
        world.answer(continue_headers(Request));
        world.data(Request, b"", false);
        assert_eq!(world.sent.len(), messages);
        world.data(Request, b"", true);
        assert_eq!(world.sent.len(), messages + 1);
    }
}

/// B-3.9: what follows an upgrade never ends, so it is not collected.
#[test]
fn upgrades_are_not_collected() {
    for (body, header_mode) in [
        (BodySendMode::Buffered, HeaderSendMode::Send),
        (BodySendMode::BufferedPartial, HeaderSendMode::Send),
        (BodySendMode::Buffered, HeaderSendMode::Skip),
    ] {
        let mut world = World::with_mode(mode(|mode| {
            mode.request_header_mode = header_mode;
            mode.request_body_mode = body;
        }));
        world.transaction.upgrade = true;
        world.headers(Request, false);
        if header_mode == HeaderSendMode::Send {
            world.answer(continue_headers(Request));
        }
        assert_eq!(world.reply.expect("an error").details, "upgrade_cannot_be_buffered");
        assert_eq!(world.request, []);
    }
}

/// B-3.9: a response that declines the upgrade has a body like any other.
#[test]
fn a_declined_upgrade_is_collected() {
    for (status, refused) in [(200, false), (101, true)] {
        let mut world = World::with_mode(mode(|mode| mode.response_body_mode = BodySendMode::Buffered));
        world.transaction.upgrade = true;
        world.headers(Request, false);
        world.answer(continue_headers(Request));
        assert_eq!(world.request, [Out::Headers { end_stream: false }]);
        world.response_headers(status, false);
        world.answer(continue_headers(Response));
        assert_eq!(world.reply.is_some(), refused, "{status}");
    }
}

/// B-4.2, B-4.3, B-4.6: pieces are pipelined, and the head waits for none of them.
#[test]
fn streamed() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Request, false);
    world.data(Request, b"ab", false);
    world.answer(continue_headers(Request));
    world.data(Request, b"cd", false);
    world.data(Request, b"", true);
    assert_eq!(world.request, [Out::Headers { end_stream: false }]);
    assert_eq!(world.sent.len(), 4);
    world.answer(body_reply(Request, Some(Mutation::Body(Bytes::from_static(b"AB")))));
    assert_eq!(world.request.len(), 2);
    world.answer(body_reply(Request, Some(Mutation::ClearBody(true))));
    world.answer(body_reply(Request, None));
    assert_eq!(world.body(Request), b"AB");
    assert_eq!(world.request.last(), Some(&Out::Data { data: Bytes::new(), end_stream: true }));
}

/// B-4.6: the head goes on with its reply.
#[test]
fn streamed_head_does_not_wait_for_nothing() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Response, false);
    world.answer(continue_headers(Response));
    assert_eq!(world.response, [Out::Headers { end_stream: false }]);
}

/// B-4.4: all of it before the header reply is one buffered step.
#[test]
fn streamed_whole_body_before_the_reply() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Request, false);
    world.data(Request, b"ab", false);
    world.data(Request, b"cd", false);
    world.data(Request, b"", true);
    world.answer(continue_headers(Request));
    assert_eq!(sent_body(&world, 1), (b"abcd".to_vec(), true));
    world.answer(body_reply(Request, Some(Mutation::Body(Bytes::from_static(b"x")))));
    assert_eq!(world.body(Request), b"x");
}

/// B-4.7: pieces before the header reply.
#[test]
fn streamed_without_waiting() {
    let mut plan = plan(bodies(BodySendMode::Streamed));
    plan.send_body_without_waiting_for_header_response = true;
    let mut world = World::new(plan);
    world.headers(Request, false);
    world.data(Request, b"ab", false);
    world.data(Request, b"cd", true);
    assert_eq!(world.sent.len(), 3);
    world.answer(continue_headers(Request));
    assert_eq!(world.request, [Out::Headers { end_stream: false }]);
    world.answer(body_reply(Request, None));
    world.answer(body_reply(Request, None));
    assert_eq!(world.body(Request), b"abcd");
}

/// B-4.2: the source pauses above the limit and resumes below half of it.
#[test]
fn streamed_pauses_its_source() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.transaction.limit = 4;
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"abc", false);
    assert!(world.exchange.wants(Request));
    world.data(Request, b"def", false);
    assert!(!world.exchange.wants(Request));
    world.answer(body_reply(Request, None));
    assert!(!world.exchange.wants(Request));
    world.answer(body_reply(Request, None));
    assert!(world.exchange.wants(Request));
}

/// B-4.5, B-6.6: the wrong kind of reply for the mode.
#[test]
fn replies_of_the_other_mode() {
    for (body, reply, details) in [
        (
            BodySendMode::Streamed,
            duplex_reply(Request, b"x", false),
            "spurious_message:_streamed_response_is_received_while_body_mode__is_not_FULL_DUPLEX_STREAMED",
        ),
        (
            BodySendMode::FullDuplexStreamed,
            body_reply(Request, None),
            "spurious_message:_Normal_body_mutation_response_is_received_while_body_mode__is_FULL_DUPLEX_STREAMED",
        ),
    ] {
        let mut world = World::with_mode(bodies(body));
        world.headers(Request, false);
        world.answer(continue_headers(Request));
        world.data(Request, b"ab", false);
        world.answer(reply);
        assert_eq!(world.reply.expect("an error").details, details);
    }
}

/// B-5.1 to B-5.3: the first part is processed, the rest passes by.
#[test]
fn buffered_partial() {
    let mut world = World::with_mode(bodies(BodySendMode::BufferedPartial));
    world.transaction.limit = 4;
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"abc", false);
    assert_eq!(world.sent.len(), 1);
    world.data(Request, b"def", false);
    assert_eq!(sent_body(&world, 1), (b"abcdef".to_vec(), false));
    world.data(Request, b"ghi", false);
    world.answer(body_reply(Request, Some(Mutation::Body(Bytes::from_static(b"X")))));
    world.data(Request, b"jkl", true);
    assert_eq!(world.body(Request), b"Xghijkl");
    assert_eq!(world.sent.len(), 2);
}

/// B-6.1 to B-6.4: nothing waits for the header reply, pieces are independent, the processor ends the body.
#[test]
fn full_duplex() {
    let mut world = World::with_mode(bodies(BodySendMode::FullDuplexStreamed));
    world.headers(Request, false);
    world.data(Request, b"abc", false);
    world.data(Request, b"", true);
    assert_eq!(world.kinds(), ["request_headers", "request_body", "request_body"]);
    assert_eq!(world.exchange.poll_timeout(), None);
    assert_eq!(world.request, []);
    world.answer(continue_headers(Request));
    assert_eq!(world.request, [Out::Headers { end_stream: false }]);
    world.answer(duplex_reply(Request, b"1", false));
    world.answer(duplex_reply(Request, b"2", false));
    world.answer(duplex_reply(Request, b"", true));
    assert_eq!(world.body(Request), b"12");
    assert_eq!(world.request.last(), Some(&Out::Data { data: Bytes::new(), end_stream: true }));
}

/// B-6.4: a message that ended with trailers is ended by their reply.
#[test]
fn full_duplex_with_trailers() {
    let mut world = World::with_mode(bodies(BodySendMode::FullDuplexStreamed));
    world.headers(Request, true);
    world.answer(continue_headers(Request));
    world.headers(Response, false);
    world.data(Response, b"abc", false);
    world.trailers(Response);
    assert_eq!(world.kinds()[1..], ["response_headers", "response_body", "response_trailers"]);
    world.answer(continue_headers(Response));
    world.answer(duplex_reply(Response, b"ABC", false));
    world.answer(trailers_reply(Response));
    assert_eq!(world.body(Response), b"ABC");
    assert_eq!(world.response.last(), Some(&Out::Trailers));
    assert_eq!(world.closed, Some(Close::Graceful));
}

/// B-6.7: the processor may end the message early; the rest is dropped.
#[test]
fn full_duplex_ended_early() {
    let mut world = World::with_mode(bodies(BodySendMode::FullDuplexStreamed));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"abc", false);
    world.answer(duplex_reply(Request, b"x", true));
    world.data(Request, b"def", true);
    assert_eq!(world.body(Request), b"x");
    assert_eq!(
        world.request.iter().filter(|out| matches!(out, Out::Data { end_stream: true, .. })).count(),
        1
    );
}

/// B-6.4: of a request whose trailers the processor has, only the reply to them is the end.
#[test]
fn full_duplex_ended_before_trailers() {
    let mut world = World::with_mode(mode(|mode| {
        *mode = bodies(BodySendMode::FullDuplexStreamed);
        mode.response_header_mode = HeaderSendMode::Send;
    }));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"abc", false);
    world.trailers(Request);
    world.answer(duplex_reply(Request, b"ABC", true));
    assert_eq!(world.body(Request), b"ABC");
    assert!(matches!(world.request.last(), Some(Out::Data { end_stream: false, .. })));
    world.answer(trailers_reply(Request));
    assert_eq!(world.request.last(), Some(&Out::Trailers));
    assert_eq!(world.closed, None);
}

/// As above, where nothing keeps the exchange open for that reply: the trailers go on as they are.
#[test]
fn full_duplex_settled_before_trailers() {
    let mut world = World::with_mode(mode(|mode| {
        *mode = bodies(BodySendMode::FullDuplexStreamed);
        mode.response_header_mode = HeaderSendMode::Skip;
        mode.response_body_mode = BodySendMode::None;
        mode.response_trailer_mode = HeaderSendMode::Skip;
    }));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"abc", false);
    world.trailers(Request);
    world.answer(duplex_reply(Request, b"ABC", true));
    assert_eq!(world.body(Request), b"ABC");
    assert_eq!(world.request.last(), Some(&Out::Trailers));
    assert_eq!(world.closed, Some(Close::Graceful));
}

/// M-20: with the header step skipped a header mutation in a body reply has no effect, and the head has gone.
#[test]
fn buffered_without_headers() {
    let mut world = World::with_mode(mode(|mode| {
        mode.request_header_mode = HeaderSendMode::Skip;
        mode.request_body_mode = BodySendMode::Buffered;
    }));
    let fields = &mut world.transaction.messages.request.fields;
    fields.insert("content-length", HeaderValue::from_static("3"));
    world.headers(Request, false);
    assert_eq!(world.request, [Out::Headers { end_stream: false }]);
    assert!(world.transaction.messages.request.fields.is_empty(), "B-3.5");
    world.data(Request, b"abc", true);
    world.answer(body_reply(Request, Some(Mutation::Body(Bytes::from_static(b"longer")))));
    assert_eq!(world.body(Request), b"longer");
}

/// B-7.1, B-7.2: which modes drop `content-length`.
#[test]
fn content_length_removal() {
    for (body, kept) in [
        (BodySendMode::None, true),
        (BodySendMode::Buffered, true),
        (BodySendMode::Streamed, false),
        (BodySendMode::BufferedPartial, false),
        (BodySendMode::FullDuplexStreamed, false),
    ] {
        let mut world = World::with_mode(bodies(body));
        let fields = &mut world.transaction.messages.request.fields;
        fields.insert("content-length", HeaderValue::from_static("3"));
        world.headers(Request, false);
        assert_eq!(!world.transaction.messages.request.fields.is_empty(), kept, "{body:?}");
    }
}

/// L-9: the directions are independent.
#[test]
fn early_response() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Request, false);
    world.answer(headers_reply(Request, CommonResponse::default()));
    world.data(Request, b"ab", false);
    world.headers(Response, false);
    world.data(Response, b"no", true);
    world.answer(continue_headers(Response));
    world.answer(body_reply(Request, None));
    world.answer(body_reply(Response, None));
    assert_eq!((world.body(Request), world.body(Response)), (b"ab".to_vec(), b"no".to_vec()));
}
