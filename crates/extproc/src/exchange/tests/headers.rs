//! Headers, stream life, overrides, route cache.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::sim::{Out, World, continue_headers, headers_reply, mode, plan, trailers_reply};
use crate::{
    BodySendMode,
    Direction::{Request, Response},
    HeaderSendMode, RouteCacheAction,
    exchange::Close,
    messages::{
        BodyMutation, CommonResponse, HeaderMutation, ProcessingResponse, body_mutation::Mutation,
        common_response::CONTINUE_AND_REPLACE,
    },
};

/// L-1, L-3, L-6.1: one stream, the protocol configuration first, closed when nothing more is needed.
#[test]
fn headers_both_ways() {
    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, true);
    assert_eq!(world.request, []);
    world.answer(continue_headers(Request));
    assert_eq!(world.request, [Out::Headers { end_stream: true }]);
    world.headers(Response, true);
    world.answer(continue_headers(Response));
    assert_eq!(world.response, [Out::Headers { end_stream: true }]);
    assert_eq!(world.closed, Some(Close::Graceful));
    assert_eq!(world.kinds(), ["request_headers", "response_headers"]);
    assert!(world.sent[0].protocol_config.is_some());
    assert!(world.sent[1].protocol_config.is_none());
    let counters = world.exchange.take_counters();
    assert_eq!((counters.streams_started, counters.stream_msgs_sent), (1, 2));
    assert_eq!((counters.stream_msgs_received, counters.streams_closed), (2, 1));
}

/// L-1: nothing is opened if nothing is asked for.
#[test]
fn no_stream_without_need() {
    let mut world = World::with_mode(mode(|mode| {
        mode.request_header_mode = HeaderSendMode::Skip;
        mode.response_header_mode = HeaderSendMode::Skip;
    }));
    world.headers(Request, false);
    world.data(Request, b"abc", true);
    world.headers(Response, false);
    world.data(Response, b"def", true);
    world.exchange.handle_end();
    world.drain();
    assert_eq!(world.opened, 0);
    assert_eq!((world.body(Request), world.body(Response)), (b"abc".to_vec(), b"def".to_vec()));
}

/// L-6.1: a request without response steps closes the stream with its header reply.
#[test]
fn closes_behind_the_last_reply() {
    let mut world = World::with_mode(mode(|mode| mode.response_header_mode = HeaderSendMode::Skip));
    world.headers(Request, false);
    assert_eq!(world.closed, None);
    world.answer(continue_headers(Request));
    assert_eq!(world.closed, Some(Close::Graceful));
    world.data(Request, b"abc", true);
    assert_eq!(world.kinds(), ["request_headers"]);
}

/// B-1.2: body that came before the header reply is released unchanged.
#[test]
fn body_held_behind_headers() {
    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, false);
    world.data(Request, b"abc", false);
    world.data(Request, b"def", true);
    assert_eq!(world.request, []);
    world.answer(continue_headers(Request));
    assert_eq!(world.body(Request), b"abcdef");
    assert_eq!(world.request[0], Out::Headers { end_stream: false });
}

/// the body is replaced, the original is dropped, trailers stay.
#[test]
fn replaces_messages() {
    let replacement = CommonResponse {
        status: CONTINUE_AND_REPLACE,
        body_mutation: Some(BodyMutation { mutation: Some(Mutation::Body(Bytes::from_static(b"new"))) }),
        ..Default::default()
    };
    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, true);
    world.answer(headers_reply(Request, replacement.clone()));
    let whole = [
        Out::Headers { end_stream: false },
        Out::Data { data: Bytes::from_static(b"new"), end_stream: true },
    ];
    assert_eq!(world.request, whole);

    world.headers(Response, false);
    world.data(Response, b"old", false);
    world.answer(headers_reply(Response, replacement));
    world.data(Response, b"older", false);
    world.trailers(Response);
    assert_eq!(world.body(Response), b"new");
    assert_eq!(world.response.last(), Some(&Out::Trailers));
}

/// without a body mutation the original body flows.
#[test]
fn replace_without_body_keeps_it() {
    let mut world = World::with_mode(mode(|mode| mode.request_body_mode = BodySendMode::Buffered));
    world.headers(Request, false);
    world.data(Request, b"abc", false);
    let replace = CommonResponse { status: CONTINUE_AND_REPLACE, ..Default::default() };
    world.answer(headers_reply(Request, replace));
    world.data(Request, b"def", true);
    assert_eq!(world.body(Request), b"abcdef");
    assert_eq!(world.kinds(), ["request_headers"]);
}

/// P-3: an empty message is spurious; without the override allowed, so is a lone override.
#[test]
fn empty_message_is_spurious() {
    let mut world = World::with_mode(mode(|_| {}));
    world.headers(Request, true);
    world.message(&ProcessingResponse::default());
    let reply = world.reply.expect("an error");
    assert_eq!((reply.status.as_u16(), reply.details.as_str()), (500, "unhandled_message"));
    assert_eq!(world.closed, Some(Close::Reset));
}

/// K-3, K-4.
#[test]
fn route_cache() {
    let wanted =
        |header_mutation| CommonResponse { header_mutation, clear_route_cache: true, ..Default::default() };
    for (action, mutation, cleared, ignored, disabled) in [
        (RouteCacheAction::Default, None, 0, 1, 0),
        (RouteCacheAction::Default, Some(HeaderMutation::default()), 1, 0, 0),
        (RouteCacheAction::Retain, Some(HeaderMutation::default()), 0, 0, 1),
        (RouteCacheAction::Clear, Some(HeaderMutation::default()), 1, 0, 0),
    ] {
        let mut plan = plan(mode(|_| {}));
        plan.route_cache_action = action;
        let mut world = World::new(plan);
        world.headers(Request, true);
        world.answer(headers_reply(Request, wanted(mutation)));
        let counters = world.exchange.take_counters();
        assert_eq!(world.route_cleared, cleared, "{action:?}");
        assert_eq!(counters.clear_route_cache_ignored, ignored, "{action:?}");
        assert_eq!(counters.clear_route_cache_disabled, disabled, "{action:?}");
    }
}

/// K-2: behind the router it is only counted.
#[test]
fn route_cache_of_an_upstream_filter() {
    for mutation in [None, Some(HeaderMutation::default())] {
        let mut plan = plan(mode(|_| {}));
        plan.route_cache_action = RouteCacheAction::Clear;
        let mut world = World::new(plan.clone());
        world.exchange = crate::exchange::Exchange::upstream(Arc::new(plan));
        world.headers(Request, true);
        let common =
            CommonResponse { header_mutation: mutation, clear_route_cache: true, ..Default::default() };
        world.answer(headers_reply(Request, common));
        let counters = world.exchange.take_counters();
        assert_eq!(world.route_cleared, 0);
        assert_eq!(counters.clear_route_cache_upstream_ignored, 1);
        assert_eq!((counters.clear_route_cache_ignored, counters.clear_route_cache_disabled), (0, 0));
    }
}

/// T-7: trailers alone open the stream; the body streams through meanwhile.
#[test]
fn trailers_only() {
    let mut world = World::with_mode(mode(|mode| {
        mode.request_header_mode = HeaderSendMode::Skip;
        mode.response_header_mode = HeaderSendMode::Skip;
        mode.request_trailer_mode = HeaderSendMode::Send;
    }));
    world.headers(Request, false);
    world.data(Request, b"abc", false);
    assert_eq!((world.body(Request), world.opened), (b"abc".to_vec(), 0));
    world.trailers(Request);
    assert_eq!(world.kinds(), ["request_trailers"]);
    world.answer(trailers_reply(Request));
    assert_eq!(world.request.last(), Some(&Out::Trailers));
}

/// Section 16: nothing waits, replies are not read, the stream stays open for a while.
#[test]
fn observability() {
    let mut plan = plan(mode(|mode| mode.request_body_mode = BodySendMode::Streamed));
    plan.observability_mode = true;
    let mut world = World::new(plan);
    world.headers(Request, false);
    world.data(Request, b"abc", true);
    world.message(&ProcessingResponse::default());
    world.headers(Response, true);
    assert_eq!(world.body(Request), b"abc");
    assert_eq!(world.kinds(), ["request_headers", "request_body", "response_headers"]);
    assert!(world.sent.iter().all(|message| message.observability_mode && message.protocol_config.is_none()));
    assert_eq!(world.exchange.poll_timeout(), None);
    world.exchange.handle_end();
    world.drain();
    assert_eq!(world.closed, Some(Close::Deferred(Duration::from_secs(5))));
}
