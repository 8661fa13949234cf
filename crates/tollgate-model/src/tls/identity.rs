//! Certificates with their private keys.

use std::sync::Arc;

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use serde::{Serialize, Serializer};

use super::{TextSource, TlsError, certificate::Certificate, provider, source::fingerprint};

/// A certificate chain with its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names of the certificate, lower case; wildcards as `*.suffix`.
    pub(super) dns_names: Vec<String>,
    chain_source: TextSource,
    key_source: TextSource,
}

impl Identity {
    /// Reads a PEM chain (the peer's own certificate first) and a PEM private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// When either cannot be read, or the key belongs to another certificate.
    pub fn from_pem(chain: &[u8], private_key: &[u8]) -> Result<Self, TlsError> {
        let chain_source = TextSource::Inline(chain.into());
        let key_source = TextSource::Inline(private_key.into());
        let chain = certificates(chain)?;
        let end_entity = chain.first().ok_or(TlsError::NoCertificate)?;
        let dns_names = names(end_entity)?;
        let private_key = private_key_from_pem(private_key)?;
        let signing_key =
            provider().key_provider.load_private_key(private_key).map_err(TlsError::PrivateKey)?;
        let key = CertifiedKey::new(chain, signing_key);
        let same = match key.end_entity_cert().ok().and_then(Certificate::of_version_1) {
            Some(known) => key.key.public_key().is_none_or(|public| public == known.key()),
            // A key that cannot tell its public half is accepted as it is.
            None => matches!(
                key.keys_match(),
                Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown))
            ),
        };
        if !same {
            return Err(TlsError::KeyMismatch);
        }
        Ok(Self { key: Arc::new(key), dns_names, chain_source, key_source })
    }

    /// The same with the places where chain and key were found.
    #[must_use]
    pub fn with_sources(self, chain_source: TextSource, key_source: TextSource) -> Self {
        Self { chain_source, key_source, ..self }
    }

    /// What it is called where nobody has named it: after the place where the chain was found, or the fingerprint of its
    /// certificate.
    #[must_use]
    pub fn usual_name(&self) -> String {
        let certificate = self.key.cert.first().map(AsRef::as_ref);
        self.chain_source.name(&fingerprint(certificate))
    }

    /// The chain, the certificate of the key first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// Where the chain was found. Default: in the configuration.
    #[must_use]
    pub fn chain_source(&self) -> &TextSource {
        &self.chain_source
    }

    /// Where the private key was found. Default: in the configuration.
    #[must_use]
    pub fn key_source(&self) -> &TextSource {
        &self.key_source
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
        Arc::ptr_eq(&self.key, &other.key) || self.key.cert == other.key.cert
    }
}

impl Serialize for Identity {
    /// The names only: keys never leave the process.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.dns_names)
    }
}

/// The DNS names of a certificate in lower case; that of its subject where it has no other, as Envoy has it.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, TlsError> {
    let of_subject = || {
        let name = Certificate::parse(certificate)?.common_name()?.to_ascii_lowercase();
        Some(name).filter(|name| !name.is_empty())
    };
    let parsed = match webpki::EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed,
        Err(webpki::Error::UnsupportedCertVersion) if Certificate::of_version_1(certificate).is_some() => {
            return Ok(of_subject().into_iter().collect());
        }
        Err(error) => return Err(TlsError::Certificate(error.to_string())),
    };
    let names: Vec<String> = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
    let others = parsed.valid_uri_names().next().is_some();
    Ok(if names.is_empty() && !others { of_subject().into_iter().collect() } else { names })
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
