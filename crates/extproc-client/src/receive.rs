//! The receiving half of a stream.

use h2::{RecvStream, client::ResponseFuture};

/// The receiving half of a stream.
pub(crate) enum Receive {
    /// The response head has not arrived.
    Head(ResponseFuture),
    /// The response head has arrived.
    Body(RecvStream),
}
