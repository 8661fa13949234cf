//! A direction takes over another mode (section 10): it chooses the next phase, and never leaves anything behind.

use super::{Early, Out, Phase, Side, SideMode};
use crate::{
    exchange::{
        body::{Duplex, Held, Partial},
        cx::Cx,
        failure::Failure,
    },
    mode::ProcessingMode,
};

impl Side {
    /// Takes over the mode that an override asks for (O-5). While replies to the body or the trailers are outstanding that
    /// would lose or reorder what the processor has: the mode then takes effect when they have come. What is given away in
    /// FULL_DUPLEX_STREAMED comes back only when the processor ends the message, so such a direction keeps its mode.
    pub(in crate::exchange) fn adopt(&mut self, cx: &Cx<'_>, mode: &ProcessingMode) {
        let mode = SideMode::of(self.line.direction, mode);
        let same_body = mode.body == self.line.mode.body;
        if self.is_with_processor() {
            if same_body {
                self.line.mode = mode;
            }
            self.put_off(mode, same_body);
            return;
        }
        let line = &mut self.line;
        if self.phase.drops_rest() && !(same_body && mode.is_duplex()) {
            // a replaced message stays out of the processor's hands.
            line.mode = mode;
            line.mode.withdraw();
            if let Phase::Duplex(_) = self.phase {
                self.phase = Phase::Discarding;
            }
            return;
        }
        line.mode = mode;
        if same_body {
            return;
        }
        match &self.phase {
            Phase::Expected => {}
            Phase::Headers(Early::Held(waiting)) if !waiting.is_empty() => {}
            Phase::Headers(_) => self.phase = Phase::Headers(Early::new(mode, &cx.link.plan)),
            // It proceeds in a moment.
            Phase::Buffered(held) | Phase::Partial(Partial::Collecting(held)) if !held.is_empty() => {}
            _ if line.out == Out::All => self.phase = Phase::Passing,
            _ => self.phase = Phase::body(mode.body),
        }
    }

    /// Remembers a mode until what is outstanding has been answered; or that the present one stays after all.
    fn put_off(&mut self, mode: SideMode, stays: bool) {
        let put_off = (!stays).then_some(mode);
        match &mut self.phase {
            Phase::Whole(sent) | Phase::Partial(Partial::Sent { sent, .. }) => sent.put_off = put_off,
            Phase::Trailers(trailers) => trailers.put_off = put_off,
            Phase::Streamed(streamed) if stays => streamed.stay(mode),
            Phase::Streamed(streamed) => streamed.put_off_to(mode),
            _ => {}
        }
    }

    /// After an override: what is collected, and waits for nothing, may have another use in the new mode. Where the headers
    /// are awaited, their reply takes care of it.
    pub(in crate::exchange) fn reconsider(&mut self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match &mut self.phase {
            Phase::Buffered(held) | Phase::Partial(Partial::Collecting(held)) if !held.is_empty() => {
                let held = std::mem::take(held);
                self.proceed(cx, held)
            }
            _ => Ok(()),
        }
    }

    /// A message of its own asked for FULL_DUPLEX_STREAMED while the headers are awaited (O-10): what is held is sent.
    pub(in crate::exchange) fn begin_duplex(&mut self, cx: &mut Cx<'_>) {
        let Phase::Headers(early) = &mut self.phase else { return };
        let data = match early {
            Early::Held(waiting) => std::mem::take(waiting).into_held().take(),
            Early::Duplex(_) => crate::slices::Slices::new(),
            Early::Streamed(_) | Early::TooLarge => return,
        };
        *early = Early::Duplex(Duplex::begin(&mut self.line, cx, data));
    }

    /// What was outstanding has been answered: the mode that was put off begins with what is `held`.
    pub(in crate::exchange) fn adopt_put_off(
        &mut self,
        cx: &mut Cx<'_>,
        mode: Option<SideMode>,
        held: Held,
    ) -> Result<(), Failure> {
        let Some(mode) = mode else { return Ok(()) };
        self.line.mode = mode;
        if self.line.out == Out::All {
            self.phase = Phase::Passing;
            return Ok(());
        }
        self.proceed(cx, held)
    }
}
