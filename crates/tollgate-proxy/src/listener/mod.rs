//! Listeners: sockets bound before anything is served, connections accepted and spread over the workers.

mod accept;
mod balance;
mod bind;

pub(crate) use accept::{Gate, accept_connections};
pub(crate) use balance::{Accepted, Balance, ConnectionToken};
pub(crate) use bind::{BoundAddress, bind};
