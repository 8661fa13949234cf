//! One exchange under any settings, driven as the data plane drives it, with any peers and any processor: never a panic, and
//! what must hold at each step.

#![no_main]

use std::{sync::Arc, time::Duration};

use arbitrary::Arbitrary;
use bytes::Bytes;
use extproc::{
    BodySendMode, Direction, HeaderSendMode, Plan, ProcessingMode,
    exchange::{Exchange, HeaderLimits, StreamEnd},
    messages::{
        self, BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpStatus,
        ImmediateResponse, ProcessingResponse, StreamedBodyResponse, StreamedImmediateResponse,
        TrailersResponse, body_mutation::Mutation, processing_request::Request,
        processing_response::Response, streamed_immediate_response,
    },
    sim::World,
};
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    settings: Settings,
    ops: Vec<Op>,
}

#[derive(Debug, Arbitrary)]
struct Settings {
    header_modes: [u8; 4],
    body_modes: [u8; 2],
    failure_mode_allow: bool,
    fail_close_spurious_response: bool,
    allow_mode_override: bool,
    disable_immediate_response: bool,
    observability_mode: bool,
    send_body_without_waiting: bool,
    allow_content_length: bool,
    graceful: bool,
    behind_the_router: bool,
    is_upgrade: bool,
    is_http2: bool,
    with_length: bool,
    message_timeout: u8,
    limit: u8,
}

#[derive(Debug, Arbitrary)]
enum Op {
    Headers {
        response: bool,
        end: bool,
    },
    Data {
        response: bool,
        length: u8,
        end: bool,
    },
    Trailers {
        response: bool,
    },
    /// A reply of the kind that is owed next, or of the kind of the last message.
    Answer {
        last: bool,
        how: How,
        extra: Extra,
    },
    /// A reply of any kind.
    Reply {
        kind: u8,
        how: How,
        extra: Extra,
    },
    Streamed(Part),
    /// A message without a reply.
    Alone(Extra),
    Raw(Vec<u8>),
    StreamEnd {
        ok: bool,
    },
    Pass(u16),
    End,
}

#[derive(Debug, Arbitrary)]
enum How {
    Continue,
    Replace { body: Vec<u8> },
    Headers { name: u8, value: u8, remove: bool },
    Body(Vec<u8>),
    Clear,
    Piece { body: Vec<u8>, end: bool },
    Reroute,
}

#[derive(Debug, Arbitrary)]
enum Part {
    Headers { status: u16, end: bool },
    Body { body: Vec<u8>, end: bool },
    Trailers,
    Nothing,
}

#[derive(Debug, Arbitrary)]
struct Extra {
    mode_override: Option<([u8; 4], [u8; 2])>,
    timeout: Option<i16>,
}

fn header_mode(number: u8) -> HeaderSendMode {
    HeaderSendMode::try_from(i32::from(number % 3)).expect("a mode")
}

fn body_mode(number: u8) -> BodySendMode {
    BodySendMode::try_from(i32::from(number % 6)).expect("a mode")
}

fn plan(settings: &Settings) -> Plan {
    let [request, response, request_trailers, response_trailers] = settings.header_modes.map(header_mode);
    let [request_body, response_body] = settings.body_modes.map(body_mode);
    let mode = ProcessingMode {
        request_header_mode: request,
        response_header_mode: response,
        request_body_mode: request_body,
        response_body_mode: response_body,
        request_trailer_mode: request_trailers,
        response_trailer_mode: response_trailers,
    };
    Plan {
        processing_mode: mode,
        filter_processing_mode: mode,
        failure_mode_allow: settings.failure_mode_allow,
        fail_close_spurious_response: settings.fail_close_spurious_response,
        message_timeout: Duration::from_millis(settings.message_timeout.into()),
        max_message_timeout: Duration::from_secs(1),
        allow_mode_override: settings.allow_mode_override,
        disable_immediate_response: settings.disable_immediate_response,
        observability_mode: settings.observability_mode,
        send_body_without_waiting_for_header_response: settings.send_body_without_waiting,
        allow_content_length_header: settings.allow_content_length,
        graceful_grpc_close: settings.graceful,
        ..Plan::new("envoy.filters.http.ext_proc")
    }
}

/// The gateway, and how far its messages have come.
struct Game {
    world: World,
    sources: [Source; 2],
    answered: usize,
    /// How often the gateway has answered itself.
    answers: u8,
    /// The response is its own.
    replied: bool,
    over: bool,
}

/// How far a message has come on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Start,
    Body,
    End,
}

fn side(response: bool) -> Direction {
    if response { Direction::Response } else { Direction::Request }
}

impl Game {
    fn new(settings: &Settings) -> Self {
        let plan = Arc::new(plan(settings));
        let exchange =
            if settings.behind_the_router { Exchange::upstream(plan) } else { Exchange::new(plan) };
        let mut world = World::of(exchange);
        world.transaction.limit = settings.limit.into();
        world.transaction.header_limits = HeaderLimits { max_count: 12, max_bytes: 512 };
        world.transaction.upgrade = settings.is_upgrade;
        world.transaction.http2 = settings.is_http2;
        if settings.with_length {
            let fields = &mut world.transaction.messages.request.fields;
            fields.insert("content-length", HeaderValue::from_static("5"));
        }
        Self { world, sources: [Source::Start; 2], answered: 0, answers: 0, replied: false, over: false }
    }

    fn apply(&mut self, op: &Op) {
        let speaks = self.world.is_open();
        match op {
            Op::Headers { response, end } => self.headers(*response, *end),
            Op::Data { response, length, end } => self.data(*response, *length, *end),
            Op::Trailers { response } if self.sources[usize::from(*response)] == Source::Body => {
                self.sources[usize::from(*response)] = Source::End;
                self.world.trailers(side(*response));
            }
            Op::Answer { last, how, extra } if speaks => {
                let sent = &self.world.sent;
                let number = if *last { sent.len().saturating_sub(1) } else { self.answered };
                let Some(kind) = sent.get(number).and_then(|message| message.request.as_ref()).map(kind)
                else {
                    return;
                };
                self.answered = self.answered.max(number + 1);
                self.world.message(&reply(kind, how, extra));
            }
            Op::Reply { kind, how, extra } if speaks => self.world.message(&reply(kind % 7, how, extra)),
            Op::Streamed(part) if speaks => self.world.message(&streamed(part)),
            Op::Alone(extra) if speaks => self.world.message(&with(None, extra)),
            Op::Raw(bytes) if speaks => self.world.raw(bytes.clone().into()),
            Op::StreamEnd { ok: true } if speaks => self.world.stream_end(StreamEnd::Ok),
            Op::StreamEnd { ok: false } if speaks => {
                let details = "d".to_owned();
                self.world.stream_end(StreamEnd::Error { code: 14, details, started: true });
            }
            Op::Pass(milliseconds) => self.world.pass(Duration::from_millis((*milliseconds).into())),
            Op::End => self.end(),
            _ => {}
        }
        self.answer();
    }

    fn headers(&mut self, response: bool, end: bool) {
        let world = &mut self.world;
        // There is a response when a request has been passed on, and no other once the gateway has answered.
        if self.sources[usize::from(response)] != Source::Start
            || (response
                && (world.request.is_empty()
                    || self.replied
                    || world.exchange.is_replying()
                    || !world.streamed.is_empty()))
        {
            return;
        }
        self.sources[usize::from(response)] = if end { Source::End } else { Source::Body };
        world.headers(side(response), end);
    }

    fn data(&mut self, response: bool, length: u8, end: bool) {
        let direction = side(response);
        if self.sources[usize::from(response)] != Source::Body
            || !self.world.exchange.wants(direction)
            || (length == 0 && !end)
        {
            return;
        }
        if end {
            self.sources[usize::from(response)] = Source::End;
        }
        self.world.piece(direction, Bytes::from(vec![b'd'; length.into()]), end);
    }

    /// The transaction is over.
    fn end(&mut self) {
        self.over = true;
        self.world.end();
    }

    /// The gateway may have answered instead of the upstream; a response that has begun can only be cut off.
    fn answer(&mut self) {
        loop {
            let answers = u8::from(self.world.reply.is_some()) + u8::from(self.world.too_large.is_some());
            if self.over || answers == self.answers {
                return;
            }
            self.answers = answers;
            let begun = !self.world.response.is_empty() || !self.world.streamed.is_empty();
            if self.replied || begun {
                self.end();
                return;
            }
            self.replied = true;
            self.sources = [Source::End, Source::End];
            self.world.response_headers(403, false);
            self.world.data(Direction::Response, b"no", true);
        }
    }

    /// What holds between two events.
    fn check(&self) {
        let exchange = &self.world.exchange;
        for (number, direction) in [Direction::Request, Direction::Response].into_iter().enumerate() {
            if !self.over && self.sources[number] == Source::Body && !exchange.wants(direction) {
                assert!(
                    exchange.awaits_processor() || exchange.is_replying() || exchange.is_complete(),
                    "a source is stopped, and nothing is awaited that would let it go on"
                );
            }
        }
        if self.over {
            assert!(exchange.is_complete());
            assert!(exchange.poll_timeout().is_none(), "a deadline behind the end");
        }
    }
}

fn kind(request: &Request) -> u8 {
    match request {
        Request::RequestHeaders(_) => 0,
        Request::ResponseHeaders(_) => 1,
        Request::RequestBody(_) => 2,
        Request::ResponseBody(_) => 3,
        Request::RequestTrailers(_) => 4,
        Request::ResponseTrailers(_) => 5,
    }
}

fn reply(kind: u8, how: &How, extra: &Extra) -> ProcessingResponse {
    let mut common = CommonResponse::default();
    let body = |mutation| Some(BodyMutation { mutation: Some(mutation) });
    match how {
        How::Continue => {}
        How::Replace { body: bytes } => {
            common.status = messages::common_response::CONTINUE_AND_REPLACE;
            common.body_mutation = body(Mutation::Body(bytes.clone().into()));
        }
        How::Headers { name, value, remove } => {
            common.header_mutation = Some(mutation(*name, *value, *remove))
        }
        How::Body(bytes) => common.body_mutation = body(Mutation::Body(bytes.clone().into())),
        How::Clear => common.body_mutation = body(Mutation::ClearBody(true)),
        How::Piece { body: bytes, end } => {
            common.body_mutation = body(Mutation::StreamedResponse(StreamedBodyResponse {
                body: bytes.clone().into(),
                end_of_stream: *end,
                ..StreamedBodyResponse::default()
            }));
        }
        How::Reroute => common.clear_route_cache = true,
    }
    let trailers = |common: CommonResponse| TrailersResponse { header_mutation: common.header_mutation };
    let headers = |response| HeadersResponse { response: Some(response) };
    let body = |response| BodyResponse { response: Some(response) };
    let response = match kind {
        0 => Response::RequestHeaders(headers(common)),
        1 => Response::ResponseHeaders(headers(common)),
        2 => Response::RequestBody(body(common)),
        3 => Response::ResponseBody(body(common)),
        4 => Response::RequestTrailers(trailers(common)),
        5 => Response::ResponseTrailers(trailers(common)),
        _ => Response::ImmediateResponse(ImmediateResponse {
            status: Some(HttpStatus { code: 403 }),
            headers: common.header_mutation,
            ..ImmediateResponse::default()
        }),
    };
    with(Some(response), extra)
}

fn mutation(name: u8, value: u8, remove: bool) -> HeaderMutation {
    const NAMES: [&str; 9] = [
        "x-a",
        "content-length",
        "transfer-encoding",
        ":path",
        ":status",
        ":method",
        "host",
        "te",
        "connection",
    ];
    const VALUES: [&str; 6] = ["5", "0", "chunked", "/a", "204", "a\r\nb"];
    let name = NAMES[usize::from(name) % NAMES.len()].to_owned();
    if remove {
        return HeaderMutation { remove_headers: vec![name], ..HeaderMutation::default() };
    }
    let header = messages::HeaderValue {
        key: name,
        raw_value: VALUES[usize::from(value) % VALUES.len()].into(),
        ..messages::HeaderValue::default()
    };
    let option =
        messages::HeaderValueOption { header: Some(header), ..messages::HeaderValueOption::default() };
    HeaderMutation { set_headers: vec![option], ..HeaderMutation::default() }
}

fn streamed(part: &Part) -> ProcessingResponse {
    let entry = |key: &str, value: String| messages::HeaderValue {
        key: key.to_owned(),
        raw_value: value.into(),
        ..messages::HeaderValue::default()
    };
    let map = |entry| messages::HeaderMap { headers: vec![entry] };
    let response = match part {
        Part::Headers { status, end } => {
            Some(streamed_immediate_response::Response::HeadersResponse(messages::HttpHeaders {
                headers: Some(map(entry(":status", status.to_string()))),
                end_of_stream: *end,
                ..messages::HttpHeaders::default()
            }))
        }
        Part::Body { body, end } => {
            Some(streamed_immediate_response::Response::BodyResponse(StreamedBodyResponse {
                body: body.clone().into(),
                end_of_stream: *end,
                ..StreamedBodyResponse::default()
            }))
        }
        Part::Trailers => {
            Some(streamed_immediate_response::Response::TrailersResponse(map(entry("x-t", "1".to_owned()))))
        }
        Part::Nothing => None,
    };
    let response = Response::StreamedImmediateResponse(StreamedImmediateResponse { response });
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

fn with(response: Option<Response>, extra: &Extra) -> ProcessingResponse {
    let mode_override = extra.mode_override.map(|(headers, bodies)| messages::ProcessingMode {
        request_header_mode: (headers[0] % 4).into(),
        response_header_mode: (headers[1] % 4).into(),
        request_trailer_mode: (headers[2] % 4).into(),
        response_trailer_mode: (headers[3] % 4).into(),
        request_body_mode: (bodies[0] % 7).into(),
        response_body_mode: (bodies[1] % 7).into(),
    });
    let override_message_timeout = extra.timeout.map(|milliseconds| messages::Duration {
        seconds: 0,
        nanos: i32::from(milliseconds % 2000) * 1_000_000,
    });
    ProcessingResponse { response, mode_override, override_message_timeout, ..ProcessingResponse::default() }
}

fuzz_target!(|input: Input| {
    let mut game = Game::new(&input.settings);
    for op in input.ops.iter().take(200) {
        if game.over {
            break;
        }
        game.apply(op);
        game.check();
    }
    if !game.over {
        game.end();
    }
    game.check();
});
