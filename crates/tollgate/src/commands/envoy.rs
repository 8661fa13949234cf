//! `tollgate envoy`, and the program under the name `envoy`.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    num::NonZeroUsize,
    path::Path,
    process::ExitCode,
    thread::available_parallelism,
};

use tollgate_config::{NodeNames, Options, Source, merge_bootstraps};
use tollgate_ir::Compiled;

use crate::{
    address::Address,
    admin::AsEnvoy,
    as_envoy::{DEFAULT_LOG_FORMAT, EnvoyOptions, Mode, Wish, wish},
    cli::{Lifecycle, LogFormat},
    configuration::{Configuration, Input},
    descriptors,
    gateway::{Gateway, Settings},
    logging::{self, Pattern},
    reload::Reload,
    report::report,
    sources::is_stream,
    xds::assembly::Bootstrap,
};

/// The environment variable with more names that the admin server is asked by, with commas between them.
const ADMIN_HOSTS: &str = "TOLLGATE_ADMIN_HOSTS";

/// Does what the flags ask for. Whoever closed the standard streams does not want to know what is said there.
pub(crate) fn run(program: &str, arguments: &[String]) -> ExitCode {
    match wish(program, arguments) {
        Wish::Run(options) => start(&options),
        Wish::Say(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Wish::SayAside(text) => {
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Wish::Fail(text) => {
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn start(options: &EnvoyOptions) -> ExitCode {
    let pattern = options.log_format.as_deref().unwrap_or(DEFAULT_LOG_FORMAT);
    let pattern = Pattern::new(pattern, options.escapes_logs);
    // Who only reads writes nothing.
    let log_path = options.log_path.as_deref().filter(|_| options.mode != Mode::Validate);
    let _flush = match logging::start_with(pattern, options.levels.clone(), log_path) {
        Ok(flush) => flush,
        Err(error) => {
            let path = log_path.unwrap_or_else(|| Path::new("")).display();
            let _ = writeln!(io::stderr(), "Failed to open log-file '{path}': {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match options.mode {
        Mode::Validate => validate(options),
        Mode::Serve | Mode::InitOnly => serve(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the bootstrap and says that it could be served.
fn validate(options: &EnvoyOptions) -> Result<(), Box<dyn Error>> {
    let path = options.config_path.as_deref().unwrap_or_else(|| Path::new("")).display();
    load(options).map_err(|error| format!("error initializing configuration '{path}': {error}"))?;
    let _ = writeln!(io::stdout(), "configuration '{path}' OK");
    Ok(())
}

/// A configuration, and how it was read.
struct Loaded {
    snapshot: Compiled,
    input: Input,
    reading: Options,
}

fn load(options: &EnvoyOptions) -> Result<Loaded, String> {
    let source = bootstrap(options)?;
    let name = source.path.clone();
    let node = NodeNames {
        id: options.service_node.clone(),
        cluster: options.service_cluster.clone(),
        zone: options.service_zone.clone(),
    };
    let reading = Options { node, ..Options::default() };
    let mut configuration = Configuration::from_source(source, &reading);
    report(&configuration, LogFormat::Events);
    let verdict = configuration.verdict(false);
    let snapshot = configuration.take_snapshot(false).ok_or_else(|| format!("{name} is {verdict}"))?;
    if snapshot.management.is_some() && (snapshot.node.id.is_empty() || snapshot.node.cluster.is_empty()) {
        return Err(
            "node 'id' and 'cluster' are required. Set it either in 'node' config or via --service-node and \
                    --service-cluster options."
                .to_owned(),
        );
    }
    Ok(Loaded { snapshot, input: configuration.input, reading })
}

/// The text of the bootstrap.
fn bootstrap(options: &EnvoyOptions) -> Result<Source, String> {
    let of_file = |path: &Path| {
        let stream =
            || fs::File::open(path).and_then(|file| Source::read_from(&path.display().to_string(), file));
        let source = if is_stream(path) { stream() } else { Source::open(path) };
        source.map_err(|error| format!("Invalid path: {}: {error}", path.display()))
    };
    let of_text = |text: &str| Source { path: "--config-yaml".to_owned(), text: text.to_owned() };
    match (options.config_path.as_deref(), options.config_yaml.as_deref()) {
        (Some(path), Some(text)) => merge_bootstraps(&of_file(path)?, &of_text(text)),
        (Some(path), None) => of_file(path),
        (None, Some(text)) => Ok(of_text(text)),
        (None, None) => Err("At least one of --config-path or --config-yaml should be non-empty".to_owned()),
    }
}

/// Serves the bootstrap until a signal, or until everything is there if that is enough.
fn serve(options: &EnvoyOptions) -> Result<(), Box<dyn Error>> {
    let Loaded { snapshot, input, reading } = load(options)?;
    if let Some(path) = &options.base_id_path {
        fs::write(path, options.base_id.to_string()).map_err(|error| {
            format!("cannot open base id output file {} for writing: {error}", path.display())
        })?;
    }
    let workers = options.concurrency.or(snapshot.concurrency).or_else(|| available_parallelism().ok());
    let bootstrap = Bootstrap { sources: input.sources.clone(), options: reading.clone() };
    let bootstrap = snapshot.management.is_some().then_some(bootstrap);
    // The bootstrap is read once. Files that it names may change.
    let reload = Reload {
        paths: Vec::new(),
        options: reading,
        permissive: false,
        log_format: LogFormat::Events,
        admin_address: None,
        input,
        rebase: None,
    };
    descriptors::raise_limit();
    let settings = Settings {
        snapshot,
        objects: Vec::new(),
        workers: workers.unwrap_or(NonZeroUsize::MIN),
        admin_address: None,
        lifecycle: lifecycle(options),
        reload: Some(reload),
        bootstrap,
        as_envoy: Some(AsEnvoy {
            command_line_options: options.shown.clone(),
            stats_tags: options.stats_tags.clone(),
        }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let gateway = Gateway::start(settings).await?;
        announce(&gateway, options);
        if options.mode == Mode::InitOnly {
            gateway.until_initialized().await;
            tracing::info!("everything is there; exiting");
            return Ok(());
        }
        gateway.until_stopped().await?;
        Ok(())
    });
    // Files on a system that does not answer may still be read: nobody waits for that.
    runtime.shutdown_background();
    served
}

/// As in Envoy, a signal ends the process without waiting for requests: who wants that drains it first.
fn lifecycle(options: &EnvoyOptions) -> Lifecycle {
    let names = std::env::var(ADMIN_HOSTS).unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    Lifecycle {
        drain_time: std::time::Duration::ZERO,
        drain_time_s: options.drain_time_s,
        admin_host: names.map(str::to_owned).collect(),
        ..Lifecycle::default()
    }
}

fn announce(gateway: &Gateway, options: &EnvoyOptions) {
    for (name, address) in &gateway.local_addresses() {
        tracing::info!("listener {name} at {}", Address(address));
    }
    let address = gateway.admin_address();
    if let Some(address) = address {
        tracing::info!("admin server at {address}");
    }
    if let (Some(path), Some(address)) = (&options.admin_address_path, address)
        && let Err(error) = fs::write(path, address.to_string())
    {
        tracing::error!("cannot open admin address output file {} for writing: {error}", path.display());
    }
    tracing::info!("serving");
}
