//! What a person can type.

use clap::{Args, Parser, Subcommand};
use extproc_server::ListenAddress;

const EXAMPLES: &str = "\
Examples:
  tollgate processor instructions        a processor to try a configuration with

TOLLGATE_LOG chooses what is logged, on standard error: error, warn, info (the default), or for one
part only, such as warn,tollgate_proxy=info.";

const INSTRUCTIONS: &str = r#"Example:
  instructions: {"addHeaders": {"name": "value"}, "removeHeaders": ["name"],
                 "setBody": "text", "setTrailers": {"name": "value"}}"#;

/// An HTTP gateway for external processing.
///
/// Every request, and every response on its way back, can stop at processors: gRPC services that speak Envoy's
/// ext_proc protocol. Tollgate reads Envoy's configuration unchanged and treats a processor as Envoy does.
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a sample processor alone.
    Processor(Processor),
}

/// Form of log lines.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
}

/// Arguments of `processor`.
#[derive(Debug, Args)]
pub(crate) struct Processor {
    #[command(subcommand)]
    pub(crate) sample: Sample,
}

/// The sample processors.
#[derive(Debug, Subcommand)]
pub(crate) enum Sample {
    /// Does what the header `instructions` asks for.
    ///
    /// It is looked for in requests and in responses. Its value is a JSON object; every member is optional.
    #[command(after_long_help = INSTRUCTIONS)]
    Instructions {
        /// Where it listens: an IP address and a port, or unix:PATH.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18080")]
        listen: ListenAddress,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
