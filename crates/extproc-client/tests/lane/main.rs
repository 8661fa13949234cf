//! Exchanges with processors that misbehave in every way HTTP/2 allows. The processors here write single frames.

#![expect(clippy::unwrap_used, reason = "what fails here is a test")]
mod answers;
mod closing;
mod connections;
mod flow;
mod retries;
mod sockets;
mod storm;
mod support;
