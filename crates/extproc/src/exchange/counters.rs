//! What an exchange counts (section 20).

/// Counter increments since they were last taken. The names are Envoy's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Streams opened.
    pub streams_started: u32,
    /// Messages sent.
    pub stream_msgs_sent: u32,
    /// Replies accepted, including those whose mutation was refused.
    pub stream_msgs_received: u32,
    /// Spurious messages.
    pub spurious_msgs_received: u32,
    /// Streams closed by us, or by the processor with OK.
    pub streams_closed: u32,
    /// Streams that ended with an error or could not be opened.
    pub streams_failed: u32,
    /// Failures ignored by fail open.
    pub failure_mode_allowed: u32,
    /// Deadlines missed.
    pub message_timeouts: u32,
    /// Ignored operations and refused mutations.
    pub rejected_header_mutations: u32,
    /// Accepted timeout overrides.
    pub override_message_timeout_received: u32,
    /// Refused timeout overrides.
    pub override_message_timeout_ignored: u32,
    /// Route cache clearing asked for without a header mutation.
    pub clear_route_cache_ignored: u32,
    /// Route cache clearing asked for where it is switched off.
    pub clear_route_cache_disabled: u32,
    /// Route cache clearing asked for behind the router.
    pub clear_route_cache_upstream_ignored: u32,
    /// Local replies made by the filter.
    pub immediate_responses_sent: u32,
    /// Streams ended by the processor while processing.
    pub server_half_closed: u32,
}

impl Counters {
    /// Whether anything was counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}
