//! `tollgate run`.

use std::{
    error::Error,
    io::{self, Write},
    num::NonZeroUsize,
    process::ExitCode,
    thread::available_parallelism,
};

use tollgate_config::{Severity, render};

use crate::{
    address::Address,
    cli::{LogFormat, Run},
    configuration::Configuration,
    gateway::{Gateway, Settings},
    logging,
};

/// Serves a file until a signal stops it.
pub(crate) fn run(arguments: &Run) -> ExitCode {
    logging::start(arguments.log_format, "info");
    let configuration = Configuration::load(&arguments.file, &arguments.strictness.into());
    report(&configuration, arguments.log_format);
    let Some(snapshot) = configuration.snapshot else {
        tracing::error!("{} is {}", arguments.file.display(), configuration.verdict());
        return ExitCode::FAILURE;
    };
    let workers = arguments.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    match serve(Settings { snapshot, workers, admin_address: arguments.admin_address }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Settings) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let workers = settings.workers;
        let gateway = Gateway::start(settings).await?;
        for (name, address) in &gateway.local_addresses() {
            tracing::info!("listener {name} at {}", Address(address));
        }
        tracing::info!("admin server at {}", gateway.admin_address());
        tracing::info!(workers, "serving");
        gateway.until_stopped().await;
        Ok(())
    })
}

/// Tells every problem on standard error, in the form that whoever reads the log expects.
fn report(configuration: &Configuration, format: LogFormat) {
    for diagnostic in &configuration.diagnostics {
        match format {
            LogFormat::Text => {
                let text = render(diagnostic, &configuration.sources);
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
