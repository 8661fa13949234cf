//! Protocol versions.

use rustls::SupportedProtocolVersion;
use serde::Serialize;

use super::TlsError;

/// A TLS version that can be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "TLSv1_2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "TLSv1_3")]
    Tls13,
}

/// A range of versions, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TlsVersions {
    minimum: TlsVersion,
    maximum: TlsVersion,
}

impl TlsVersions {
    /// Every version from `minimum` to `maximum`.
    ///
    /// # Errors
    /// [`TlsError::NoVersion`] when there is none.
    pub fn new(minimum: TlsVersion, maximum: TlsVersion) -> Result<Self, TlsError> {
        if minimum > maximum { Err(TlsError::NoVersion) } else { Ok(Self { minimum, maximum }) }
    }

    /// The lowest.
    #[must_use]
    pub fn minimum(self) -> TlsVersion {
        self.minimum
    }

    /// The highest.
    #[must_use]
    pub fn maximum(self) -> TlsVersion {
        self.maximum
    }

    pub(super) fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)]
            .into_iter()
            .filter(|(version, _)| (self.minimum..=self.maximum).contains(version))
            .map(|(_, supported)| supported)
            .collect()
    }
}

impl Default for TlsVersions {
    /// TLS 1.2 and 1.3.
    fn default() -> Self {
        Self { minimum: TlsVersion::Tls12, maximum: TlsVersion::Tls13 }
    }
}
