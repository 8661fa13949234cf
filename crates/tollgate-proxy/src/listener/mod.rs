//! Listeners: sockets bound before anything is served, connections accepted and spread over the workers.

mod accept;
mod balance;
mod bind;
mod socket;

pub(crate) use accept::{Gate, accept_connections};
pub(crate) use balance::{Accepted, Balance, ConnectionToken};
pub(crate) use bind::{BoundAddress, bind};
pub(crate) use socket::{ListeningSocket, Socket, StdSocket};
