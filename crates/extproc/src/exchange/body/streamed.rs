//! STREAMED: each piece goes to the processor and is answered in order (B-4).

use std::collections::VecDeque;

use super::{Held, PIECE, kept, mutated, mutation_of};
use crate::{
    exchange::{
        cx::{Cx, Part},
        failure::Failure,
        side::{End, Line, Phase, Replied, Side, SideMode},
    },
    log::{ProcessingEffect, Step},
    messages::{CommonResponse, body_mutation::Mutation},
    slices::Slices,
};

/// The largest number of unanswered pieces. Each costs memory beside its bytes, so a limit of bytes alone would let tiny
/// pieces hold many times as much.
const MAX_PIECES: usize = 1024;

/// B-4.5.
const STREAMED_RESPONSE_IN_OTHER_MODE: &str =
    "spurious_message:_streamed_response_is_received_while_body_mode__is_not_FULL_DUPLEX_STREAMED";

/// The pieces that were sent and not answered.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Streamed {
    unanswered: VecDeque<Piece>,
    bytes: usize,
    full: bool,
    put_off: Option<PutOff>,
}

/// A piece that was sent.
#[derive(Debug)]
struct Piece {
    data: Slices,
    end_stream: bool,
}

/// A mode that an override asked for while pieces are outstanding, and what arrived since.
#[derive(Debug)]
struct PutOff {
    mode: SideMode,
    held: Held,
}

impl Streamed {
    /// A piece arrived: it is sent (B-4.1), or waits for the mode that comes next.
    pub(in crate::exchange) fn on_data(
        &mut self,
        line: &mut Line,
        cx: &mut Cx<'_>,
        data: Slices,
        end_stream: bool,
    ) {
        if let Some(put_off) = &mut self.put_off {
            put_off.held.push(data);
            self.update(cx.limit(line.direction));
            return;
        }
        self.bytes += data.len();
        self.unanswered.push_back(Piece { data: kept(&data), end_stream });
        self.update(cx.limit(line.direction));
        cx.send(line.direction, Part::Body { data, end_of_stream: end_stream });
        line.sent(cx);
    }

    /// Stops the source above `limit` and lets it go on below half of it (B-4.2). The number of pieces is limited, too.
    fn update(&mut self, limit: usize) {
        let queued = self.bytes + self.put_off.as_ref().map_or(0, |put_off| put_off.held.len());
        let pieces = self.unanswered.len();
        if queued > limit || pieces > MAX_PIECES {
            self.full = true;
        } else if queued <= limit / 2 && pieces <= MAX_PIECES / 2 {
            self.full = false;
        }
    }

    fn pop(&mut self) -> Option<Piece> {
        let piece = self.unanswered.pop_front()?;
        self.bytes -= piece.data.len();
        Some(piece)
    }

    /// Replies are outstanding.
    pub(in crate::exchange) fn is_owed(&self) -> bool {
        !self.unanswered.is_empty()
    }

    pub(in crate::exchange) fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes that were sent and not answered.
    pub(in crate::exchange) fn unanswered(&self) -> usize {
        self.bytes
    }

    pub(in crate::exchange) fn memory(&self) -> usize {
        let held = self.put_off.as_ref().map_or(0, |put_off| put_off.held.len());
        held + self.bytes + PIECE * self.unanswered.len()
    }

    pub(in crate::exchange) fn put_off(&self) -> Option<&SideMode> {
        self.put_off.as_ref().map(|put_off| &put_off.mode)
    }

    /// From the next piece on another mode is asked for. It begins when those before it have been answered.
    pub(in crate::exchange) fn put_off_to(&mut self, mode: SideMode) {
        match &mut self.put_off {
            Some(put_off) => put_off.mode = mode,
            None => self.put_off = Some(PutOff { mode, held: Held::default() }),
        }
    }

    /// The mode stays after all. What waited for another one already keeps its place.
    pub(in crate::exchange) fn stay(&mut self, mode: SideMode) {
        self.put_off = self.put_off.take().filter(|put_off| !put_off.held.is_empty());
        if let Some(put_off) = &mut self.put_off {
            put_off.mode = mode;
        }
    }

    /// What was sent and not answered, as one piece, and what waited behind it.
    pub(in crate::exchange) fn into_rest(self) -> (Option<Slices>, Option<Held>) {
        let sent = (!self.unanswered.is_empty())
            .then(|| self.unanswered.into_iter().flat_map(|piece| piece.data).collect());
        (sent, self.put_off.map(|put_off| put_off.held))
    }
}

impl Side {
    /// The reply to the oldest unanswered piece (B-4.3).
    pub(super) fn piece_reply(
        &mut self,
        cx: &mut Cx<'_>,
        common: &CommonResponse,
        body: Slices,
    ) -> Result<Replied, Failure> {
        let line = &mut self.line;
        let Phase::Streamed(streamed) = &mut self.phase else { return Err(Failure::SPURIOUS) };
        let mutation = mutation_of(common);
        if streamed.is_owed() && matches!(mutation, Some(Mutation::StreamedResponse(_))) {
            return Err(Failure::Spurious(STREAMED_RESPONSE_IN_OTHER_MODE));
        }
        let Some(piece) = streamed.pop() else { return Err(Failure::SPURIOUS) };
        streamed.update(cx.limit(line.direction));
        let (data, changed) = mutated(mutation, body, piece.data);
        if changed {
            cx.link.note_effect(line.direction, Step::Body, ProcessingEffect::MutationApplied);
        }
        let head_is_here = line.out == super::Out::Nothing;
        cx.decide_route_cache(line, common, head_is_here);
        line.forward_head(cx.link, false);
        line.forward_data(cx.link, data, piece.end_stream);
        line.accept(cx, Some(Step::Body));
        if streamed.is_owed() {
            // Decision 3: the time for the next one begins now.
            line.timer.restart(cx.link.deadline(cx.now));
        } else if let Some(PutOff { mode, held }) = streamed.put_off.take() {
            self.adopt_put_off(cx, Some(mode), held)?;
            return Ok(Replied::Silently);
        } else if line.end == End::Trailers {
            self.trailers_step(cx, Held::default());
        }
        Ok(Replied::Counts)
    }
}
