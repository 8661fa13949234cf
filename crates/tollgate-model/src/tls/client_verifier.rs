//! How the certificates of clients are verified.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    ClientValidation, TlsError, TrustAnchors,
    certificate::Certificate,
    provider,
    signature::{verify_tls12, verify_tls13},
    subject_alt_name::{verify_names, verify_no_names},
};

/// Verifies what the settings ask for; signatures of the handshake always.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    settings: ClientValidation,
    chain: Option<(TrustAnchors, Arc<dyn ClientCertVerifier>)>,
}

impl ClientVerifier {
    pub(super) fn new(settings: ClientValidation) -> Result<Self, TlsError> {
        if settings.trusted_ca.is_none() && !settings.subject_alt_names.is_empty() {
            return Err(TlsError::NamesWithoutTrust);
        }
        let chain = match &settings.trusted_ca {
            None => None,
            Some(anchors) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    Arc::clone(&anchors.store),
                    Arc::clone(provider()),
                )
                .build()
                .map_err(|error| TlsError::Certificate(error.to_string()))?;
                Some((anchors.clone(), verifier))
            }
        };
        Ok(Self { settings, chain })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.settings.require_client_certificate
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |(_, verifier)| verifier.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.settings.accept_untrusted {
            return Ok(ClientCertVerified::assertion());
        }
        if let Some((anchors, verifier)) = &self.chain {
            if let Some(known) = Certificate::of_version_1(end_entity) {
                known.verify(end_entity, anchors, now)?;
                return verify_no_names(&self.settings.subject_alt_names)
                    .map(|()| ClientCertVerified::assertion());
            }
            let outcome = verifier.verify_client_cert(end_entity, intermediates, now).map(|_| ());
            anchors.accept_trusted_itself(outcome, end_entity)?;
            verify_names(&self.settings.subject_alt_names, end_entity)?;
        }
        Ok(ClientCertVerified::assertion())
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
