//! An exchange against a session: what the handler says is what comes out.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::{reply::set_length, *};
use crate::{
    HeaderSendMode, Plan, ProcessingMode,
    lint::{Lint, Rule},
    messages::ImmediateResponse,
    sim::{Fed, Out, Source, Sources, World, bodies, mode, plan},
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

/// What a handler does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Pass,
    PassBody,
    Replace,
    /// Reads all of it, then writes.
    Whole,
    /// Writes each piece as it comes.
    Pieces,
}

#[derive(Debug, Clone)]
struct Handler {
    deeds: [Deed; 2],
    /// Answers the headers behind the body, where that is possible.
    late: bool,
    /// Modes that it asks for.
    modes: [Option<messages::ProcessingMode>; 2],
    awaits_body: [bool; 2],
    replaced: [bool; 2],
    /// Body bytes that it was shown and has not written.
    read: [Vec<u8>; 2],
    shown: [usize; 2],
    said: [Vec<u8>; 2],
}

impl Handler {
    fn rewrites(&self, direction: Direction) -> bool {
        matches!(self.deeds[direction as usize], Deed::Whole | Deed::Pieces)
    }

    fn rest(&self, direction: Direction) -> Rest {
        match self.deeds[direction as usize] {
            Deed::Pass | Deed::Replace => Rest::Pass,
            Deed::PassBody => Rest::PassBody,
            Deed::Whole | Deed::Pieces => Rest::Rewrite,
        }
    }

    /// Takes the next best of what is possible.
    fn proceed(&mut self, session: &mut Session, direction: Direction) {
        let modes = self.modes[direction as usize];
        let head = Head { modes, reroute: direction == Direction::Request, ..Head::default() };
        if session.proceed(direction, head, self.rest(direction)).is_ok() {
            return;
        }
        if session.proceed(direction, Head::default(), self.rest(direction)).is_err() {
            self.deeds[direction as usize] = Deed::Pass;
            session.proceed(direction, Head::default(), Rest::Pass).expect("always possible");
        }
    }

    fn say(&mut self, session: &mut Session, direction: Direction, data: Vec<u8>) {
        if session.write(direction, Bytes::from(data.clone())).is_ok() {
            self.said[direction as usize].extend(data);
        }
    }

    /// The body has ended as far as it is shown.
    fn complete(&mut self, session: &mut Session, direction: Direction) {
        let mut rest = std::mem::take(&mut self.read[direction as usize]);
        rest.make_ascii_uppercase();
        rest.push(b'!');
        self.say(session, direction, rest);
        session.finish(direction);
        if std::mem::take(&mut self.awaits_body[direction as usize]) {
            self.proceed(session, direction);
        }
    }

    fn handle(&mut self, session: &mut Session, event: Event) {
        match event {
            Event::Headers { direction, .. } if self.deeds[direction as usize] == Deed::Replace => {
                self.replaced[direction as usize] = true;
                let body = Bytes::from_static(b"replaced");
                session.replace(direction, Head::default(), body).expect("before the answer");
            }
            Event::Headers { direction, end_stream, .. } => {
                let duplex = session.mode(direction) == Some(BodySendMode::FullDuplexStreamed);
                if self.late && duplex && self.rewrites(direction) && !end_stream {
                    self.awaits_body[direction as usize] = true;
                    session.decide(direction, Rest::Rewrite).expect("bodies are shown");
                } else {
                    self.proceed(session, direction);
                }
            }
            Event::Undecided { direction } => {
                if session.decide(direction, self.rest(direction)).is_err() {
                    self.deeds[direction as usize] = Deed::Pass;
                    session.decide(direction, Rest::Pass).expect("always possible");
                }
            }
            Event::Data { direction, mut data } => {
                self.shown[direction as usize] += data.len();
                if self.deeds[direction as usize] == Deed::Whole {
                    self.read[direction as usize].extend_from_slice(&data);
                } else {
                    let mut copy = std::mem::take(&mut data).to_vec();
                    copy.make_ascii_uppercase();
                    self.say(session, direction, copy);
                }
                session.next(direction);
            }
            Event::End { direction } | Event::Cut { direction } => self.complete(session, direction),
            Event::Trailers { direction, .. } => {
                self.complete(session, direction);
                session.trailers(direction, None);
            }
        }
    }
}

struct Game {
    world: World,
    session: Session,
    lint: Lint,
    handler: Handler,
    sources: Sources,
    input: [Vec<u8>; 2],
    /// The gateway does not say its modes.
    silent: bool,
    received: usize,
    replies: VecDeque<ProcessingResponse>,
}

impl Game {
    fn step(&mut self, choice: u16) -> bool {
        match choice % 6 {
            0 => self.sources.feed(&mut self.world, Direction::Request) == Fed::Part,
            1 => self.sources.feed(&mut self.world, Direction::Response) == Fed::Part,
            2 => {
                let Some(message) = self.world.sent.get(self.received) else { return false };
                self.received += 1;
                let mut message = message.clone();
                self.lint.sent(&message);
                if self.silent {
                    message.protocol_config = None;
                }
                self.session.receive(message);
                true
            }
            3 => {
                let Some(event) = self.session.poll_event() else { return false };
                self.handler.handle(&mut self.session, event);
                true
            }
            4 => {
                let Some(reply) = self.session.poll_response() else { return false };
                let mut found = self.lint.received(&reply);
                // Who does not know the mode announces the length of each piece.
                found.retain(|finding| !self.silent || finding.rule != Rule::LateHeaders);
                assert_eq!(found, [], "{reply:?}");
                self.replies.push_back(reply);
                true
            }
            _ => {
                let Some(reply) = self.replies.pop_front() else { return false };
                if self.world.is_open() {
                    self.world.message(&reply);
                }
                true
            }
        }
    }

    /// Everything comes to its end.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            if !(0..6).fold(false, |progress, choice| self.step(choice) | progress) {
                return;
            }
        }
        panic!("never comes to an end");
    }

    fn check(&self) {
        assert_eq!(self.world.reply, None, "failed: {:?}", self.world.failed);
        assert!(self.world.failed.is_empty() && self.world.ignored.is_empty());
        if self.world.too_large.is_some() {
            return;
        }
        assert!(self.sources.have_ended(), "stuck: {:?}", self.sources);
        assert!(!self.world.is_open() || !self.session.owes(), "owes: {:?}", self.session);
        assert!(!self.world.exchange.awaits_processor());
        let unsaid = if self.world.is_open() { self.lint.clone().ended() } else { Vec::new() };
        assert_eq!(unsaid, []);
        for direction in DIRECTIONS {
            let index = direction as usize;
            let out = match direction {
                Direction::Request => &self.world.request,
                Direction::Response => &self.world.response,
            };
            assert!(out.last().is_some_and(Out::ends), "{direction:?} has not ended: {out:?}");
            let expected = match self.handler.replaced[index] {
                true => b"replaced".to_vec(),
                false => {
                    [&self.handler.said[index][..], &self.input[index][self.handler.shown[index]..]].concat()
                }
            };
            let body = self.world.body(direction);
            assert_eq!(body, expected, "{direction:?}");
        }
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        1 => Just(Deed::Pass),
        1 => Just(Deed::PassBody),
        1 => Just(Deed::Replace),
        2 => Just(Deed::Whole),
        2 => Just(Deed::Pieces),
    ]
}

fn modes() -> impl Strategy<Value = ProcessingMode> {
    let header = || prop_oneof![3 => Just(HeaderSendMode::Send), 1 => Just(HeaderSendMode::Skip)];
    let body = || (0..MODES.len()).prop_map(|index| MODES[index]);
    ([header(), header(), header(), header()], [body(), body()]).prop_map(|(headers, bodies)| {
        let [request_header_mode, response_header_mode, request_trailers, response_trailers] = headers;
        let [request_body_mode, response_body_mode] = bodies;
        // O-7: without the trailers a processor could not know the end.
        let trailers = |body, trailers| match body {
            BodySendMode::FullDuplexStreamed => HeaderSendMode::Send,
            _ => trailers,
        };
        ProcessingMode {
            request_header_mode,
            response_header_mode,
            request_body_mode,
            response_body_mode,
            request_trailer_mode: trailers(request_body_mode, request_trailers),
            response_trailer_mode: trailers(response_body_mode, response_trailers),
        }
    })
}

fn source() -> impl Strategy<Value = Source> {
    (proptest::collection::vec(1_usize..50, 0..6), any::<bool>(), any::<bool>()).prop_map(
        |(lengths, trailers, ends_with_piece)| {
            let mut letters = (b'a'..=b'z').cycle();
            let mut piece = |length| Bytes::from(letters.by_ref().take(length).collect::<Vec<_>>());
            let mut source = Source::new(lengths.into_iter().map(&mut piece), trailers);
            source.ends_with_piece = ends_with_piece;
            source
        },
    )
}

/// `PROPTEST_CASES` says another number.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig { cases: 4096, ..default },
    }
}

proptest! {
    #![proptest_config(config())]

    /// Any modes, any cut, any schedule, any handler: what the handler said is what comes out. Nothing is spurious, no byte is
    /// lost, and nothing waits without end.
    #[test]
    fn what_is_said_comes_out(
        modes in modes(),
        asked in [proptest::option::weighted(0.2, modes()), proptest::option::weighted(0.2, modes())],
        deeds in [deed(), deed()],
        flags in any::<[bool; 4]>(),
        request in source(),
        response in source(),
        limit in prop_oneof![Just(1_usize << 20), 20_usize..120],
        length in any::<bool>(),
        steps in proptest::collection::vec(any::<u16>(), 0..120),
    ) {
        let [late, silent, early, keeps_length] = flags;
        let duplex = BodySendMode::FullDuplexStreamed;
        // A gateway that says no modes knows no full duplex, either.
        let silent = silent && modes.request_body_mode != duplex && modes.response_body_mode != duplex;
        let asked = if silent { [None, None] } else { asked };
        let plan = Plan {
            allow_mode_override: true,
            send_body_without_waiting_for_header_response: early && late,
            allow_content_length_header: keeps_length && late,
            ..plan(modes)
        };
        let input = [&request, &response].map(|source| source.pieces.iter().flatten().copied().collect());
        let lint = Lint::new(&plan);
        let mut world = World::new(plan);
        world.transaction.limit = limit;
        if length {
            let text = request.pieces.iter().map(Bytes::len).sum::<usize>().to_string();
            let value = text.parse().expect("a number");
            world.transaction.messages.request.fields.insert("content-length", value);
        }
        let mut game = Game {
            world,
            session: Session::new(),
            lint,
            handler: Handler {
                deeds,
                late,
                modes: asked.map(|modes| modes.map(Into::into)),
                awaits_body: [false; 2],
                replaced: [false; 2],
                read: [Vec::new(), Vec::new()],
                shown: [0; 2],
                said: [Vec::new(), Vec::new()],
            },
            sources: Sources { request, response },
            input,
            silent,
            received: 0,
            replies: VecDeque::new(),
        };
        for step in steps {
            game.step(step);
        }
        game.finish();
        game.check();
    }
}

/// Hands over what the gateway has sent.
fn deliver(world: &mut World, session: &mut Session) -> Vec<Event> {
    world.sent.drain(..).for_each(|message| session.receive(message));
    std::iter::from_fn(|| session.poll_event()).collect()
}

fn reply(world: &mut World, session: &mut Session) {
    while let Some(message) = session.poll_response() {
        world.message(&message);
    }
}

/// A request with a body whose headers the handler was shown.
fn begun(body: BodySendMode) -> (World, Session) {
    let mut world = World::with_mode(bodies(body));
    let mut session = Session::new();
    world.headers(Direction::Request, false);
    deliver(&mut world, &mut session);
    (world, session)
}

#[test]
fn what_a_mode_does_not_show_cannot_be_read() {
    let (_, mut session) = begun(BodySendMode::None);
    let error = session.proceed(Direction::Request, Head::default(), Rest::Rewrite).expect_err("no body");
    assert_eq!(
        error.to_string(),
        "cannot read the body in body mode NONE; it takes request_body_mode: BUFFERED"
    );
    // Nothing was said, so the handler may say something else.
    assert_eq!(session.poll_response(), None);
    session.proceed(Direction::Request, Head::default(), Rest::Pass).expect("possible");
    assert!(session.poll_response().is_some() && !session.owes());
}

#[test]
fn headers_change_behind_a_collected_body_only() {
    for (body, possible) in [(BodySendMode::Buffered, true), (BodySendMode::Streamed, false)] {
        let (mut world, mut session) = begun(body);
        session.proceed(Direction::Request, Head::default(), Rest::Rewrite).expect("shown");
        reply(&mut world, &mut session);
        world.data(Direction::Request, b"body", true);
        deliver(&mut world, &mut session);
        let mut mutation = HeaderMutation::default();
        set_length(&mut mutation, 3);
        let changed = session.change_headers(Direction::Request, mutation);
        assert_eq!(changed.is_ok(), possible, "{changed:?}");
        session.write(Direction::Request, Bytes::from_static(b"new")).expect("a piece is open");
        session.finish(Direction::Request);
        reply(&mut world, &mut session);
        assert_eq!(world.body(Direction::Request), b"new");
        let fields = &world.transaction.messages.request.fields;
        assert_eq!(fields.get("content-length").is_some(), possible);
    }
}

/// In STREAMED the last piece is gone when trailers end the body: what was held back cannot be sent, and that is said.
#[test]
fn nothing_is_written_behind_the_last_piece() {
    let (mut world, mut session) = begun(BodySendMode::Streamed);
    session.proceed(Direction::Request, Head::default(), Rest::Rewrite).expect("shown");
    reply(&mut world, &mut session);
    world.data(Direction::Request, b"body", false);
    deliver(&mut world, &mut session);
    session.next(Direction::Request);
    reply(&mut world, &mut session);
    world.trailers(Direction::Request);
    assert!(matches!(deliver(&mut world, &mut session)[..], [Event::Trailers { .. }]));
    let error = session.write(Direction::Request, Bytes::from_static(b"late")).expect_err("too late");
    assert!(error.to_string().ends_with("it takes FULL_DUPLEX_STREAMED and a message with a body"));
}

#[test]
fn a_new_length_is_announced() {
    let mut world = World::with_mode(bodies(BodySendMode::Buffered));
    world.transaction.messages.request.fields.insert("content-length", "4".parse().expect("a value"));
    let mut session = Session::new();
    world.headers(Direction::Request, false);
    deliver(&mut world, &mut session);
    session.proceed(Direction::Request, Head::default(), Rest::Rewrite).expect("shown");
    reply(&mut world, &mut session);
    world.data(Direction::Request, b"body", true);
    deliver(&mut world, &mut session);
    session.write(Direction::Request, Bytes::from_static(b"another one")).expect("a piece is open");
    session.finish(Direction::Request);
    reply(&mut world, &mut session);
    assert_eq!(world.reply, None);
    assert_eq!(world.transaction.messages.request.fields["content-length"], "11");
}

#[test]
fn copies_are_not_answered() {
    let plan = Plan { observability_mode: true, ..plan(mode(|_| {})) };
    let mut world = World::new(plan);
    let mut session = Session::new();
    world.headers(Direction::Request, true);
    deliver(&mut world, &mut session);
    session.proceed(Direction::Request, Head::default(), Rest::Pass).expect("possible");
    assert!(session.is_observed() && session.poll_response().is_none() && !session.owes());
}

#[test]
fn an_immediate_response_is_the_last_word() {
    let (mut world, mut session) = begun(BodySendMode::Buffered);
    session.respond(ImmediateResponse::default());
    session.proceed(Direction::Request, Head::default(), Rest::Pass).expect("possible");
    reply(&mut world, &mut session);
    assert!(world.reply.is_some() && world.failed.is_empty() && !session.owes());
}
