//! An exchange, its transaction, a clock, and everything that came out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message;

use super::{Transaction, kind_of};
use crate::{
    BodySendMode, Direction, HeaderSendMode, Plan, ProcessingMode, ResponseHeaders,
    exchange::{Action, Close, Exchange, Failed, IgnoredMutation, LocalReply, StreamEnd},
    log::LoggingInfo,
    messages::{ProcessingRequest, ProcessingResponse, processing_response::Response},
};

/// A part of a message that left the exchange towards a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// The head.
    Headers {
        /// This ends the message.
        end_stream: bool,
    },
    /// A piece of the body.
    Data {
        /// Its bytes.
        data: Bytes,
        /// This ends the message.
        end_stream: bool,
    },
    /// The trailers, which end it.
    Trailers,
}

impl Out {
    /// Whether the message ends with it.
    #[must_use]
    pub fn ends(&self) -> bool {
        match self {
            Self::Headers { end_stream } | Self::Data { end_stream, .. } => *end_stream,
            Self::Trailers => true,
        }
    }
}

/// An exchange, its transaction, a clock, and everything that came out.
#[derive(Debug)]
pub struct World {
    /// The exchange.
    pub exchange: Exchange,
    /// What it works on.
    pub transaction: Transaction,
    /// The present. Passes only by [`pass`](Self::pass).
    pub now: Instant,
    /// What was passed on to the upstream.
    pub request: Vec<Out>,
    /// What was passed on to the client.
    pub response: Vec<Out>,
    /// The messages to the processor.
    pub sent: Vec<ProcessingRequest>,
    /// How often a stream to the processor was opened.
    pub opened: u32,
    /// How the exchange has closed it.
    pub closed: Option<Close>,
    /// The response given instead of the upstream's.
    pub reply: Option<LocalReply>,
    /// The direction whose body was too large to be collected.
    pub too_large: Option<Direction>,
    /// The head of a response that the processor gave itself, piece by piece.
    pub streamed_head: Option<ResponseHeaders>,
    /// What the processor gave as a response of its own, piece by piece.
    pub streamed: Vec<Out>,
    /// How often the route was to be chosen again.
    pub route_cleared: u32,
    /// What access logs show.
    pub log: LoggingInfo,
    /// Failures.
    pub failed: Vec<Failed>,
    /// Ignored operations of mutations.
    pub ignored: Vec<IgnoredMutation>,
}

/// A processing mode that differs from the default one.
pub fn mode(change: impl FnOnce(&mut ProcessingMode)) -> ProcessingMode {
    let mut mode = ProcessingMode::default();
    change(&mut mode);
    mode
}

/// Both bodies in one mode, trailers sent.
#[must_use]
pub fn bodies(body: BodySendMode) -> ProcessingMode {
    mode(|mode| {
        mode.request_body_mode = body;
        mode.response_body_mode = body;
        mode.request_trailer_mode = HeaderSendMode::Send;
        mode.response_trailer_mode = HeaderSendMode::Send;
    })
}

/// The settings of a filter with this mode.
#[must_use]
pub fn plan(mode: ProcessingMode) -> Plan {
    Plan { processing_mode: mode, filter_processing_mode: mode, ..Plan::new("envoy.filters.http.ext_proc") }
}

impl World {
    /// A new exchange under `plan`.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self::of(Exchange::new(Arc::new(plan)))
    }

    /// A new exchange of a filter with this mode.
    #[must_use]
    pub fn with_mode(mode: ProcessingMode) -> Self {
        Self::new(plan(mode))
    }

    /// Drives `exchange`, which has not begun.
    #[must_use]
    pub fn of(exchange: Exchange) -> Self {
        Self {
            exchange,
            transaction: Transaction::default(),
            now: Instant::now(),
            request: Vec::new(),
            response: Vec::new(),
            sent: Vec::new(),
            opened: 0,
            closed: None,
            reply: None,
            too_large: None,
            streamed_head: None,
            streamed: Vec::new(),
            route_cleared: 0,
            log: LoggingInfo::default(),
            failed: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// The head of a message arrives; of a response, with status 200.
    pub fn headers(&mut self, direction: Direction, end_stream: bool) {
        if direction == Direction::Response {
            return self.response_headers(200, end_stream);
        }
        self.exchange.handle_headers(direction, end_stream, self.now, &mut self.transaction);
        self.drain();
    }

    /// The head of a response arrives.
    pub fn response_headers(&mut self, status: u16, end_stream: bool) {
        let status = StatusCode::from_u16(status).expect("a status");
        self.transaction.messages.response = Some(ResponseHeaders { status, fields: HeaderMap::new() });
        self.exchange.handle_headers(Direction::Response, end_stream, self.now, &mut self.transaction);
        self.drain();
    }

    /// A piece of a body arrives.
    pub fn data(&mut self, direction: Direction, data: &'static [u8], end_stream: bool) {
        self.piece(direction, Bytes::from_static(data), end_stream);
    }

    /// As [`data`](Self::data).
    pub fn piece(&mut self, direction: Direction, data: Bytes, end_stream: bool) {
        self.exchange.handle_data(direction, data.into(), end_stream, self.now, &mut self.transaction);
        self.drain();
    }

    /// Trailers arrive.
    pub fn trailers(&mut self, direction: Direction) {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("1"));
        match direction {
            Direction::Request => self.transaction.messages.request_trailers = Some(trailers),
            Direction::Response => self.transaction.messages.response_trailers = Some(trailers),
        }
        self.exchange.handle_trailers(direction, self.now, &mut self.transaction);
        self.drain();
    }

    /// The processor replies.
    pub fn answer(&mut self, response: Response) {
        self.message(&ProcessingResponse { response: Some(response), ..Default::default() });
    }

    /// The processor sends a message.
    pub fn message(&mut self, message: &ProcessingResponse) {
        self.raw(message.encode_to_vec().into());
    }

    /// The processor sends these bytes as a message.
    pub fn raw(&mut self, bytes: Bytes) {
        self.exchange.handle_message(bytes.into(), self.now, &mut self.transaction);
        self.drain();
    }

    /// The stream to the processor ends, but not by the exchange.
    pub fn stream_end(&mut self, end: StreamEnd) {
        self.exchange.handle_stream_end(end, self.now);
        self.drain();
    }

    /// The HTTP exchange is over.
    pub fn end(&mut self) {
        self.exchange.handle_end();
        self.drain();
    }

    /// Whether the gateway has answered the client itself.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.reply.is_some() || self.too_large.is_some()
    }

    /// Whether the processor can be heard: the stream to it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opened > 0 && self.closed.is_none()
    }

    /// Lets time pass, up to the next deadline at most per step.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.exchange.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.exchange.handle_timeout(self.now);
            self.drain();
            assert_ne!(self.exchange.poll_timeout(), Some(deadline), "a deadline that stays");
        }
        self.now = end;
    }

    /// Carries out what there is to do.
    pub fn drain(&mut self) {
        while let Some(action) = self.exchange.poll_action() {
            match action {
                Action::Open => {
                    self.opened += 1;
                    assert_eq!(self.opened, 1, "opened twice");
                }
                Action::Send { message, payload } => {
                    assert_eq!(self.opened, 1, "sent before the stream was opened");
                    assert!(self.closed.is_none(), "sent after the stream was closed");
                    let mut frame = message.to_vec();
                    frame.extend_from_slice(&payload.into_bytes());
                    self.sent.push(ProcessingRequest::decode(&frame[5..]).expect("own message"));
                }
                Action::ForwardHeaders { direction, end_stream } => {
                    self.forwarded(direction, Out::Headers { end_stream });
                }
                Action::ForwardData { direction, data, end_stream } => {
                    self.forwarded(direction, Out::Data { data: data.into_bytes(), end_stream });
                }
                Action::ForwardTrailers { direction } => self.forwarded(direction, Out::Trailers),
                Action::ClearRouteCache => self.route_cleared += 1,
                Action::Reply(reply) => self.reply = Some(*reply),
                Action::PayloadTooLarge(direction) => self.too_large = Some(direction),
                Action::ReplyHeaders { head, end_stream } => {
                    self.streamed_head = Some(*head);
                    put(&mut self.streamed, Out::Headers { end_stream });
                }
                Action::ReplyData { data, end_stream } => {
                    put(&mut self.streamed, Out::Data { data: data.into_bytes(), end_stream });
                }
                Action::ReplyTrailers(_) => put(&mut self.streamed, Out::Trailers),
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

    fn forwarded(&mut self, direction: Direction, part: Out) {
        let parts = match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        put(parts, part);
    }

    /// The body that was passed on.
    #[must_use]
    pub fn body(&self, direction: Direction) -> Vec<u8> {
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
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.sent.iter().map(|message| kind_of(message.request.as_ref())).collect()
    }
}

/// Adds a part: the head first, nothing behind the end.
fn put(parts: &mut Vec<Out>, part: Out) {
    assert_eq!(parts.is_empty(), matches!(part, Out::Headers { .. }), "{part:?} behind {parts:?}");
    assert!(!parts.last().is_some_and(Out::ends), "{part:?} behind the end: {parts:?}");
    parts.push(part);
}
