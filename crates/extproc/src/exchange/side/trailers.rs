//! Trailers and their replies (section 8).

use super::{Early, Out, Phase, Replied, Side, Trailers};
use crate::{
    exchange::{
        body::{Duplex, Held, Partial},
        cx::{Cx, Part},
        failure::Failure,
    },
    log::Step,
    messages::TrailersResponse,
};

impl Side {
    /// Trailers arrived. Earlier steps come first (T-2, T-5, T-6): what is collected (B-3.2, B-5.5), and what is owed.
    pub(in crate::exchange) fn on_trailers(&mut self, cx: &mut Cx<'_>) {
        let line = &mut self.line;
        match &mut self.phase {
            Phase::Headers(Early::Duplex(duplex)) => {
                if line.mode.trailers {
                    duplex.send_trailers(line, cx);
                }
            }
            Phase::Duplex(duplex) if line.mode.trailers => duplex.send_trailers(line, cx),
            Phase::Duplex(_) => self.overtake(cx),
            Phase::Buffered(held) => {
                let held = std::mem::take(held);
                if held.has_bytes() { self.send_whole(cx, held) } else { self.trailers_step(cx, held) }
            }
            Phase::Partial(Partial::Collecting(held)) => {
                let held = std::mem::take(held);
                if held.has_bytes() { self.send_first_part(cx, held) } else { self.trailers_step(cx, held) }
            }
            Phase::Streamed(streamed) if streamed.is_owed() => {}
            Phase::Streamed(_) | Phase::Passing => self.trailers_step(cx, Held::default()),
            Phase::Discarding => line.forward_trailers(cx.link),
            Phase::Expected
            | Phase::Headers(_)
            | Phase::Whole(_)
            | Phase::Partial(Partial::Sent { .. })
            | Phase::Trailers(_)
            | Phase::TooLarge => {}
        }
    }

    /// Everything before the trailers is done: they are sent, or passed on behind `held`.
    pub(in crate::exchange) fn trailers_step(&mut self, cx: &mut Cx<'_>, held: Held) {
        if self.line.mode.trailers {
            self.send_trailers(cx);
            self.phase = Phase::Trailers(Trailers { body: held, put_off: None });
        } else {
            self.release_held(cx.link, held);
        }
    }

    pub(in crate::exchange) fn send_trailers(&mut self, cx: &mut Cx<'_>) {
        cx.send(self.line.direction, Part::Trailers);
        self.line.sent(cx);
    }

    /// The reply to the trailers. In FULL_DUPLEX_STREAMED it may come at any time (P-1, B-6.8).
    pub(in crate::exchange) fn on_trailers_reply(
        &mut self,
        cx: &mut Cx<'_>,
        reply: &TrailersResponse,
    ) -> Result<Replied, Failure> {
        let asked = matches!(self.phase, Phase::Trailers(_));
        if !asked && !self.line.mode.is_duplex() {
            return Err(Failure::SPURIOUS);
        }
        let duplex = self.phase.duplex();
        let in_duplex = duplex.is_some();
        let given = duplex.is_some_and(Duplex::was_given);
        let shown = asked || duplex.is_some_and(Duplex::saw_trailers);
        if duplex.is_some_and(Duplex::is_owed) && !shown {
            // Decision 4: the data it was given would be lost.
            cx.link.counters.stream_msgs_received += 1;
            return Err(Failure::ClosedMidBody);
        }
        if let Some(mutation) = &reply.header_mutation
            && let Err(failure) = cx.mutate(&self.line, Step::Trailers, mutation, false)
        {
            // Whatever else is outstanding, it is this reply that has failed.
            self.phase = Phase::Trailers(Trailers::default());
            return Err(failure);
        }
        self.line.accept(cx, Some(Step::Trailers));
        if !shown {
            self.line.mode.withdraw();
        }
        let put_off = match &mut self.phase {
            Phase::Trailers(trailers) => trailers.put_off.take(),
            _ => None,
        };
        if in_duplex && shown {
            self.phase = Phase::Duplex(Duplex::Over { given, overtaken: false });
            if self.line.out != Out::All {
                self.line.forward_head(cx.link, false);
                self.line.forward_trailers(cx.link);
            }
        } else {
            self.release(cx.link);
        }
        if put_off.is_some() {
            self.adopt_put_off(cx, put_off, Held::default())?;
            return Ok(Replied::Silently);
        }
        Ok(Replied::Counts)
    }
}
