//! What a gateway stands between: the upstream and the processors of a case, in this process.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use tokio::{
    net::{TcpListener, UnixListener},
    task::{JoinHandle, spawn_local},
};

use crate::{
    Result,
    bootstrap::{Endpoint, PROCESSOR_NAME, bootstrap},
    case::{Case, Transport},
    processor::{self, Listener, Received},
    upstream::{self, Seen},
};

/// Its listeners end when this is dropped.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) received: Rc<Received>,
    pub(crate) seen: Rc<Seen>,
    /// Where the upstream is.
    pub(crate) upstream: SocketAddr,
    /// Where the gateway must listen.
    pub(crate) port: u16,
    pub(crate) bootstrap: std::path::PathBuf,
    tasks: Vec<JoinHandle<()>>,
}

impl Environment {
    pub(crate) async fn start(case: &Case, directory: &Path) -> Result<Self> {
        let mut tasks = Vec::new();
        let seen = Rc::new(Seen::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let upstream = listener.local_addr()?;
        let response = Rc::from(upstream::response(case.response_body()));
        tasks.push(spawn(upstream::serve(listener, response, case.body, seen.clone())));

        let received = Rc::new(Received::default());
        let mut endpoints = Vec::new();
        for index in 0..case.processors {
            let (listener, endpoint) = listen(case.transport, index, directory).await?;
            endpoints.push(endpoint);
            tasks.push(spawn(processor::serve(listener, case.behavior(), received.clone())));
        }
        let port = free_port().await?;
        let path = directory.join("bootstrap.yaml");
        fs::write(&path, bootstrap(case, port, upstream, &endpoints))?;
        Ok(Self { received, seen, upstream, port, bootstrap: path, tasks })
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn spawn(serve: impl Future<Output = Result<()>> + 'static) -> JoinHandle<()> {
    spawn_local(async move {
        if let Err(error) = serve.await {
            crate::warn(&error.to_string());
        }
    })
}

/// A port below those that the kernel gives to clients, so that none of thousands of connections takes it.
async fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = fastrand::u16(10_000..30_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".into())
}

async fn listen(transport: Transport, index: usize, directory: &Path) -> Result<(Listener, Endpoint)> {
    if transport == Transport::Unix {
        let path = directory.join(format!("processor-{index}.sock"));
        let _ = fs::remove_file(&path);
        return Ok((Listener::Unix(UnixListener::bind(&path)?), Endpoint::Unix(path)));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    if transport == Transport::Tcp {
        return Ok((Listener::Tcp(listener), Endpoint::Tcp(address)));
    }
    let certified = rcgen::generate_simple_self_signed([PROCESSOR_NAME.to_owned()])?;
    let authority = directory.join(format!("processor-{index}.pem"));
    fs::write(&authority, certified.cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((Listener::Tls(listener, Arc::new(config)), Endpoint::Tls(address, authority)))
}
