//! The server's certificate, and those of its clients.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// A certificate and its key, and whose clients may connect.
#[derive(Debug, Clone)]
pub struct Tls {
    files: Option<Files>,
    chain: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    reloads: bool,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// Where it is read.
#[derive(Debug, Clone)]
struct Files {
    chain: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// The certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Not PEM, or without a certificate.
    #[error("the certificate chain cannot be read: {0}")]
    Certificate(pem::Error),
    /// Not PEM, or without a key.
    #[error("the private key cannot be read: {0}")]
    PrivateKey(pem::Error),
    /// Not PEM, or without a certificate.
    #[error("the certificates of authorities for clients cannot be read: {0}")]
    ClientCa(pem::Error),
    /// Read, but of no use.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// Read, but of no use.
    #[error("the certificates of authorities for clients cannot be used: {0}")]
    UnusableClientCa(#[from] VerifierBuilderError),
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File { path: path.to_owned(), error })
}

impl Tls {
    /// From the PEM text of a certificate chain, leaf first, and of its private key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// If either cannot be read, or they do not belong together.
    pub fn from_pem(certificate_chain: &[u8], private_key: &[u8]) -> Result<Self, TlsError> {
        let config = config(certificate_chain, private_key, None)?;
        Ok(Self {
            files: None,
            chain: certificate_chain.to_owned(),
            key: private_key.to_owned(),
            client_ca: None,
            reloads: false,
            config: Arc::new(RwLock::new(config)),
        })
    }

    /// As [`from_pem`](Self::from_pem), from files.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub fn from_files(
        certificate_chain: impl AsRef<Path>,
        private_key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let (chain, key) = (certificate_chain.as_ref(), private_key.as_ref());
        let tls = Self::from_pem(&read(chain)?, &read(key)?)?;
        let files = Files { chain: chain.to_owned(), key: key.to_owned(), client_ca: None };
        Ok(Self { files: Some(files), ..tls })
    }

    /// Only clients connect that have a certificate of these authorities (PEM text). Default: clients are not asked for one.
    ///
    /// # Errors
    /// If there is no certificate, or one that cannot be used.
    pub fn client_ca_pem(mut self, authorities: &[u8]) -> Result<Self, TlsError> {
        let config = config(&self.chain, &self.key, Some(authorities))?;
        self.client_ca = Some(authorities.to_owned());
        self.config = Arc::new(RwLock::new(config));
        Ok(self)
    }

    /// As [`client_ca_pem`](Self::client_ca_pem), from a file.
    ///
    /// # Errors
    /// As [`client_ca_pem`](Self::client_ca_pem).
    pub fn client_ca(self, authorities: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = authorities.as_ref();
        let mut tls = self.client_ca_pem(&read(path)?)?;
        if let Some(files) = &mut tls.files {
            files.client_ca = Some(path.to_owned());
        }
        Ok(tls)
    }

    /// Reads the files again when they change, looking every 5 seconds. Connections that exist stay. Files that cannot be used
    /// are reported, and what was there before stays. Without effect on what did not come from files.
    #[must_use]
    pub fn reloading(mut self) -> Self {
        self.reloads = true;
        self
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    /// Keeps an eye on the files, as long as what it returns is held.
    pub(crate) fn reload(&self) -> Option<Reloads> {
        let files = self.files.clone().filter(|_| self.reloads)?;
        let config = self.config.clone();
        let task = tokio::spawn(async move {
            let mut known = files.times();
            let mut interval = tokio::time::interval(INTERVAL);
            loop {
                interval.tick().await;
                let times = files.times();
                if times == known {
                    continue;
                }
                known = times;
                match files.load() {
                    Ok(new) => {
                        *config.write().unwrap_or_else(PoisonError::into_inner) = new;
                        tracing::info!("the certificate was read again");
                    }
                    Err(error) => tracing::warn!(%error, "the certificate stays as it was"),
                }
            }
        });
        Some(Reloads(task))
    }
}

/// Looks at files until it is dropped.
#[derive(Debug)]
pub(crate) struct Reloads(JoinHandle<()>);

impl Drop for Reloads {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Files {
    fn times(&self) -> Vec<Option<SystemTime>> {
        let paths = [Some(&self.chain), Some(&self.key), self.client_ca.as_ref()];
        paths.into_iter().flatten().map(|path| fs::metadata(path).ok()?.modified().ok()).collect()
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let client_ca = self.client_ca.as_deref().map(read).transpose()?;
        config(&read(&self.chain)?, &read(&self.key)?, client_ca.as_deref())
    }
}

fn certificates(
    pem: &[u8],
    error: fn(pem::Error) -> TlsError,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(error)?;
    match certificates.is_empty() {
        true => Err(error(pem::Error::NoItemsFound)),
        false => Ok(certificates),
    }
}

fn config(chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(chain, TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::PrivateKey)?;
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities, TlsError::ClientCa)? {
                roots.add(authority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}
