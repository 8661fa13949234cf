//! What holds for every interleaving.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::sim::{
    Out, World, body_reply, continue_headers, duplex_reply, headers_reply, plan, trailers_reply,
};
use crate::{
    BodySendMode, Direction, HeaderSendMode, ProcessingMode,
    exchange::StreamEnd,
    messages::{
        self, CommonResponse, ImmediateResponse, ProcessingResponse, body_mutation::Mutation,
        common_response::CONTINUE_AND_REPLACE, processing_request, processing_response::Response,
    },
};

/// One event. HTTP events that make no sense at the moment are skipped, processor messages never are.
#[derive(Debug, Clone)]
enum Op {
    Headers(Direction, bool),
    Data(Direction, u8, bool),
    Trailers(Direction),
    Message(Box<ProcessingResponse>),
    Garbage(Vec<u8>),
    StreamEnd(bool),
    Pass(u16),
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Request), Just(Direction::Response)]
}

fn body_mode() -> impl Strategy<Value = BodySendMode> {
    prop_oneof![
        Just(BodySendMode::None),
        Just(BodySendMode::Streamed),
        Just(BodySendMode::Buffered),
        Just(BodySendMode::BufferedPartial),
        Just(BodySendMode::FullDuplexStreamed),
        Just(BodySendMode::Grpc),
    ]
}

fn header_mode() -> impl Strategy<Value = HeaderSendMode> {
    prop_oneof![Just(HeaderSendMode::Default), Just(HeaderSendMode::Send), Just(HeaderSendMode::Skip)]
}

fn processing_mode() -> impl Strategy<Value = ProcessingMode> {
    (header_mode(), header_mode(), body_mode(), body_mode(), header_mode(), header_mode()).prop_map(
        |(request, response, request_body, response_body, request_trailers, response_trailers)| {
            ProcessingMode {
                request_header_mode: request,
                response_header_mode: response,
                request_body_mode: request_body,
                response_body_mode: response_body,
                request_trailer_mode: request_trailers,
                response_trailer_mode: response_trailers,
            }
        },
    )
}

fn reply() -> impl Strategy<Value = Response> {
    prop_oneof![
        4 => direction().prop_map(continue_headers),
        1 => direction().prop_map(|direction| headers_reply(
            direction,
            CommonResponse {
                status: CONTINUE_AND_REPLACE,
                body_mutation: Some(messages::BodyMutation {
                    mutation: Some(Mutation::Body(Bytes::from_static(b"R"))),
                }),
                ..Default::default()
            }
        )),
        4 => direction().prop_map(|direction| body_reply(direction, None)),
        1 => direction().prop_map(|direction| body_reply(direction, Some(Mutation::ClearBody(true)))),
        4 => (direction(), any::<bool>()).prop_map(|(direction, end)| duplex_reply(direction, b"D", end)),
        2 => direction().prop_map(trailers_reply),
        1 => Just(Response::ImmediateResponse(ImmediateResponse::default())),
    ]
}

fn message() -> impl Strategy<Value = ProcessingResponse> {
    (
        proptest::option::weighted(0.9, reply()),
        proptest::option::weighted(0.1, (0..6_i32, 0..6_i32)),
        proptest::option::weighted(0.05, 0..2_000_000_000_i32),
    )
        .prop_map(|(response, mode, timeout)| ProcessingResponse {
            response,
            mode_override: mode.map(|(request, response)| messages::ProcessingMode {
                request_body_mode: request,
                response_body_mode: response,
                request_trailer_mode: 1,
                ..Default::default()
            }),
            override_message_timeout: timeout.map(|nanos| messages::Duration { seconds: 0, nanos }),
            ..Default::default()
        })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (direction(), proptest::bool::weighted(0.2)).prop_map(|(direction, end)| Op::Headers(direction, end)),
        4 => (direction(), 0..40_u8, proptest::bool::weighted(0.3))
            .prop_map(|(direction, length, end)| Op::Data(direction, length, end)),
        1 => direction().prop_map(Op::Trailers),
        8 => message().prop_map(|message| Op::Message(Box::new(message))),
        1 => proptest::collection::vec(any::<u8>(), 0..8).prop_map(Op::Garbage),
        1 => any::<bool>().prop_map(Op::StreamEnd),
        1 => (0..400_u16).prop_map(Op::Pass),
    ]
}

/// How far the source of a direction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Headers,
    Body,
    Ended,
}

struct Player {
    world: World,
    sources: [Source; 2],
    input: [Vec<u8>; 2],
    next_byte: u8,
}

impl Player {
    fn new(world: World) -> Self {
        Self { world, sources: [Source::Headers; 2], input: [Vec::new(), Vec::new()], next_byte: 0 }
    }

    fn over(&self) -> bool {
        self.world.reply.is_some() || self.world.too_large.is_some()
    }

    fn headers(&mut self, direction: Direction, end_stream: bool) {
        if self.sources[direction as usize] == Source::Headers {
            self.sources[direction as usize] = if end_stream { Source::Ended } else { Source::Body };
            self.world.headers(direction, end_stream);
        }
    }

    fn data(&mut self, direction: Direction, length: u8, end_stream: bool) {
        if self.sources[direction as usize] != Source::Body || (length == 0 && !end_stream) {
            return;
        }
        let data: Vec<u8> = (0..length)
            .map(|_| {
                self.next_byte = self.next_byte.wrapping_add(1);
                self.next_byte
            })
            .collect();
        self.input[direction as usize].extend_from_slice(&data);
        if end_stream {
            self.sources[direction as usize] = Source::Ended;
        }
        self.world.piece(direction, data.into(), end_stream);
    }

    fn trailers(&mut self, direction: Direction) {
        if self.sources[direction as usize] == Source::Body {
            self.sources[direction as usize] = Source::Ended;
            self.world.trailers(direction);
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Headers(direction, end) => self.headers(*direction, *end),
            Op::Data(direction, length, end) => self.data(*direction, *length, *end),
            Op::Trailers(direction) => self.trailers(*direction),
            // A processor that was never spoken to says nothing, and one that has gone neither.
            Op::Message(_) | Op::Garbage(_) if self.world.opened == 0 || self.world.closed.is_some() => {}
            Op::Message(message) => self.world.message(message),
            Op::Garbage(bytes) => {
                let bytes = Bytes::from(bytes.clone());
                self.world.exchange.handle_message(bytes.into(), self.world.now, &mut self.world.transaction);
                self.world.drain();
            }
            Op::StreamEnd(_) if self.world.opened == 0 || self.world.closed.is_some() => {}
            Op::StreamEnd(ok) => {
                let end = if *ok {
                    StreamEnd::Ok
                } else {
                    StreamEnd::Error { code: 14, details: String::new(), started: true }
                };
                self.world.exchange.handle_stream_end(end, self.world.now);
                self.world.drain();
            }
            Op::Pass(milliseconds) => self.world.pass(Duration::from_millis(u64::from(*milliseconds))),
        }
    }

    /// Head first, one end at most, nothing behind it.
    fn check_order(&self) {
        for out in [&self.world.request, &self.world.response, &self.world.streamed] {
            for (index, part) in out.iter().enumerate() {
                assert_eq!(index == 0, matches!(part, Out::Headers { .. }), "{out:?}");
                let ends = matches!(
                    part,
                    Out::Headers { end_stream: true } | Out::Data { end_stream: true, .. } | Out::Trailers
                );
                assert!(!ends || index + 1 == out.len(), "something behind the end: {out:?}");
            }
        }
    }

    /// A reply that is owed has a deadline, outside of FULL_DUPLEX_STREAMED.
    fn check_deadline(&self, mode: &ProcessingMode) {
        let duplex =
            [mode.request_body_mode, mode.response_body_mode].contains(&BodySendMode::FullDuplexStreamed);
        if self.world.exchange.awaits_processor() && !duplex {
            assert!(self.world.exchange.poll_timeout().is_some(), "waits without a deadline");
        }
    }
}

fn plans() -> impl Strategy<Value = crate::Plan> {
    (processing_mode(), any::<[bool; 5]>()).prop_map(|(mode, flags)| {
        let mut plan = plan(mode);
        plan.failure_mode_allow = flags[0];
        plan.send_body_without_waiting_for_header_response = flags[1];
        plan.observability_mode = flags[2] && flags[3];
        plan.disable_immediate_response = flags[4];
        plan
    })
}

proptest! {
    /// Any events in any order: no panic, order kept, no wait without a deadline, and an end.
    #[test]
    fn survives_everything(
        mut plan in plans(),
        allow_override in any::<bool>(),
        limit in 1_usize..100,
        ops in proptest::collection::vec(op(), 0..60),
    ) {
        plan.allow_mode_override = allow_override;
        plan.max_message_timeout = Duration::from_secs(1);
        let mode = plan.processing_mode;
        let mut world = World::new(plan);
        world.transaction.limit = limit;
        let mut player = Player::new(world);
        for op in &ops {
            if player.over() {
                break;
            }
            player.apply(op);
            player.check_order();
            if !allow_override {
                player.check_deadline(&mode);
            }
        }
        player.world.exchange.handle_end();
        player.world.drain();
        prop_assert!(player.world.exchange.is_complete());
        prop_assert!(player.world.opened == 0 || player.world.exchange.poll_timeout().is_none());
    }

    /// A processor that changes nothing changes nothing, whatever the modes, the pieces and the schedule.
    #[test]
    fn identity_processor(
        plan in plans(),
        lengths in proptest::collection::vec((direction(), 0..40_u8), 0..20),
        trailers in any::<[bool; 2]>(),
        schedule in proptest::collection::vec(any::<bool>(), 64),
    ) {
        let observability = plan.observability_mode;
        let mode = plan.processing_mode;
        // O-7: without its trailers such a processor cannot know the end.
        prop_assume!(mode.request_body_mode != BodySendMode::FullDuplexStreamed
            || mode.request_trailer_mode == HeaderSendMode::Send || !trailers[0]);
        prop_assume!(mode.response_body_mode != BodySendMode::FullDuplexStreamed
            || mode.response_trailer_mode == HeaderSendMode::Send || !trailers[1]);
        let mut player = Player::new(World::new(plan));
        let mut answered = 0;
        let mut schedule = schedule.into_iter().cycle();
        let mut events: Vec<Op> = vec![Op::Headers(Direction::Request, false), Op::Headers(Direction::Response, false)];
        events.extend(lengths.into_iter().map(|(direction, length)| Op::Data(direction, length, false)));
        for (direction, trailers) in [Direction::Request, Direction::Response].into_iter().zip(trailers) {
            events.push(if trailers { Op::Trailers(direction) } else { Op::Data(direction, 0, true) });
        }
        for event in events {
            player.apply(&event);
            if schedule.next().unwrap_or_default() && !observability {
                answered = answer_all(&mut player.world, answered);
            }
        }
        if !observability {
            answer_all(&mut player.world, answered);
        }
        prop_assert_eq!(&player.world.reply, &None);
        player.check_order();
        for (direction, out) in
            [(Direction::Request, &player.world.request), (Direction::Response, &player.world.response)]
        {
            prop_assert_eq!(player.world.body(direction), player.input[direction as usize].clone());
            let ended = matches!(out.last(), Some(Out::Data { end_stream: true, .. } | Out::Trailers));
            prop_assert!(ended, "not ended: {:?}", out);
        }
    }

    /// Fail open before FULL_DUPLEX_STREAMED data was given away loses nothing, whenever the stream breaks.
    #[test]
    fn fail_open_loses_nothing(
        mut plan in plans(),
        lengths in proptest::collection::vec(0..40_u8, 0..10),
        break_at in 0_usize..12,
        orderly in any::<bool>(),
        schedule in proptest::collection::vec(any::<bool>(), 16),
    ) {
        prop_assume!(plan.processing_mode.request_body_mode != BodySendMode::FullDuplexStreamed);
        plan.failure_mode_allow = true;
        plan.observability_mode = false;
        let mut player = Player::new(World::new(plan));
        let mut answered = 0;
        let mut events = vec![Op::Headers(Direction::Request, false)];
        events.extend(lengths.into_iter().map(|length| Op::Data(Direction::Request, length, false)));
        events.push(Op::Data(Direction::Request, 0, true));
        for (index, event) in events.iter().enumerate() {
            if index == break_at {
                player.apply(&Op::StreamEnd(orderly));
            }
            player.apply(event);
            if schedule[index % schedule.len()] && player.world.closed.is_none() && index < break_at {
                answered = answer_all(&mut player.world, answered);
            }
        }
        // What is still owed is late now.
        player.world.pass(Duration::from_secs(1));
        player.world.pass(Duration::from_secs(1));
        prop_assert_eq!(player.world.body(Direction::Request), player.input[0].clone());
        let ended = matches!(player.world.request.last(), Some(Out::Data { end_stream: true, .. }));
        prop_assert!(ended);
    }
}

/// Answers every message not yet answered without changing anything.
fn answer_all(world: &mut World, mut answered: usize) -> usize {
    while answered < world.sent.len() && world.closed.is_none() {
        use processing_request::Request;
        let echo = |direction, body: &messages::HttpBody, world: &World| {
            let duplex = match direction {
                Direction::Request => world.exchange.plan().processing_mode.request_body_mode,
                Direction::Response => world.exchange.plan().processing_mode.response_body_mode,
            } == BodySendMode::FullDuplexStreamed;
            if duplex {
                duplex_reply(direction, &body.body, body.end_of_stream)
            } else {
                body_reply(direction, None)
            }
        };
        let reply = match world.sent[answered].request.clone() {
            Some(Request::RequestHeaders(_)) => continue_headers(Direction::Request),
            Some(Request::ResponseHeaders(_)) => continue_headers(Direction::Response),
            Some(Request::RequestBody(body)) => echo(Direction::Request, &body, world),
            Some(Request::ResponseBody(body)) => echo(Direction::Response, &body, world),
            Some(Request::RequestTrailers(_)) => trailers_reply(Direction::Request),
            Some(Request::ResponseTrailers(_)) => trailers_reply(Direction::Response),
            None => unreachable!("own message"),
        };
        answered += 1;
        world.answer(reply);
    }
    answered
}
