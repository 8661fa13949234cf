//! Clients and hosts that send too much, too little or never read: the gateway stays within its memory, and another client
//! is served meanwhile.
//!
//! What takes time is ignored: `cargo test -p tollgate --test floods -- --ignored`. `TOLLGATE_BIN` plays another binary; if
//! that is one of release, bounds are those of release.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

mod frames;
mod limits;
mod memory;
mod pace;
use tollgate_testing as support;
mod tls;
mod world;
