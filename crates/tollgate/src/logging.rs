//! Where log lines go.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// The environment variable that chooses what is logged.
const FILTER: &str = "TOLLGATE_LOG";

/// Sends log lines to standard error, from `info` up unless the environment says otherwise.
pub(crate) fn start(format: LogFormat) {
    let (filter, problem) = match std::env::var(FILTER) {
        Ok(text) => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (default_filter(), Some(error)),
        },
        Err(_) => (default_filter(), None),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let ansi = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
            builder.with_ansi(ansi).with_target(false).init();
        }
    }
    if let Some(error) = problem {
        tracing::warn!(%error, "{FILTER} is not understood, logging from info up");
    }
}

fn default_filter() -> EnvFilter {
    EnvFilter::new("info")
}
