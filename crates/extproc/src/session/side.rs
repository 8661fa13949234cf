//! One direction of a session.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Event, Head, Link, NotPossible, Rest, reply};
use crate::{
    BodySendMode, Direction,
    messages::{
        BodyMutation, CommonResponse, HeaderMap, HeaderMutation, HttpHeaders, HttpTrailers, ProcessingMode,
        ProcessingResponse, Struct, body_mutation::Mutation, common_response::CONTINUE_AND_REPLACE,
    },
};

/// Whether the headers are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Headers {
    NotShown,
    Owed,
    Answered,
}

/// What becomes of the body and the trailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Undecided,
    Granted(Rest),
    /// The message was replaced: the gateway awaits no replies.
    Dropped,
}

/// How the original has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Original {
    Open,
    Data,
    Trailers,
}

/// Trailers that were received.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Trailers {
    None,
    Shown,
    /// They are answered when everything before them is.
    Decided(Option<HeaderMutation>),
    Answered,
}

/// A part that arrived before it was said what becomes of it.
#[derive(Debug)]
enum Arrived {
    Body(Bytes, bool),
    Trailers(HttpTrailers),
}

/// A piece of a body that is not answered yet.
#[derive(Debug)]
struct Owed {
    /// It ends the message.
    ends: bool,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Undecided,
    Unchanged,
    Changed(Bytes),
}

#[derive(Debug)]
pub(super) struct Side {
    pub(super) direction: Direction,
    /// The body mode, if it is known.
    pub(super) mode: Option<BodySendMode>,
    pub(super) headers: Headers,
    pub(super) wish: Wish,
    pub(super) original: Original,
    pub(super) trailers: Trailers,
    /// A part of a body was received.
    pub(super) has_body: bool,
    /// What the handler wrote and no reply has taken.
    pub(super) written: VecDeque<Bytes>,
    /// Nothing more will be written.
    pub(super) finishing: bool,
    /// FULL_DUPLEX_STREAMED: the end of the new body was sent.
    pub(super) ended: bool,
    /// The head says how long the body is.
    has_length: bool,
    /// A change to the headers that goes with the reply to the body.
    late: Option<HeaderMutation>,
    waiting: Vec<Arrived>,
    /// Not in FULL_DUPLEX_STREAMED.
    owed: VecDeque<Owed>,
}

impl Side {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            mode: None,
            headers: Headers::NotShown,
            wish: Wish::Undecided,
            original: Original::Open,
            trailers: Trailers::None,
            has_body: false,
            written: VecDeque::new(),
            finishing: false,
            ended: false,
            has_length: false,
            late: None,
            waiting: Vec::new(),
            owed: VecDeque::new(),
        }
    }

    pub(super) fn is_duplex(&self) -> bool {
        self.mode == Some(BodySendMode::FullDuplexStreamed)
    }

    fn rewrites(&self) -> bool {
        self.wish == Wish::Granted(Rest::Rewrite)
    }

    fn possible(
        &self,
        possible: bool,
        wanted: &'static str,
        setting: &'static str,
    ) -> Result<(), NotPossible> {
        if possible { Ok(()) } else { Err(NotPossible { wanted, mode: self.mode, setting }) }
    }

    pub(super) fn on_headers(
        &mut self,
        link: &mut Link,
        head: HttpHeaders,
        attributes: BTreeMap<String, Struct>,
    ) {
        let headers: HeaderMap = head.headers.unwrap_or_default();
        self.headers = Headers::Owed;
        self.has_length =
            headers.headers.iter().any(|header| header.key.eq_ignore_ascii_case("content-length"));
        let (direction, end_stream) = (self.direction, head.end_of_stream);
        link.event(Event::Headers { direction, headers, end_stream, attributes });
    }

    pub(super) fn on_body(&mut self, link: &mut Link, data: Bytes, ends: bool) {
        match self.wish {
            Wish::Dropped => return,
            Wish::Undecided => {
                if self.headers == Headers::NotShown && self.waiting.is_empty() {
                    link.event(Event::Undecided { direction: self.direction });
                }
                self.waiting.push(Arrived::Body(data, ends));
                return;
            }
            Wish::Granted(_) => {}
        }
        self.has_body = true;
        if ends {
            self.original = Original::Data;
        }
        let shown = self.rewrites() && !self.finishing;
        if shown {
            self.show(link, data.clone(), ends);
        }
        if self.is_duplex() {
            if !self.rewrites() && !self.finishing {
                self.written.push_back(data);
                self.finishing = ends;
            }
        } else {
            let answer = match (self.rewrites(), self.finishing) {
                (false, _) => Answer::Unchanged,
                (true, true) => Answer::Changed(Bytes::new()),
                (true, false) => Answer::Undecided,
            };
            self.owed.push_back(Owed { ends, answer });
        }
        self.flush(link);
    }

    /// Shows a piece to the handler.
    fn show(&self, link: &mut Link, data: Bytes, ends: bool) {
        let direction = self.direction;
        if !data.is_empty() {
            link.event(Event::Data { direction, data });
        }
        match self.mode {
            // B-3.1: it is all there is, and trailers may follow.
            Some(BodySendMode::Buffered) => link.event(Event::End { direction }),
            _ if ends => link.event(Event::End { direction }),
            Some(BodySendMode::BufferedPartial) => link.event(Event::Cut { direction }),
            _ => {}
        }
    }

    pub(super) fn on_trailers(&mut self, link: &mut Link, trailers: HttpTrailers) {
        match self.wish {
            Wish::Dropped => return,
            Wish::Undecided if self.headers == Headers::Owed || !self.waiting.is_empty() => {
                self.waiting.push(Arrived::Trailers(trailers));
                return;
            }
            // Neither the headers nor a body are shown.
            Wish::Undecided => self.wish = Wish::Granted(Rest::PassBody),
            Wish::Granted(_) => {}
        }
        self.original = Original::Trailers;
        if !self.rewrites() {
            self.finishing = true;
        }
        if self.wish == Wish::Granted(Rest::Pass) {
            self.trailers = Trailers::Decided(None);
        } else {
            self.trailers = Trailers::Shown;
            let trailers = trailers.trailers.unwrap_or_default();
            link.event(Event::Trailers { direction: self.direction, trailers });
        }
        self.flush(link);
    }

    pub(super) fn check_headers_owed(&self) -> Result<(), NotPossible> {
        self.possible(
            self.headers == Headers::Owed,
            "answer the headers",
            "headers that are shown and were not answered before",
        )
    }

    pub(super) fn answer_headers(
        &mut self,
        link: &mut Link,
        head: Head,
        modes: Option<ProcessingMode>,
        rest: Rest,
    ) {
        let mut mutation = head.mutation;
        let collected = matches!(self.mode, None | Some(BodySendMode::Buffered));
        if rest == Rest::Rewrite && self.has_length && !collected {
            // Its length will be another one.
            mutation.get_or_insert_default().remove_headers.push("content-length".to_owned());
            self.has_length = false;
        }
        if head.reroute {
            // K-3: a gateway considers it only together with a mutation.
            mutation.get_or_insert_default();
        }
        let common = CommonResponse {
            header_mutation: mutation,
            clear_route_cache: head.reroute,
            ..CommonResponse::default()
        };
        link.message(ProcessingResponse {
            response: Some(reply::headers(self.direction, common)),
            mode_override: modes,
            ..ProcessingResponse::default()
        });
        self.headers = Headers::Answered;
        self.decide(link, rest);
    }

    pub(super) fn replace(&mut self, link: &mut Link, head: Head, body: Bytes) -> Result<(), NotPossible> {
        self.possible(
            self.headers == Headers::Owed,
            "replace the message unread",
            "headers that are shown and were not answered before",
        )?;
        let body = if body.is_empty() { Mutation::ClearBody(true) } else { Mutation::Body(body) };
        let mut mutation = head.mutation;
        if head.reroute {
            mutation.get_or_insert_default();
        }
        let common = CommonResponse {
            status: CONTINUE_AND_REPLACE,
            header_mutation: mutation,
            body_mutation: Some(BodyMutation { mutation: Some(body) }),
            clear_route_cache: head.reroute,
            ..CommonResponse::default()
        };
        link.reply(reply::headers(self.direction, common));
        // what is under way is answered by nobody.
        self.headers = Headers::Answered;
        self.wish = Wish::Dropped;
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn decide(&mut self, link: &mut Link, rest: Rest) {
        if self.wish == Wish::Dropped {
            return;
        }
        if self.rewrites() && rest != Rest::Rewrite {
            // What was shown is the handler's; the rest passes.
            self.settle_owed();
            self.finishing |= self.original != Original::Open;
        }
        self.wish = Wish::Granted(rest);
        if rest == Rest::Pass && self.trailers == Trailers::Shown {
            self.trailers = Trailers::Decided(None);
        }
        for arrived in std::mem::take(&mut self.waiting) {
            match arrived {
                Arrived::Body(data, ends) => self.on_body(link, data, ends),
                Arrived::Trailers(trailers) => self.on_trailers(link, trailers),
            }
        }
        self.flush(link);
    }

    pub(super) fn change_headers(&mut self, mutation: HeaderMutation) -> Result<(), NotPossible> {
        let collects = matches!(self.mode, Some(BodySendMode::Buffered | BodySendMode::BufferedPartial));
        self.possible(
            collects && self.headers == Headers::Answered && self.is_open(),
            "change the headers after the body was read",
            "BUFFERED, or FULL_DUPLEX_STREAMED with the headers answered later",
        )?;
        let late = self.late.get_or_insert_default();
        late.set_headers.extend(mutation.set_headers);
        late.remove_headers.extend(mutation.remove_headers);
        Ok(())
    }

    /// A piece is shown and not answered.
    fn is_open(&self) -> bool {
        self.owed.iter().any(|owed| matches!(owed.answer, Answer::Undecided))
    }

    pub(super) fn write(&mut self, link: &mut Link, data: Bytes) -> Result<(), NotPossible> {
        self.possible(
            self.rewrites() && !self.finishing,
            "write a body that is not being rewritten",
            "a body that was to be rewritten and is not finished",
        )?;
        let carried = if self.is_duplex() { self.has_body } else { self.is_open() };
        self.possible(
            carried,
            "write more than the pieces that are not answered can carry",
            "FULL_DUPLEX_STREAMED and a message with a body",
        )?;
        self.written.push_back(data);
        self.flush(link);
        Ok(())
    }

    pub(super) fn next(&mut self, link: &mut Link) {
        let streamed = matches!(self.mode, None | Some(BodySendMode::Streamed));
        if !streamed || !self.rewrites() {
            return;
        }
        let open = |owed: &&mut Owed| matches!(owed.answer, Answer::Undecided) && !owed.ends;
        if let Some(owed) = self.owed.iter_mut().find(open) {
            owed.answer = Answer::Changed(joined(&mut self.written));
        }
        self.flush(link);
    }

    pub(super) fn finish(&mut self, link: &mut Link) {
        if self.rewrites() {
            self.finishing = true;
            self.settle_owed();
            self.flush(link);
        }
    }

    /// What was written goes with the oldest piece that is not answered; the others are cleared.
    fn settle_owed(&mut self) {
        for owed in &mut self.owed {
            if matches!(owed.answer, Answer::Undecided) {
                owed.answer = Answer::Changed(joined(&mut self.written));
            }
        }
    }

    pub(super) fn answer_trailers(&mut self, link: &mut Link, mutation: Option<HeaderMutation>) {
        if self.trailers == Trailers::Shown {
            self.trailers = Trailers::Decided(mutation);
            self.flush(link);
        }
    }

    /// A reply is owed to the gateway.
    pub(super) fn owes(&self) -> bool {
        let trailers = matches!(self.trailers, Trailers::Shown | Trailers::Decided(_));
        let body = match self.is_duplex() {
            true => self.has_body && !self.ended && self.trailers != Trailers::Answered,
            false => !self.owed.is_empty(),
        };
        self.headers == Headers::Owed
            || !self.waiting.is_empty()
            || (self.wish != Wish::Dropped && (body || trailers))
    }

    /// Sends the replies that can be sent, in order.
    pub(super) fn flush(&mut self, link: &mut Link) {
        if self.headers == Headers::Owed || self.wish == Wish::Dropped {
            return;
        }
        if self.is_duplex() {
            self.flush_duplex(link);
            return;
        }
        while let Some(owed) = self.owed.pop_front_if(|owed| !matches!(owed.answer, Answer::Undecided)) {
            let body = match owed.answer {
                Answer::Changed(body) => Some(body),
                Answer::Unchanged | Answer::Undecided => None,
            };
            let mut mutation = self.late.take();
            // B-3.4
            if let (Some(body), true) = (&body, self.has_length) {
                reply::set_length(mutation.get_or_insert_default(), body.len());
            }
            link.reply(reply::body(self.direction, body, mutation));
        }
        if self.owed.is_empty() {
            self.flush_trailers(link);
        }
    }

    pub(super) fn flush_trailers(&mut self, link: &mut Link) {
        if let Trailers::Decided(mutation) = &mut self.trailers {
            let mutation = mutation.take();
            self.trailers = Trailers::Answered;
            link.reply(reply::trailers(self.direction, mutation));
        }
    }
}

/// All of it in one place.
fn joined(pieces: &mut VecDeque<Bytes>) -> Bytes {
    match pieces.len() {
        0 => Bytes::new(),
        1 => pieces.pop_front().unwrap_or_default(),
        _ => pieces.drain(..).collect::<Vec<_>>().concat().into(),
    }
}
