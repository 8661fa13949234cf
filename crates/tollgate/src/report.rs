//! Problems of a configuration in the log.

use std::io::{self, Write};

use tollgate_config::{Severity, render};

use crate::{cli::LogFormat, configuration::Configuration};

/// Tells every problem on standard error, in the form that whoever reads the log expects.
pub(crate) fn report(configuration: &Configuration, format: LogFormat) {
    for diagnostic in &configuration.diagnostics {
        match format {
            LogFormat::Text => {
                let text = render(diagnostic, &configuration.input.sources.texts);
                // Who closed standard error does not want to know.
                let _ = writeln!(io::stderr(), "{text}");
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
