//! `tollgate processor`.

use std::{fs, io, path::Path, process::ExitCode};

use extproc_server::{ListenAddress, MetadataMap, Processor, Server, Tls};

use crate::{
    cli::{self, LogFormat, Sample},
    logging,
    processor::{instructions::Instructions, mark::Mark},
    signals::Signals,
};

/// Runs the processor until a signal stops it.
pub(crate) fn run(arguments: &cli::Processor) -> ExitCode {
    let _flush = logging::start(LogFormat::Text, "info");
    let (listen, served) = match &arguments.sample {
        Sample::Instructions { listen } => {
            (listen, block_on(serve("instructions", Server::new(|_: &MetadataMap| Instructions), listen)))
        }
        Sample::Mark { listen, tls } => (listen, block_on(serve_mark(listen, tls))),
    };
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

async fn serve_mark(listen: &ListenAddress, tls: &cli::Tls) -> io::Result<()> {
    let mut server = Server::new(|_: &MetadataMap| Mark);
    if let (Some(certificate), Some(private_key)) = (&tls.certificate, &tls.private_key) {
        let tls = Tls::from_pem(&read(certificate)?, &read(private_key)?);
        server = server.tls(tls.map_err(io::Error::other)?);
    }
    serve("mark", server, listen).await
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

async fn serve<P, F>(name: &str, server: Server<F>, address: &ListenAddress) -> io::Result<()>
where
    P: Processor,
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
{
    let (stop, hurry) = (Signals::listen()?, Signals::listen()?);
    let server = server.bind(address).await?;
    tracing::info!("processor `{name}` listens on {}", server.local_address());
    let served = server.serve(async {
        stop.first().await;
        tracing::info!("stopping when the exchanges under way have ended");
    });
    hurry.exit_on_second(served).await;
    Ok(())
}
