//! Conditions on the names of a certificate.

use std::net::IpAddr;

use rustls::{
    CertificateError, Error,
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
        Err(Error::InvalidCertificate(CertificateError::NotValidForName))
    }
}
