//! Heads, their replies, and what comes next (section 6).

use super::{Early, End, Phase, Replied, Side, SideMode};
use crate::{
    exchange::{
        body::{Duplex, Held, Partial, Streamed, Waiting},
        cx::{Cx, Part},
        failure::Failure,
        side::Out,
    },
    log::Step,
    messages::{HeadersResponse, common_response::CONTINUE_AND_REPLACE},
    mode::BodySendMode,
    plan::Plan,
};

impl Early {
    /// What becomes of the body in a mode (B-0).
    pub(super) fn new(mode: SideMode, plan: &Plan) -> Self {
        match mode.body {
            BodySendMode::FullDuplexStreamed => Self::Duplex(Duplex::default()),
            BodySendMode::Streamed if plan.send_body_without_waiting_for_header_response => {
                Self::Streamed(Streamed::default())
            }
            _ => Self::Held(Waiting::default()),
        }
    }
}

impl Side {
    /// The head of the message arrived.
    pub(in crate::exchange) fn on_headers(
        &mut self,
        cx: &mut Cx<'_>,
        end_stream: bool,
    ) -> Result<(), Failure> {
        let line = &mut self.line;
        line.begin(end_stream);
        if line.mode.headers {
            self.phase = Phase::Headers(Early::new(line.mode, &cx.link.plan));
            cx.send(line.direction, Part::Headers { end_of_stream: end_stream });
            line.sent(cx);
            cx.remove_content_length(line);
            return Ok(());
        }
        if !end_stream && line.mode.collects() && cx.is_upgrade(line.direction) {
            self.phase = Phase::Passing;
            return Err(Failure::UpgradeCannotBeBuffered);
        }
        cx.remove_content_length(line);
        line.forward_head(cx.link, end_stream);
        self.phase = Phase::body(line.mode.body);
        Ok(())
    }

    /// The reply to the headers: the message continues, or is replaced.
    pub(in crate::exchange) fn on_headers_reply(
        &mut self,
        cx: &mut Cx<'_>,
        reply: HeadersResponse,
    ) -> Result<Replied, Failure> {
        let line = &mut self.line;
        let Phase::Headers(early) = &self.phase else { return Err(Failure::SPURIOUS) };
        let common = reply.response.unwrap_or_default();
        let replace = common.status == CONTINUE_AND_REPLACE;
        if let Some(mutation) = &common.header_mutation {
            cx.mutate(line, Step::Headers, mutation, replace)?;
        }
        line.accept(cx, Some(Step::Headers));
        let head_is_here = line.out == Out::Nothing && !matches!(early, Early::TooLarge);
        cx.decide_route_cache(line, &common, head_is_here);
        match std::mem::take(&mut self.phase) {
            // B-3.6: the message has been answered already.
            Phase::Headers(Early::TooLarge) => self.phase = Phase::TooLarge,
            Phase::Headers(early) if replace => self.replace(cx, common, early),
            // a body mutation here is ignored.
            Phase::Headers(early) => self.after_headers(cx, early)?,
            other => self.phase = other,
        }
        Ok(Replied::Counts)
    }

    /// The headers are answered: the body takes its next step.
    fn after_headers(&mut self, cx: &mut Cx<'_>, early: Early) -> Result<(), Failure> {
        let line = &mut self.line;
        match early {
            Early::Streamed(streamed) if streamed.is_owed() => {
                // B-4.6: the head waits for no piece.
                line.timer.restart(cx.link.deadline(cx.now));
                line.forward_head(cx.link, false);
                self.phase = Phase::Streamed(streamed);
                Ok(())
            }
            Early::Duplex(duplex) if duplex.is_owed() || duplex.has_trailers() => {
                let overtaken = line.end == End::Trailers && !duplex.has_trailers();
                self.phase = Phase::Duplex(duplex);
                if overtaken {
                    self.overtake(cx);
                } else {
                    line.forward_head(cx.link, false);
                }
                Ok(())
            }
            Early::Held(waiting) => self.proceed(cx, waiting.into_held()),
            Early::Streamed(_) | Early::Duplex(_) | Early::TooLarge => self.proceed(cx, Held::default()),
        }
    }

    /// What of the message has arrived takes its next step, in the mode that is in force now: when the headers are answered,
    /// or when an override has changed the mode.
    pub(in crate::exchange) fn proceed(&mut self, cx: &mut Cx<'_>, mut held: Held) -> Result<(), Failure> {
        let line = &mut self.line;
        self.phase = Phase::Passing;
        if line.end == End::Headers {
            line.forward_head(cx.link, true);
            return Ok(());
        }
        let collected = held.has_bytes();
        let by_trailers = line.end == End::Trailers;
        let whole = line.end == End::Data || (by_trailers && collected);
        match line.mode.body {
            BodySendMode::None if by_trailers => self.trailers_step(cx, held),
            BodySendMode::None => self.release_held(cx.link, held),
            BodySendMode::FullDuplexStreamed => return self.proceed_in_duplex(cx, held, whole),
            // B-4.4, B-5.6, B-2.1
            _ if whole => self.send_whole(cx, held),
            _ if by_trailers => self.trailers_step(cx, held),
            BodySendMode::Grpc => self.release_held(cx.link, held),
            BodySendMode::Streamed => {
                let mut streamed = Streamed::default();
                if collected {
                    streamed.on_data(line, cx, held.take(), false);
                }
                line.forward_head(cx.link, false);
                self.phase = Phase::Streamed(streamed);
            }
            // B-3.9
            BodySendMode::Buffered | BodySendMode::BufferedPartial if cx.is_upgrade(line.direction) => {
                cx.link.counters.stream_msgs_received += 1;
                return Err(Failure::UpgradeCannotBeBuffered);
            }
            BodySendMode::Buffered => {
                self.phase = Phase::Buffered(held);
                self.check_limit(cx);
            }
            BodySendMode::BufferedPartial if held.len() > cx.limit(line.direction) => {
                self.send_first_part(cx, held);
            }
            BodySendMode::BufferedPartial => self.phase = Phase::Partial(Partial::Collecting(held)),
        }
        Ok(())
    }

    fn proceed_in_duplex(&mut self, cx: &mut Cx<'_>, mut held: Held, whole: bool) -> Result<(), Failure> {
        let line = &mut self.line;
        let by_trailers = line.end == End::Trailers;
        if by_trailers && !whole && !line.mode.trailers {
            self.release_held(cx.link, held);
            return Ok(());
        }
        let duplex = Duplex::begin(line, cx, held.take());
        let overtaken = by_trailers && !duplex.has_trailers();
        self.phase = Phase::Duplex(duplex);
        if overtaken {
            self.overtake(cx);
        } else if !whole && !by_trailers {
            line.forward_head(cx.link, false);
        }
        Ok(())
    }
}
