//! `tollgate envoy`: the command line of Envoy.

use std::{
    error::Error,
    fs::{self, OpenOptions},
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::Path,
    process::ExitCode,
    thread::available_parallelism,
};

use serde_json::json;
use tollgate_config::{Options, Source, merge_bootstraps};

use crate::{
    cli::{Envoy, Lifecycle, LogFormat, Mode},
    commands::run::serve,
    configuration::Configuration,
    descriptors,
    gateway::Settings,
    logging,
    reload::Reload,
    report::report,
    xds::assembly::Bootstrap,
};

/// The version of Envoy whose configuration and behaviour are meant.
const ENVOY: &str = "1.40.0";
/// Where the admin server listens when nobody says it.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Does what Envoy would do.
pub(crate) fn run(arguments: &Envoy) -> ExitCode {
    if arguments.version {
        return say(&format!(
            "\nenvoy  version: tollgate-{}/{ENVOY}/Clean/RELEASE/rustls\n",
            env!("CARGO_PKG_VERSION")
        ));
    }
    if arguments.hot_restart_version {
        return say("disabled\n");
    }
    if let Some(path) = &arguments.log_path
        && let Err(error) = redirect(path)
    {
        let _ = writeln!(io::stderr(), "the log cannot be written to {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    let _flush = logging::start(LogFormat::Text, level(&arguments.log_level));
    match prepare(arguments) {
        Ok(Some(settings)) => match serve(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Names of levels that others have, too.
fn level(name: &str) -> &str {
    match name {
        "warning" => "warn",
        "critical" => "error",
        other => other,
    }
}

/// Standard error is this file from now on.
fn redirect(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(())
}

/// Reads the bootstrap; `None` when that was all to do.
fn prepare(arguments: &Envoy) -> Result<Option<Settings>, Box<dyn Error>> {
    if arguments.restart_epoch > 0 && !arguments.without_effect.skip_hot_restart_on_no_parent {
        return Err("there is no hot restart: start with --restart-epoch 0".into());
    }
    let options = Options::default();
    let source = bootstrap(arguments)?;
    let name = source.path.clone();
    let mut configuration = Configuration::from_source(source, &options);
    report(&configuration, LogFormat::Text);
    let verdict = configuration.verdict(false);
    let snapshot = configuration.take_snapshot(false);
    let snapshot = snapshot.ok_or_else(|| format!("{name} is {verdict}"))?;
    if arguments.mode != Mode::Serve {
        say(&format!("configuration '{name}' OK\n"));
        return Ok(None);
    }
    let Configuration { input, .. } = configuration;
    let sources = input.sources.clone();
    let bootstrap = snapshot.management.is_some().then(|| Bootstrap { sources, options: options.clone() });
    let workers = arguments.workers().or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    // The bootstrap itself is read once, as Envoy does it; files that it names are followed.
    let reload = Reload {
        paths: Vec::new(),
        options,
        permissive: false,
        log_format: LogFormat::Text,
        admin_address: ANY,
        input,
        rebase: None,
    };
    let lifecycle = Lifecycle { drain_time_s: arguments.drain_time_s, ..Lifecycle::default() };
    descriptors::raise_limit();
    Ok(Some(Settings {
        snapshot,
        objects: Vec::new(),
        workers,
        admin_address: ANY,
        admin_address_path: arguments.admin_address_path.clone(),
        lifecycle,
        reload: Some(reload),
        bootstrap,
    }))
}

/// The bootstrap: the file, what is laid over it, and what flags say about the node.
fn bootstrap(arguments: &Envoy) -> Result<Source, Box<dyn Error>> {
    let file = arguments.config_path.as_deref().map(Source::open).transpose()?;
    let mut node = json!({});
    let flags = [("id", &arguments.service_node), ("cluster", &arguments.service_cluster)];
    for (name, value) in flags.into_iter().filter(|(_, value)| !value.is_empty()) {
        node[name] = json!(value);
    }
    if !arguments.service_zone.is_empty() {
        node["locality"] = json!({ "zone": arguments.service_zone });
    }
    let of_flags = node.as_object().is_some_and(|node| !node.is_empty());
    let of_flags = of_flags.then(|| json!({ "node": node }).to_string());
    let inline = arguments.config_yaml.clone().map(|text| Source { path: "--config-yaml".to_owned(), text });
    let mut parts: Vec<Source> = file.into_iter().chain(inline).collect();
    if parts.is_empty() {
        return Err("there is no bootstrap: name one with --config-path or --config-yaml".into());
    }
    if parts.len() == 1 && of_flags.is_none() {
        return Ok(parts.remove(0));
    }
    let path = parts[0].path.clone();
    let texts: Vec<&str> = parts.iter().map(|part| &*part.text).chain(of_flags.as_deref()).collect();
    let text = merge_bootstraps(&texts).map_err(|problem| format!("{path}: {problem}"))?;
    Ok(Source { path, text })
}

/// Writes where the admin server listens.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_admin_address(path: &Path, address: SocketAddr) -> io::Result<()> {
    fs::write(path, address.to_string())
}
