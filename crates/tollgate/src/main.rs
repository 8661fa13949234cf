//! An HTTP gateway for external processing: the command line.

mod cli;
mod commands;
mod logging;
mod processor;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Processor(arguments) => commands::processor::run(arguments),
    }
}
