//! Connections to the processor.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use extproc_server::{ListenAddress, test::Connection};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::cli::PeerTls;

/// Makes connections.
pub(super) struct Connector<'a> {
    address: &'a ListenAddress,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    patience: Duration,
}

impl<'a> Connector<'a> {
    /// `patience`: how long a connection may take.
    pub(super) fn new(address: &'a ListenAddress, tls: &PeerTls, patience: Duration) -> io::Result<Self> {
        let tls = tls.tls.then(|| Ok::<_, io::Error>((config(tls)?.into(), name(address, tls)?)));
        Ok(Self { address, tls: tls.transpose()?, patience })
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> io::Result<Connection> {
        timeout(self.patience, self.connected()).await.unwrap_or_else(|_| {
            let text = format!("no connection within {:?} (--timeout)", self.patience);
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }

    async fn connected(&self) -> io::Result<Connection> {
        match (&self.tls, self.address) {
            (None, address) => Connection::to(address).await,
            (Some(tls), ListenAddress::Tcp(address)) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                over_tls(tls, stream).await
            }
            (Some(tls), ListenAddress::Unix(unix)) => {
                over_tls(tls, UnixStream::connect(&unix.path).await?).await
            }
            _ => Err(io::Error::other("this address cannot be connected to")),
        }
    }
}

async fn over_tls(
    (connector, name): &(TlsConnector, ServerName<'static>),
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> io::Result<Connection> {
    Connection::over(connector.connect(name.clone(), stream).await?).await
}

fn name(address: &ListenAddress, tls: &PeerTls) -> io::Result<ServerName<'static>> {
    match (&tls.name, address) {
        (Some(name), _) => ServerName::try_from(name.clone()).map_err(io::Error::other),
        (None, ListenAddress::Tcp(address)) => Ok(ServerName::IpAddress(SocketAddr::ip(address).into())),
        (None, _) => Err(io::Error::other("--tls-name is needed: a Unix socket has no name")),
    }
}

fn config(tls: &PeerTls) -> io::Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder().with_root_certificates(roots(tls.ca.as_deref())?);
    let mut config = match (&tls.certificate, &tls.private_key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| in_file(certificate, error))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| in_file(path, error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(io::Error::other("the system has no authorities; --tls-ca names some"));
            }
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| in_file(path, error))?;
    if all.is_empty() { Err(in_file(path, "no certificate")) } else { Ok(all) }
}

fn in_file(path: &Path, problem: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {problem}", path.display()))
}
