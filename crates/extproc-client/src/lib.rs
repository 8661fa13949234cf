//! Carries ext_proc exchanges to processors over HTTP/2.
//!
//! A [`Client`] opens one [`Call`] per exchange on a connection of an [`Endpoint`], which its [`Endpoints`] pick. The
//! call is driven by whoever polls it: no task, no channel and no lock belongs to an exchange. Each connection has one
//! task of its own on the local executor, so everything here must run inside a tokio `LocalRuntime` or `LocalSet`.
//!
//! How connections are made (addresses, TLS, socket options) is the business of a [`Connector`].

mod answer;
mod call;
mod client;
mod connect;
mod payload;
mod pool;
mod receive;
mod replay;
mod reset;
mod retry;
mod status;
mod stream;
mod window;
mod wire_size;

pub use call::{Call, Close, Event};
pub use client::{Client, ClientSettings};
pub use connect::{ConnectError, Connecting, Connector};
pub use http2_io::{Flood, FrameLimits, Io, KeepAlive};
pub use pool::{Endpoint, EndpointSettings, Endpoints, PickError};
pub use retry::RetryPolicy;
pub use status::GrpcStatus;
