//! Problems of a configuration in the log.

use tollgate_config::{Severity, render};

use crate::{cli::LogFormat, configuration::Configuration, logging};

/// Tells every problem on standard error, in the form that whoever reads the log expects.
pub(crate) fn report(configuration: &Configuration, format: LogFormat) {
    // There may be more problems than the log has room for; they are worth a moment.
    let mut patient = true;
    for diagnostic in &configuration.diagnostics {
        patient = patient && logging::wait_for_room();
        match format {
            LogFormat::Text => {
                let text = render(diagnostic, &configuration.input.sources.texts);
                logging::write(&format!("{text}\n"));
            }
            LogFormat::Json => {
                let (file, line, column) = (&diagnostic.file, diagnostic.line, diagnostic.column);
                let (path, help) = (&diagnostic.path, diagnostic.help.as_deref());
                let message = &diagnostic.message;
                match diagnostic.severity {
                    Severity::Error => tracing::error!(file, line, column, path, help, "{message}"),
                    Severity::Warning => tracing::warn!(file, line, column, path, help, "{message}"),
                    Severity::Info => tracing::info!(file, line, column, path, help, "{message}"),
                }
            }
        }
    }
}
