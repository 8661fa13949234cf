//! The whole data plane: a gateway made of a model, upstreams and a client, on real sockets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod mirrors;
mod priorities;
mod session_persistence;
mod support;
