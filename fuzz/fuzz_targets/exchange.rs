//! One exchange under any settings, driven as the data plane drives it, with any peers and any processor: never a panic, and
//! what must hold at each step.

#![no_main]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arbitrary::Arbitrary;
use bytes::Bytes;
use extproc::{
    Attributes, BodySendMode, Direction, HeaderSendMode, Messages, Plan, ProcessingMode, RequestHeaders,
    ResponseHeaders,
    exchange::{Action, Exchange, HeaderLimits, Host, StreamEnd},
    messages::{
        self, BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpStatus,
        ImmediateResponse, ProcessingRequest, ProcessingResponse, StreamedBodyResponse,
        StreamedImmediateResponse, Struct, TrailersResponse, body_mutation::Mutation,
        processing_request::Request, processing_response::Response, streamed_immediate_response,
    },
    metadata::DynamicMetadata,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use prost::Message;

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

struct Transaction {
    messages: Messages,
    metadata: DynamicMetadata,
    limit: usize,
    is_upgrade: bool,
    is_http2: bool,
}

impl Host for Transaction {
    fn messages(&mut self) -> &mut Messages {
        &mut self.messages
    }
    fn metadata(&mut self) -> &mut DynamicMetadata {
        &mut self.metadata
    }
    fn attributes(&self, _: &Attributes, _: bool) -> Struct {
        Struct::default()
    }
    fn buffer_limit(&self, _: Direction) -> usize {
        self.limit
    }
    fn header_limits(&self, _: Direction) -> HeaderLimits {
        HeaderLimits { max_count: 12, max_bytes: 512 }
    }
    fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }
    fn is_http2(&self) -> bool {
        self.is_http2
    }
}

/// How far a message has come, on its way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Body,
    End,
}

impl At {
    fn headers(&mut self, end: bool) {
        assert_eq!(*self, Self::Start, "a second head");
        *self = if end { Self::End } else { Self::Body };
    }

    fn data(&mut self, end: bool) {
        assert_eq!(*self, Self::Body, "data before the head or behind the end");
        if end {
            *self = Self::End;
        }
    }
}

struct World {
    exchange: Exchange,
    transaction: Transaction,
    now: Instant,
    source: [At; 2],
    out: [At; 2],
    streamed: At,
    opened: bool,
    closed: bool,
    sent: Vec<ProcessingRequest>,
    answered: usize,
    /// The gateway answers itself: the response is its own.
    replied: bool,
    over: bool,
}

fn side(response: bool) -> Direction {
    if response { Direction::Response } else { Direction::Request }
}

impl World {
    fn new(settings: &Settings) -> Self {
        let plan = Arc::new(plan(settings));
        let mut fields = HeaderMap::new();
        if settings.with_length {
            fields.insert("content-length", HeaderValue::from_static("5"));
        }
        let request = RequestHeaders {
            method: Method::POST,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("h"),
            path: HeaderValue::from_static("/"),
            fields,
        };
        let messages = Messages { request, request_trailers: None, response: None, response_trailers: None };
        Self {
            exchange: if settings.behind_the_router { Exchange::upstream(plan) } else { Exchange::new(plan) },
            transaction: Transaction {
                messages,
                metadata: DynamicMetadata::default(),
                limit: settings.limit.into(),
                is_upgrade: settings.is_upgrade,
                is_http2: settings.is_http2,
            },
            now: Instant::now(),
            source: [At::Start; 2],
            out: [At::Start; 2],
            streamed: At::Start,
            opened: false,
            closed: false,
            sent: Vec::new(),
            answered: 0,
            replied: false,
            over: false,
        }
    }

    fn apply(&mut self, op: &Op) {
        let speaks = self.opened && !self.closed;
        match op {
            Op::Headers { response, end } => self.headers(*response, *end),
            Op::Data { response, length, end } => self.data(*response, *length, *end),
            Op::Trailers { response } => self.trailers(*response),
            Op::Answer { last, how, extra } if speaks => {
                let number = if *last { self.sent.len().saturating_sub(1) } else { self.answered };
                let Some(kind) = self.sent.get(number).and_then(|message| message.request.as_ref()).map(kind)
                else {
                    return;
                };
                self.answered = self.answered.max(number + 1);
                self.message(&reply(kind, how, extra));
            }
            Op::Reply { kind, how, extra } if speaks => self.message(&reply(kind % 7, how, extra)),
            Op::Streamed(part) if speaks => self.message(&streamed(part)),
            Op::Alone(extra) if speaks => self.message(&with(None, extra)),
            Op::Raw(bytes) if speaks => self.raw(bytes.clone().into()),
            Op::StreamEnd { ok } if speaks => {
                let error = StreamEnd::Error { code: 14, details: "d".to_owned(), started: true };
                self.exchange.handle_stream_end(if *ok { StreamEnd::Ok } else { error }, self.now);
            }
            Op::Pass(milliseconds) => {
                let end = self.now + Duration::from_millis((*milliseconds).into());
                while let Some(deadline) = self.exchange.poll_timeout().filter(|deadline| *deadline <= end) {
                    self.now = self.now.max(deadline);
                    self.exchange.handle_timeout(self.now);
                    self.drain();
                    assert_ne!(self.exchange.poll_timeout(), Some(deadline), "a deadline that stays");
                }
                self.now = end;
            }
            Op::End => self.end(),
            _ => {}
        }
        self.drain();
    }

    fn headers(&mut self, response: bool, end: bool) {
        // There is a response when a request has been passed on, and no other once the gateway has answered.
        if self.source[usize::from(response)] != At::Start
            || (response
                && (self.out[0] == At::Start
                    || self.replied
                    || self.exchange.is_replying()
                    || self.streamed != At::Start))
        {
            return;
        }
        self.source[usize::from(response)].headers(end);
        if response {
            let head = ResponseHeaders { status: StatusCode::OK, fields: HeaderMap::new() };
            self.transaction.messages.response = Some(head);
        }
        self.exchange.handle_headers(side(response), end, self.now, &mut self.transaction);
    }

    fn data(&mut self, response: bool, length: u8, end: bool) {
        let direction = side(response);
        if self.source[usize::from(response)] != At::Body
            || !self.exchange.wants(direction)
            || (length == 0 && !end)
        {
            return;
        }
        self.source[usize::from(response)].data(end);
        let data = Bytes::from(vec![b'd'; length.into()]);
        self.exchange.handle_data(direction, data.into(), end, self.now, &mut self.transaction);
    }

    fn trailers(&mut self, response: bool) {
        if self.source[usize::from(response)] != At::Body {
            return;
        }
        self.source[usize::from(response)].data(true);
        let trailers =
            Some(HeaderMap::from_iter([(HeaderName::from_static("x-t"), HeaderValue::from_static("1"))]));
        if response {
            self.transaction.messages.response_trailers = trailers;
        } else {
            self.transaction.messages.request_trailers = trailers;
        }
        self.exchange.handle_trailers(side(response), self.now, &mut self.transaction);
    }

    fn message(&mut self, message: &ProcessingResponse) {
        self.raw(message.encode_to_vec().into());
    }

    fn raw(&mut self, bytes: Bytes) {
        self.exchange.handle_message(bytes.into(), self.now, &mut self.transaction);
    }

    /// The transaction is over.
    fn end(&mut self) {
        self.over = true;
        self.exchange.handle_end();
    }

    /// The gateway answers instead of the upstream; a response that has begun can only be cut off.
    fn answer(&mut self) {
        if self.replied || self.out[1] != At::Start || self.streamed != At::Start {
            self.end();
            return;
        }
        self.replied = true;
        self.source = [At::End, At::End];
        let head = ResponseHeaders { status: StatusCode::FORBIDDEN, fields: HeaderMap::new() };
        self.transaction.messages.response = Some(head);
        self.exchange.handle_headers(Direction::Response, false, self.now, &mut self.transaction);
        let body = Bytes::from_static(b"no");
        self.exchange.handle_data(Direction::Response, body.into(), true, self.now, &mut self.transaction);
    }

    fn drain(&mut self) {
        while let Some(action) = self.exchange.poll_action() {
            match action {
                Action::Open => {
                    assert!(!self.opened, "opened twice");
                    self.opened = true;
                }
                Action::Send { message, payload } => {
                    assert!(self.opened && !self.closed, "sent on no stream");
                    let mut frame = message.to_vec();
                    frame.extend_from_slice(&payload.into_bytes());
                    self.sent.push(ProcessingRequest::decode(&frame[5..]).expect("a message of ours"));
                }
                Action::ForwardHeaders { direction, end_stream } => {
                    self.out[direction as usize].headers(end_stream);
                }
                Action::ForwardData { direction, end_stream, .. } => {
                    self.out[direction as usize].data(end_stream)
                }
                Action::ForwardTrailers { direction } => self.out[direction as usize].data(true),
                Action::ReplyHeaders { head, end_stream } => {
                    assert!(head.status.as_u16() >= 200);
                    self.streamed.headers(end_stream);
                }
                Action::ReplyData { end_stream, .. } => self.streamed.data(end_stream),
                Action::ReplyTrailers(_) => self.streamed.data(true),
                Action::Reply(reply) => {
                    assert!(reply.status.as_u16() >= 200);
                    self.answer();
                }
                Action::PayloadTooLarge(_) => self.answer(),
                Action::Close(_) => {
                    assert!(!self.closed, "closed twice");
                    self.closed = true;
                }
                Action::ClearRouteCache | Action::Note(_) | Action::Failed(_) | Action::Ignored(_) => {}
            }
        }
    }

    /// What holds between two events.
    fn check(&self) {
        for (number, direction) in [Direction::Request, Direction::Response].into_iter().enumerate() {
            if !self.over && self.source[number] == At::Body && !self.exchange.wants(direction) {
                assert!(
                    self.exchange.awaits_processor()
                        || self.exchange.is_replying()
                        || self.exchange.is_complete(),
                    "a source is stopped, and nothing is awaited that would let it go on"
                );
            }
        }
        if self.over {
            assert!(self.exchange.is_complete());
            assert!(self.exchange.poll_timeout().is_none(), "a deadline behind the end");
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
    let mut world = World::new(&input.settings);
    for op in input.ops.iter().take(200) {
        if world.over {
            break;
        }
        world.apply(op);
        world.check();
    }
    if !world.over {
        world.end();
        world.drain();
    }
    world.check();
});
