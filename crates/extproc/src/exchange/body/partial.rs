//! BUFFERED_PARTIAL: the first part of a body goes to the processor, as much as the buffer holds; the rest passes by (B-5).

use super::{Collected, Held, Waiting};
use crate::{
    exchange::{
        cx::Cx,
        side::{Phase, Side},
    },
    slices::Slices,
};

#[derive(Debug)]
pub(in crate::exchange) enum Partial {
    /// The first part is collected.
    Collecting(Held),
    /// The processor has it; the rest waits for its reply.
    Sent { sent: Collected, behind: Waiting },
}

impl Side {
    pub(in crate::exchange) fn partial_data(&mut self, cx: &mut Cx<'_>, data: Slices, end_stream: bool) {
        let limit = cx.limit(self.line.direction);
        match &mut self.phase {
            Phase::Partial(Partial::Collecting(held)) => {
                held.push(data);
                if end_stream || held.len() > limit {
                    let held = std::mem::take(held);
                    self.send_first_part(cx, held);
                }
            }
            Phase::Partial(Partial::Sent { sent, behind }) => {
                behind.push(data);
                behind.update(limit, sent.original.len());
            }
            _ => {}
        }
    }

    /// Sends everything collected so far, the only body message of this mode (B-5.1).
    pub(in crate::exchange) fn send_first_part(&mut self, cx: &mut Cx<'_>, held: Held) {
        let sent = Collected::send(&mut self.line, cx, held);
        self.phase = Phase::Partial(Partial::Sent { sent, behind: Waiting::default() });
    }
}
