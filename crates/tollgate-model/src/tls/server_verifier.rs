//! How the certificates of upstreams are verified.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    ServerValidation,
    certificate::Certificate,
    provider,
    signature::{verify_tls12, verify_tls13},
    subject_alt_name::{verify_names, verify_no_names},
};

/// Verifies what the settings ask for; signatures of the handshake always.
#[derive(Debug)]
pub(super) struct ServerVerifier(pub(super) ServerValidation);

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (anchors, names, by_server_name) = match &self.0 {
            ServerValidation::Nothing => return Ok(ServerCertVerified::assertion()),
            ServerValidation::Chain { trusted_ca, subject_alt_names } => {
                (trusted_ca, subject_alt_names.as_slice(), false)
            }
            ServerValidation::ChainAndServerName { trusted_ca } => (trusted_ca, [].as_slice(), true),
        };
        if let Some(known) = Certificate::of_version_1(end_entity) {
            known.verify(end_entity, anchors, now)?;
            verify_no_names(names)?;
            if by_server_name {
                return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
            }
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let outcome = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &anchors.store,
            intermediates,
            now,
            provider().signature_verification_algorithms.all,
        );
        anchors.accept_trusted_itself(outcome, end_entity)?;
        verify_names(names, end_entity)?;
        if by_server_name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
