//! TLS settings, compiled to what the TLS library takes.

use std::sync::Arc;

use serde::Serialize;

/// TLS towards clients.
#[derive(Debug, Serialize)]
pub struct DownstreamTls {
    /// Ready configuration: certificates by SNI, client verification, ALPN.
    #[serde(skip)]
    pub config: Arc<rustls::ServerConfig>,
}

/// TLS towards upstreams and processors.
#[derive(Debug, Serialize)]
pub struct UpstreamTls {
    /// Ready configuration: roots, client certificate, ALPN.
    #[serde(skip)]
    pub config: Arc<rustls::ClientConfig>,
    /// Server name to send and verify; `None` = the endpoint's host name when it has one, else its address.
    pub sni: Option<String>,
}
