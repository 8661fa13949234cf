//! What holds with processors that keep to the protocol: nothing waits without end, nothing is lost, and late replies harm
//! nobody, whatever overrides, schedules and limits there are.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;

use crate::sim::{
    Out, World, body_reply, continue_headers, duplex_reply, headers_reply, plan, trailers_reply,
};
use crate::{
    BodySendMode, Direction, HeaderSendMode, Plan, ProcessingMode,
    exchange::{
        StreamEnd,
        side::{End, Out as Passed, Phase},
    },
    messages::{
        self, BodyMutation, CommonResponse, HeaderMutation, HeaderValueOption, HttpHeaders,
        ImmediateResponse, ProcessingResponse, StreamedBodyResponse, StreamedImmediateResponse,
        body_mutation::Mutation, common_response::CONTINUE_AND_REPLACE, processing_request::Request,
        processing_response::Response, streamed_immediate_response,
    },
};

const DIRECTIONS: [Direction; 2] = [Direction::Request, Direction::Response];
const MODES: [BodySendMode; 6] = [
    BodySendMode::None,
    BodySendMode::Streamed,
    BodySendMode::Buffered,
    BodySendMode::BufferedPartial,
    BodySendMode::FullDuplexStreamed,
    BodySendMode::Grpc,
];

/// A message that the processor has not answered.
#[derive(Debug, Clone)]
struct Unanswered {
    direction: Direction,
    part: Part,
}

#[derive(Debug, Clone)]
enum Part {
    Headers,
    Body(Bytes, bool),
    Trailers,
}

/// What a processor does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Changes nothing.
    Identity,
    /// Anything that is allowed.
    Any,
}

/// How far a source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Headers,
    Body,
    Ended,
}

/// An exchange between sources that stop when they are told to, and a processor that keeps to the protocol.
struct Game {
    world: World,
    manner: Manner,
    unanswered: VecDeque<Unanswered>,
    /// How many of the messages sent were taken note of.
    seen: usize,
    sources: [Source; 2],
    trailers: [bool; 2],
    pieces: [u8; 2],
    input: [Vec<u8>; 2],
    /// An override was asked for, so modes may be any.
    overridden: bool,
    /// The processor gives the response itself.
    replying: bool,
    /// A response of ours stands for the upstream's.
    answered_locally: bool,
    illegal: bool,
    /// The processor has ended its stream.
    gone: bool,
    /// A response of ours went straight to the client, because the upstream's was on its way already.
    cut_off: bool,
}

impl Game {
    fn new(world: World, manner: Manner, trailers: [bool; 2], pieces: [u8; 2]) -> Self {
        Self {
            world,
            manner,
            unanswered: VecDeque::new(),
            seen: 0,
            sources: [Source::Headers; 2],
            trailers,
            pieces,
            input: [Vec::new(), Vec::new()],
            overridden: false,
            replying: false,
            answered_locally: false,
            illegal: false,
            gone: false,
            cut_off: false,
        }
    }

    fn over(&self) -> bool {
        self.world.reply.is_some() || self.world.too_large == Some(Direction::Response) || self.cut_off
    }

    /// One step: of a source, or of the processor.
    fn step(&mut self, choice: u16) {
        match choice % 8 {
            0..=2 => self.feed(Direction::Request, choice / 8),
            3 | 4 => self.feed(Direction::Response, choice / 8),
            _ => self.answer(choice / 8),
        };
        self.after();
    }

    fn after(&mut self) {
        self.listen();
        if self.world.too_large == Some(Direction::Request) && !self.answered_locally && !self.over() {
            if self.sources[1] != Source::Headers {
                self.cut_off = true;
                return;
            }
            // The 413 takes the place of the upstream's response.
            self.answered_locally = true;
            self.sources = [Source::Ended, Source::Body];
            self.trailers[1] = false;
            self.world.headers(Direction::Response, false);
            self.listen();
        }
        self.check();
    }

    /// Takes note of new messages.
    fn listen(&mut self) {
        for message in &self.world.sent[self.seen..] {
            let (direction, part) = match message.request.clone() {
                Some(Request::RequestHeaders(_)) => (Direction::Request, Part::Headers),
                Some(Request::ResponseHeaders(_)) => (Direction::Response, Part::Headers),
                Some(Request::RequestBody(body)) => {
                    (Direction::Request, Part::Body(body.body, body.end_of_stream))
                }
                Some(Request::ResponseBody(body)) => {
                    (Direction::Response, Part::Body(body.body, body.end_of_stream))
                }
                Some(Request::RequestTrailers(_)) => (Direction::Request, Part::Trailers),
                Some(Request::ResponseTrailers(_)) => (Direction::Response, Part::Trailers),
                None => continue,
            };
            self.unanswered.push_back(Unanswered { direction, part });
        }
        self.seen = self.world.sent.len();
    }

    /// The next part of a message, if it may come.
    fn feed(&mut self, direction: Direction, choice: u16) -> bool {
        let index = direction as usize;
        if self.over() || (direction == Direction::Response && self.replying) {
            return false;
        }
        match self.sources[index] {
            Source::Headers => {
                // An upstream answers only what it was asked.
                if direction == Direction::Response && self.world.request.is_empty() {
                    return false;
                }
                let end_stream = self.pieces[index] == 0 && !self.trailers[index];
                self.sources[index] = if end_stream { Source::Ended } else { Source::Body };
                self.world.headers(direction, end_stream);
                true
            }
            Source::Body if !self.world.exchange.wants(direction) => false,
            Source::Body if self.pieces[index] == 0 => {
                self.sources[index] = Source::Ended;
                if self.trailers[index] {
                    self.world.trailers(direction);
                } else {
                    self.world.piece(direction, Bytes::new(), true);
                }
                true
            }
            Source::Body => {
                self.pieces[index] -= 1;
                let length = usize::from(choice % 40) + 1;
                let data: Vec<u8> = (0..length).map(|byte| b'a' + (byte % 26) as u8).collect();
                self.input[index].extend_from_slice(&data);
                self.world.piece(direction, data.into(), false);
                true
            }
            Source::Ended => false,
        }
    }

    /// The processor answers what it was asked first, in one of the directions.
    fn answer(&mut self, choice: u16) -> bool {
        if self.over() || self.gone || self.world.closed.is_some() {
            return false;
        }
        if self.replying {
            return self.go_on_replying(choice);
        }
        let wanted = DIRECTIONS[usize::from(choice % 2)];
        let found = self
            .unanswered
            .iter()
            .position(|message| message.direction == wanted)
            .or_else(|| (!self.unanswered.is_empty()).then_some(0));
        let Some(message) = found.and_then(|index| self.unanswered.remove(index)) else { return false };
        let choice = choice / 2;
        let reply = match message.part {
            Part::Headers => return self.answer_headers(message.direction, choice),
            Part::Body(data, end) => return self.answer_body(message.direction, &data, end, choice),
            Part::Trailers => trailers_reply(message.direction),
        };
        self.world.answer(reply);
        true
    }

    fn answer_headers(&mut self, direction: Direction, choice: u16) -> bool {
        let mode_override = (choice.is_multiple_of(3)).then(|| override_of(choice / 3));
        self.overridden |= mode_override.is_some();
        let response = match (self.manner, choice % 11) {
            (Manner::Any, 1) => {
                let body = Mutation::Body(Bytes::from_static(b"replaced"));
                headers_reply(
                    direction,
                    CommonResponse {
                        status: CONTINUE_AND_REPLACE,
                        body_mutation: Some(BodyMutation { mutation: Some(body) }),
                        ..Default::default()
                    },
                )
            }
            (Manner::Any, 2) => {
                self.world.message(&ProcessingResponse {
                    response: Some(Response::ImmediateResponse(ImmediateResponse::default())),
                    ..Default::default()
                });
                return true;
            }
            (Manner::Any, 3) if direction == Direction::Request && self.may_reply() => {
                self.replying = true;
                self.world.answer(streamed_head());
                return true;
            }
            (Manner::Any, 4) => headers_reply(
                direction,
                CommonResponse { header_mutation: Some(mutation()), ..Default::default() },
            ),
            _ => continue_headers(direction),
        };
        self.world.message(&ProcessingResponse {
            response: Some(response),
            mode_override,
            ..Default::default()
        });
        true
    }

    /// Whether the processor may give the response itself, piece by piece (S-4), before the upstream does.
    fn may_reply(&self) -> bool {
        let mode = self.world.exchange.side(Direction::Request).line.mode.body;
        matches!(mode, BodySendMode::None | BodySendMode::FullDuplexStreamed) && !self.answered_locally
    }

    fn go_on_replying(&mut self, choice: u16) -> bool {
        self.unanswered.clear();
        let end_of_stream = choice % 4 <= 1;
        let piece =
            StreamedBodyResponse { body: Bytes::from_static(b"own"), end_of_stream, ..Default::default() };
        let response = Some(streamed_immediate_response::Response::BodyResponse(piece));
        self.world.answer(Response::StreamedImmediateResponse(StreamedImmediateResponse { response }));
        true
    }

    fn answer_body(&mut self, direction: Direction, data: &Bytes, end: bool, choice: u16) -> bool {
        let side = self.world.exchange.side(direction);
        if side.line.mode.is_duplex() {
            if side.phase.drops_rest() {
                // What comes behind an end of its own is not answered.
                return true;
            }
            let half = data.len() / 2;
            if half > 0 && choice.is_multiple_of(2) {
                self.world.answer(duplex_reply(direction, &data[..half], false));
                self.world.answer(duplex_reply(direction, &data[half..], end));
            } else {
                let early = self.manner == Manner::Any && choice % 13 == 1;
                self.world.answer(duplex_reply(direction, data, end || early));
            }
            return true;
        }
        let mutation = match (self.manner, choice % 5) {
            (Manner::Any, 0) => Some(Mutation::ClearBody(true)),
            (Manner::Any, 1) => Some(Mutation::Body(Bytes::from_static(b"changed"))),
            _ => None,
        };
        self.world.answer(body_reply(direction, mutation));
        true
    }

    /// A message that does not belong here.
    fn misbehave(&mut self, choice: u16) {
        if self.over() || self.gone || self.world.opened == 0 || self.world.closed.is_some() {
            return;
        }
        self.illegal = true;
        let direction = DIRECTIONS[usize::from(choice % 2)];
        match choice / 2 % 5 {
            0 => self.world.answer(continue_headers(direction)),
            1 => self.world.answer(body_reply(direction, None)),
            2 => self.world.answer(trailers_reply(direction)),
            3 => self.world.message(&ProcessingResponse::default()),
            _ => {
                self.gone = true;
                let now = self.world.now;
                self.world.exchange.handle_stream_end(StreamEnd::Ok, now);
                self.world.drain();
            }
        }
        self.after();
    }

    /// Liveness at any moment: who gives no room waits for the processor, and who waits has a deadline, but for
    /// FULL_DUPLEX_STREAMED (B-6.10).
    fn check(&self) {
        if self.over() {
            return;
        }
        let exchange = &self.world.exchange;
        for direction in DIRECTIONS {
            let side = exchange.side(direction);
            let awaited = side.awaits_reply();
            if !exchange.wants(direction) {
                assert!(awaited, "{direction:?} is paused and waits for nothing: {side:?}");
            }
            if !exchange.is_complete() && !self.replying && awaited && !side.line.mode.is_duplex() {
                assert!(
                    side.line.timer.deadline().is_some(),
                    "{direction:?} waits without a deadline: {side:?}"
                );
            }
            assert!(
                exchange.is_complete() || side.phase.put_off().is_none() || side.phase.has_outstanding(),
                "{direction:?} puts off a mode for nothing: {side:?}"
            );
            // What has arrived as a whole, and is with nobody, has gone on.
            let arrived = side.line.end != End::Open
                && !awaited
                && !matches!(side.phase, Phase::TooLarge)
                && !self.replying;
            assert!(
                !arrived || side.line.out == Passed::All,
                "{direction:?} holds a whole message back: {side:?}"
            );
        }
    }

    /// Lets everything come to its end: sources while there is room, replies in order.
    fn finish(&mut self) {
        for round in 0..2_000_u16 {
            let mut progress = false;
            for direction in DIRECTIONS {
                progress |= self.feed(direction, round);
                self.after();
            }
            // Plain replies from here on, of either direction.
            let plain = if self.replying { 0 } else { 10 + 330 * 2 * 5 };
            progress |= self.answer(plain + round % 2);
            self.after();
            if self.over() || !progress {
                return;
            }
        }
        panic!("never comes to an end");
    }

    fn ended(&self, direction: Direction) -> bool {
        let out = match direction {
            Direction::Request => &self.world.request,
            Direction::Response => &self.world.response,
        };
        let ends = |part: &Out| {
            matches!(
                part,
                Out::Headers { end_stream: true } | Out::Data { end_stream: true, .. } | Out::Trailers
            )
        };
        assert!(out.iter().rev().skip(1).all(|part| !ends(part)), "something behind the end: {out:?}");
        out.last().is_some_and(ends)
    }
}

fn override_of(choice: u16) -> messages::ProcessingMode {
    let mode = |choice: u16| MODES[usize::from(choice) % MODES.len()];
    let (request, response) = (mode(choice), mode(choice / 6));
    // O-7: without the trailers a processor could not know the end.
    let trailers = |body, choice: u16| match body {
        BodySendMode::FullDuplexStreamed => HeaderSendMode::Send as i32,
        _ => i32::from(choice % 3),
    };
    messages::ProcessingMode {
        request_body_mode: request as i32,
        response_body_mode: response as i32,
        request_trailer_mode: trailers(request, choice / 36),
        response_trailer_mode: trailers(response, choice / 108),
        ..Default::default()
    }
}

fn mutation() -> HeaderMutation {
    let header = messages::HeaderValue {
        key: "x-processor".into(),
        raw_value: Bytes::from_static(b"here"),
        ..Default::default()
    };
    HeaderMutation {
        set_headers: vec![HeaderValueOption { header: Some(header), ..Default::default() }],
        ..Default::default()
    }
}

fn streamed_head() -> Response {
    let status = messages::HeaderValue {
        key: ":status".into(),
        raw_value: Bytes::from_static(b"200"),
        ..Default::default()
    };
    let head =
        HttpHeaders { headers: Some(messages::HeaderMap { headers: vec![status] }), ..Default::default() };
    let response = Some(streamed_immediate_response::Response::HeadersResponse(head));
    Response::StreamedImmediateResponse(StreamedImmediateResponse { response })
}

fn header_mode() -> impl Strategy<Value = HeaderSendMode> {
    prop_oneof![3 => Just(HeaderSendMode::Send), 1 => Just(HeaderSendMode::Skip)]
}

fn body_mode() -> impl Strategy<Value = BodySendMode> {
    (0..MODES.len()).prop_map(|index| MODES[index])
}

fn modes() -> impl Strategy<Value = ProcessingMode> {
    (header_mode(), header_mode(), body_mode(), body_mode(), header_mode(), header_mode()).prop_map(
        |(request, response, request_body, response_body, request_trailers, response_trailers)| {
            let trailers = |body, trailers| match body {
                BodySendMode::FullDuplexStreamed => HeaderSendMode::Send,
                _ => trailers,
            };
            ProcessingMode {
                request_header_mode: request,
                response_header_mode: response,
                request_body_mode: request_body,
                response_body_mode: response_body,
                request_trailer_mode: trailers(request_body, request_trailers),
                response_trailer_mode: trailers(response_body, response_trailers),
            }
        },
    )
}

fn plans() -> impl Strategy<Value = Plan> {
    (modes(), any::<[bool; 4]>()).prop_map(|(mode, flags)| Plan {
        allow_mode_override: true,
        failure_mode_allow: flags[0],
        send_body_without_waiting_for_header_response: flags[1] && flags[2],
        graceful_grpc_close: flags[3],
        ..plan(mode)
    })
}

fn game(
    plan: Plan,
    manner: Manner,
    limit: usize,
    upgrade: bool,
    (trailers, pieces): ([bool; 2], [u8; 2]),
) -> Game {
    let mut world = World::new(plan);
    world.transaction.limit = limit;
    world.transaction.upgrade = upgrade;
    Game::new(world, manner, trailers, pieces)
}

fn sources() -> impl Strategy<Value = ([bool; 2], [u8; 2])> {
    (any::<[bool; 2]>(), [0_u8..8, 0_u8..8])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// Whatever is said legally, and now and then illegally: nothing waits for nothing, nobody waits without a deadline, and
    /// when the processor falls silent everything ends but what FULL_DUPLEX_STREAMED lets wait.
    #[test]
    fn everything_ends(
        plan in plans(),
        limit in prop_oneof![Just(1_usize << 20), 1_usize..120],
        upgrade in proptest::bool::weighted(0.1),
        sources in sources(),
        steps in proptest::collection::vec(any::<u16>(), 0..60),
        illegal in proptest::option::weighted(0.3, (any::<u16>(), 0_usize..60)),
        silent in any::<bool>(),
    ) {
        let mut game = game(plan, Manner::Any, limit, upgrade, sources);
        for (index, step) in steps.iter().enumerate() {
            if let Some((choice, _)) = illegal.filter(|(_, at)| *at == index) {
                game.misbehave(choice);
            }
            game.step(*step);
        }
        if silent {
            game.world.pass(Duration::from_secs(10));
            if !game.over() && !game.replying {
                for direction in DIRECTIONS {
                    let side = game.world.exchange.side(direction);
                    let waits = side.phase.awaited().is_some() || side.phase.has_outstanding();
                    prop_assert!(!waits || side.line.mode.is_duplex(), "{:?} still waits: {:?}", direction, side);
                }
            }
        } else {
            game.finish();
            let spoiled = game.over() || game.replying || game.world.closed.is_some() || game.illegal;
            for direction in DIRECTIONS {
                let side = game.world.exchange.side(direction);
                if !spoiled && side.line.end != End::Open && !matches!(side.phase, Phase::TooLarge) {
                    prop_assert!(game.ended(direction), "{:?} has not ended: {:?}", direction, side);
                }
            }
        }
        game.world.exchange.handle_end();
        game.world.drain();
        prop_assert!(game.world.exchange.is_complete());
        prop_assert!(game.world.exchange.poll_timeout().is_none());
    }

    /// A processor that changes nothing changes nothing, whatever modes it asks for on the way.
    #[test]
    fn no_byte_is_lost(
        plan in plans(),
        limit in prop_oneof![Just(1_usize << 20), 1_usize..120],
        sources in sources(),
        steps in proptest::collection::vec(any::<u16>(), 0..60),
    ) {
        let mut game = game(plan, Manner::Identity, limit, false, sources);
        for step in &steps {
            game.step(*step);
        }
        game.finish();
        prop_assert_eq!(&game.world.reply, &None);
        if game.world.too_large.is_some() {
            return Ok(());
        }
        for direction in DIRECTIONS {
            if game.sources[direction as usize] == Source::Ended {
                prop_assert_eq!(game.world.body(direction), game.input[direction as usize].clone());
                prop_assert!(game.ended(direction), "{:?} has not ended", direction);
            }
        }
        prop_assert!(game.sources == [Source::Ended; 2], "stuck: {:?}", game.sources);
    }

    /// A request that is too large is answered with 413, in whatever order the processor replies to what it was shown.
    #[test]
    fn late_replies_leave_the_413(
        modes in modes(),
        response_trailers in any::<bool>(),
        pieces in 3_u8..8,
        steps in proptest::collection::vec(any::<u16>(), 0..40),
    ) {
        let mode = ProcessingMode {
            request_header_mode: HeaderSendMode::Send,
            request_body_mode: BodySendMode::Buffered,
            ..modes
        };
        let plan = plan(mode);
        let mut game = game(plan, Manner::Identity, 1, false, ([false, response_trailers], [pieces, 2]));
        game.feed(Direction::Request, 0);
        game.feed(Direction::Request, 7);
        game.after();
        prop_assert_eq!(game.world.too_large, Some(Direction::Request));
        // The 413 itself is small.
        game.world.transaction.limit = 1 << 20;
        for step in &steps {
            game.step(*step);
        }
        game.finish();
        prop_assert_eq!(&game.world.reply, &None);
        prop_assert_eq!(&game.world.request, &vec![]);
        prop_assert!(game.ended(Direction::Response), "{:?}", game.world.response);
        prop_assert_eq!(game.world.body(Direction::Response), game.input[1].clone());
    }
}
