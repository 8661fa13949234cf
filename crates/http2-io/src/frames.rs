//! What passes on an HTTP/2 connection, frame by frame, and how much of it is too much.
//!
//! An HTTP/2 library answers whatever the peer sends, as often as the peer sends it. So the heads of frames are looked at as
//! bytes pass by: frames that cost work and move nothing are counted, as Envoy counts them, and a connection with too many
//! of them ends.

use std::fmt;

use tokio::time::Instant;

use crate::limits::{Flood, FrameLimits};

/// Length of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// Length of what a client sends first (RFC 9113 section 3.4).
const PREFACE: usize = 24;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;

/// Heads that a response may have besides its own: 1xx ones and trailers. Those that a peer may send beyond them in the
/// life of a connection.
const EXTRA_HEADS: i64 = 1000;
/// Heads of one response that nobody wonders about: one 1xx, its own, trailers.
const USUAL_HEADS: i64 = 3;
/// Resets of streams by a server, beyond one for each stream that was opened.
const EXTRA_RESETS: i64 = 1000;
/// What earlier streams leave to later ones: not more than many streams at a time can need.
const MOST_SAVED: i64 = 4096;

/// What one turn of a connection may cost the thread that serves it. A frame costs one; what begins a request costs more.
const TURN_FRAMES: u32 = 2000;
/// A request costs about as much as so many frames without one.
const COST_OF_HEAD: u32 = 20;
/// Bytes received in one turn.
const TURN_BYTES: usize = 1024 * 1024;

/// Which side of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It opens streams.
    Client,
    /// It answers them.
    Server,
}

/// Looks at what passes on one connection.
pub(super) struct Frames {
    role: Role,
    limits: FrameLimits,
    inbound: Parser,
    outbound: Parser,
    /// Streams opened, by either side.
    streams: u64,
    latest_stream: u32,
    /// DATA frames sent.
    data_sent: u64,
    /// Frames and control frames written and not yet taken by the peer.
    waiting: u32,
    waiting_control: u32,
    empty: u32,
    priority: u64,
    window_updates: u64,
    /// Towards a server: heads and resets received, less what the streams opened account for.
    heads: i64,
    resets: i64,
    /// Towards a client: resets it may send now, in thousandths, and since when.
    reset_tokens: u64,
    refilled: Option<Instant>,
    /// What this turn has cost.
    turn_frames: u32,
    turn_bytes: usize,
    flood: Option<Flood>,
}

impl Frames {
    pub(super) fn new(role: Role, limits: FrameLimits) -> Self {
        let (inbound, outbound) = match role {
            Role::Server => (PREFACE, 0),
            Role::Client => (0, PREFACE),
        };
        Self {
            role,
            limits,
            inbound: Parser::behind(inbound),
            outbound: Parser::behind(outbound),
            streams: 0,
            latest_stream: 0,
            data_sent: 0,
            waiting: 0,
            waiting_control: 0,
            empty: 0,
            priority: 0,
            window_updates: 0,
            heads: 0,
            resets: 0,
            reset_tokens: u64::from(limits.stream_reset_burst) * 1000,
            refilled: None,
            turn_frames: 0,
            turn_bytes: 0,
            flood: None,
        }
    }

    /// Of what there was too much.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood
    }

    /// Whether this turn has cost enough.
    pub(super) fn turn_is_over(&self) -> bool {
        self.turn_frames >= TURN_FRAMES || self.turn_bytes >= TURN_BYTES
    }

    /// The thread has had time for others.
    pub(super) fn begin_turn(&mut self) {
        self.turn_frames = 0;
        self.turn_bytes = 0;
    }

    /// The peer has taken a part of what was written: so many bytes wait of those that waited before. Frames are taken to
    /// be of equal length.
    pub(super) fn taken(&mut self, before: usize, after: usize) {
        let part = |frames: u32| {
            let left = u64::from(frames) * after as u64 / (before as u64).max(1);
            u32::try_from(left).unwrap_or(frames)
        };
        self.waiting = part(self.waiting);
        self.waiting_control = part(self.waiting_control);
    }

    /// Bytes were received.
    pub(super) fn received(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        self.turn_bytes += bytes.len();
        while let Some(frame) = self.inbound.next(&mut bytes) {
            self.turn_frames += 1;
            if let Err(flood) = self.receive(&frame) {
                self.flood.get_or_insert(flood);
                return Err(flood);
            }
        }
        Ok(())
    }

    /// Bytes go out.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while let Some(frame) = self.outbound.next(&mut bytes) {
            if let Err(flood) = self.send(&frame) {
                self.flood.get_or_insert(flood);
                return Err(flood);
            }
        }
        Ok(())
    }

    fn receive(&mut self, frame: &Frame) -> Result<(), Flood> {
        match frame.kind {
            DATA | HEADERS | CONTINUATION => {
                if frame.kind == HEADERS {
                    self.head(frame)?;
                }
                if frame.payload == 0 && frame.flags & END_STREAM == 0 {
                    self.empty += 1;
                    if self.empty > self.limits.max_consecutive_inbound_frames_with_empty_payload {
                        return Err(Flood::EmptyFrames);
                    }
                } else {
                    self.empty = 0;
                }
            }
            PRIORITY => {
                self.priority += 1;
                let most = u64::from(self.limits.max_inbound_priority_frames_per_stream);
                if self.priority > most.saturating_mul(1 + self.streams) {
                    return Err(Flood::Priority);
                }
            }
            WINDOW_UPDATE => {
                self.window_updates += 1;
                let most = u64::from(self.limits.max_inbound_window_update_frames_per_data_frame_sent);
                let due = self.streams.saturating_add(most.saturating_mul(self.data_sent));
                if self.window_updates > due.saturating_mul(2).saturating_add(5) {
                    return Err(Flood::WindowUpdate);
                }
            }
            RST_STREAM => self.reset()?,
            _ => {}
        }
        Ok(())
    }

    fn head(&mut self, frame: &Frame) -> Result<(), Flood> {
        match self.role {
            Role::Server => {
                self.turn_frames += COST_OF_HEAD;
                self.opened(frame.stream);
            }
            Role::Client => {
                self.heads += 1;
                if self.heads > EXTRA_HEADS {
                    return Err(Flood::Heads);
                }
            }
        }
        Ok(())
    }

    fn opened(&mut self, stream: u32) {
        if stream > self.latest_stream {
            self.latest_stream = stream;
            self.streams += 1;
        }
    }

    fn reset(&mut self) -> Result<(), Flood> {
        if self.role == Role::Client {
            self.resets += 1;
            return if self.resets > EXTRA_RESETS { Err(Flood::Resets) } else { Ok(()) };
        }
        let now = Instant::now();
        let since = self.refilled.replace(now);
        let passed = since.map_or(0, |since| now.saturating_duration_since(since).as_micros());
        let earned = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(self.limits.stream_reset_rate))
            / 1000;
        let most = u64::from(self.limits.stream_reset_burst) * 1000;
        self.reset_tokens = self.reset_tokens.saturating_add(earned).min(most);
        self.reset_tokens = self.reset_tokens.checked_sub(1000).ok_or(Flood::Resets)?;
        Ok(())
    }

    fn send(&mut self, frame: &Frame) -> Result<(), Flood> {
        self.waiting += 1;
        match frame.kind {
            DATA => self.data_sent += 1,
            HEADERS if self.role == Role::Client && frame.stream > self.latest_stream => {
                self.opened(frame.stream);
                self.heads = (self.heads - USUAL_HEADS).max(-USUAL_HEADS * MOST_SAVED);
                self.resets = (self.resets - 1).max(-MOST_SAVED);
            }
            PING | SETTINGS => self.waiting_control += 1,
            // What a client resets was its own to begin with.
            RST_STREAM if self.role == Role::Server => self.waiting_control += 1,
            _ => {}
        }
        if self.waiting_control > self.limits.max_outbound_control_frames {
            return Err(Flood::OutboundControl);
        }
        if self.waiting > self.limits.max_outbound_frames {
            return Err(Flood::Outbound);
        }
        Ok(())
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("role", &self.role).field("flood", &self.flood).finish_non_exhaustive()
    }
}

/// What counts of a frame.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    /// Length of the payload without padding.
    payload: usize,
}

/// Finds the heads of frames in bytes that come in any pieces.
struct Parser {
    head: [u8; HEAD + 1],
    /// Bytes of it that are there.
    known: usize,
    /// Bytes that belong to something else first.
    skip: usize,
}

impl Parser {
    fn behind(skip: usize) -> Self {
        Self { head: [0; HEAD + 1], known: 0, skip }
    }

    /// Whether the first byte of the payload is needed: the length of the padding.
    fn is_padded(&self) -> bool {
        matches!(self.head[3], DATA | HEADERS) && self.head[4] & PADDED != 0 && self.head[..3] != [0; 3]
    }

    /// The next frame whose head is complete.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        loop {
            let skipped = self.skip.min(bytes.len());
            *bytes = &bytes[skipped..];
            self.skip -= skipped;
            if bytes.is_empty() {
                return None;
            }
            let wanted = if self.known < HEAD { HEAD } else { HEAD + usize::from(self.is_padded()) };
            let taken = (wanted - self.known).min(bytes.len());
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            *bytes = &bytes[taken..];
            if self.known < HEAD || (self.known == HEAD && self.is_padded()) {
                continue;
            }
            let length =
                usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
            let padding = if self.known > HEAD { 1 + usize::from(self.head[HEAD]) } else { 0 };
            let [.., a, b, c, d, _] = self.head;
            self.skip = length - (self.known - HEAD);
            self.known = 0;
            return Some(Frame {
                kind: self.head[3],
                flags: self.head[4],
                stream: u32::from_be_bytes([a & 0x7f, b, c, d]),
                payload: length.saturating_sub(padding),
            });
        }
    }
}

#[cfg(test)]
mod tests;
