//! FULL_DUPLEX_STREAMED: pieces go to the processor, no copy is kept, and others come back (B-6).

use crate::{
    exchange::{
        cx::{Cx, Part},
        failure::Failure,
        side::{End, Line, Out, Phase, Replied, Side},
    },
    http_message::Direction,
    log::{ProcessingEffect, Step},
    messages::{CommonResponse, body_mutation::Mutation},
    slices::Slices,
};

use super::mutation_of;

/// B-6.6.
const NORMAL_RESPONSE_IN_DUPLEX_MODE: &str =
    "spurious_message:_Normal_body_mutation_response_is_received_while_body_mode__is_FULL_DUPLEX_STREAMED";

/// What the processor has of a message, and owes.
#[derive(Debug)]
pub(in crate::exchange) enum Duplex {
    /// Nothing of its body.
    Fresh {
        /// The trailers went to it.
        trailers: bool,
    },
    /// Data that it has not finished giving back (B-6.9).
    Owing { trailers: bool },
    /// It has ended the body. What arrives of the original still goes to it (B-6.7).
    Ended {
        trailers: bool,
        /// The reply that is awaited since.
        awaits: Option<Step>,
    },
    /// The message has ended.
    Over {
        /// The processor had data of it.
        given: bool,
        /// Its trailers, which the processor does not see, have ended it (O-7). What it still gives is dropped.
        overtaken: bool,
    },
}

impl Default for Duplex {
    fn default() -> Self {
        Self::Fresh { trailers: false }
    }
}

impl Duplex {
    /// The mode begins with `data` that waited, and with what of the end is here (O-6).
    pub(in crate::exchange) fn begin(line: &mut Line, cx: &mut Cx<'_>, data: Slices) -> Self {
        let mut duplex = Self::default();
        line.timer.stop();
        let ends = line.end == End::Data;
        if !data.is_empty() || ends {
            duplex.send(line, cx, data, ends);
        }
        if line.end == End::Trailers && line.mode.trailers {
            duplex.send_trailers(line, cx);
        }
        duplex
    }

    /// Sends a piece. Behind an end that the processor gave it owes nothing for it.
    pub(in crate::exchange) fn send(
        &mut self,
        line: &mut Line,
        cx: &mut Cx<'_>,
        data: Slices,
        end_of_stream: bool,
    ) {
        match self {
            Self::Fresh { trailers } => *self = Self::Owing { trailers: *trailers },
            Self::Owing { .. } => {}
            Self::Ended { awaits, .. } => *awaits = Some(Step::Body),
            Self::Over { .. } => return,
        }
        cx.send(line.direction, Part::Body { data, end_of_stream });
        line.sent(cx);
    }

    pub(in crate::exchange) fn send_trailers(&mut self, line: &mut Line, cx: &mut Cx<'_>) {
        match self {
            Self::Fresh { trailers } | Self::Owing { trailers } => *trailers = true,
            Self::Ended { trailers, awaits } => {
                *trailers = true;
                awaits.get_or_insert(Step::Trailers);
            }
            Self::Over { .. } => return,
        }
        cx.send(line.direction, Part::Trailers);
        line.sent(cx);
    }

    /// The reply that is awaited, when that to the headers has come.
    pub(in crate::exchange) fn awaited(&self) -> Option<Step> {
        match self {
            Self::Fresh { trailers } => trailers.then_some(Step::Trailers),
            Self::Owing { .. } => Some(Step::Body),
            Self::Ended { awaits, .. } => *awaits,
            Self::Over { .. } => None,
        }
    }

    /// The processor owes data.
    pub(in crate::exchange) fn is_owed(&self) -> bool {
        matches!(self, Self::Owing { .. })
    }

    pub(in crate::exchange) fn has_trailers(&self) -> bool {
        matches!(
            self,
            Self::Fresh { trailers: true }
                | Self::Owing { trailers: true }
                | Self::Ended { trailers: true, .. }
        )
    }

    /// The trailers are or were with the processor.
    pub(in crate::exchange) fn saw_trailers(&self) -> bool {
        self.has_trailers() || matches!(self, Self::Over { overtaken: false, .. })
    }

    /// The processor has or had data, of which there is no copy (F-6).
    pub(in crate::exchange) fn was_given(&self) -> bool {
        match self {
            Self::Fresh { .. } => false,
            Self::Owing { .. } | Self::Ended { .. } => true,
            Self::Over { given, .. } => *given,
        }
    }

    /// The rest of the original goes nowhere.
    pub(in crate::exchange) fn drops_rest(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Over { overtaken: true, .. })
    }

    /// The message was ended by trailers that the processor does not see.
    pub(in crate::exchange) fn was_overtaken(&self) -> bool {
        matches!(self, Self::Over { overtaken: true, .. })
    }
}

impl Side {
    /// Trailers that the processor does not see end the message: they are passed on at once, and what it still gives is
    /// dropped (O-7).
    pub(in crate::exchange) fn overtake(&mut self, cx: &mut Cx<'_>) {
        let given = self.phase.duplex().is_some_and(Duplex::was_given);
        self.phase = Phase::Duplex(Duplex::Over { given, overtaken: true });
        self.line.forward_head(cx.link, false);
        self.line.forward_trailers(cx.link);
    }

    /// One of any number of pieces the processor gives (B-6.2).
    pub(super) fn duplex_reply(
        &mut self,
        cx: &mut Cx<'_>,
        common: &CommonResponse,
        body: Slices,
    ) -> Result<Replied, Failure> {
        let line = &mut self.line;
        let Some(Mutation::StreamedResponse(piece)) = mutation_of(common) else {
            return Err(Failure::Spurious(NORMAL_RESPONSE_IN_DUPLEX_MODE));
        };
        let ended = piece.end_of_stream;
        if let (true, Some(duplex)) = (ended, self.phase.duplex()) {
            self.phase = Phase::Duplex(Duplex::Ended { trailers: duplex.has_trailers(), awaits: None });
        }
        // B-6.4: what ends a request is the reply to its trailers, when they are with the processor.
        let ends = ended && (line.direction == Direction::Response || line.end != End::Trailers);
        let head_is_here = line.out == Out::Nothing;
        cx.decide_route_cache(line, common, head_is_here);
        line.forward_head(cx.link, false);
        line.forward_data(cx.link, body, ends);
        cx.link.note_effect(line.direction, Step::Body, ProcessingEffect::MutationApplied);
        line.accept(cx, Some(Step::Body));
        Ok(Replied::Counts)
    }
}
