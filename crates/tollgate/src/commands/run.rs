//! `tollgate run`.

use std::{error::Error, num::NonZeroUsize, process::ExitCode, thread::available_parallelism};

use tollgate_config::Options;

use crate::{
    address::Address,
    cli::Run,
    configuration::Configuration,
    descriptors,
    gateway::{Gateway, Settings},
    logging,
    reload::Reload,
    report::report,
    sources::name,
};

/// Serves files and whatever they become, until a signal stops it.
pub(crate) fn run(arguments: &Run) -> ExitCode {
    let _flush = logging::start(arguments.log_format, "info");
    let options = Options::from(&arguments.reading);
    let configuration = Configuration::load(&arguments.paths, &options);
    report(&configuration, arguments.log_format);
    let verdict = configuration.verdict();
    let Configuration { input, snapshot, objects, .. } = configuration;
    let Some(snapshot) = snapshot else {
        tracing::error!("{} is {verdict}", name(&arguments.paths));
        return ExitCode::FAILURE;
    };
    let workers = arguments.workers.or(snapshot.concurrency).or_else(|| available_parallelism().ok());
    let workers = workers.unwrap_or(NonZeroUsize::MIN);
    let admin_address = arguments.admin_address;
    let reload = Reload {
        paths: arguments.paths.clone(),
        options,
        log_format: arguments.log_format,
        admin_address,
        input,
    };
    let lifecycle = arguments.lifecycle.clone();
    descriptors::raise_limit();
    match serve(Settings { snapshot, objects, workers, admin_address, lifecycle, reload: Some(reload) }) {
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
        gateway.until_stopped().await?;
        Ok(())
    })
}
