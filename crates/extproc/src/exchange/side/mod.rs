//! One direction of an exchange: its line and its phase.

mod adopt;
mod headers;
mod line;
mod mode;
mod phase;
mod replace;
mod trailers;

pub(super) use self::{
    line::{End, Line, Out},
    mode::SideMode,
    phase::{Early, Phase, Rest, Trailers},
};
use super::{
    body::{Duplex, Held},
    cx::Cx,
    link::Link,
};
use crate::{
    http_message::Direction,
    mode::{BodySendMode, ProcessingMode},
    slices::Slices,
};

/// A reply was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replied {
    /// It may have been the last one that is needed (L-6.1).
    Counts,
    /// Another one follows, or Envoy takes no note of it.
    Silently,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) line: Line,
    pub(super) phase: Phase,
}

impl Side {
    pub(super) fn new(direction: Direction, mode: &ProcessingMode) -> Self {
        Self { line: Line::new(direction, SideMode::of(direction, mode)), phase: Phase::Expected }
    }

    /// A piece of the body arrived.
    pub(super) fn on_data(&mut self, cx: &mut Cx<'_>, data: Slices, end_stream: bool) {
        let line = &mut self.line;
        match &mut self.phase {
            Phase::Headers(Early::Held(waiting)) => {
                waiting.push(data);
                if line.mode.body == BodySendMode::Buffered {
                    self.check_limit(cx);
                } else {
                    waiting.update(cx.limit(line.direction), 0);
                }
            }
            Phase::Headers(Early::Streamed(streamed)) | Phase::Streamed(streamed) => {
                streamed.on_data(line, cx, data, end_stream);
            }
            Phase::Headers(Early::Duplex(duplex)) | Phase::Duplex(duplex) => {
                duplex.send(line, cx, data, end_stream);
            }
            Phase::Passing => line.forward_data(cx.link, data, end_stream),
            Phase::Buffered(_) => self.buffered_data(cx, data, end_stream),
            Phase::Partial(_) => self.partial_data(cx, data, end_stream),
            Phase::Discarding => line.forward_data(cx.link, Slices::new(), end_stream),
            Phase::TooLarge | Phase::Headers(Early::TooLarge) => {}
            // No part of a body is where these are.
            Phase::Expected | Phase::Whole(_) | Phase::Trailers(_) => {}
        }
    }

    /// The head of a message arrived when nothing is for the processor any more.
    pub(super) fn pass_headers(&mut self, link: &mut Link, end_stream: bool) {
        self.line.begin(end_stream);
        self.line.forward_head(link, end_stream);
        self.phase = Phase::Passing;
    }

    /// A piece of the body arrived when nothing is for the processor any more.
    pub(super) fn pass_data(&mut self, link: &mut Link, data: Slices, end_stream: bool) {
        match self.phase {
            Phase::TooLarge | Phase::Headers(Early::TooLarge) => {}
            _ if self.phase.drops_rest() => self.line.forward_data(link, Slices::new(), end_stream),
            _ => self.line.forward_data(link, data, end_stream),
        }
    }

    /// Trailers arrived when nothing is for the processor any more.
    pub(super) fn pass_trailers(&mut self, link: &mut Link) {
        if !matches!(self.phase, Phase::TooLarge | Phase::Headers(Early::TooLarge)) {
            self.line.forward_trailers(link);
        }
    }

    /// Everything before the body's next step was answered: passes on what the phase holds, and the end.
    pub(super) fn release(&mut self, link: &mut Link) {
        self.line.timer.stop();
        match self.phase {
            Phase::Expected => return,
            // Nothing to take along.
            Phase::Passing => return self.line.forward_rest(link, None, None),
            _ => {}
        }
        self.phase = match std::mem::take(&mut self.phase).into_rest() {
            Rest::Goes(sent, held) => {
                self.line.forward_rest(link, sent, held);
                Phase::Passing
            }
            Rest::Dropped => {
                self.line.forward_head(link, self.line.end == End::Headers);
                if self.line.end == End::Trailers {
                    self.line.forward_trailers(link);
                }
                Phase::Discarding
            }
            Rest::Answered => Phase::TooLarge,
        };
    }

    /// Passes on `held`, behind the head if that is here, and the end.
    pub(super) fn release_held(&mut self, link: &mut Link, mut held: Held) {
        self.line.forward_rest(link, None, (!held.is_empty()).then(|| held.take()));
        self.phase = Phase::Passing;
    }

    /// Something else goes on in the place of the message: gives up what the phase holds.
    pub(super) fn give_up(&mut self) {
        self.line.timer.stop();
        self.phase = match std::mem::take(&mut self.phase).into_rest() {
            Rest::Goes(..) => Phase::Passing,
            Rest::Dropped => Phase::Discarding,
            Rest::Answered => Phase::TooLarge,
        };
    }

    /// Something that only a reply to the body or the trailers brings back is with the processor.
    pub(super) fn is_with_processor(&self) -> bool {
        self.phase.has_outstanding() || self.awaits_duplex_trailers()
    }

    /// The processor has the trailers of a FULL_DUPLEX_STREAMED message, which only its reply to them ends. It may have ended
    /// the body before (B-6.4).
    fn awaits_duplex_trailers(&self) -> bool {
        self.line.out != Out::All && self.phase.duplex().is_some_and(Duplex::has_trailers)
    }

    /// A reply is outstanding.
    pub(super) fn awaits_reply(&self) -> bool {
        self.phase.awaited().is_some() || self.is_with_processor()
    }

    /// No reply of this direction will be needed (L-6.1). As in Envoy that is so when nothing is ever sent, or when a reply
    /// has turned out to be the last one; not when there was nothing to send after all.
    pub(super) fn is_settled(&self) -> bool {
        self.phase.put_off().is_none()
            && (self.line.mode.wants_nothing() || self.line.answered)
            && !self.phase.has_outstanding()
    }

    /// More of the body may have to be sent.
    fn shows_more_body(&self) -> bool {
        match self.phase {
            Phase::Expected => !matches!(self.line.mode.body, BodySendMode::None | BodySendMode::Grpc),
            Phase::Passing | Phase::Discarding | Phase::TooLarge => false,
            _ => true,
        }
    }

    /// Nothing of this direction waits for the processor, and nothing more will be sent.
    pub(super) fn needs_no_more(&self) -> bool {
        let more_may_come = self.line.end == End::Open
            && !self.phase.drops_rest()
            && (self.shows_more_body() || self.line.mode.trailers);
        self.phase.awaited().is_none() && self.phase.put_off().is_none() && !more_may_come
    }
}
