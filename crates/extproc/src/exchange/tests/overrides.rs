//! `mode_override` (section 10).

use bytes::Bytes;

use crate::sim::{Out, World, body_reply, continue_headers, duplex_reply, mode, plan, trailers_reply};
use crate::{
    BodySendMode,
    Direction::{Request, Response},
    HeaderSendMode, ProcessingMode,
    exchange::Close,
    messages::{self, ProcessingResponse, body_mutation::Mutation, processing_response},
};

fn world(mode: ProcessingMode) -> World {
    let mut plan = plan(mode);
    plan.allow_mode_override = true;
    World::new(plan)
}

/// An override of the body modes; with trailers where they go with FULL_DUPLEX_STREAMED.
fn bodies(request: BodySendMode, response: BodySendMode) -> messages::ProcessingMode {
    let trailers = |mode| match mode {
        BodySendMode::FullDuplexStreamed => HeaderSendMode::Send as i32,
        _ => HeaderSendMode::Default as i32,
    };
    messages::ProcessingMode {
        request_body_mode: request as i32,
        response_body_mode: response as i32,
        request_trailer_mode: trailers(request),
        response_trailer_mode: trailers(response),
        ..Default::default()
    }
}

fn with_override(
    response: processing_response::Response,
    mode: messages::ProcessingMode,
) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), mode_override: Some(mode), ..Default::default() }
}

fn alone(mode: messages::ProcessingMode) -> ProcessingResponse {
    ProcessingResponse { mode_override: Some(mode), ..Default::default() }
}

fn replaced(text: &'static str) -> Option<Mutation> {
    Some(Mutation::Body(Bytes::from_static(text.as_bytes())))
}

const NONE: BodySendMode = BodySendMode::None;
const STREAMED: BodySendMode = BodySendMode::Streamed;
const BUFFERED: BodySendMode = BodySendMode::Buffered;
const DUPLEX: BodySendMode = BodySendMode::FullDuplexStreamed;

/// O-1, O-3: both body modes are taken over.
#[test]
fn both_bodies_are_switched() {
    let mut world = world(mode(|_| {}));
    world.headers(Request, false);
    let wanted = messages::ProcessingMode {
        response_header_mode: HeaderSendMode::Skip as i32,
        ..bodies(BUFFERED, NONE)
    };
    world.message(&with_override(continue_headers(Request), wanted));
    world.data(Request, b"abc", true);
    assert_eq!(world.kinds(), ["request_headers", "request_body"]);
    world.answer(body_reply(Request, replaced("xyz")));
    assert_eq!(world.body(Request), b"xyz");
    world.headers(Response, true);
    assert_eq!(world.response, [Out::Headers { end_stream: true }]);
    assert_eq!(world.closed, None, "L-6.1: behind a buffered body the stream lives as long as the exchange");
    world.exchange.handle_end();
    world.drain();
    assert_eq!(world.closed, Some(Close::Graceful));
}

/// B-3.6: what was held above the limit, in a mode that only pauses, is too large for BUFFERED. The source is not left paused
/// for ever.
#[test]
fn to_buffered_above_the_limit() {
    for direction in [Request, Response] {
        for (configured, held, fails) in [
            (NONE, "abcdef", true),
            (STREAMED, "abcdef", true),
            (BodySendMode::BufferedPartial, "abcdef", true),
            (NONE, "abcd", false),
        ] {
            let mut world = world(mode(|mode| {
                mode.request_body_mode = configured;
                mode.response_body_mode = configured;
            }));
            world.transaction.limit = 4;
            world.headers(direction, false);
            world.piece(direction, Bytes::from_static(held.as_bytes()), false);
            assert_eq!(world.exchange.wants(direction), !fails);
            world.message(&with_override(continue_headers(direction), bodies(BUFFERED, BUFFERED)));
            assert_eq!(world.too_large, fails.then_some(direction), "{direction:?} {configured:?}");
            assert!(fails || world.exchange.wants(direction));
        }
    }
}

/// O-6: a complete body is one step even above the limit.
#[test]
fn to_buffered_with_the_whole_body() {
    let mut world = world(mode(|_| {}));
    world.transaction.limit = 4;
    world.headers(Request, false);
    world.data(Request, b"abcdef", true);
    world.message(&with_override(continue_headers(Request), bodies(BUFFERED, NONE)));
    assert_eq!(world.too_large, None);
    world.answer(body_reply(Request, None));
    assert_eq!(world.body(Request), b"abcdef");
}

/// O-10: a message of its own may switch a body that is not shown, or in pieces, to full duplex, while the headers wait.
#[test]
fn alone_to_full_duplex() {
    for (configured, accepted) in [
        (NONE, true),
        (STREAMED, true),
        (BUFFERED, false),
        (BodySendMode::BufferedPartial, false),
        (BodySendMode::Grpc, false),
    ] {
        let mut world = world(mode(|mode| mode.request_body_mode = configured));
        world.headers(Request, false);
        world.data(Request, b"abc", false);
        world.message(&alone(bodies(DUPLEX, NONE)));
        assert_eq!(world.reply.is_none(), accepted, "{configured:?}");
        if !accepted {
            continue;
        }
        assert_eq!(world.exchange.take_counters().stream_msgs_received, 0);
        world.data(Request, b"def", false);
        world.trailers(Request);
        assert_eq!(world.kinds()[1..], ["request_body", "request_body", "request_trailers"]);
        assert_eq!(world.request, []);
        world.answer(continue_headers(Request));
        world.answer(duplex_reply(Request, b"ABCDEF", false));
        world.answer(trailers_reply(Request));
        assert_eq!(world.body(Request), b"ABCDEF");
        assert_eq!(world.request.last(), Some(&Out::Trailers));
    }
}

/// O-10: every other override in a message of its own is spurious.
#[test]
fn alone_to_anything_else() {
    let without_trailers =
        messages::ProcessingMode { request_body_mode: DUPLEX as i32, ..Default::default() };
    for wanted in [without_trailers, bodies(STREAMED, NONE), bodies(NONE, NONE)] {
        let mut world = world(mode(|_| {}));
        world.headers(Request, false);
        world.message(&alone(wanted));
        assert_eq!(world.reply.expect("an error").details, "unhandled_message");
    }
    let mut world = world(mode(|_| {}));
    world.headers(Request, true);
    world.answer(continue_headers(Request));
    world.headers(Response, false);
    world.message(&alone(bodies(NONE, DUPLEX)));
    assert_eq!(world.reply.expect("an error").details, "unhandled_message");
}

/// A request whose headers were answered, with an early response whose headers wait.
fn early_response(body: BodySendMode, pieces: &[&'static str]) -> World {
    let mut world = world(mode(|mode| {
        mode.request_body_mode = body;
        mode.request_trailer_mode = HeaderSendMode::Send;
    }));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    for piece in pieces {
        world.data(Request, piece.as_bytes(), false);
    }
    world.headers(Response, false);
    world
}

/// O-5: an override of the response's headers does not take from a request what the processor has of it. Pieces stay in
/// order, and what arrives meanwhile is handled in the new mode.
#[test]
fn pieces_that_are_outstanding_keep_their_order() {
    for (wanted, seen) in [(NONE, "ABcd"), (BUFFERED, "ABCD")] {
        let mut world = early_response(STREAMED, &["ab"]);
        world.message(&with_override(continue_headers(Response), bodies(wanted, STREAMED)));
        world.data(Request, b"cd", true);
        assert_eq!(world.body(Request), b"");
        world.answer(body_reply(Request, replaced("AB")));
        if wanted == BUFFERED {
            assert_eq!(world.kinds().last(), Some(&"request_body"));
            world.answer(body_reply(Request, replaced("CD")));
        }
        assert_eq!(world.body(Request), seen.as_bytes(), "{wanted:?}");
        assert!(matches!(world.request.last(), Some(Out::Data { end_stream: true, .. })));
        assert_eq!(world.reply, None);
    }
}

/// As above, with two pieces outstanding and trailers behind them.
#[test]
fn outstanding_pieces_and_trailers() {
    let mut world = early_response(STREAMED, &["ab", "cd"]);
    world.message(&with_override(continue_headers(Response), bodies(BUFFERED, STREAMED)));
    world.data(Request, b"ef", false);
    world.trailers(Request);
    world.answer(body_reply(Request, replaced("AB")));
    world.answer(body_reply(Request, replaced("CD")));
    world.answer(body_reply(Request, replaced("EF")));
    assert_eq!(world.kinds().last(), Some(&"request_trailers"));
    world.answer(trailers_reply(Request));
    assert_eq!(world.body(Request), b"ABCDEF");
    assert_eq!(world.request.last(), Some(&Out::Trailers));
}

/// O-5: what a request in BUFFERED has collected follows the new mode.
#[test]
fn what_is_collected_follows_the_new_mode() {
    for (wanted, kinds) in [(NONE, 0), (STREAMED, 2), (DUPLEX, 2)] {
        let mut world = world(mode(|mode| {
            mode.request_header_mode = HeaderSendMode::Skip;
            mode.request_body_mode = BUFFERED;
        }));
        world.headers(Request, false);
        world.data(Request, b"ab", false);
        world.headers(Response, false);
        world.message(&with_override(continue_headers(Response), bodies(wanted, STREAMED)));
        world.data(Request, b"cd", true);
        assert_eq!(world.kinds().iter().filter(|kind| **kind == "request_body").count(), kinds);
        for _ in 0..kinds {
            let (body, end) = (b"..", world.body(Request).len() == 2);
            world.answer(if wanted == DUPLEX {
                duplex_reply(Request, body, end)
            } else {
                body_reply(Request, None)
            });
        }
        assert_eq!(world.body(Request).len(), 4, "{wanted:?}");
        assert!(matches!(world.request.last(), Some(Out::Data { end_stream: true, .. })));
    }
}

/// F-6, O-5: what was given away in full duplex is not failed open, whatever mode is asked for later.
#[test]
fn full_duplex_is_not_left_while_the_processor_has_data() {
    let mut plan = plan(mode(|_| {}));
    plan.allow_mode_override = true;
    plan.failure_mode_allow = true;
    let mut world = World::new(plan);
    world.headers(Request, false);
    world.data(Request, b"ab", false);
    world.message(&with_override(continue_headers(Request), bodies(DUPLEX, NONE)));
    world.headers(Response, false);
    world.message(&with_override(continue_headers(Response), bodies(NONE, STREAMED)));
    world.data(Request, b"cd", true);
    assert_eq!(world.body(Request), b"");
    world.answer(trailers_reply(Response));
    assert_eq!(world.reply.expect("an error").status, 500);
}

/// O-6: an override from BUFFERED to full duplex leaves the end to be told when it comes.
#[test]
fn from_buffered_to_full_duplex() {
    let mut world = world(mode(|mode| mode.request_body_mode = BUFFERED));
    world.headers(Request, false);
    world.data(Request, b"ab", false);
    world.message(&with_override(continue_headers(Request), bodies(DUPLEX, NONE)));
    world.data(Request, b"", true);
    assert_eq!(world.kinds(), ["request_headers", "request_body", "request_body"]);
    world.answer(duplex_reply(Request, b"AB", false));
    world.answer(duplex_reply(Request, b"", true));
    assert_eq!(world.body(Request), b"AB");
}

/// O-5: trailers may be asked for while pieces are outstanding.
#[test]
fn trailers_are_switched_on() {
    let mut world = world(mode(|mode| mode.request_body_mode = STREAMED));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"ab", false);
    world.headers(Response, false);
    let wanted = messages::ProcessingMode {
        request_trailer_mode: HeaderSendMode::Send as i32,
        ..bodies(STREAMED, STREAMED)
    };
    world.message(&with_override(continue_headers(Response), wanted));
    world.trailers(Request);
    world.answer(body_reply(Request, None));
    assert_eq!(world.kinds().last(), Some(&"request_trailers"));
    world.answer(trailers_reply(Request));
    assert_eq!(world.request.last(), Some(&Out::Trailers));
}

/// O-5: trailers that the processor has in full duplex are not sent again in another mode.
#[test]
fn trailers_are_sent_once() {
    let mut world = world(mode(|_| {}));
    world.headers(Request, true);
    world.message(&with_override(continue_headers(Request), bodies(NONE, DUPLEX)));
    world.headers(Response, false);
    world.trailers(Response);
    let wanted = messages::ProcessingMode {
        response_trailer_mode: HeaderSendMode::Send as i32,
        ..bodies(NONE, STREAMED)
    };
    world.message(&with_override(continue_headers(Response), wanted));
    assert_eq!(world.kinds(), ["request_headers", "response_headers", "response_trailers"]);
    world.answer(trailers_reply(Response));
    assert_eq!(world.response.last(), Some(&Out::Trailers));
    assert_eq!(world.reply, None);
}

/// What waits for the reply to its headers keeps its place when the reply to the other headers switches to full duplex.
#[test]
fn held_bytes_are_not_overtaken() {
    let mut world = world(mode(|_| {}));
    world.headers(Request, false);
    world.headers(Response, false);
    world.data(Request, b"ab", false);
    world.message(&with_override(continue_headers(Response), bodies(DUPLEX, NONE)));
    world.data(Request, b"cd", true);
    world.answer(continue_headers(Request));
    assert_eq!(world.kinds(), ["request_headers", "response_headers", "request_body"]);
    world.answer(duplex_reply(Request, b"abcd", true));
    assert_eq!(world.body(Request), b"abcd");
    let messages::processing_request::Request::RequestBody(sent) =
        world.sent[2].request.clone().expect("a part")
    else {
        panic!("not a body")
    };
    assert_eq!((&sent.body[..], sent.end_of_stream), (&b"abcd"[..], true));
}
