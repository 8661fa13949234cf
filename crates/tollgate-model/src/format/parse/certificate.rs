//! Operators about certificates.

use super::{Command, time_pattern};
use crate::format::{CertificateFact, CertificateOwner, FormatProblem, Operator, Zone};

/// Whose certificates have which facts in Envoy.
const OWNERS: [(&str, CertificateOwner, &[&str]); 4] = [
    (
        "DOWNSTREAM_PEER_",
        CertificateOwner::DownstreamPeer,
        &[
            "SUBJECT",
            "ISSUER",
            "URI_SAN",
            "DNS_SAN",
            "IP_SAN",
            "EMAIL_SAN",
            "OTHERNAME_SAN",
            "FINGERPRINT_256",
            "FINGERPRINT_1",
            "SERIAL",
            "CHAIN_FINGERPRINTS_256",
            "CHAIN_FINGERPRINTS_1",
            "CHAIN_SERIALS",
            "ISSUER_FINGERPRINT_256",
            "ISSUER_SERIAL",
            "CERT",
            "CERT_V_START",
            "CERT_V_END",
        ],
    ),
    (
        "DOWNSTREAM_LOCAL_",
        CertificateOwner::DownstreamLocal,
        &["SUBJECT", "URI_SAN", "DNS_SAN", "IP_SAN", "EMAIL_SAN", "OTHERNAME_SAN"],
    ),
    (
        "UPSTREAM_PEER_",
        CertificateOwner::UpstreamPeer,
        &["SUBJECT", "ISSUER", "URI_SAN", "DNS_SAN", "IP_SAN", "CERT", "CERT_V_START", "CERT_V_END"],
    ),
    ("UPSTREAM_LOCAL_", CertificateOwner::UpstreamLocal, &["URI_SAN", "DNS_SAN", "IP_SAN"]),
];

/// Reads an operator about a certificate; `None` when it is about something else.
pub(super) fn read(command: &Command<'_>) -> Result<Option<Operator>, FormatProblem> {
    let found = OWNERS.iter().find_map(|(prefix, owner, facts)| {
        let fact = command.name.strip_prefix(prefix)?;
        facts.contains(&fact).then_some((*owner, fact))
    });
    let Some((owner, name)) = found else { return Ok(None) };
    let fact = match name {
        "SUBJECT" => CertificateFact::Subject,
        "ISSUER" => CertificateFact::Issuer,
        "URI_SAN" => CertificateFact::UriNames,
        "DNS_SAN" => CertificateFact::DnsNames,
        "IP_SAN" => CertificateFact::IpAddresses,
        "EMAIL_SAN" => CertificateFact::EmailAddresses,
        "OTHERNAME_SAN" => CertificateFact::OtherNames,
        "FINGERPRINT_256" => CertificateFact::Fingerprint256,
        "FINGERPRINT_1" => CertificateFact::Fingerprint1,
        "SERIAL" => CertificateFact::Serial,
        "CHAIN_FINGERPRINTS_256" => CertificateFact::ChainFingerprints256,
        "CHAIN_FINGERPRINTS_1" => CertificateFact::ChainFingerprints1,
        "CHAIN_SERIALS" => CertificateFact::ChainSerials,
        "ISSUER_FINGERPRINT_256" => CertificateFact::IssuerFingerprint256,
        "ISSUER_SERIAL" => CertificateFact::IssuerSerial,
        "CERT" => CertificateFact::Pem,
        "CERT_V_START" => CertificateFact::ValidFrom(time_pattern(command, Zone::Utc)?),
        "CERT_V_END" => CertificateFact::ValidUntil(time_pattern(command, Zone::Utc)?),
        _ => return Ok(None),
    };
    if !command.arguments.is_empty() && !name.starts_with("CERT_V_") {
        return Err(FormatProblem::UnexpectedArguments { name: command.name.to_owned() });
    }
    Ok(Some(Operator::Certificate { owner, fact }))
}
