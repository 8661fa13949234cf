//! Facts of a TLS handshake.

use rustls::{CipherSuite, CommonState, NamedGroup, ProtocolVersion, sign::CertifiedKey};
use tollgate_model::tls::TrustAnchors;

use crate::certificate;

/// Facts of a TLS handshake.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsInfo {
    /// SNI.
    pub(crate) server_name: Option<String>,
    /// HTTP/2 was chosen by ALPN.
    pub(crate) http2: bool,
    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) version: &'static str,
    /// Name of the cipher suite, as OpenSSL writes it; empty = unknown.
    pub(crate) cipher: &'static str,
    /// The group of the key exchange; empty = unknown.
    pub(crate) group: &'static str,
    /// The peer presented a certificate that was verified.
    pub(crate) peer_certificate_verified: bool,
    /// The peer's certificate, DER.
    pub(crate) peer_certificate: Option<Vec<u8>>,
    /// What the peer presented behind its certificate, DER.
    pub(crate) peer_intermediates: Vec<Vec<u8>>,
    /// The certificate that signed the peer's, DER, if that was verified.
    pub(crate) peer_issuer: Option<Vec<u8>>,
    /// Our certificate, DER.
    pub(crate) local_certificate: Option<Vec<u8>>,
    /// JA3 of the client's hello, if the listener takes it.
    pub(crate) ja3: Option<String>,
    /// JA4 of the client's hello, if the listener takes it.
    pub(crate) ja4: Option<String>,
    /// The session id that we gave the client, in hexadecimal, if a log shows it.
    pub(crate) session_id: Option<String>,
}

impl TlsInfo {
    /// The facts of an established session in which we used the certificate `own`. The name is left to the caller.
    pub(crate) fn new(session: &CommonState, own: Option<&CertifiedKey>) -> Self {
        let mut presented =
            session.peer_certificates().into_iter().flatten().map(|certificate| certificate.to_vec());
        let peer_certificate = presented.next();
        Self {
            server_name: None,
            http2: session.alpn_protocol() == Some(b"h2"),
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "",
            },
            cipher: session.negotiated_cipher_suite().map_or("", |suite| openssl_name(suite.suite())),
            group: session.negotiated_key_exchange_group().map_or("", |group| group_name(group.name())),
            // rustls gives a certificate only after it was verified.
            peer_certificate_verified: peer_certificate.is_some(),
            peer_certificate,
            peer_intermediates: presented.collect(),
            peer_issuer: None,
            local_certificate: own.and_then(|own| own.cert.first()).map(|certificate| certificate.to_vec()),
            ja3: None,
            ja4: None,
            session_id: None,
        }
    }
}

impl TlsInfo {
    /// The same with the issuer of the peer's certificate, which was verified with `trust`.
    pub(crate) fn with_issuer(mut self, trust: Option<&TrustAnchors>) -> Self {
        if let (Some(certificate), Some(trust)) = (&self.peer_certificate, trust) {
            let presented = self.peer_intermediates.iter().map(Vec::as_slice);
            let mut known = presented.chain(trust.certificates().iter().map(|trusted| &**trusted));
            self.peer_issuer =
                known.find(|issuer| certificate::is_issued_by(certificate, issuer)).map(<[u8]>::to_vec);
        }
        self
    }
}

/// The groups rustls has, as OpenSSL names them.
const fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "P-256",
        NamedGroup::secp384r1 => "P-384",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        _ => "",
    }
}

/// The suites rustls has.
const fn openssl_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every suite a client may get has a name for the logs.
    #[test]
    fn suites_have_names() {
        for suite in rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES {
            assert_ne!(openssl_name(suite.suite()), "", "{suite:?}");
        }
    }
}
