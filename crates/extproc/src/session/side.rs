//! One direction of a session.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Event, Link, Rest, reply};
use crate::{
    BodySendMode, Direction, Queue,
    messages::{HeaderMap, HeaderMutation, HttpHeaders, HttpTrailers, Struct},
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
pub(super) enum Arrived {
    Body(Bytes, bool),
    Trailers(HttpTrailers),
}

/// A piece of a body that is not answered yet.
#[derive(Debug)]
pub(super) struct Owed {
    /// It ends the message.
    pub(super) ends: bool,
    pub(super) answer: Answer,
}

#[derive(Debug)]
pub(super) enum Answer {
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
    pub(super) written: Queue<Bytes>,
    /// Nothing more will be written.
    pub(super) finishing: bool,
    /// FULL_DUPLEX_STREAMED: the end of the new body was sent.
    pub(super) ended: bool,
    /// The head says how long the body is.
    pub(super) has_length: bool,
    /// A change to the headers that goes with the reply to the body.
    pub(super) late: Option<HeaderMutation>,
    /// The route is to be chosen again with that reply.
    pub(super) reroutes_late: bool,
    pub(super) waiting: Vec<Arrived>,
    /// Not in FULL_DUPLEX_STREAMED.
    pub(super) owed: Queue<Owed>,
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
            written: Queue::new(),
            finishing: false,
            ended: false,
            has_length: false,
            late: None,
            reroutes_late: false,
            waiting: Vec::new(),
            owed: Queue::new(),
        }
    }

    pub(super) fn is_duplex(&self) -> bool {
        self.mode == Some(BodySendMode::FullDuplexStreamed)
    }

    pub(super) fn rewrites(&self) -> bool {
        self.wish == Wish::Granted(Rest::Rewrite)
    }

    pub(super) fn on_headers(
        &mut self,
        link: &mut Link,
        head: HttpHeaders,
        attributes: BTreeMap<String, Struct>,
    ) {
        let headers: HeaderMap = head.headers.unwrap_or_default();
        let has_length =
            headers.headers.iter().any(|header| header.key.eq_ignore_ascii_case("content-length"));
        self.on_kept_headers(has_length);
        let (direction, end_stream) = (self.direction, head.end_of_stream);
        link.event(Event::Headers { direction, headers, end_stream, attributes });
    }

    /// As [`on_headers`](Self::on_headers), of headers that nobody here needs to see.
    pub(super) fn on_kept_headers(&mut self, has_length: bool) {
        self.headers = Headers::Owed;
        self.has_length = has_length;
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

    /// What was written goes with the oldest piece that is not answered; the others are cleared.
    pub(super) fn settle_owed(&mut self) {
        for owed in self.owed.iter_mut() {
            if matches!(owed.answer, Answer::Undecided) {
                owed.answer = Answer::Changed(joined(&mut self.written));
            }
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

    /// Whether there may be any [bytes](Self::buffered_bytes).
    pub(super) const fn has_bytes(&self) -> bool {
        !(self.written.is_empty() && self.waiting.is_empty() && self.owed.is_empty())
    }

    /// Bytes of pieces that wait here.
    pub(super) fn buffered_bytes(&self) -> usize {
        let waiting = |arrived: &Arrived| match arrived {
            Arrived::Body(data, _) => data.len(),
            Arrived::Trailers(_) => 0,
        };
        let owed = |owed: &Owed| match &owed.answer {
            Answer::Changed(data) => data.len(),
            Answer::Undecided | Answer::Unchanged => 0,
        };
        self.written.iter().map(Bytes::len).sum::<usize>()
            + self.waiting.iter().map(waiting).sum::<usize>()
            + self.owed.iter().map(owed).sum::<usize>()
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
            let reroutes = std::mem::take(&mut self.reroutes_late);
            if reroutes {
                // K-3
                mutation.get_or_insert_default();
            }
            link.reply(reply::body(self.direction, body, mutation, reroutes));
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
pub(super) fn joined(pieces: &mut Queue<Bytes>) -> Bytes {
    if pieces.len() < 2 {
        return pieces.pop_front().unwrap_or_default();
    }
    std::iter::from_fn(|| pieces.pop_front()).collect::<Vec<_>>().concat().into()
}
