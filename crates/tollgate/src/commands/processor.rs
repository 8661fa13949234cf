//! `tollgate processor`.

use std::{io, process::ExitCode};

use extproc_server::{ListenAddress, Server};

use crate::{
    cli::{LogFormat, Processor, Sample},
    logging,
    processor::instructions::Instructions,
    signals::Signals,
};

/// Runs the processor until a signal stops it.
pub(crate) fn run(arguments: &Processor) -> ExitCode {
    logging::start(LogFormat::Text, "info");
    let Sample::Instructions { listen } = &arguments.sample;
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve(listen)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the processor cannot be served at {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &ListenAddress) -> io::Result<()> {
    let (stop, hurry) = (Signals::listen()?, Signals::listen()?);
    let server = Server::new(|_| Instructions).bind(address).await?;
    tracing::info!("processor `instructions` listens on {}", server.local_address());
    let served = server.serve(async {
        stop.first().await;
        tracing::info!("stopping when the exchanges under way have ended");
    });
    hurry.exit_on_second(served).await;
    Ok(())
}
