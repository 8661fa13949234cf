//! How clients of a listener are treated, where it is not as its controller does it.

use std::time::Duration;

use tollgate_ir::HttpConnectionManager;
use tollgate_model::{
    http_connection_manager::{
        HeadersWithUnderscoresAction, Http2Keepalive, Http2Options, PathWithEscapedSlashesAction,
    },
    socket::TcpKeepalive,
};

/// A time that is configured: `Some(None)` = no limit.
pub(crate) type Limit = Option<Option<Duration>>;

/// How clients of a listener are treated; what is `None` is as the controller does it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ClientSettings {
    /// Limit of buffered bodies, bytes.
    pub(crate) buffer_limit: Option<usize>,
    /// Most connections at a time.
    pub(crate) max_connections: Option<u64>,
    pub(crate) tcp_keepalive: Option<TcpKeepalive>,
    /// Of a TLS handshake.
    pub(crate) handshake_timeout: Limit,
    /// Of the first bytes of a connection.
    pub(crate) inspection_timeout: Limit,
    pub(crate) http: HttpClientSettings,
}

/// What the connection manager does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HttpClientSettings {
    pub(crate) request_timeout: Limit,
    pub(crate) request_headers_timeout: Limit,
    pub(crate) idle_timeout: Limit,
    pub(crate) stream_idle_timeout: Limit,
    pub(crate) max_connection_duration: Limit,
    pub(crate) max_stream_duration: Limit,
    pub(crate) max_requests_per_connection: Option<u32>,
    pub(crate) merge_slashes: Option<bool>,
    pub(crate) escaped_slashes: Option<PathWithEscapedSlashesAction>,
    pub(crate) underscores: Option<HeadersWithUnderscoresAction>,
    /// Headers `x-envoy-*` are written.
    pub(crate) envoy_headers: Option<bool>,
    /// A request id is made where there is none, and one of a client is kept.
    pub(crate) request_id: Option<(bool, bool)>,
    pub(crate) http1_trailers: Option<bool>,
    pub(crate) http_10: bool,
    pub(crate) http2: Option<Http2Options>,
    pub(crate) http2_keepalive: Option<Http2Keepalive>,
}

impl ClientSettings {
    /// Whether it says nothing but how much of a body is buffered.
    pub(crate) fn is_of_buffers_only(&self) -> bool {
        *self == Self { buffer_limit: self.buffer_limit, ..Self::default() }
    }
}

impl HttpClientSettings {
    /// Makes a connection manager what these settings say.
    pub(crate) fn apply(&self, http: &mut HttpConnectionManager) {
        for (setting, said) in [
            (&mut http.request_timeout, self.request_timeout),
            (&mut http.request_headers_timeout, self.request_headers_timeout),
            (&mut http.idle_timeout, self.idle_timeout),
            (&mut http.stream_idle_timeout, self.stream_idle_timeout),
            (&mut http.max_connection_duration, self.max_connection_duration),
            (&mut http.max_stream_duration, self.max_stream_duration),
        ] {
            if let Some(said) = said {
                *setting = said;
            }
        }
        if self.max_requests_per_connection.is_some() {
            http.max_requests_per_connection = self.max_requests_per_connection;
        }
        let http1_trailers = self.http1_trailers.unwrap_or(http.http1.enable_trailers);
        http.http1.enable_trailers = http1_trailers;
        http.http1.accept_http_10 |= self.http_10;
        http.merge_slashes = self.merge_slashes.unwrap_or(http.merge_slashes);
        http.path_with_escaped_slashes_action =
            self.escaped_slashes.unwrap_or(http.path_with_escaped_slashes_action);
        http.headers_with_underscores_action =
            self.underscores.unwrap_or(http.headers_with_underscores_action);
        http.suppress_envoy_headers = self.envoy_headers.map_or(http.suppress_envoy_headers, |write| !write);
        if let Some((generate, preserve)) = self.request_id {
            http.generate_request_id = generate;
            http.preserve_external_request_id = preserve;
        }
        if let Some(http2) = &self.http2 {
            http.http2 = http2.clone();
        }
        http.http2.keepalive = self.http2_keepalive.or(http.http2.keepalive);
    }
}
