//! `tollgate demo`.

use std::{
    error::Error,
    future::pending,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    process::ExitCode,
    thread::available_parallelism,
};

use extproc_server::{ListenAddress, Server};
use tokio::net::TcpListener;
use tollgate_config::Options;

use crate::{
    address::Address,
    cli::{Demo, LogFormat},
    configuration::Configuration,
    demo::{bootstrap::Ports, echo},
    gateway::{Gateway, Settings},
    http_server, logging,
    processor::instructions::Instructions,
};

/// The kernel chooses the port.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where everything listens.
struct Addresses {
    gateway: String,
    upstream: SocketAddr,
    processor: SocketAddr,
    admin: SocketAddr,
}

/// Runs everything in this process until a signal stops it.
pub(crate) fn run(arguments: &Demo) -> ExitCode {
    logging::start(LogFormat::Text, "warn");
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(serve(arguments.port)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}; --port chooses another port for the gateway");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let upstream_listener = TcpListener::bind(ANY).await?;
    let upstream = upstream_listener.local_addr()?;
    tokio::spawn(http_server::serve(upstream_listener, echo::answer));

    let server = Server::new(|_| Instructions).bind(&ListenAddress::Tcp(ANY)).await?;
    let &ListenAddress::Tcp(processor) = server.local_address() else {
        return Err("the processor is not where it was put".into());
    };
    tokio::spawn(server.serve(pending()));

    let ports = Ports { gateway: port, upstream: upstream.port(), processor: processor.port() };
    let configuration = Configuration::from_source(ports.bootstrap(), &Options::default());
    let Some(snapshot) = configuration.snapshot else {
        return Err(format!("the example is {}", configuration.verdict()).into());
    };
    let workers = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let gateway = Gateway::start(Settings { snapshot, workers, admin_address: ANY, reload: None }).await?;

    let addresses = gateway.local_addresses();
    let addresses = addresses.iter().map(|(_, address)| Address(address).to_string());
    let at = Addresses { gateway: addresses.collect(), upstream, processor, admin: gateway.admin_address() };
    // Who closed standard output does not want to know.
    let _ = io::stdout().write_all(welcome(&at).as_bytes());
    gateway.until_stopped().await;
    Ok(())
}

fn welcome(at: &Addresses) -> String {
    let Addresses { gateway, upstream, processor, admin } = at;
    format!(
        r#"
Tollgate demo: everything runs in this process, Ctrl-C ends it.

  gateway    http://{gateway}   requests to /headers stop at the processor, requests to /get do not
  processor  {processor}          gRPC; does what the header `instructions` asks for
  upstream   http://{upstream}   answers with the request it got
  admin      http://{admin}   /stats /metrics /config /ready

Paste into another terminal:

# The processor adds a header on the way: the upstream shows "Extproc": ["true"].
curl -s http://{gateway}/headers -H 'instructions: {{"addHeaders":{{"extproc":"true"}}}}'

# The same on a route that turns the processor off: nothing is added.
curl -s http://{gateway}/get -H 'instructions: {{"addHeaders":{{"extproc":"true"}}}}'

# It removes headers, too: neither the instructions nor the user agent arrive.
curl -s http://{gateway}/headers -H 'instructions: {{"addHeaders":{{"header3":"value3"}},"removeHeaders":["instructions","user-agent"]}}'

# What is no instruction makes the processor fail; the filter lets the request pass (failure_mode_allow).
curl -s http://{gateway}/headers -H 'instructions: nonsense'

# What the filter counted meanwhile.
curl -s 'http://{admin}/stats?filter=ext_proc'

The configuration is examples/envoy/instructions.yaml, with these ports.
"#
    )
}
