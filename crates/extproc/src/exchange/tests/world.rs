//! A transaction around one exchange, without any I/O.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use prost::Message;

use crate::{
    Attributes, BodySendMode, Direction, HeaderSendMode, Messages, Plan, ProcessingMode, RequestHeaders,
    ResponseHeaders,
    exchange::{Action, Close, Exchange, Failed, HeaderLimits, Host, IgnoredMutation, LocalReply},
    log::LoggingInfo,
    messages::{
        BodyMutation, BodyResponse, CommonResponse, HeadersResponse, ProcessingRequest, ProcessingResponse,
        StreamedBodyResponse, Struct, TrailersResponse, body_mutation::Mutation, processing_request,
        processing_response::Response,
    },
    metadata::DynamicMetadata,
};

/// Something that left the exchange towards a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    Headers { end_stream: bool },
    Data { data: Bytes, end_stream: bool },
    Trailers,
}

/// The transaction: keeps what the host keeps and records what comes out.
pub(super) struct Transaction {
    pub(super) messages: Messages,
    metadata: DynamicMetadata,
    pub(super) limit: usize,
    pub(super) upgrade: bool,
}

impl Host for Transaction {
    fn messages(&mut self) -> &mut Messages {
        &mut self.messages
    }
    fn metadata(&mut self) -> &mut DynamicMetadata {
        &mut self.metadata
    }
    fn attributes(&self, _wanted: &Attributes, _response_headers_shown: bool) -> Struct {
        Struct::default()
    }
    fn buffer_limit(&self, _direction: Direction) -> usize {
        self.limit
    }
    fn header_limits(&self, _direction: Direction) -> HeaderLimits {
        HeaderLimits::default()
    }
    fn is_upgrade(&self) -> bool {
        self.upgrade
    }
}

/// An exchange, its transaction, a clock, and everything that came out.
pub(super) struct World {
    pub(super) exchange: Exchange,
    pub(super) transaction: Transaction,
    pub(super) now: Instant,
    pub(super) request: Vec<Out>,
    pub(super) response: Vec<Out>,
    pub(super) sent: Vec<ProcessingRequest>,
    pub(super) opened: u32,
    pub(super) closed: Option<Close>,
    pub(super) reply: Option<LocalReply>,
    pub(super) too_large: Option<Direction>,
    pub(super) streamed: Vec<Out>,
    pub(super) route_cleared: u32,
    pub(super) log: LoggingInfo,
    pub(super) failed: Vec<Failed>,
    pub(super) ignored: Vec<IgnoredMutation>,
}

pub(super) fn mode(change: impl FnOnce(&mut ProcessingMode)) -> ProcessingMode {
    let mut mode = ProcessingMode::default();
    change(&mut mode);
    mode
}

/// Both bodies in one mode, trailers sent.
pub(super) fn bodies(body: BodySendMode) -> ProcessingMode {
    mode(|mode| {
        mode.request_body_mode = body;
        mode.response_body_mode = body;
        mode.request_trailer_mode = HeaderSendMode::Send;
        mode.response_trailer_mode = HeaderSendMode::Send;
    })
}

pub(super) fn plan(mode: ProcessingMode) -> Plan {
    Plan { processing_mode: mode, filter_processing_mode: mode, ..Plan::new("envoy.filters.http.ext_proc") }
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let request = RequestHeaders {
            method: Method::POST,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("example.com"),
            path: HeaderValue::from_static("/"),
            fields: HeaderMap::new(),
        };
        let messages = Messages { request, request_trailers: None, response: None, response_trailers: None };
        Self {
            exchange: Exchange::new(Arc::new(plan)),
            transaction: Transaction {
                messages,
                metadata: DynamicMetadata::default(),
                limit: 1 << 20,
                upgrade: false,
            },
            now: Instant::now(),
            request: Vec::new(),
            response: Vec::new(),
            sent: Vec::new(),
            opened: 0,
            closed: None,
            log: LoggingInfo::default(),
            failed: Vec::new(),
            ignored: Vec::new(),
            reply: None,
            too_large: None,
            streamed: Vec::new(),
            route_cleared: 0,
        }
    }

    pub(super) fn with_mode(mode: ProcessingMode) -> Self {
        Self::new(plan(mode))
    }

    pub(super) fn headers(&mut self, direction: Direction, end_stream: bool) {
        if direction == Direction::Response {
            return self.response_headers(200, end_stream);
        }
        self.exchange.handle_headers(direction, end_stream, self.now, &mut self.transaction);
        self.drain();
    }

    pub(super) fn response_headers(&mut self, status: u16, end_stream: bool) {
        let status = StatusCode::from_u16(status).expect("a status");
        self.transaction.messages.response = Some(ResponseHeaders { status, fields: HeaderMap::new() });
        self.exchange.handle_headers(Direction::Response, end_stream, self.now, &mut self.transaction);
        self.drain();
    }

    pub(super) fn data(&mut self, direction: Direction, data: &'static [u8], end_stream: bool) {
        self.piece(direction, Bytes::from_static(data), end_stream);
    }

    pub(super) fn piece(&mut self, direction: Direction, data: Bytes, end_stream: bool) {
        self.exchange.handle_data(direction, data.into(), end_stream, self.now, &mut self.transaction);
        self.drain();
    }

    pub(super) fn trailers(&mut self, direction: Direction) {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("1"));
        match direction {
            Direction::Request => self.transaction.messages.request_trailers = Some(trailers),
            Direction::Response => self.transaction.messages.response_trailers = Some(trailers),
        }
        self.exchange.handle_trailers(direction, self.now, &mut self.transaction);
        self.drain();
    }

    pub(super) fn answer(&mut self, response: Response) {
        self.message(&ProcessingResponse { response: Some(response), ..Default::default() });
    }

    pub(super) fn message(&mut self, message: &ProcessingResponse) {
        let bytes = Bytes::from(message.encode_to_vec());
        self.exchange.handle_message(bytes.into(), self.now, &mut self.transaction);
        self.drain();
    }

    /// Lets time pass, up to the next deadline at most per step.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.exchange.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.exchange.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(super) fn drain(&mut self) {
        while let Some(action) = self.exchange.poll_action() {
            match action {
                Action::Open => self.opened += 1,
                Action::Send { message, payload } => {
                    assert_eq!(self.opened, 1, "sent before the stream was opened");
                    assert!(self.closed.is_none(), "sent after the stream was closed");
                    let mut frame = message.to_vec();
                    frame.extend_from_slice(&payload.into_bytes());
                    self.sent.push(ProcessingRequest::decode(&frame[5..]).expect("own message"));
                }
                Action::ForwardHeaders { direction, end_stream } => {
                    self.out(direction).push(Out::Headers { end_stream });
                }
                Action::ForwardData { direction, data, end_stream } => {
                    self.out(direction).push(Out::Data { data: data.into_bytes(), end_stream });
                }
                Action::ForwardTrailers { direction } => self.out(direction).push(Out::Trailers),
                Action::ClearRouteCache => self.route_cleared += 1,
                Action::Reply(reply) => self.reply = Some(*reply),
                Action::PayloadTooLarge(direction) => self.too_large = Some(direction),
                Action::ReplyHeaders { end_stream, .. } => self.streamed.push(Out::Headers { end_stream }),
                Action::ReplyData { data, end_stream } => {
                    self.streamed.push(Out::Data { data: data.into_bytes(), end_stream });
                }
                Action::ReplyTrailers(_) => self.streamed.push(Out::Trailers),
                Action::Note(note) => self.log.note(note),
                Action::Failed(failed) => self.failed.push(*failed),
                Action::Ignored(ignored) => self.ignored.push(*ignored),
                Action::Close(close) => {
                    assert!(self.closed.is_none(), "closed twice");
                    self.closed = Some(close);
                }
            }
        }
    }

    fn out(&mut self, direction: Direction) -> &mut Vec<Out> {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// The body that was passed on.
    pub(super) fn body(&self, direction: Direction) -> Vec<u8> {
        let out = match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        };
        out.iter()
            .flat_map(|part| match part {
                Out::Data { data, .. } => data.to_vec(),
                _ => Vec::new(),
            })
            .collect()
    }

    /// The kinds of the messages sent so far.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        use processing_request::Request;
        self.sent
            .iter()
            .map(|message| match &message.request {
                Some(Request::RequestHeaders(_)) => "request_headers",
                Some(Request::ResponseHeaders(_)) => "response_headers",
                Some(Request::RequestBody(_)) => "request_body",
                Some(Request::ResponseBody(_)) => "response_body",
                Some(Request::RequestTrailers(_)) => "request_trailers",
                Some(Request::ResponseTrailers(_)) => "response_trailers",
                None => "nothing",
            })
            .collect()
    }
}

pub(super) fn headers_reply(direction: Direction, common: CommonResponse) -> Response {
    let reply = HeadersResponse { response: Some(common) };
    match direction {
        Direction::Request => Response::RequestHeaders(reply),
        Direction::Response => Response::ResponseHeaders(reply),
    }
}

pub(super) fn body_reply(direction: Direction, mutation: Option<Mutation>) -> Response {
    let body_mutation = mutation.map(|mutation| BodyMutation { mutation: Some(mutation) });
    let reply = BodyResponse { response: Some(CommonResponse { body_mutation, ..Default::default() }) };
    match direction {
        Direction::Request => Response::RequestBody(reply),
        Direction::Response => Response::ResponseBody(reply),
    }
}

pub(super) fn duplex_reply(direction: Direction, body: &[u8], end_of_stream: bool) -> Response {
    let body = Bytes::copy_from_slice(body);
    let piece = StreamedBodyResponse { body, end_of_stream, ..Default::default() };
    body_reply(direction, Some(Mutation::StreamedResponse(piece)))
}

pub(super) fn trailers_reply(direction: Direction) -> Response {
    match direction {
        Direction::Request => Response::RequestTrailers(TrailersResponse::default()),
        Direction::Response => Response::ResponseTrailers(TrailersResponse::default()),
    }
}

pub(super) fn continue_headers(direction: Direction) -> Response {
    headers_reply(direction, CommonResponse::default())
}
