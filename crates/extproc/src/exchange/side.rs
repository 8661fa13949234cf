//! The state of one direction.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use super::held::Held;
use crate::{
    http_message::Direction,
    log::Step,
    mode::{BodySendMode, HeaderSendMode, ProcessingMode},
    slices::Slices,
};

/// The largest number of unanswered pieces. Each costs memory beside its bytes, so a limit of bytes alone would let tiny
/// pieces hold many times as much.
const MAX_PIECES: usize = 1024;

/// Which reply a direction waits for (P-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Awaiting {
    /// None.
    Idle,
    /// The reply to the headers.
    Headers,
    /// The reply to a whole body.
    BufferedBody,
    /// Replies to pieces of a body.
    StreamedBody,
    /// The reply to the first part of a body.
    PartialBody,
    /// The reply to the trailers.
    Trailers,
}

impl Awaiting {
    pub(super) const fn step(self) -> Option<Step> {
        match self {
            Self::Idle => None,
            Self::Headers => Some(Step::Headers),
            Self::BufferedBody | Self::StreamedBody | Self::PartialBody => Some(Step::Body),
            Self::Trailers => Some(Step::Trailers),
        }
    }
}

/// Where the head of the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Head {
    /// Not here yet.
    Expected,
    /// Stopped at this filter.
    Held,
    /// Passed on.
    Passed,
}

/// How the message as it arrived ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// Not yet.
    Open,
    /// With its head: no body, no trailers.
    Headers,
    /// With its body.
    Data,
    /// With trailers.
    Trailers,
}

/// A piece that was sent in STREAMED mode and is not answered yet; the original, in case it passes unchanged.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) data: Slices,
    pub(super) end_stream: bool,
}

/// A smaller piece that is kept is copied: it may be all that is left of the large buffer that it was read into.
const SMALL: usize = 2 * 1024;
/// What a piece that was sent costs beside its bytes.
const CHUNK: usize = 160;

fn compact(piece: Bytes) -> Bytes {
    if piece.len() < SMALL { Bytes::copy_from_slice(&piece) } else { piece }
}

/// One direction: what arrived, what is held, what is awaited.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) direction: Direction,
    pub(super) header_mode: HeaderSendMode,
    pub(super) body_mode: BodySendMode,
    pub(super) send_trailers: bool,
    pub(super) head: Head,
    pub(super) end: End,
    pub(super) awaiting: Awaiting,
    /// The headers went to the processor, so a body reply may still change them (M-20).
    pub(super) headers_sent: bool,
    /// Any message was sent, so the attributes were too.
    pub(super) attributes_sent: bool,
    /// Body bytes that stopped here and were not sent (or were answered and wait for the trailers' reply).
    pub(super) held: Held,
    /// Sent and not answered (STREAMED, BUFFERED_PARTIAL, BUFFERED).
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) chunk_bytes: usize,
    /// The rest of the original body is dropped: it was replaced or ended by the processor (B-6.7).
    pub(super) discard: bool,
    /// The message was too large and has been answered (B-3.6). A reply that the processor owes is still taken.
    pub(super) too_large: bool,
    /// A mode that an override asked for while replies were outstanding. It takes effect when they have come.
    pub(super) next_mode: Option<ProcessingMode>,
    /// The end of the message was passed on.
    pub(super) end_forwarded: bool,
    /// The last reply that was needed has come. Not noticed where it was to a collected body (L-6.1).
    pub(super) answered: bool,
    /// The one body message of BUFFERED_PARTIAL was answered; the rest passes by.
    pub(super) partial_done: bool,
    /// Body data was received while in FULL_DUPLEX_STREAMED (F-6).
    pub(super) duplex_received: bool,
    /// The processor has body data that it has not finished giving back (B-6.9).
    pub(super) duplex_owed: bool,
    /// Trailers went to the processor.
    pub(super) trailers_sent: bool,
    /// Source paused because too much is held.
    pub(super) paused: bool,
    /// When the awaited reply is late.
    pub(super) deadline: Option<Instant>,
    /// An override was accepted since the last message.
    pub(super) deadline_overridden: bool,
    /// When the message awaiting its reply was sent (G-6); for pieces, the last one.
    pub(super) sent_at: Option<Instant>,
}

impl Side {
    pub(super) fn new(direction: Direction, mode: &ProcessingMode) -> Self {
        let mut side = Self {
            direction,
            header_mode: HeaderSendMode::Default,
            body_mode: BodySendMode::None,
            send_trailers: false,
            head: Head::Expected,
            end: End::Open,
            awaiting: Awaiting::Idle,
            headers_sent: false,
            attributes_sent: false,
            held: Held::default(),
            chunks: VecDeque::new(),
            chunk_bytes: 0,
            discard: false,
            too_large: false,
            next_mode: None,
            end_forwarded: false,
            answered: false,
            partial_done: false,
            duplex_received: false,
            duplex_owed: false,
            trailers_sent: false,
            paused: false,
            deadline: None,
            deadline_overridden: false,
            sent_at: None,
        };
        side.set_mode(mode);
        side
    }

    /// Takes over the mode that an override asks for (O-5). While replies to the body or the trailers are outstanding that
    /// would lose or reorder what the processor has: the mode then takes effect when they have come. What is given away in
    /// FULL_DUPLEX_STREAMED comes back only when the processor ends the message, so such a direction keeps its mode.
    pub(super) fn adopt(&mut self, mode: &ProcessingMode) {
        let with_processor = self.has_outstanding() || self.awaits_duplex_trailers();
        if with_processor && body_mode_of(self.direction, mode) != self.body_mode {
            if !self.is_duplex() {
                self.next_mode = Some(*mode);
            }
            return;
        }
        self.next_mode = None;
        let was_duplex = self.is_duplex();
        self.set_mode(mode);
        if self.discard && !(was_duplex && self.is_duplex()) {
            // a replaced message stays out of the processor's hands.
            self.body_mode = BodySendMode::None;
            self.send_trailers = false;
        }
    }

    /// Takes over a processing mode.
    fn set_mode(&mut self, mode: &ProcessingMode) {
        let (headers, trailers) = match self.direction {
            Direction::Request => (mode.request_header_mode, mode.request_trailer_mode),
            Direction::Response => (mode.response_header_mode, mode.response_trailer_mode),
        };
        self.header_mode = headers;
        self.body_mode = body_mode_of(self.direction, mode);
        self.send_trailers = trailers == HeaderSendMode::Send;
    }

    pub(super) fn wants_headers(&self) -> bool {
        self.header_mode != HeaderSendMode::Skip
    }

    /// Nothing of this direction is ever sent.
    pub(super) fn wants_nothing(&self) -> bool {
        !self.wants_headers() && self.body_mode == BodySendMode::None && !self.send_trailers
    }

    /// No reply of this direction will be needed (L-6.1). As in Envoy that is so when nothing is ever sent, or when a reply
    /// has turned out to be the last one; not when there was nothing to send after all.
    pub(super) fn is_settled(&self) -> bool {
        self.next_mode.is_none() && (self.wants_nothing() || self.answered) && !self.has_outstanding()
    }

    /// Nothing of this direction waits for the processor, and nothing more will be sent.
    pub(super) fn needs_no_more(&self) -> bool {
        let body_may_be_sent = match self.body_mode {
            BodySendMode::None | BodySendMode::Grpc => false,
            BodySendMode::BufferedPartial => !self.partial_done,
            BodySendMode::Streamed | BodySendMode::Buffered | BodySendMode::FullDuplexStreamed => true,
        };
        let more_may_come =
            self.end == End::Open && !self.discard && (body_may_be_sent || self.send_trailers);
        self.awaiting == Awaiting::Idle && !self.duplex_owed && self.next_mode.is_none() && !more_may_come
    }

    /// The body, or the first part of it, is collected.
    pub(super) fn collects(&self) -> bool {
        matches!(self.body_mode, BodySendMode::Buffered | BodySendMode::BufferedPartial)
    }

    pub(super) fn is_duplex(&self) -> bool {
        self.body_mode == BodySendMode::FullDuplexStreamed
    }

    /// Something of the body or the trailers is with the processor and not answered.
    pub(super) fn has_outstanding(&self) -> bool {
        let body_or_trailers = matches!(
            self.awaiting,
            Awaiting::BufferedBody | Awaiting::StreamedBody | Awaiting::PartialBody | Awaiting::Trailers
        );
        body_or_trailers || !self.chunks.is_empty() || self.duplex_owed
    }

    /// What is held costs, with its pieces.
    pub(super) fn memory(&self) -> usize {
        self.held.len() + self.chunk_bytes + CHUNK * self.chunks.len()
    }

    /// The processor has the trailers of a FULL_DUPLEX_STREAMED message, which only its reply to them ends. It may have
    /// ended the body before (B-6.4).
    pub(super) fn awaits_duplex_trailers(&self) -> bool {
        self.is_duplex() && self.trailers_sent && !self.end_forwarded
    }

    pub(super) fn push_chunk(&mut self, data: Slices, end_stream: bool) {
        self.chunk_bytes += data.len();
        let data = match data.len() {
            0 | SMALL.. => data,
            _ => data.into_iter().map(compact).collect(),
        };
        self.chunks.push_back(Chunk { data, end_stream });
    }

    pub(super) fn pop_chunk(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.chunk_bytes -= chunk.data.len();
        Some(chunk)
    }

    /// Everything sent and not answered, as one piece.
    pub(super) fn take_chunks(&mut self) -> Slices {
        self.chunk_bytes = 0;
        self.chunks.drain(..).flat_map(|chunk| chunk.data).collect()
    }

    /// Pauses the source above `limit` and resumes it below half of it (B-4.2). The number of pieces is limited, too.
    pub(super) fn update_paused(&mut self, limit: usize) {
        let queued = self.held.len() + self.chunk_bytes;
        let pieces = self.chunks.len();
        if queued > limit || pieces > MAX_PIECES {
            self.paused = true;
        } else if queued <= limit / 2 && pieces <= MAX_PIECES / 2 {
            self.paused = false;
        }
    }

    pub(super) fn stop_timer(&mut self) {
        self.deadline = None;
    }
}

const fn body_mode_of(direction: Direction, mode: &ProcessingMode) -> BodySendMode {
    match direction {
        Direction::Request => mode.request_body_mode,
        Direction::Response => mode.response_body_mode,
    }
}
