//! Conditions on the names of a certificate.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    CertificateError, Error, OtherError,
    pki_types::{CertificateDer, DnsName, ServerName},
};
use serde::Serialize;
use webpki::EndEntityCert;

use crate::matching::StringMatcher;

/// A condition on a certificate's subject alternative names; one name has to meet it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SubjectAltNameMatcher {
    /// A DNS name that covers this one: equal, or by a wildcard of one label.
    DnsName(String),
    /// A DNS name that passes the matcher, wildcards taken as they are written.
    Dns(StringMatcher),
    /// A URI that passes the matcher.
    Uri(StringMatcher),
    /// This address.
    IpAddress(IpAddr),
}

impl SubjectAltNameMatcher {
    fn is_match(&self, certificate: &EndEntityCert<'_>) -> bool {
        match self {
            Self::DnsName(name) => DnsName::try_from(name.as_str()).is_ok_and(|name| {
                certificate.verify_is_valid_for_subject_name(&ServerName::DnsName(name)).is_ok()
            }),
            Self::Dns(matcher) => certificate.valid_dns_names().any(|name| matcher.matches(name.as_bytes())),
            Self::Uri(matcher) => certificate.valid_uri_names().any(|name| matcher.matches(name.as_bytes())),
            Self::IpAddress(address) => certificate
                .verify_is_valid_for_subject_name(&ServerName::IpAddress((*address).into()))
                .is_ok(),
        }
    }
}

/// Checks that one of `matchers` is met; no matcher at all asks for nothing.
pub(super) fn verify_names(
    matchers: &[SubjectAltNameMatcher],
    end_entity: &CertificateDer<'_>,
) -> Result<(), Error> {
    if matchers.is_empty() {
        return Ok(());
    }
    let certificate = EndEntityCert::try_from(end_entity)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    if matchers.iter().any(|matcher| matcher.is_match(&certificate)) {
        Ok(())
    } else {
        Err(NamesDiffer::new(matchers, &certificate).into())
    }
}

/// A certificate was presented whose names are none of those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is for {}, and {} is asked for", list(.presented, "no name"), list(.wanted, "nothing"))]
pub struct NamesDiffer {
    /// What was asked for.
    pub wanted: Vec<String>,
    /// The names of the certificate: DNS names and URIs.
    pub presented: Vec<String>,
}

impl NamesDiffer {
    fn new(matchers: &[SubjectAltNameMatcher], certificate: &EndEntityCert<'_>) -> Self {
        let names = certificate.valid_dns_names().chain(certificate.valid_uri_names());
        Self::from_names(matchers, names.map(str::to_owned).collect())
    }

    fn from_names(matchers: &[SubjectAltNameMatcher], presented: Vec<String>) -> Self {
        let wanted = matchers.iter().map(|matcher| match matcher {
            SubjectAltNameMatcher::DnsName(name) => name.clone(),
            SubjectAltNameMatcher::IpAddress(address) => address.to_string(),
            SubjectAltNameMatcher::Dns(matcher) | SubjectAltNameMatcher::Uri(matcher) => {
                format!("{matcher:?}")
            }
        });
        Self { wanted: wanted.collect(), presented }
    }
}

impl From<NamesDiffer> for Error {
    fn from(names: NamesDiffer) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(names))))
    }
}

/// The first few names.
fn list(names: &[String], nothing: &str) -> String {
    const MOST: usize = 10;
    if names.is_empty() {
        return nothing.to_owned();
    }
    let more = if names.len() > MOST { ", ..." } else { "" };
    names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}
/// The same for a certificate without names.
pub(super) fn verify_no_names(matchers: &[SubjectAltNameMatcher]) -> Result<(), Error> {
    if matchers.is_empty() { Ok(()) } else { Err(NamesDiffer::from_names(matchers, Vec::new()).into()) }
}
