//! TLS settings, compiled to what the TLS library takes.
//!
//! Every configuration is built with the aws-lc-rs provider explicitly: nothing depends on a process default.

mod certificate;
mod client_verifier;
mod der;
mod downstream;
mod error;
mod identity;
mod server_verifier;
mod signature;
mod source;
mod subject_alt_name;
mod trust;
mod upstream;
mod version;

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

pub use self::{
    downstream::{ClientValidation, DownstreamTls, DownstreamTlsSettings},
    error::TlsError,
    identity::Identity,
    source::{TextSource, TrustSource},
    subject_alt_name::{NamesDiffer, SubjectAltNameMatcher},
    trust::TrustAnchors,
    upstream::{ServerNameIndication, ServerValidation, UpstreamTls, UpstreamTlsSettings},
    version::{TlsVersion, TlsVersions},
};

/// Seconds since 1970 of the content of a time in a certificate: `UTCTime` (tag 0x17) or `GeneralizedTime` (tag 0x18).
/// `None` for what certificates may not contain, and for times before 1970.
#[must_use]
pub fn seconds_of_time(tag: u8, content: &[u8]) -> Option<u64> {
    der::seconds(der::Element { tag, content, whole: content })
}

/// The cryptography of every connection.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(test)]
mod tests;
