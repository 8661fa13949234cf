//! TLS towards upstreams and processors.

use std::sync::Arc;

use rustls::{
    ClientConfig,
    client::Resumption,
    pki_types::{DnsName, ServerName},
    sign::SingleCertAndKey,
};
use serde::Serialize;

use super::{
    Identity, SubjectAltNameMatcher, TlsError, TlsVersions, TrustAnchors, provider,
    server_verifier::ServerVerifier,
};

/// TLS towards upstreams and processors.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamTls {
    /// Ready configuration: roots, client certificate, ALPN.
    #[serde(skip)]
    pub config: Arc<ClientConfig>,
    /// What it was built from.
    #[serde(flatten)]
    settings: UpstreamTlsSettings,
}

/// What TLS towards upstreams is built from. `C` is a certificate, `V` what is asked of the server's: before they are resolved both
/// have names of secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpstreamTlsSettings<C = Identity, V = ServerValidation> {
    /// Server name to send.
    pub sni: ServerNameIndication,
    /// What is asked of the server's certificate.
    pub validation: V,
    /// Our own certificate, for servers that ask for one.
    pub certificate: Option<C>,
    /// Protocols offered by ALPN, best first; none = ALPN is not spoken.
    pub alpn_protocols: Vec<String>,
    /// Versions.
    pub versions: TlsVersions,
    /// Sessions kept for resumption. Default 1; 0 = none.
    pub max_session_keys: usize,
}

impl<C, V> UpstreamTlsSettings<C, V> {
    /// The same with another certificate and another validation.
    ///
    /// # Errors
    /// Those of the conversions.
    pub fn try_map<C2, V2, E>(
        &self,
        certificate: impl FnOnce(&C) -> Result<C2, E>,
        validation: impl FnOnce(&V) -> Result<V2, E>,
    ) -> Result<UpstreamTlsSettings<C2, V2>, E> {
        Ok(UpstreamTlsSettings {
            sni: self.sni.clone(),
            validation: validation(&self.validation)?,
            certificate: self.certificate.as_ref().map(certificate).transpose()?,
            alpn_protocols: self.alpn_protocols.clone(),
            versions: self.versions,
            max_session_keys: self.max_session_keys,
        })
    }
}

/// Server name to send to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum ServerNameIndication {
    /// None.
    Nothing,
    /// Always this one.
    Fixed(String),
    /// The endpoint's host name (`auto_host_sni`).
    EndpointHostname {
        /// For endpoints without one; empty = none.
        otherwise: String,
    },
}

/// What is asked of the server's certificate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ServerValidation {
    /// Nothing: every server is believed.
    Nothing,
    /// Signed through a trusted certificate.
    Chain {
        /// Trusted certificates.
        #[serde(skip)]
        trusted_ca: TrustAnchors,
        /// One of these must be met; empty = any name.
        subject_alt_names: Vec<SubjectAltNameMatcher>,
    },
    /// Signed through a trusted certificate, for the server name that was sent.
    ChainAndServerName {
        /// Trusted certificates.
        #[serde(skip)]
        trusted_ca: TrustAnchors,
    },
}

impl ServerValidation {
    /// What certificates are verified with; `None` = they are not.
    #[must_use]
    pub fn trusted_ca(&self) -> Option<&TrustAnchors> {
        match self {
            Self::Nothing => None,
            Self::Chain { trusted_ca, .. } | Self::ChainAndServerName { trusted_ca } => Some(trusted_ca),
        }
    }
}

impl PartialEq for UpstreamTls {
    /// Built from the same settings.
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl UpstreamTls {
    /// What it was built from.
    #[must_use]
    pub fn settings(&self) -> &UpstreamTlsSettings {
        &self.settings
    }

    /// Builds the configuration.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub fn new(settings: UpstreamTlsSettings) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&settings.versions.supported())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ServerVerifier(settings.validation.clone())));
        let mut config = match &settings.certificate {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key))))
            }
        };
        config.alpn_protocols =
            settings.alpn_protocols.iter().map(|name| name.clone().into_bytes()).collect();
        config.enable_sni = settings.sni != ServerNameIndication::Nothing;
        config.resumption = match settings.max_session_keys {
            0 => Resumption::disabled(),
            // The library keeps sessions by server name, so fewer than a handful would make names evict each other.
            keys => Resumption::in_memory_sessions(keys.max(32)),
        };
        Ok(Self { config: Arc::new(config), settings })
    }

    /// The name to give the TLS library for a connection to an endpoint with this host name (empty = none).
    ///
    /// When no name is to be sent the library still wants one; it is an address then, which is never sent.
    #[must_use]
    pub fn server_name(&self, endpoint_hostname: &str) -> ServerName<'static> {
        let name = match &self.settings.sni {
            ServerNameIndication::Nothing => None,
            ServerNameIndication::Fixed(name) => server_name(name),
            ServerNameIndication::EndpointHostname { otherwise } => {
                server_name(if endpoint_hostname.is_empty() { otherwise } else { endpoint_hostname })
            }
        };
        name.unwrap_or_else(|| ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
    }
}

fn server_name(name: &str) -> Option<ServerName<'static>> {
    if let Ok(address) = name.parse::<std::net::IpAddr>() {
        return Some(ServerName::IpAddress(address.into()));
    }
    DnsName::try_from(name.to_owned()).ok().map(ServerName::DnsName)
}
