//! An HTTP gateway for external processing: the command line.

mod address;
mod admin;
mod as_envoy;
mod cli;
mod commands;
mod configuration;
mod demo;
mod descriptors;
mod explain;
mod gateway;
mod http_server;
mod in_force;
mod logging;
mod named_files;
mod problems;
mod process_metrics;
mod processor;
mod recording;
mod reload;
mod report;
mod shown;
mod signals;
mod sources;
mod summary;
mod xds;
mod yaml;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some((program, arguments)) = as_envoy::started_as_envoy() {
        return commands::envoy::run(&program, &arguments);
    }
    match Cli::parse().command {
        // It never comes to that: see above.
        Command::Envoy(_) => ExitCode::FAILURE,
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Convert(arguments) => commands::convert::run(&arguments),
        Command::Explain(arguments) => commands::explain::run(&arguments),
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Echo(arguments) => commands::echo::run(&arguments),
        Command::Status(arguments) => commands::status::run(&arguments),
        Command::Try(arguments) => commands::try_processor::run(&arguments),
        Command::Record(arguments) => commands::record::run(&arguments),
        Command::Processor(arguments) => commands::processor::run(arguments),
    }
}
