//! Failures, deadlines, immediate responses.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::sim::{
    Out, World, bodies, body_reply, continue_headers, duplex_reply, mode, plan, trailers_reply,
};
use crate::{
    BodySendMode,
    Direction::{Request, Response},
    exchange::{Close, Failed, FailedReason, Outcome, StreamEnd},
    log::Step,
    messages::{
        self, HttpHeaders, HttpStatus, ImmediateResponse, ProcessingResponse, StreamedBodyResponse,
        StreamedImmediateResponse, processing_response, streamed_immediate_response,
    },
};

fn failed(code: i32) -> StreamEnd {
    StreamEnd::Error { code, details: format!("ext_proc_error_gRPC_error_{code}{{}}"), started: true }
}

/// a late reply is 504 when closed, and nothing when open.
#[test]
fn timeout() {
    for open in [false, true] {
        let mut plan = plan(mode(|_| {}));
        plan.failure_mode_allow = open;
        let mut world = World::new(plan);
        world.headers(Request, false);
        world.data(Request, b"abc", true);
        world.pass(Duration::from_millis(199));
        assert!(world.reply.is_none() && world.request.is_empty());
        world.pass(Duration::from_millis(1));
        let counters = world.exchange.take_counters();
        assert_eq!((counters.message_timeouts, counters.streams_closed), (1, 1));
        assert_eq!(world.closed, Some(Close::Reset));
        if open {
            assert_eq!(world.body(Request), b"abc");
            assert_eq!(counters.failure_mode_allowed, 1);
            world.headers(Response, true);
            assert_eq!(world.sent.len(), 1, "F-17");
        } else {
            let reply = world.reply.expect("an error");
            assert_eq!(reply.status.as_u16(), 504);
            assert_eq!(reply.details, "ext_proc_error_per-message_timeout_exceeded");
            assert_eq!(world.request, []);
        }
    }
}

/// one override a message, within bounds.
#[test]
fn timeout_override() {
    let mut plan = plan(mode(|_| {}));
    plan.max_message_timeout = Duration::from_secs(1);
    let mut world = World::new(plan);
    world.headers(Request, true);
    let ask = |milliseconds: i32| ProcessingResponse {
        override_message_timeout: Some(messages::Duration { seconds: 0, nanos: milliseconds * 1_000_000 }),
        ..Default::default()
    };
    world.message(&ask(0));
    world.message(&ask(500));
    world.message(&ask(900));
    let counters = world.exchange.take_counters();
    assert_eq!(
        (counters.override_message_timeout_received, counters.override_message_timeout_ignored),
        (1, 2)
    );
    world.pass(Duration::from_millis(499));
    assert_eq!(world.reply, None);
    world.pass(Duration::from_millis(1));
    assert!(world.reply.is_some());
}

/// Decision 3: silence after the first of several pieces is a timeout too.
#[test]
fn silence_between_pieces() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"a", false);
    world.data(Request, b"b", true);
    world.answer(body_reply(Request, None));
    world.pass(Duration::from_millis(200));
    assert_eq!(world.reply.expect("an error").status.as_u16(), 504);
}

/// F-2, F-3, F-10.
#[test]
fn stream_errors() {
    for open in [false, true] {
        let mut plan = plan(bodies(BodySendMode::Streamed));
        plan.failure_mode_allow = open;
        let mut world = World::new(plan);
        world.headers(Request, false);
        world.answer(continue_headers(Request));
        world.data(Request, b"ab", false);
        world.data(Request, b"cd", true);
        world.exchange.handle_stream_end(failed(14), world.now);
        world.drain();
        let counters = world.exchange.take_counters();
        assert_eq!((counters.streams_failed, counters.server_half_closed), (1, 1));
        assert_eq!(counters.streams_closed, u32::from(open));
        assert_eq!(world.closed, None, "there is nothing left to close");
        if open {
            assert_eq!(world.body(Request), b"abcd");
        } else {
            assert_eq!(world.reply.expect("an error").details, "ext_proc_error_gRPC_error_14{}");
        }
    }
}

/// F-6: what the processor has cannot be failed open.
#[test]
fn duplex_data_cannot_fail_open() {
    let mut plan = plan(bodies(BodySendMode::FullDuplexStreamed));
    plan.failure_mode_allow = true;
    let mut world = World::new(plan);
    world.headers(Request, false);
    world.data(Request, b"ab", false);
    world.exchange.handle_stream_end(failed(2), world.now);
    world.drain();
    assert!(world.reply.is_some());
}

/// L-8: an orderly end lets everything go on.
#[test]
fn closed_by_the_processor() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Request, false);
    world.data(Request, b"ab", false);
    world.exchange.handle_stream_end(StreamEnd::Ok, world.now);
    world.drain();
    world.data(Request, b"cd", true);
    assert_eq!(world.body(Request), b"abcd");
    let counters = world.exchange.take_counters();
    assert_eq!((counters.streams_closed, counters.server_half_closed, counters.streams_failed), (1, 1, 0));
}

/// Decision 4: unless it has data of ours.
#[test]
fn closed_by_the_processor_mid_body() {
    let mut plan = plan(bodies(BodySendMode::FullDuplexStreamed));
    plan.failure_mode_allow = true;
    let mut world = World::new(plan);
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"ab", false);
    world.answer(duplex_reply(Request, b"a", false));
    world.exchange.handle_stream_end(StreamEnd::Ok, world.now);
    world.drain();
    assert_eq!(world.reply.expect("an error").details, "processor_closed_mid_body");
}

/// Decision 4 on B-6.8: a trailers reply to trailers that do not exist.
#[test]
fn trailers_reply_mid_body() {
    let mut world = World::with_mode(bodies(BodySendMode::FullDuplexStreamed));
    world.headers(Request, false);
    world.answer(continue_headers(Request));
    world.data(Request, b"ab", false);
    world.answer(trailers_reply(Request));
    assert_eq!(world.reply.expect("an error").details, "processor_closed_mid_body");
}

/// F-13, F-14: replies that do not fit.
#[test]
fn spurious_replies() {
    let replies = [
        continue_headers(Response),
        body_reply(Request, None),
        body_reply(Response, None),
        trailers_reply(Request),
        trailers_reply(Response),
    ];
    for reply in replies {
        for open in [false, true] {
            let mut plan = plan(bodies(BodySendMode::Streamed));
            plan.failure_mode_allow = open;
            let mut world = World::new(plan);
            world.headers(Request, true);
            world.answer(reply.clone());
            assert_eq!(world.exchange.take_counters().spurious_msgs_received, 1, "{reply:?}");
            assert_eq!(world.reply.is_none(), open, "{reply:?}");
            assert_eq!(world.request.is_empty(), !open, "{reply:?}");
            assert_eq!(world.closed, Some(Close::Reset), "{reply:?}");
        }
    }
}

/// P-2: a second reply to an answered step is spurious although the first was fine.
#[test]
fn second_reply() {
    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, true);
    world.answer(continue_headers(Request));
    world.answer(continue_headers(Request));
    assert_eq!(world.request, [Out::Headers { end_stream: true }]);
    assert!(world.reply.is_some());
}

/// I-1, I-2, I-5.
#[test]
fn immediate_response() {
    for (code, status) in [(403, 403), (100, 200), (0, 200)] {
        let mut world = World::with_mode(mode(|_| {}));
        world.headers(Request, true);
        world.answer(processing_response::Response::ImmediateResponse(ImmediateResponse {
            status: Some(HttpStatus { code }),
            body: Bytes::from_static(b"no"),
            details: "go away".into(),
            ..Default::default()
        }));
        let reply = world.reply.expect("a reply");
        assert_eq!(
            (reply.status.as_u16(), &reply.body[..], reply.details.as_str()),
            (status, &b"no"[..], "go_away")
        );
        assert_eq!(world.exchange.take_counters().immediate_responses_sent, 1);
    }
}

/// I-13.
#[test]
fn immediate_response_disabled() {
    let mut plan = plan(mode(|_| {}));
    plan.disable_immediate_response = true;
    let mut world = World::new(plan);
    world.headers(Request, true);
    world.answer(processing_response::Response::ImmediateResponse(ImmediateResponse::default()));
    let reply = world.reply.expect("an error");
    assert_eq!(reply.details, "unhandled_immediate_response_due_to_config_disabled_it");
    assert!(world.log.received_immediate_response);
}

fn streamed(response: streamed_immediate_response::Response) -> processing_response::Response {
    let response = Some(response);
    processing_response::Response::StreamedImmediateResponse(StreamedImmediateResponse { response })
}

fn streamed_head(end_of_stream: bool) -> processing_response::Response {
    let status = messages::HeaderValue {
        key: ":status".into(),
        raw_value: Bytes::from_static(b"200"),
        ..Default::default()
    };
    streamed(streamed_immediate_response::Response::HeadersResponse(HttpHeaders {
        headers: Some(messages::HeaderMap { headers: vec![status] }),
        end_of_stream,
        ..Default::default()
    }))
}

/// S-1, S-5, S-7: the processor is the origin; request data goes on to it.
#[test]
fn streamed_immediate_response() {
    let mut world = World::with_mode(bodies(BodySendMode::FullDuplexStreamed));
    world.headers(Request, false);
    world.answer(streamed_head(false));
    world.data(Request, b"ping", false);
    assert_eq!(world.kinds(), ["request_headers", "request_body"]);
    let piece =
        StreamedBodyResponse { body: Bytes::from_static(b"pong"), end_of_stream: true, ..Default::default() };
    world.answer(streamed(streamed_immediate_response::Response::BodyResponse(piece)));
    let whole = [
        Out::Headers { end_stream: false },
        Out::Data { data: Bytes::from_static(b"pong"), end_stream: true },
    ];
    assert_eq!(world.streamed, whole);
    assert_eq!(world.request, []);
    assert_eq!(world.closed, Some(Close::Graceful));
}

/// S-8: a processor that ends its stream in the middle of its own response has failed; nobody is left to end it.
#[test]
fn streamed_immediate_response_without_an_end() {
    let mut plan = plan(mode(|_| {}));
    plan.failure_mode_allow = true;
    let mut world = World::new(plan);
    world.headers(Request, false);
    world.answer(streamed_head(false));
    world.exchange.handle_stream_end(StreamEnd::Ok, world.now);
    world.drain();
    assert_eq!(world.reply.expect("an error").details, "processor_closed_mid_body");
    assert!(!world.exchange.is_replying());
    assert_eq!(world.request, []);
}

/// S-4, S-6.
#[test]
fn streamed_immediate_response_misused() {
    let mut world = World::with_mode(bodies(BodySendMode::Buffered));
    world.headers(Request, false);
    world.answer(streamed_head(false));
    let details = world.reply.expect("an error").details;
    assert_eq!(
        details,
        "streaming_local_response_body_is_only_supported_in_NONE_or_FULL_DUPLEX_STREAMED_modes"
    );

    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, false);
    let piece = streamed_immediate_response::Response::BodyResponse(StreamedBodyResponse::default());
    world.answer(streamed(piece));
    assert_eq!(world.reply.expect("an error").details, "local_response_body_received_before_headers");

    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, false);
    world.answer(streamed_head(false));
    world.answer(continue_headers(Request));
    assert!(world.reply.is_some(), "ordinary replies are spurious behind the start");
}

/// F-12: a message that does not parse.
#[test]
fn garbage() {
    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, true);
    world.exchange.handle_message(
        Bytes::from_static(&[0x0a, 0xff, 0x01]).into(),
        world.now,
        &mut world.transaction,
    );
    world.drain();
    assert!(world.reply.expect("an error").details.starts_with("ext_proc_error_gRPC_error_13"));
    assert_eq!(world.closed, Some(Close::Reset));
}

/// People learn what was waited for, for how long, and what came instead.
#[test]
fn failures_are_told() {
    let mut world = World::with_mode(bodies(BodySendMode::Streamed));
    world.headers(Request, false);
    world.pass(Duration::from_millis(200));
    let told = Failed {
        reason: FailedReason::Timeout,
        awaited: Some((Request, Step::Headers)),
        elapsed: Some(Duration::from_millis(200)),
        limit: Some(Duration::from_millis(200)),
        received: None,
        header: None,
        details: "ext_proc_error_per-message_timeout_exceeded".to_owned(),
        outcome: Outcome::Status(StatusCode::GATEWAY_TIMEOUT),
    };
    assert_eq!(world.failed, [told]);

    let mut plan = plan(bodies(BodySendMode::Streamed));
    plan.failure_mode_allow = true;
    let mut world = World::new(plan);
    world.headers(Request, false);
    world.answer(body_reply(Response, None));
    let told = &world.failed[0];
    assert_eq!((told.reason, told.received), (FailedReason::UnexpectedMessage, Some("response_body")));
    assert_eq!((told.awaited, told.outcome), (Some((Request, Step::Headers)), Outcome::FailedOpen));
}

/// The header at fault is named, without what would disturb a log.
#[test]
fn refused_and_ignored_headers_are_named() {
    let set = |key: &str, value: &'static [u8]| messages::HeaderMutation {
        set_headers: vec![messages::HeaderValueOption {
            header: Some(messages::HeaderValue {
                key: key.into(),
                raw_value: value.into(),
                ..Default::default()
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    let reply = |mutation| {
        let common = messages::CommonResponse { header_mutation: Some(mutation), ..Default::default() };
        let reply = messages::HeadersResponse { response: Some(common) };
        processing_response::Response::RequestHeaders(reply)
    };
    let mut world = World::with_mode(bodies(BodySendMode::None));
    world.headers(Request, true);
    world.answer(reply(set("x-bad\nname", b"v")));
    assert_eq!(world.failed[0].header.as_deref(), Some("x-bad\\nname"));

    let mut world = World::with_mode(bodies(BodySendMode::None));
    world.headers(Request, true);
    world.answer(reply(set("host", b"elsewhere")));
    assert!(world.failed.is_empty());
    assert_eq!((world.ignored[0].count, world.ignored[0].header.as_deref()), (1, Some("host")));
}
