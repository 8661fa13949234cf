//! What is known about a direction in every phase.

use std::time::Instant;

use super::SideMode;
use crate::{
    exchange::{Action, cx::Cx, link::Link, timer::Timer},
    http_message::Direction,
    log::{Note, Step},
    mode::BodySendMode,
    plan::Plan,
    slices::Slices,
};

/// How the message as it arrived ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::exchange) enum End {
    /// Not yet.
    Open,
    /// With its head: no body, no trailers.
    Headers,
    /// With its body.
    Data,
    /// With trailers.
    Trailers,
}

/// How much of the message was passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::exchange) enum Out {
    Nothing,
    /// The head, and perhaps some of the body.
    Head,
    /// Everything, with the end.
    All,
}

/// A direction: what arrived of its message, what was passed on, and when a reply is late.
#[derive(Debug)]
pub(in crate::exchange) struct Line {
    pub(in crate::exchange) direction: Direction,
    pub(in crate::exchange) mode: SideMode,
    pub(in crate::exchange) end: End,
    pub(in crate::exchange) out: Out,
    pub(in crate::exchange) timer: Timer,
    /// The last reply that was needed has come. As in Envoy, the reply to a collected body does not count: the stream then
    /// stays open until the exchange ends (L-6.1).
    pub(in crate::exchange) answered: bool,
}

impl Line {
    pub(super) fn new(direction: Direction, mode: SideMode) -> Self {
        Self { direction, mode, end: End::Open, out: Out::Nothing, timer: Timer::default(), answered: false }
    }

    /// A message begins. A local reply may take the place of a response that had begun (F-5).
    pub(in crate::exchange) fn begin(&mut self, end_stream: bool) {
        self.out = Out::Nothing;
        self.end = if end_stream { End::Headers } else { End::Open };
    }

    /// Passes the head on unless that has been done.
    pub(in crate::exchange) fn forward_head(&mut self, link: &mut Link, end_stream: bool) {
        if self.out == Out::Nothing {
            self.out = if end_stream { Out::All } else { Out::Head };
            link.push(Action::ForwardHeaders { direction: self.direction, end_stream });
        }
    }

    /// Passes a piece on. That may be an empty one that ends nothing: another filter shows it to its processor (Y-2).
    pub(in crate::exchange) fn forward_data(&mut self, link: &mut Link, data: Slices, end_stream: bool) {
        if self.out == Out::Head {
            if end_stream {
                self.out = Out::All;
            }
            link.push(Action::ForwardData { direction: self.direction, data, end_stream });
        }
    }

    pub(in crate::exchange) fn forward_trailers(&mut self, link: &mut Link) {
        if self.out == Out::Head {
            self.out = Out::All;
            link.push(Action::ForwardTrailers { direction: self.direction });
        }
    }

    /// Passes on what was held, unmodified: what was sent and not answered, in one piece, what was not sent, and the end if it
    /// has arrived (X-2, L-8).
    pub(in crate::exchange) fn forward_rest(
        &mut self,
        link: &mut Link,
        sent: Option<Slices>,
        held: Option<Slices>,
    ) {
        let ends = self.end == End::Data;
        self.forward_head(link, self.end == End::Headers);
        if let Some(sent) = sent {
            self.forward_data(link, sent, ends && held.is_none());
        }
        if held.is_some() || ends {
            self.forward_data(link, held.unwrap_or_default(), ends);
        }
        if self.end == End::Trailers {
            self.forward_trailers(link);
        }
    }

    /// A message was sent: its reply has a deadline, but not in FULL_DUPLEX_STREAMED (B-6.10).
    pub(in crate::exchange) fn sent(&mut self, cx: &Cx<'_>) {
        let deadline = if self.mode.is_duplex() { None } else { cx.link.deadline(cx.now) };
        self.timer.sent(cx.now, deadline);
    }

    /// A reply fits: counts and notes it, and stops the timer.
    pub(in crate::exchange) fn accept(&mut self, cx: &mut Cx<'_>, step: Option<Step>) {
        cx.link.counters.stream_msgs_received += 1;
        cx.link.note(Note::Bytes);
        self.record(cx.link, step, 0, cx.now);
        self.timer.stop();
    }

    /// Notes how a step ended (G-5, G-6).
    pub(in crate::exchange) fn record(&self, link: &mut Link, step: Option<Step>, status: i32, now: Instant) {
        if let (Some(step), Some(sent_at)) = (step, self.timer.sent_at()) {
            let latency = now.saturating_duration_since(sent_at);
            link.note(Note::Call { direction: self.direction, step, latency, status });
        }
    }

    /// Whether `content-length` does not belong to messages of this direction (B-7.1, B-7.4).
    pub(in crate::exchange) fn removes_content_length(&self, plan: &Plan) -> bool {
        !plan.allow_content_length_header
            && match self.mode.body {
                BodySendMode::Streamed | BodySendMode::BufferedPartial | BodySendMode::FullDuplexStreamed => {
                    true
                }
                BodySendMode::Buffered => !self.mode.headers,
                BodySendMode::None | BodySendMode::Grpc => false,
            }
    }
}
