//! Arguments of `record`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::socket_address;

/// Arguments of `record`.
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// The file to write: a line about the recording, then a line for each exchange (JSON). It contains whatever the messages
    /// do, credentials too, so only its owner can read it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The admin server of the gateway.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15000", value_parser = socket_address)]
    pub(crate) admin_address: SocketAddr,
    /// How long to record, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: u64,
    /// The largest number of exchanges; the recording ends when they have ended.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) exchanges: u64,
    /// The largest number of bytes of messages, of all exchanges together.
    #[arg(long, value_name = "BYTES", default_value = "16777216", value_parser = clap::value_parser!(u64).range(1..=67_108_864))]
    pub(crate) bytes: u64,
}
