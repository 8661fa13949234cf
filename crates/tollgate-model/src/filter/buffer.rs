//! The `buffer` filter: requests go on only when they are there as a whole.

use serde::Serialize;

/// Settings of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Buffer {
    /// Largest body, bytes; a larger one is refused (413).
    pub max_request_bytes: usize,
}
