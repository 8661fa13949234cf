//! Certificates that are trusted.

use std::{fmt, sync::Arc};

use rustls::{CertificateError, Error, RootCertStore, pki_types::CertificateDer};

use super::{TextSource, TlsError, TrustSource, identity::certificates, source::fingerprint};

/// Certificates that are trusted: a peer's certificate must be one of them or be signed through them.
#[derive(Clone)]
pub struct TrustAnchors {
    pub(super) store: Arc<RootCertStore>,
    certificates: Arc<[CertificateDer<'static>]>,
    source: TrustSource,
}

impl TrustAnchors {
    /// Reads every certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none, or one of them cannot be used.
    pub fn from_pem(text: &[u8]) -> Result<Self, TlsError> {
        let source = TrustSource::Text(TextSource::Inline(text.into()));
        Ok(Self { source, ..Self::from_certificates(certificates(text)?)? })
    }

    /// Trusts `certificates`.
    ///
    /// # Errors
    /// When there is none, or one of them cannot be used.
    pub fn from_certificates(certificates: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        if certificates.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|error| TlsError::Certificate(error.to_string()))?;
        }
        let source = TrustSource::Several;
        Ok(Self { store: Arc::new(store), certificates: certificates.into(), source })
    }

    /// Trusts those of `certificates` that can be used; for the certificates of a system, which may hold odd ones.
    ///
    /// # Errors
    /// When none can be used.
    pub fn from_usable(certificates: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let usable: Vec<_> =
            certificates.into_iter().filter(|certificate| store.add(certificate.clone()).is_ok()).collect();
        if usable.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        Ok(Self { store: Arc::new(store), certificates: usable.into(), source: TrustSource::Several })
    }

    /// The same with the place where the certificates were found.
    #[must_use]
    pub fn with_source(self, source: TrustSource) -> Self {
        Self { source, ..self }
    }

    /// Where the certificates were found.
    #[must_use]
    pub fn source(&self) -> &TrustSource {
        &self.source
    }

    /// What the certificates are called where nobody has named them: after the place where they were found, or their fingerprint.
    #[must_use]
    pub fn usual_name(&self) -> String {
        let own = || fingerprint(self.certificates.iter().map(AsRef::as_ref));
        match &self.source {
            TrustSource::Text(source) => source.name(&own()),
            TrustSource::System => "system".to_owned(),
            TrustSource::Several => format!("sha256:{}", own()),
        }
    }

    /// The certificates.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Trusts everything that any of `all` trusts; `None` when there is none of them.
    #[must_use]
    pub fn union(all: Vec<Self>) -> Option<Self> {
        if all.len() < 2 {
            return all.into_iter().next();
        }
        let certificates = all.iter().flat_map(|anchors| anchors.certificates.iter().cloned());
        Self::from_usable(certificates.collect()).ok()
    }

    /// Whether a certificate is itself trusted.
    pub(super) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|trusted| trusted == certificate)
    }

    /// Trusted certificates that may sign for every name.
    pub(super) fn unconstrained(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        // One root for each certificate, in the same order.
        let roots = self.store.roots.iter().map(|root| root.name_constraints.is_none());
        self.certificates.iter().zip(roots).filter_map(|(certificate, free)| free.then_some(certificate))
    }

    /// Mends the outcome of a verification: a certificate that is itself trusted is good although it is a CA's.
    ///
    /// Self-signed certificates are often made as CA certificates and trusted as they are. The check of the validity
    /// period comes before the one that failed here.
    pub(super) fn accept_trusted_itself(
        &self,
        outcome: Result<(), Error>,
        end_entity: &CertificateDer<'_>,
    ) -> Result<(), Error> {
        let Err(Error::InvalidCertificate(CertificateError::Other(other))) = &outcome else { return outcome };
        let is_ca = other.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity);
        if is_ca && self.has(end_entity) { Ok(()) } else { outcome }
    }
}

impl PartialEq for TrustAnchors {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.certificates, &other.certificates) || self.certificates == other.certificates
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TrustAnchors").field("certificates", &self.certificates.len()).finish()
    }
}
