//! `tollgate processor`.

use std::{fs, io, path::Path, process::ExitCode};

use extproc_server::{ListenAddress, Server, Tls};

use crate::{
    cli::{self, LogFormat, Sample, Serving},
    logging,
    processor::{
        events::events, instructions::instructions, layers::layers, log::log, mark::mark, pick::pick,
        redact::redact, route::route, token::token,
    },
    signals::Signals,
};

/// Runs the processor until a signal stops it.
pub(crate) fn run(arguments: cli::Processor) -> ExitCode {
    let _flush = logging::start(LogFormat::Text, "info");
    let (name, serving, default, server) = match arguments.sample {
        Sample::Instructions(serving) => ("instructions", serving, 18080, Ok(Server::new(instructions))),
        Sample::Mark(serving) => ("mark", serving, 9002, Ok(Server::new(mark))),
        Sample::Redact { members, serving } => ("redact", serving, 9002, Ok(Server::new(redact(members)))),
        Sample::Token { tokens, serving } => {
            let tokens = read(&tokens).map(|text| text.lines().map(|line| line.trim().to_owned()).collect());
            ("token", serving, 9002, tokens.map(|tokens| Server::new(token(tokens))))
        }
        Sample::Events { replace, with, serving } => {
            ("events", serving, 9002, Ok(Server::new(events(replace, with))))
        }
        Sample::Route { member, header, serving } => {
            ("route", serving, 9002, Ok(Server::new(route(member, header))))
        }
        Sample::Log(serving) => ("log", serving, 9002, Ok(Server::new(log))),
        Sample::Layers(serving) => ("layers", serving, 9002, Ok(Server::new(layers()))),
        Sample::Pick { endpoints, serving } => ("pick", serving, 9002, Ok(Server::new(pick(endpoints)))),
    };
    let Serving { listen, certificate, private_key, client_ca } = serving;
    let listen = listen.unwrap_or_else(|| ListenAddress::Tcp(([127, 0, 0, 1], default).into()));
    let served = server.and_then(|server| {
        let server = match (certificate, private_key) {
            (Some(certificate), Some(private_key)) => {
                server.tls(tls(&certificate, &private_key, client_ca.as_deref())?)
            }
            _ => server,
        };
        block_on(serve(name, server, &listen))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the processor cannot be served at {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(served: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(served)
}

fn tls(certificate: &Path, private_key: &Path, client_ca: Option<&Path>) -> io::Result<Tls> {
    let mut tls = Tls::from_files(certificate, private_key).map_err(io::Error::other)?;
    if let Some(client_ca) = client_ca {
        tls = tls.client_ca(client_ca).map_err(io::Error::other)?;
    }
    Ok(tls.reloading())
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

async fn serve(name: &str, server: Server, address: &ListenAddress) -> io::Result<()> {
    let (stop, hurry) = (Signals::listen()?, Signals::listen()?);
    let server = server.bind(address).await?;
    tracing::info!("processor `{name}` listens on {}", server.local_address());
    let served = server.serve(async {
        stop.first().await;
        tracing::info!("stopping when the exchanges in progress have ended");
    });
    hurry.exit_on_second(served).await;
    Ok(())
}
