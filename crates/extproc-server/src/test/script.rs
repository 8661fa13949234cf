//! What client and upstream do.

use bytes::Bytes;
use extproc::{Direction, RequestHeaders, ResponseHeaders, messages::Struct, sim::World};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, uri::PathAndQuery};

use super::Message;

/// A request and the response to it.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) method: Method,
    pub(super) scheme: HeaderValue,
    /// If the request has no `host`.
    pub(super) authority: HeaderValue,
    pub(super) path: String,
    pub(super) status: StatusCode,
    pub(super) request: Part,
    pub(super) response: Part,
    pub(super) attributes: Struct,
    pub(super) metadata: Struct,
    pub(super) leaves_after: Option<usize>,
}

/// One of both.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) fields: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            method: Method::GET,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("example.com"),
            path: "/".to_owned(),
            status: StatusCode::OK,
            request: Part::default(),
            response: Part::default(),
            attributes: Struct::default(),
            metadata: Struct::default(),
            leaves_after: None,
        }
    }
}

impl Script {
    /// A path, or a URL, which says scheme and host, too.
    pub(super) fn set_target(&mut self, target: &str) {
        let value = |text: &str| HeaderValue::from_str(text).expect("a part of a URL");
        let uri: Uri = target.parse().expect("a path or a URL");
        if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
            (self.scheme, self.authority) = (value(scheme), value(authority.as_str()));
            self.path = uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        } else {
            self.path = target.to_owned();
        }
    }

    pub(super) fn has_trailers(&self) -> bool {
        self.request.trailers.is_some() || self.response.trailers.is_some()
    }

    pub(super) fn has_bodies(&self) -> bool {
        self.request.body.is_some() || self.response.body.is_some()
    }

    pub(super) fn request_headers(&self) -> RequestHeaders {
        let mut fields = self.request.fields.clone();
        let authority = fields.remove("host").unwrap_or_else(|| self.authority.clone());
        self.request.announce(&mut fields);
        RequestHeaders {
            method: self.method.clone(),
            scheme: self.scheme.clone(),
            authority,
            path: self.path.parse().expect("a path"),
            fields,
        }
    }

    /// The request as the client sends it.
    pub(super) fn request_message(&self) -> Message {
        let head = self.request_headers();
        Message {
            method: Some(head.method),
            authority: String::from_utf8_lossy(head.authority.as_bytes()).into_owned(),
            path: self.path.clone(),
            ..self.request.message(head.fields)
        }
    }

    /// The response as the upstream sends it.
    pub(super) fn response_message(&self) -> Message {
        let head = self.response_headers();
        Message { status: Some(head.status), ..self.response.message(head.fields) }
    }

    pub(super) fn response_headers(&self) -> ResponseHeaders {
        let mut fields = self.response.fields.clone();
        self.response.announce(&mut fields);
        ResponseHeaders { status: self.status, fields }
    }
}

impl Part {
    fn message(&self, headers: HeaderMap) -> Message {
        let (body, trailers) = (self.body.clone().unwrap_or_default(), self.trailers.clone());
        Message { headers, body, trailers, complete: true, ..Message::default() }
    }

    /// Says how long the body is, as senders do that know it.
    fn announce(&self, fields: &mut HeaderMap) {
        if let (Some(body), None) = (&self.body, &self.trailers) {
            fields.entry("content-length").or_insert_with(|| HeaderValue::from(body.len()));
        }
    }
}

/// Where a body is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Not at all.
    Whole,
    /// In the middle, and the end comes without data.
    Halves,
    /// Everywhere.
    Bytes,
    /// Into pieces of so many bytes.
    Pieces(usize),
}

impl Cut {
    pub(super) const ALL: [Self; 3] = [Self::Whole, Self::Halves, Self::Bytes];

    pub(super) fn pieces(self, body: &Bytes) -> Vec<Bytes> {
        let size = match self {
            Self::Whole => body.len(),
            Self::Halves => body.len().div_ceil(2),
            Self::Bytes => 1,
            Self::Pieces(bytes) => bytes,
        };
        let mut rest = body.clone();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            pieces.push(rest.split_to(size.min(rest.len())));
        }
        pieces
    }
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Sender {
    direction: Direction,
    head: bool,
    pieces: std::collections::VecDeque<Bytes>,
    has_body: bool,
    trailers: Option<HeaderMap>,
    /// The last piece ends the body.
    ends_with_piece: bool,
    pub(super) done: bool,
}

impl Sender {
    pub(super) fn new(direction: Direction, part: &Part, cut: Cut) -> Self {
        let pieces = part.body.as_ref().map(|body| cut.pieces(body)).unwrap_or_default();
        Self {
            direction,
            head: false,
            pieces: pieces.into(),
            has_body: part.body.is_some(),
            trailers: part.trailers.clone(),
            ends_with_piece: cut != Cut::Halves,
            done: false,
        }
    }

    /// The next part arrives, if there is room. What arrived.
    pub(super) fn feed(&mut self, world: &mut World, script: &Script) -> Option<&'static str> {
        let direction = self.direction;
        if self.done {
            return None;
        }
        if !self.head {
            self.head = true;
            let end_stream = !self.has_body && self.trailers.is_none();
            self.done = end_stream;
            match direction {
                Direction::Request => world.transaction.messages.request = script.request_headers(),
                Direction::Response => world.transaction.messages.response = Some(script.response_headers()),
            }
            let World { exchange, transaction, now, .. } = world;
            exchange.handle_headers(direction, end_stream, *now, transaction);
            world.drain();
            return Some("head");
        }
        if !world.exchange.wants(direction) {
            return None;
        }
        if let Some(piece) = self.pieces.pop_front() {
            self.done = self.pieces.is_empty() && self.ends_with_piece && self.trailers.is_none();
            world.piece(direction, piece, self.done);
            return Some("piece");
        }
        self.done = true;
        let Some(trailers) = self.trailers.take() else {
            world.piece(direction, Bytes::new(), true);
            return Some("end");
        };
        match direction {
            Direction::Request => world.transaction.messages.request_trailers = Some(trailers),
            Direction::Response => world.transaction.messages.response_trailers = Some(trailers),
        }
        let World { exchange, transaction, now, .. } = world;
        exchange.handle_trailers(direction, *now, transaction);
        world.drain();
        Some("trailers")
    }
}
