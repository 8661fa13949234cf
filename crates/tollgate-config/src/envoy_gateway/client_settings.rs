//! How clients of a listener are treated, where a policy says so.

use std::time::Duration;

use tollgate_ir::HttpConnectionManager;
use tollgate_model::{
    http_connection_manager::{
        HeadersWithUnderscoresAction, Http2Keepalive, Http2Options, PathWithEscapedSlashesAction,
    },
    socket::TcpKeepalive,
};

use crate::translation::ListenerSettings;

/// A time that is configured: `Some(None)` = no limit.
pub(super) type Limit = Option<Option<Duration>>;

/// How clients of a listener are treated; what is `None` is as the controller does it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ClientSettings {
    /// Limit of buffered bodies, bytes.
    pub(super) buffer_limit: Option<usize>,
    /// Most connections at a time.
    pub(super) max_connections: Option<u64>,
    pub(super) tcp_keepalive: Option<TcpKeepalive>,
    /// Of a TLS handshake.
    pub(super) handshake_timeout: Limit,
    /// Of the first bytes of a connection.
    pub(super) inspection_timeout: Limit,
    pub(super) http: HttpClientSettings,
}

/// What the connection manager does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct HttpClientSettings {
    pub(super) request_timeout: Limit,
    pub(super) request_headers_timeout: Limit,
    pub(super) idle_timeout: Limit,
    pub(super) stream_idle_timeout: Limit,
    pub(super) max_connection_duration: Limit,
    pub(super) max_stream_duration: Limit,
    pub(super) max_requests_per_connection: Option<u32>,
    pub(super) merge_slashes: Option<bool>,
    pub(super) escaped_slashes: Option<PathWithEscapedSlashesAction>,
    pub(super) underscores: Option<HeadersWithUnderscoresAction>,
    /// Headers `x-envoy-*` are written.
    pub(super) envoy_headers: Option<bool>,
    /// A request id is made where there is none, and one of a client is kept.
    pub(super) request_id: Option<(bool, bool)>,
    pub(super) http1_trailers: Option<bool>,
    pub(super) http_10: bool,
    pub(super) http2: Option<Http2Options>,
    pub(super) http2_keepalive: Option<Http2Keepalive>,
}

impl ClientSettings {
    /// Whether it says nothing but how much of a body is buffered.
    pub(super) fn is_of_buffers_only(&self) -> bool {
        *self == Self { buffer_limit: self.buffer_limit, ..Self::default() }
    }

    /// Makes a listener what these settings say.
    pub(super) fn apply(&self, listener: &mut ListenerSettings) {
        listener.buffer_limit = self.buffer_limit.unwrap_or(listener.buffer_limit);
        listener.max_connections = self.max_connections.or(listener.max_connections);
        listener.tcp.keepalive = self.tcp_keepalive.or(listener.tcp.keepalive);
        listener.handshake_timeout = self.handshake_timeout.unwrap_or(listener.handshake_timeout);
        listener.inspection_timeout = self.inspection_timeout.unwrap_or(listener.inspection_timeout);
        self.http.apply(&mut listener.http);
    }
}

impl HttpClientSettings {
    /// Makes a connection manager what these settings say.
    fn apply(&self, http: &mut HttpConnectionManager) {
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
