//! Which replies of a direction are owed.

use std::collections::VecDeque;

use super::{Findings, Rule};
use crate::{
    BodySendMode, Direction,
    messages::{CommonResponse, HttpHeaders, body_mutation::Mutation},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Headers,
    Body,
    Trailers,
}

/// A reply to a body that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// It may be the whole body, and the headers may be held with it.
    Collected,
    /// In STREAMED.
    Streamed,
    /// In FULL_DUPLEX_STREAMED.
    Duplex,
}

#[derive(Debug, Clone)]
pub(super) struct Steps {
    pub(super) direction: Direction,
    mode: BodySendMode,
    /// Messages without a reply; no body in FULL_DUPLEX_STREAMED.
    owed: VecDeque<Step>,
    /// Steps that were answered.
    answered: Vec<Step>,
    /// What the headers say of the body's length.
    pub(super) length: Option<u64>,
    /// The headers were shown.
    pub(super) headers_shown: bool,
    /// The message was replaced: no replies are awaited.
    replaced: bool,
    /// FULL_DUPLEX_STREAMED: a body was given away.
    given: bool,
    /// The original ended without trailers.
    ended: bool,
    /// The processor has ended the body.
    finished: bool,
}

impl Steps {
    pub(super) fn new(direction: Direction, mode: BodySendMode) -> Self {
        Self {
            direction,
            mode,
            owed: VecDeque::new(),
            answered: Vec::new(),
            length: None,
            headers_shown: false,
            replaced: false,
            given: false,
            ended: false,
            finished: false,
        }
    }

    pub(super) fn set_mode(&mut self, number: i32) {
        self.mode = BodySendMode::try_from(number).unwrap_or_default();
    }

    /// Another mode was asked for. It takes effect when the replies to what was sent have come.
    pub(super) fn adopt(&mut self, number: i32) {
        if !self.given && !self.owed.contains(&Step::Body) {
            self.set_mode(number);
        }
    }

    pub(super) fn awaits_headers(&self) -> bool {
        self.owed.front() == Some(&Step::Headers)
    }

    pub(super) fn is_duplex(&self) -> bool {
        self.mode == BodySendMode::FullDuplexStreamed
    }

    pub(super) fn mode(&self) -> BodySendMode {
        self.mode
    }

    pub(super) fn headers(&mut self, head: &HttpHeaders) {
        self.headers_shown = true;
        let fields = head.headers.iter().flat_map(|map| &map.headers);
        self.length = fields
            .filter(|header| header.key.eq_ignore_ascii_case("content-length"))
            .find_map(|header| std::str::from_utf8(&header.raw_value).ok()?.parse().ok());
        self.owed.push_back(Step::Headers);
    }

    pub(super) fn body(&mut self, end_of_stream: bool) {
        self.ended |= end_of_stream;
        match self.is_duplex() {
            _ if self.replaced => {}
            true => self.given = true,
            false => self.owed.push_back(Step::Body),
        }
    }

    pub(super) fn trailers(&mut self) {
        if !self.replaced {
            self.owed.push_back(Step::Trailers);
        }
    }

    pub(super) fn replace(&mut self) {
        self.replaced = true;
        self.owed.clear();
    }

    /// The replies that will not come any more.
    pub(super) fn owed(&self, found: &mut Findings) {
        for step in &self.owed {
            found.add(Rule::MissingReply, format!("no reply to {}", self.name(*step)));
        }
        if self.given && !self.replaced && !self.finished && !self.answered.contains(&Step::Trailers) {
            let words = format!("a {} without an end", self.name(Step::Body));
            found.add(Rule::Unfinished, words);
        }
    }

    pub(super) fn headers_reply(&mut self, found: &mut Findings) -> bool {
        self.expect(Step::Headers, found)
    }

    pub(super) fn trailers_reply(&mut self, found: &mut Findings) -> bool {
        if self.is_duplex() && self.owed.front() == Some(&Step::Headers) {
            self.wrong(Step::Trailers, found);
            return false;
        }
        self.expect(Step::Trailers, found)
    }

    /// Whether a reply to a body fits, and to what.
    pub(super) fn body_reply(&mut self, common: &CommonResponse, found: &mut Findings) -> Option<Piece> {
        let mutation = common.body_mutation.as_ref().and_then(|mutation| mutation.mutation.as_ref());
        let piece = match mutation {
            Some(Mutation::StreamedResponse(piece)) => Some(piece),
            _ => None,
        };
        if !self.is_duplex() {
            if !self.expect(Step::Body, found) {
                return None;
            }
            if piece.is_some() && self.mode == BodySendMode::Streamed {
                found.add(Rule::StreamedResponse, format!("streamed_response in {}", name(self.mode)));
            } else if piece.is_some() {
                let words = format!("streamed_response in {} changes nothing", name(self.mode));
                found.add(Rule::StreamedResponse, words);
            }
            let streamed = self.mode == BodySendMode::Streamed;
            return Some(if streamed { Piece::Streamed } else { Piece::Collected });
        }
        if self.replaced || self.awaits_headers() || !self.given {
            self.wrong(Step::Body, found);
            return None;
        }
        let Some(piece) = piece else {
            let words = format!("a {} without streamed_response", self.name(Step::Body));
            found.add(Rule::PlainBody, words);
            return None;
        };
        if self.finished {
            found.add(Rule::BehindTheEnd, format!("a {} behind its end", self.name(Step::Body)));
        }
        self.finished |= piece.end_of_stream;
        Some(Piece::Duplex)
    }

    fn expect(&mut self, step: Step, found: &mut Findings) -> bool {
        if self.owed.front() == Some(&step) {
            self.owed.pop_front();
            self.answered.push(step);
            return true;
        }
        self.wrong(step, found);
        false
    }

    fn wrong(&self, step: Step, found: &mut Findings) {
        let kind = self.name(step);
        match self.owed.front() {
            Some(awaited) => {
                found.add(Rule::WrongKind, format!("{kind}, but {} is awaited", self.name(*awaited)));
            }
            None if self.answered.contains(&step) => {
                found.add(Rule::SecondReply, format!("{kind}, and there was one before"));
            }
            None => found.add(Rule::WrongKind, format!("{kind}, but nothing is awaited")),
        }
    }

    fn name(&self, step: Step) -> &'static str {
        match (self.direction, step) {
            (Direction::Request, Step::Headers) => "request_headers",
            (Direction::Request, Step::Body) => "request_body",
            (Direction::Request, Step::Trailers) => "request_trailers",
            (Direction::Response, Step::Headers) => "response_headers",
            (Direction::Response, Step::Body) => "response_body",
            (Direction::Response, Step::Trailers) => "response_trailers",
        }
    }
}

pub(super) const fn name(mode: BodySendMode) -> &'static str {
    match mode {
        BodySendMode::None => "NONE",
        BodySendMode::Streamed => "STREAMED",
        BodySendMode::Buffered => "BUFFERED",
        BodySendMode::BufferedPartial => "BUFFERED_PARTIAL",
        BodySendMode::FullDuplexStreamed => "FULL_DUPLEX_STREAMED",
        BodySendMode::Grpc => "GRPC",
    }
}
