//! `tollgate demo`.

use std::{
    error::Error,
    future::pending,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    process::ExitCode,
    thread::available_parallelism,
};

use clap::ValueEnum;
use extproc_server::{ListenAddress, Server};
use tokio::net::TcpListener;
use tollgate_model::listener::BindAddress;

use crate::{
    cli::{Demo, Dialect, Lifecycle, LogFormat},
    demo::{configuration::Addresses, echo},
    gateway::{Gateway, Settings},
    http_server::{self, Limits},
    logging,
    processor::instructions::instructions,
};

/// The kernel chooses the port.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Runs everything in this process until a signal stops it.
pub(crate) fn run(arguments: &Demo) -> ExitCode {
    if arguments.print {
        // Who closed standard output does not want to know.
        let _ = io::stdout().write_all(arguments.dialect.example().text.as_bytes());
        return ExitCode::SUCCESS;
    }
    let _flush = logging::start(LogFormat::Text, "warn");
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(serve(arguments.port, arguments.dialect)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}; --port chooses another port for the gateway");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16, dialect: Dialect) -> Result<(), Box<dyn Error>> {
    let upstream_listener = TcpListener::bind(ANY).await?;
    let upstream = upstream_listener.local_addr()?;
    tokio::spawn(http_server::serve(upstream_listener, Limits::DEFAULT, echo::answer));

    let server = Server::new(instructions).bind(ANY).await?;
    let &ListenAddress::Tcp(processor) = server.local_address() else {
        return Err("the processor is not where it was put".into());
    };
    tokio::spawn(server.serve(pending()));

    let gateway = SocketAddr::new(ANY.ip(), port);
    let mut addresses = Addresses { gateway, upstream, processor };
    let (snapshot, objects) = dialect.load(addresses)?;
    let workers = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let lifecycle = Lifecycle::default();
    let settings = Settings {
        snapshot,
        objects,
        workers,
        admin_address: Some(ANY),
        lifecycle,
        reload: None,
        bootstrap: None,
        as_envoy: None,
    };
    let gateway = Gateway::start(settings).await?;
    for (_, address) in gateway.local_addresses() {
        if let BindAddress::Socket(address) = address {
            addresses.gateway = address;
        }
    }
    let text = welcome(&addresses, gateway.admin_address().unwrap_or(ANY), dialect);
    let _ = io::stdout().write_all(text.as_bytes());
    gateway.until_stopped().await?;
    Ok(())
}

fn welcome(at: &Addresses, admin: SocketAddr, dialect: Dialect) -> String {
    let Addresses { gateway, upstream, processor } = at;
    let path = dialect.example().path;
    let others = Dialect::value_variants().iter().filter(|other| **other != dialect);
    let others: Vec<_> = others.map(|other| format!("--dialect {}", other.name())).collect();
    let others = others.join(", ");
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

The configuration is {path}, with these ports; --print shows it.
The same in other words: {others}.
"#
    )
}
