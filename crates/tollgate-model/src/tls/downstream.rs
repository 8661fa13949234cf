//! TLS towards clients.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    ServerConfig, SignatureScheme,
    pki_types::{CertificateDer, UnixTime},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, danger::ClientCertVerifier as _},
    sign::CertifiedKey,
};
use serde::Serialize;

use super::{
    Identity, SubjectAltNameMatcher, TlsError, TlsVersions, TrustAnchors, client_verifier::ClientVerifier,
    provider,
};

/// TLS towards clients.
#[derive(Debug, Clone, Serialize)]
pub struct DownstreamTls {
    /// Ready configuration: certificates by SNI, client verification, ALPN.
    #[serde(skip)]
    pub config: Arc<ServerConfig>,
    /// The same without ALPN.
    #[serde(skip)]
    without_alpn: Arc<ServerConfig>,
    /// What verifies certificates that are accepted in any case.
    #[serde(skip)]
    afterwards: Option<Arc<ClientVerifier>>,
    /// What it was built from.
    #[serde(flatten)]
    settings: DownstreamTlsSettings,
}

/// What TLS towards clients is built from. `C` is a certificate, `V` what is asked of those of clients: before they are resolved
/// both have names of secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DownstreamTlsSettings<C = Identity, V = ClientValidation> {
    /// Certificates; the one whose names cover the SNI is used, else the first. Never empty.
    pub certificates: Vec<C>,
    /// Refuse connections without SNI. Default false.
    pub require_sni: bool,
    /// When no certificate covers the SNI, look for one whose key suits the client instead of taking the first.
    /// Default false.
    pub full_scan_certs_on_sni_mismatch: bool,
    /// Certificates of clients; `None` asks for none.
    pub client_validation: Option<V>,
    /// Protocols offered by ALPN, best first; none = ALPN is not spoken.
    pub alpn_protocols: Vec<String>,
    /// Versions.
    pub versions: TlsVersions,
    /// Let the client's order of cipher suites decide, not ours. Default false.
    pub prefer_client_ciphers: bool,
    /// No session tickets. Default false.
    pub disable_stateless_session_resumption: bool,
    /// No sessions kept by the server for clients without tickets. Default false.
    pub disable_stateful_session_resumption: bool,
}

/// What is asked of the certificates of clients.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientValidation {
    /// Refuse clients without a certificate. Default false.
    pub require_client_certificate: bool,
    /// Certificates must be signed through one of these; `None` accepts any certificate.
    #[serde(skip)]
    pub trusted_ca: Option<TrustAnchors>,
    /// One of these must be met; empty = any name. Needs `trusted_ca`.
    pub subject_alt_names: Vec<SubjectAltNameMatcher>,
    /// Certificates are accepted though they cannot be verified. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_untrusted: bool,
}

impl<C, V> DownstreamTlsSettings<C, V> {
    /// The same with other certificates and another validation, which may come to ask for nothing.
    ///
    /// # Errors
    /// Those of the conversions.
    pub fn try_map<C2, V2, E>(
        &self,
        certificate: impl FnMut(&C) -> Result<C2, E>,
        validation: impl FnOnce(&V) -> Result<Option<V2>, E>,
    ) -> Result<DownstreamTlsSettings<C2, V2>, E> {
        Ok(DownstreamTlsSettings {
            certificates: self.certificates.iter().map(certificate).collect::<Result<_, _>>()?,
            require_sni: self.require_sni,
            full_scan_certs_on_sni_mismatch: self.full_scan_certs_on_sni_mismatch,
            client_validation: self.client_validation.as_ref().map_or(Ok(None), validation)?,
            alpn_protocols: self.alpn_protocols.clone(),
            versions: self.versions,
            prefer_client_ciphers: self.prefer_client_ciphers,
            disable_stateless_session_resumption: self.disable_stateless_session_resumption,
            disable_stateful_session_resumption: self.disable_stateful_session_resumption,
        })
    }
}

impl DownstreamTlsSettings {
    /// Whether a configuration can be built of them.
    ///
    /// # Errors
    /// When there is no certificate, or names of clients are to be checked without `trusted_ca`.
    pub fn check(&self) -> Result<(), TlsError> {
        if self.certificates.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        match &self.client_validation {
            Some(validation)
                if validation.trusted_ca.is_none() && !validation.subject_alt_names.is_empty() =>
            {
                Err(TlsError::NamesWithoutTrust)
            }
            _ => Ok(()),
        }
    }
}

impl PartialEq for DownstreamTls {
    /// Built from the same settings.
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl DownstreamTls {
    /// What it was built from.
    #[must_use]
    pub fn settings(&self) -> &DownstreamTlsSettings {
        &self.settings
    }

    /// Builds the configuration.
    ///
    /// # Errors
    /// When there is no certificate, or names of clients are to be checked without `trusted_ca`.
    pub fn new(settings: DownstreamTlsSettings) -> Result<Self, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&settings.versions.supported())?;
        let builder = match &settings.client_validation {
            None => builder.with_no_client_auth(),
            Some(validation) => {
                builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(validation.clone())?))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(CertificatesBySni::new(&settings)?));
        config.alpn_protocols =
            settings.alpn_protocols.iter().map(|name| name.clone().into_bytes()).collect();
        if !settings.disable_stateless_session_resumption {
            config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        }
        if settings.disable_stateful_session_resumption {
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        config.ignore_client_order = !settings.prefer_client_ciphers;
        let mut without_alpn = config.clone();
        without_alpn.alpn_protocols = Vec::new();
        let afterwards = match &settings.client_validation {
            Some(validation) if validation.accept_untrusted => {
                let strict = ClientValidation { accept_untrusted: false, ..validation.clone() };
                Some(Arc::new(ClientVerifier::new(strict)?))
            }
            _ => None,
        };
        Ok(Self { config: Arc::new(config), without_alpn: Arc::new(without_alpn), afterwards, settings })
    }

    /// What the certificates of clients are verified with; `None` when nothing is.
    #[must_use]
    pub fn client_trust(&self) -> Option<&TrustAnchors> {
        self.settings.client_validation.as_ref()?.trusted_ca.as_ref()
    }

    /// Whether a certificate that was accepted, with those behind it, is verified.
    #[must_use]
    pub fn is_verified(&self, chain: &[CertificateDer<'_>]) -> bool {
        match (&self.afterwards, chain) {
            (_, []) => false,
            (None, _) => true,
            (Some(verifier), [certificate, intermediates @ ..]) => {
                self.client_trust().is_some()
                    && verifier.verify_client_cert(certificate, intermediates, UnixTime::now()).is_ok()
            }
        }
    }

    /// Whether `other` asks the same of clients and tells them the same, but for our own certificates.
    #[must_use]
    pub fn is_same_but_for_certificates(&self, other: &Self) -> bool {
        let certificates = other.settings.certificates.clone();
        DownstreamTlsSettings { certificates, ..self.settings.clone() } == other.settings
    }

    /// The configuration for a client: as Envoy does, one that offers only protocols we do not have goes on without
    /// ALPN instead of being refused.
    #[must_use]
    pub fn config_for(&self, hello: &ClientHello<'_>) -> &Arc<ServerConfig> {
        let ours = &self.settings.alpn_protocols;
        let common = hello.alpn().is_none_or(|mut theirs| {
            theirs.any(|protocol| ours.iter().any(|own| own.as_bytes() == protocol))
        });
        if common { &self.config } else { &self.without_alpn }
    }
}

/// Chooses a certificate by SNI, as Envoy does: exact name, then wildcard of one label, then the first certificate.
#[derive(Debug)]
struct CertificatesBySni {
    all: Vec<Arc<CertifiedKey>>,
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    require_sni: bool,
    scan_all: bool,
}

impl CertificatesBySni {
    fn new(settings: &DownstreamTlsSettings) -> Result<Self, TlsError> {
        if settings.certificates.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let mut by_name: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for identity in &settings.certificates {
            for name in &identity.dns_names {
                by_name.entry(name.clone()).or_default().push(Arc::clone(&identity.key));
            }
        }
        Ok(Self {
            all: settings.certificates.iter().map(|identity| Arc::clone(&identity.key)).collect(),
            by_name,
            require_sni: settings.require_sni,
            scan_all: settings.full_scan_certs_on_sni_mismatch,
        })
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let Some(name) = name else {
            return if self.require_sni { None } else { first_suitable(&self.all, schemes) };
        };
        let name = name.to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, suffix)| format!("*.{suffix}"));
        let named = self.by_name.get(&name).or_else(|| self.by_name.get(wildcard.as_deref()?));
        match named {
            Some(keys) => first_suitable(keys, schemes),
            None if self.scan_all => first_suitable(&self.all, schemes),
            None => self.all.first().cloned(),
        }
    }
}

/// The first certificate whose key can sign for the client; the first at all when there is none, so that the
/// handshake fails for the right reason.
fn first_suitable(keys: &[Arc<CertifiedKey>], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
    keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).or_else(|| keys.first()).cloned()
}

impl ResolvesServerCert for CertificatesBySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}
