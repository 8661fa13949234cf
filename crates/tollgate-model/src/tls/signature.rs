//! Whether a peer has the key of the certificate that it shows.

use rustls::{
    CertificateError, DigitallySignedStruct, Error,
    client::danger::HandshakeSignatureValid,
    crypto::{verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key},
    pki_types::CertificateDer,
};
use webpki::RawPublicKeyEntity;

use super::{certificate::Certificate, provider};

/// Verifies the signature of a handshake of TLS 1.2.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let supported = &provider().signature_verification_algorithms;
    let Some(known) = Certificate::of_version_1(certificate) else {
        return verify_tls12_signature(message, certificate, signature, supported);
    };
    let bad = |problem| Error::InvalidCertificate(problem);
    let key = known.key();
    let key = RawPublicKeyEntity::try_from(&key).map_err(|_| bad(CertificateError::BadEncoding))?;
    // A scheme of TLS 1.2 does not name the curve of the key.
    let algorithms = supported.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
    let mut algorithms = algorithms.flat_map(|(_, algorithms)| *algorithms);
    if algorithms.any(|algorithm| key.verify_signature(*algorithm, message, signature.signature()).is_ok()) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(bad(CertificateError::BadSignature))
    }
}

/// Verifies the signature of a handshake of TLS 1.3.
pub(super) fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let supported = &provider().signature_verification_algorithms;
    match Certificate::of_version_1(certificate) {
        Some(known) => verify_tls13_signature_with_raw_key(message, &known.key(), signature, supported),
        None => verify_tls13_signature(message, certificate, signature, supported),
    }
}
