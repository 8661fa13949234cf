//! Facts of certificates.

use tollgate_model::format::{CertificateFact, CertificateOwner, TimePattern};

use super::{Value, operator::time};
use crate::{certificate, stream_info::TlsInfo};

/// A fact of a certificate of the client's or the upstream's TLS connection.
pub(super) fn evaluate(
    downstream: Option<&TlsInfo>,
    upstream: Option<&TlsInfo>,
    owner: CertificateOwner,
    fact: &CertificateFact,
) -> Option<Value<'static>> {
    let (tls, certificate) = match owner {
        CertificateOwner::DownstreamPeer => (downstream?, downstream?.peer_certificate.as_deref()?),
        CertificateOwner::DownstreamLocal => (downstream?, downstream?.local_certificate.as_deref()?),
        CertificateOwner::UpstreamPeer => (upstream?, upstream?.peer_certificate.as_deref()?),
        CertificateOwner::UpstreamLocal => (upstream?, upstream?.local_certificate.as_deref()?),
    };
    let chain = || std::iter::once(certificate).chain(tls.peer_intermediates.iter().map(Vec::as_slice));
    let text = match fact {
        CertificateFact::Subject => certificate::subject(certificate)?,
        CertificateFact::Issuer => certificate::issuer(certificate)?,
        CertificateFact::UriNames => certificate::uris(certificate).join(","),
        CertificateFact::DnsNames => certificate::dns_names(certificate).join(","),
        CertificateFact::IpAddresses => certificate::ip_addresses(certificate).join(","),
        CertificateFact::EmailAddresses => certificate::emails(certificate).join(","),
        CertificateFact::OtherNames => certificate::other_names(certificate).join(","),
        CertificateFact::Fingerprint256 => certificate::sha256(certificate),
        CertificateFact::Fingerprint1 => certificate::sha1(certificate),
        CertificateFact::Serial => certificate::serial(certificate)?,
        CertificateFact::ChainFingerprints256 => joined(chain().map(certificate::sha256)),
        CertificateFact::ChainFingerprints1 => joined(chain().map(certificate::sha1)),
        CertificateFact::ChainSerials => joined(chain().filter_map(certificate::serial)),
        CertificateFact::IssuerFingerprint256 => certificate::sha256(tls.peer_issuer.as_deref()?),
        CertificateFact::IssuerSerial => certificate::serial(tls.peer_issuer.as_deref()?)?,
        CertificateFact::Pem => certificate::url_encoded_pem(certificate),
        CertificateFact::ValidFrom(pattern) => return moment(pattern, certificate, |(from, _)| from),
        CertificateFact::ValidUntil(pattern) => return moment(pattern, certificate, |(_, until)| until),
    };
    (!text.is_empty()).then(|| Value::owned(text))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

fn moment(
    pattern: &TimePattern,
    certificate: &[u8],
    choose: impl Fn((std::time::SystemTime, std::time::SystemTime)) -> std::time::SystemTime,
) -> Option<Value<'static>> {
    time(pattern, choose(certificate::validity(certificate)?))
}
