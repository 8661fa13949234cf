//! What a direction holds of a body, by its mode.

mod buffered;
mod duplex;
mod held;
mod partial;
mod streamed;
mod waiting;

use bytes::Bytes;

pub(super) use self::{
    buffered::Collected, duplex::Duplex, held::Held, partial::Partial, streamed::Streamed, waiting::Waiting,
};
use super::{
    Action,
    cx::Cx,
    failure::Failure,
    side::{Early, Out, Phase, Replied, Side},
};
use crate::{
    log::Step,
    messages::{BodyResponse, CommonResponse, body_mutation::Mutation},
    slices::Slices,
};

/// A smaller piece that is kept is copied: it may be all that is left of the large buffer that it was read into.
const SMALL: usize = 2 * 1024;
/// What a piece that was sent costs beside its bytes.
const PIECE: usize = 160;

/// A piece as it is kept until it is answered, in case it passes unchanged.
fn kept(data: &Slices) -> Slices {
    let compact = |piece: Bytes| if piece.len() < SMALL { Bytes::copy_from_slice(&piece) } else { piece };
    match data.len() {
        0 | SMALL.. => data.clone(),
        _ => data.clone().into_iter().map(compact).collect(),
    }
}

/// What a reply makes of a body or a piece of one.
fn mutated(mutation: Option<&Mutation>, body: Slices, original: Slices) -> (Slices, bool) {
    match mutation {
        Some(Mutation::Body(_)) => (body, true),
        Some(Mutation::ClearBody(true)) => (Slices::new(), true),
        Some(Mutation::ClearBody(false) | Mutation::StreamedResponse(_)) | None => (original, false),
    }
}

fn mutation_of(common: &CommonResponse) -> Option<&Mutation> {
    common.body_mutation.as_ref()?.mutation.as_ref()
}

impl Side {
    /// A reply to the body or a piece of it (section 7).
    pub(super) fn on_body_reply(
        &mut self,
        cx: &mut Cx<'_>,
        reply: BodyResponse,
        body: Slices,
    ) -> Result<Replied, Failure> {
        let common = reply.response.unwrap_or_default();
        match &self.phase {
            Phase::Whole(_) | Phase::Partial(Partial::Sent { .. }) => self.whole_reply(cx, &common, body),
            Phase::Streamed(_) => self.piece_reply(cx, &common, body),
            Phase::Duplex(duplex) if duplex.awaited() == Some(Step::Body) => {
                self.duplex_reply(cx, &common, body)
            }
            // O-7: the message has ended without it.
            Phase::Duplex(duplex) if duplex.was_overtaken() => {
                self.line.accept(cx, None);
                Ok(Replied::Silently)
            }
            _ => Err(Failure::SPURIOUS),
        }
    }

    /// Applies the limit to a body that is collected (B-3.6).
    pub(super) fn check_limit(&mut self, cx: &mut Cx<'_>) {
        let limit = cx.limit(self.line.direction);
        match &self.phase {
            Phase::Headers(Early::Held(waiting)) if waiting.len() > limit => {
                self.phase = Phase::Headers(Early::TooLarge);
            }
            Phase::Buffered(held) if held.len() > limit => {
                self.line.timer.stop();
                self.phase = Phase::TooLarge;
            }
            _ => return,
        }
        cx.link.push(Action::PayloadTooLarge(self.line.direction));
    }
}
