//! One request to a cluster and its response, over a connection of either protocol.

pub(super) mod failure;
pub(super) mod held;
pub(super) mod http1;
pub(super) mod http2;
pub(super) mod request;
pub(super) mod tcp;
