//! What a peer may send without need, and of what it sent too much.

use std::io;

use serde::Serialize;

/// How many frames a peer may send, or have us send, without need. More end the connection. Names and defaults are those of Envoy's
/// `Http2ProtocolOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FrameLimits {
    /// Frames that may wait to be written. Default 10,000.
    pub max_outbound_frames: u32,
    /// PING, SETTINGS and RST_STREAM frames that may wait to be written. Default 1,000.
    pub max_outbound_control_frames: u32,
    /// HEADERS, CONTINUATION and DATA frames in a row that are empty and end nothing. Default 1.
    pub max_consecutive_inbound_frames_with_empty_payload: u32,
    /// PRIORITY frames for each stream opened. Default 100.
    pub max_inbound_priority_frames_per_stream: u32,
    /// WINDOW_UPDATE frames for each DATA frame sent. Default 10.
    pub max_inbound_window_update_frames_per_data_frame_sent: u32,
    /// RST_STREAM frames that a client may send at once. Default 1,000.
    pub stream_reset_burst: u32,
    /// RST_STREAM frames a second that a client may send all the time. Default 33.
    pub stream_reset_rate: u32,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            max_outbound_frames: 10_000,
            max_outbound_control_frames: 1000,
            max_consecutive_inbound_frames_with_empty_payload: 1,
            max_inbound_priority_frames_per_stream: 100,
            max_inbound_window_update_frames_per_data_frame_sent: 10,
            stream_reset_burst: 1000,
            stream_reset_rate: 33,
        }
    }
}

/// Of what there was too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flood {
    /// Frames that the peer does not take.
    #[error("too many frames wait to be written")]
    Outbound,
    /// Control frames that the peer does not take.
    #[error("too many control frames wait to be written")]
    OutboundControl,
    /// Frames without a payload.
    #[error("too many consecutive frames with an empty payload")]
    EmptyFrames,
    /// PRIORITY.
    #[error("too many PRIORITY frames")]
    Priority,
    /// WINDOW_UPDATE.
    #[error("too many WINDOW_UPDATE frames")]
    WindowUpdate,
    /// RST_STREAM.
    #[error("too many RST_STREAM frames")]
    Resets,
    /// Heads of responses.
    #[error("too many HEADERS frames")]
    Heads,
}

impl From<Flood> for io::Error {
    fn from(flood: Flood) -> Self {
        Self::new(io::ErrorKind::InvalidData, flood)
    }
}
