//! The fields of a certificate that do not depend on its version.
//!
//! The library that verifies certificates knows version 3 alone. Envoy takes version 1, too, which `openssl x509 -req` makes
//! by default up to OpenSSL 3.1. Such a certificate has no extensions: no name but that of its subject, and nothing that
//! says whether it is an authority. So it counts only where a trusted certificate has signed it itself.

use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime},
};
use webpki::RawPublicKeyEntity;

use super::{
    TrustAnchors,
    der::{self, Element, Reader},
    provider,
};

/// The fields of a certificate that do not depend on its version.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// What is signed.
    signed: &'a [u8],
    version: Option<Element<'a>>,
    issuer: &'a [u8],
    not_before: u64,
    not_after: u64,
    subject: &'a [u8],
    key: &'a [u8],
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
}

/// `commonName`
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The tag of the version.
const VERSION: u8 = 0xa0;

impl<'a> Certificate<'a> {
    /// `None` for what is no certificate.
    pub(super) fn parse(certificate: &'a CertificateDer<'_>) -> Option<Self> {
        let mut outer = Reader::new(certificate);
        let mut parts = Reader::new(outer.expect(der::SEQUENCE)?.content);
        let signed = parts.expect(der::SEQUENCE)?;
        let signature_algorithm = parts.expect(der::SEQUENCE)?;
        // Always whole bytes.
        let signature = parts.expect(der::BIT_STRING)?.content.strip_prefix(&[0])?;
        if !outer.is_at_end() || !parts.is_at_end() {
            return None;
        }
        let mut fields = Reader::new(signed.content);
        let version = fields.optional(VERSION);
        fields.expect(der::INTEGER)?;
        let inner_algorithm = fields.expect(der::SEQUENCE)?;
        let issuer = fields.expect(der::SEQUENCE)?.content;
        let mut validity = Reader::new(fields.expect(der::SEQUENCE)?.content);
        let (not_before, not_after) = (der::seconds(validity.next()?)?, der::seconds(validity.next()?)?);
        let subject = fields.expect(der::SEQUENCE)?.content;
        let key = fields.expect(der::SEQUENCE)?.whole;
        let nothing_else = version.is_some() || fields.is_at_end();
        if !nothing_else || !validity.is_at_end() || inner_algorithm.content != signature_algorithm.content {
            return None;
        }
        Some(Self {
            signed: signed.whole,
            version,
            issuer,
            not_before,
            not_after,
            subject,
            key,
            signature_algorithm: signature_algorithm.content,
            signature,
        })
    }

    /// A certificate of version 1.
    pub(super) fn of_version_1(certificate: &'a CertificateDer<'_>) -> Option<Self> {
        Self::parse(certificate).filter(|certificate| certificate.version.is_none())
    }

    /// The public key.
    pub(super) fn key(&self) -> SubjectPublicKeyInfoDer<'a> {
        SubjectPublicKeyInfoDer::from(self.key)
    }

    /// The first `commonName` of the subject.
    pub(super) fn common_name(&self) -> Option<&'a str> {
        let mut names = Reader::new(self.subject);
        while let Some(relative) = names.next().filter(|element| element.tag == der::SET) {
            let mut attributes = Reader::new(relative.content);
            while let Some(attribute) = attributes.next() {
                let mut pair = Reader::new(attribute.content);
                let kind = pair.expect(der::OBJECT_IDENTIFIER)?;
                let value = pair.next()?;
                if kind.content == COMMON_NAME {
                    return std::str::from_utf8(value.content).ok();
                }
            }
        }
        None
    }

    /// Whether a certificate of version 1 is to be believed now: it is trusted itself, or a trusted certificate signed it.
    pub(super) fn verify(
        &self,
        own: &CertificateDer<'_>,
        anchors: &TrustAnchors,
        now: UnixTime,
    ) -> Result<(), Error> {
        let problem = if now.as_secs() < self.not_before {
            CertificateError::NotValidYet
        } else if now.as_secs() > self.not_after {
            CertificateError::Expired
        } else if anchors.has(own) || anchors.unconstrained().any(|anchor| self.is_signed_by(anchor)) {
            return Ok(());
        } else {
            CertificateError::UnknownIssuer
        };
        Err(Error::InvalidCertificate(problem))
    }

    fn is_signed_by(&self, issuer: &CertificateDer<'_>) -> bool {
        let Some(issuer) = Certificate::parse(issuer) else { return false };
        let key = issuer.key();
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
        issuer.subject == self.issuer
            && provider().signature_verification_algorithms.all.iter().any(|algorithm| {
                algorithm.signature_alg_id().as_ref() == self.signature_algorithm
                    && key.verify_signature(*algorithm, self.signed, self.signature).is_ok()
            })
    }
}
