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
    sources::{is_stream, name},
    xds::assembly::Bootstrap,
};

/// Serves files and whatever they become, until a signal stops it.
pub(crate) fn run(arguments: &Run) -> ExitCode {
    let _flush = logging::start(arguments.log_format, "info");
    let options = Options::from(&arguments.reading);
    let paths = arguments.paths.all();
    if paths.iter().any(|path| is_stream(path)) {
        tracing::error!(
            "run reads its files again when they change, which standard input cannot do: name a file"
        );
        return ExitCode::FAILURE;
    }
    let permissive = arguments.permissive;
    let mut configuration = Configuration::load(&paths, &options);
    report(&configuration, arguments.log_format);
    let (verdict, exposes) = (configuration.verdict(permissive), configuration.exposes());
    let snapshot = configuration.take_snapshot(permissive);
    let Configuration { input, objects, .. } = configuration;
    let Some(snapshot) = snapshot else {
        tracing::error!("{} is {verdict}{}", name(&paths), permissive_hint(exposes));
        return ExitCode::FAILURE;
    };
    if !verdict.starts_with("accepted") {
        tracing::info!("{} is {verdict}", name(&paths));
    }
    let workers = arguments.workers.or(snapshot.concurrency).or_else(|| available_parallelism().ok());
    let workers = workers.unwrap_or(NonZeroUsize::MIN);
    let admin_address = Some(arguments.admin_address);
    let bootstrap = Bootstrap { sources: input.sources.clone(), options: options.clone() };
    let reload = Reload {
        paths,
        options,
        permissive,
        log_format: arguments.log_format,
        admin_address,
        input,
        rebase: None,
    };
    let bootstrap = snapshot.management.is_some().then_some(bootstrap);
    let lifecycle = arguments.lifecycle.clone();
    descriptors::raise_limit();
    match serve(Settings {
        snapshot,
        objects,
        workers,
        admin_address,
        lifecycle,
        reload: Some(reload),
        bootstrap,
        as_envoy: None,
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What somebody can do who wants to serve the rest.
pub(crate) fn permissive_hint(exposes: bool) -> &'static str {
    if exposes {
        "; requests might pass the processors and policies that it wants: fix the errors, or serve the rest with \
         --permissive"
    } else {
        ""
    }
}

fn serve(settings: Settings) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let workers = settings.workers;
        let gateway = Gateway::start(settings).await?;
        for (name, address) in &gateway.local_addresses() {
            tracing::info!("listener {name} at {}", Address(address));
        }
        if let Some(address) = gateway.admin_address() {
            tracing::info!("admin server at {address}");
        }
        tracing::info!(workers, "serving");
        gateway.until_stopped().await?;
        Ok(())
    });
    // Files on a system that does not answer may still be read: nobody waits for that.
    runtime.shutdown_background();
    served
}
