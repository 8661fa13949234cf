//! The phases of a direction.

use crate::{
    exchange::{
        body::{Collected, Duplex, Held, Partial, Streamed, Waiting},
        side::SideMode,
    },
    log::Step,
    mode::BodySendMode,
    slices::Slices,
};

/// Where a direction is. Each phase owns what it holds, so leaving it takes that along or gives it up.
#[derive(Debug, Default)]
pub(in crate::exchange) enum Phase {
    /// Nothing of the message has arrived.
    Expected,
    /// The processor has the head and owes the reply to it.
    Headers(Early),
    /// What arrives is passed on: the processor sees nothing of the body, or nothing more.
    #[default]
    Passing,
    /// BUFFERED: the body is collected.
    Buffered(Held),
    /// The processor has the whole body, in one message, and owes the reply to it.
    Whole(Collected),
    /// BUFFERED_PARTIAL: the first part of the body is collected, or with the processor.
    Partial(Partial),
    /// STREAMED: pieces go to the processor, and their replies are owed.
    Streamed(Streamed),
    /// FULL_DUPLEX_STREAMED: pieces go to the processor, and others come back.
    Duplex(Duplex),
    /// The processor has the trailers and owes the reply to them.
    Trailers(Trailers),
    /// The message was replaced: only the end of the original is of interest.
    Discarding,
    /// The message was too large and has been answered (B-3.6).
    TooLarge,
}

/// What becomes of a body that arrives while the reply to the headers is outstanding (B-0).
#[derive(Debug)]
pub(in crate::exchange) enum Early {
    /// It waits for the reply.
    Held(Waiting),
    /// Its pieces are sent (B-4.7).
    Streamed(Streamed),
    /// Its pieces are given away.
    Duplex(Duplex),
    /// It was too large (B-3.6). The reply is still taken, and waited for as long as before.
    TooLarge,
}

/// The trailers are with the processor.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Trailers {
    /// The body, which was answered and goes on with them.
    pub(in crate::exchange) body: Held,
    /// A mode that an override has put off.
    pub(in crate::exchange) put_off: Option<SideMode>,
}

/// What a phase leaves behind when nothing is awaited any more.
pub(in crate::exchange) enum Rest {
    /// These bytes go on: those that were sent and not answered, and those that were not sent.
    Goes(Option<Slices>, Option<Slices>),
    /// What there was of the original is dropped.
    Dropped,
    /// The message is answered and goes nowhere.
    Answered,
}

impl Phase {
    /// The phase in which a body is received whose head was passed on, or waits for it.
    pub(in crate::exchange) fn body(mode: BodySendMode) -> Self {
        match mode {
            BodySendMode::None | BodySendMode::Grpc => Self::Passing,
            BodySendMode::Streamed => Self::Streamed(Streamed::default()),
            BodySendMode::Buffered => Self::Buffered(Held::default()),
            BodySendMode::BufferedPartial => Self::Partial(Partial::Collecting(Held::default())),
            BodySendMode::FullDuplexStreamed => Self::Duplex(Duplex::default()),
        }
    }

    /// The reply that is awaited (P-1).
    pub(in crate::exchange) fn awaited(&self) -> Option<Step> {
        match self {
            Self::Headers(_) => Some(Step::Headers),
            Self::Whole(_) | Self::Partial(Partial::Sent { .. }) => Some(Step::Body),
            Self::Streamed(streamed) if streamed.is_owed() => Some(Step::Body),
            Self::Duplex(duplex) => duplex.awaited(),
            Self::Trailers(_) => Some(Step::Trailers),
            Self::Expected
            | Self::Passing
            | Self::Buffered(_)
            | Self::Partial(Partial::Collecting(_))
            | Self::Streamed(_)
            | Self::Discarding
            | Self::TooLarge => None,
        }
    }

    /// Something of the body or the trailers is with the processor and not answered.
    pub(in crate::exchange) fn has_outstanding(&self) -> bool {
        match self {
            Self::Headers(Early::Streamed(streamed)) => streamed.is_owed(),
            Self::Headers(Early::Duplex(duplex)) => duplex.is_owed(),
            Self::Headers(Early::Held(_) | Early::TooLarge) => false,
            _ => self.awaited().is_some(),
        }
    }

    pub(in crate::exchange) fn duplex(&self) -> Option<&Duplex> {
        match self {
            Self::Duplex(duplex) | Self::Headers(Early::Duplex(duplex)) => Some(duplex),
            _ => None,
        }
    }

    /// The mode that an override has put off until what is outstanding has been answered.
    pub(in crate::exchange) fn put_off(&self) -> Option<&SideMode> {
        match self {
            Self::Whole(sent) | Self::Partial(Partial::Sent { sent, .. }) => sent.put_off.as_ref(),
            Self::Streamed(streamed) => streamed.put_off(),
            Self::Trailers(trailers) => trailers.put_off.as_ref(),
            _ => None,
        }
    }

    /// The rest of the original goes nowhere: it was replaced, ended by the processor (B-6.7) or too large.
    pub(in crate::exchange) fn drops_rest(&self) -> bool {
        match self {
            Self::Discarding | Self::TooLarge | Self::Headers(Early::TooLarge) => true,
            Self::Duplex(duplex) => duplex.drops_rest(),
            _ => false,
        }
    }

    /// Too much is held to take more.
    pub(in crate::exchange) fn is_full(&self) -> bool {
        match self {
            Self::Headers(Early::Held(waiting)) | Self::Partial(Partial::Sent { behind: waiting, .. }) => {
                waiting.is_full()
            }
            Self::Headers(Early::Streamed(streamed)) | Self::Streamed(streamed) => streamed.is_full(),
            _ => false,
        }
    }

    /// Bytes of the body that a reply which is due will move.
    pub(in crate::exchange) fn unanswered(&self) -> usize {
        match self {
            Self::Headers(Early::Held(waiting)) => waiting.len(),
            Self::Headers(Early::Streamed(streamed)) | Self::Streamed(streamed) => streamed.unanswered(),
            Self::Whole(sent) | Self::Partial(Partial::Sent { sent, .. }) => sent.original.len(),
            _ => 0,
        }
    }

    /// What is held costs, with its pieces.
    pub(in crate::exchange) fn memory(&self) -> usize {
        match self {
            Self::Headers(Early::Held(waiting)) => waiting.len(),
            Self::Headers(Early::Streamed(streamed)) | Self::Streamed(streamed) => streamed.memory(),
            Self::Buffered(held) | Self::Partial(Partial::Collecting(held)) => held.len(),
            Self::Whole(sent) => sent.memory(),
            Self::Partial(Partial::Sent { sent, behind }) => sent.memory() + behind.len(),
            Self::Trailers(trailers) => trailers.body.len(),
            _ => 0,
        }
    }

    /// What there is to pass on, now that nothing is awaited any more.
    pub(in crate::exchange) fn into_rest(self) -> Rest {
        let held = |mut held: Held| (!held.is_empty()).then(|| held.take());
        match self {
            Self::TooLarge | Self::Headers(Early::TooLarge) => Rest::Answered,
            Self::Discarding => Rest::Dropped,
            Self::Duplex(duplex) | Self::Headers(Early::Duplex(duplex)) if duplex.drops_rest() => {
                Rest::Dropped
            }
            Self::Expected | Self::Passing | Self::Duplex(_) | Self::Headers(Early::Duplex(_)) => {
                Rest::Goes(None, None)
            }
            Self::Headers(Early::Held(waiting)) => Rest::Goes(None, held(waiting.into_held())),
            Self::Buffered(body) | Self::Partial(Partial::Collecting(body)) => Rest::Goes(None, held(body)),
            Self::Trailers(trailers) => Rest::Goes(None, held(trailers.body)),
            Self::Whole(sent) => Rest::Goes(Some(sent.original), None),
            Self::Partial(Partial::Sent { sent, behind }) => {
                Rest::Goes(Some(sent.original), held(behind.into_held()))
            }
            Self::Headers(Early::Streamed(streamed)) | Self::Streamed(streamed) => {
                let (sent, behind) = streamed.into_rest();
                Rest::Goes(sent, behind.and_then(held))
            }
        }
    }
}
