//! Certificates with their private keys.

use std::sync::Arc;

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use serde::{Serialize, Serializer};

use super::{TlsError, provider};

/// A certificate chain with its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names of the certificate, lower case; wildcards as `*.suffix`.
    pub(super) dns_names: Vec<String>,
}

impl Identity {
    /// Reads a PEM chain (the peer's own certificate first) and a PEM private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// When either cannot be read, or the key belongs to another certificate.
    pub fn from_pem(chain: &[u8], private_key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let end_entity = chain.first().ok_or(TlsError::NoCertificate)?;
        let dns_names = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|error| TlsError::Certificate(error.to_string()))?
            .valid_dns_names()
            .map(str::to_ascii_lowercase)
            .collect();
        let private_key = private_key_from_pem(private_key)?;
        let signing_key =
            provider().key_provider.load_private_key(private_key).map_err(TlsError::PrivateKey)?;
        let key = CertifiedKey::new(chain, signing_key);
        match key.keys_match() {
            // A key that cannot tell its public half is accepted as it is.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(TlsError::KeyMismatch),
        }
        Ok(Self { key: Arc::new(key), dns_names })
    }

    /// DNS names of the certificate, lower case; wildcards as `*.suffix`.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }
}

impl PartialEq for Identity {
    /// The same chain: its private key belongs to it.
    fn eq(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

impl Serialize for Identity {
    /// The names only: keys never leave the process.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.dns_names)
    }
}

/// Every certificate of a PEM text; other blocks are skipped.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Pem(error.to_string()))
}

fn private_key_from_pem(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| text.windows(mark.len()).any(|window| window == *mark)) {
        return Err(TlsError::EncryptedPrivateKey);
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoPrivateKey,
        error => TlsError::Pem(error.to_string()),
    })
}
