//! Connections to the addresses of a processor, and who uses them.
//!
//! An [`Endpoint`] owns the connections to one address. An exchange checks out a [`StreamPermit`], the right to open one
//! stream on one connection; if there is none it becomes a [`PendingRequest`] of the endpoint's queue. When an exchange is
//! over before its stream is, the stream goes on as a [`DetachedStream`] of its connection; one that never got a connection
//! may stay in the queue as a [`DetachedRequest`].
//!
//! Each connection is driven by a task of its own (`driver`). What that task learns it reports to the endpoint, as a
//! [`ConnectionEvent`](connection::ConnectionEvent); the endpoint decides what follows.

mod backoff;
mod connection;
mod detached_request;
mod detached_stream;
mod driver;
mod endpoint;
mod pending;

pub use self::endpoint::{Endpoint, EndpointSettings, Endpoints, PickError};
pub(crate) use self::{
    connection::{Connection, StreamPermit},
    detached_request::DetachedRequest,
    detached_stream::{DetachedStream, Ending},
    endpoint::Checkout,
    pending::PendingRequest,
};
