//! Connections to hosts: how they are made, and who may use them.

pub(super) mod connect;
pub(super) mod counts;
pub(super) mod http1;
pub(super) mod http2;
pub(super) mod http2_connection;
pub(super) mod negotiation;
pub(super) mod slot;
pub(super) mod transport;
pub(super) mod wait_queue;
