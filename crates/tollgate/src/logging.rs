//! Where log lines go.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// The environment variable that chooses what is logged.
const FILTER: &str = "TOLLGATE_LOG";

/// Sends log lines to standard error, from `level` up unless the environment says otherwise.
pub(crate) fn start(format: LogFormat, level: &str) {
    let wished = std::env::var(FILTER).ok().map(EnvFilter::try_new);
    let (filter, problem) = match wished {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(level), Some(error)),
        None => (EnvFilter::new(level), None),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let ansi = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
            builder.with_ansi(ansi).with_target(false).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = problem {
        tracing::warn!(%error, "{FILTER} is not understood");
    }
}
