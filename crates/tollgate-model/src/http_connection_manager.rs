//! The HTTP connection manager: how HTTP is spoken with clients.

use std::{collections::BTreeMap, fmt, net::IpAddr, ops::Range, sync::Arc, time::Duration};

pub use http2_io::FrameLimits;
use ipnet::IpNet;
use serde::Serialize;

use crate::{
    access_log::AccessLog, ip_detection::IpDetection, local_reply::LocalReplies, processor::HttpFilter,
    route::RouteConfiguration,
};

/// How HTTP is spoken with clients, and what happens to their requests. Defaults are Envoy's.
///
/// `R` is the route table and `F` a filter: compiled ones, or the name of a table and a filter as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpConnectionManager<R = Arc<RouteConfiguration>, F = Arc<HttpFilter>> {
    /// Prefix of statistics: `http.<stat_prefix>.`.
    pub stat_prefix: String,
    /// Which protocol clients speak.
    pub codec_type: CodecType,
    /// Virtual hosts and routes.
    pub route_config: R,
    /// HTTP filters in request order, without the router, which always ends the chain.
    pub http_filters: Vec<F>,
    /// Filters between the router and the upstream, in request order: they run when cluster and endpoint are chosen and
    /// the router has changed headers and path, once for each attempt. They cannot change the route. Default none.
    pub upstream_http_filters: Vec<F>,
    /// What stands there instead of them for requests to some clusters. Written with the clusters, so it is empty in a
    /// configuration as written.
    #[serde(skip_serializing_if = "ClusterHttpFilters::is_empty")]
    pub cluster_http_filters: ClusterHttpFilters<F>,
    /// `server` header of responses. Default `envoy`.
    pub server_name: String,
    /// What to do with the upstream's `server` header.
    pub server_header_transformation: ServerHeaderTransformation,
    /// Trust the peer address (edge) instead of `x-forwarded-for`. Default false.
    pub use_remote_address: bool,
    /// Trusted proxies in front of us. Default 0.
    pub xff_num_trusted_hops: u32,
    /// Do not append the peer address to `x-forwarded-for`. Default false.
    pub skip_xff_append: bool,
    /// Who says where a client is, one after the other, instead of what the fields above say. Default nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_detection: Vec<IpDetection>,
    /// Whose requests are internal: they keep their `x-envoy-*` headers, and `x-envoy-internal` tells it. Default nobody's.
    #[serde(skip_serializing_if = "is_default")]
    pub internal_addresses: InternalAddresses,
    /// What becomes of `x-forwarded-client-cert`. Default: it goes.
    #[serde(skip_serializing_if = "is_default")]
    pub forward_client_cert: ForwardClientCert,
    /// What is told there about the client's certificate beside its digest. Default nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub client_cert_details: ClientCertDetails,
    /// Appended to `via`; empty = nothing.
    pub via: String,
    /// Create `x-request-id` when missing. Default true.
    pub generate_request_id: bool,
    /// Keep the client's `x-request-id` at the edge. Default false.
    pub preserve_external_request_id: bool,
    /// Put `x-request-id` into responses. Default false.
    pub always_set_request_id_in_response: bool,
    /// Add `x-forwarded-port`. Default false.
    pub append_x_forwarded_port: bool,
    /// Most header fields a message may have, pseudo-headers included. Default 100; more: 431.
    pub max_headers_count: usize,
    /// Largest header block, KiB. Default 60; more: 431.
    pub max_request_headers_kb: usize,
    /// A connection without requests is closed after this. Default 1 h.
    pub idle_timeout: Option<Duration>,
    /// Longest life of a connection, after which it drains. Default none.
    pub max_connection_duration: Option<Duration>,
    /// Longest life of one request. Default none.
    pub max_stream_duration: Option<Duration>,
    /// Most requests on one connection. Default unlimited.
    pub max_requests_per_connection: Option<u32>,
    /// Header names with underscores.
    pub headers_with_underscores_action: HeadersWithUnderscoresAction,
    /// A stream without any progress is ended after this. Default 5 min.
    pub stream_idle_timeout: Option<Duration>,
    /// The whole request must have arrived by then. Default none.
    pub request_timeout: Option<Duration>,
    /// The request headers must have arrived by then. Default none.
    pub request_headers_timeout: Option<Duration>,
    /// Time between the GOAWAY notice and the end of a draining connection. Default 5 s.
    pub drain_timeout: Duration,
    /// How long a closing connection is read from, so that the client sees the response. Default 1 s.
    pub delayed_close_timeout: Option<Duration>,
    /// Normalize paths (RFC 3986). Default false.
    pub normalize_path: bool,
    /// Leave dot segments with parameters (`..;a`) as they are when paths are normalized. Default false: they are taken
    /// for dot segments. Shown where it is not the default.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_dot_segment_parameters: bool,
    /// Merge adjacent slashes. Default false.
    pub merge_slashes: bool,
    /// What becomes of paths with `%2F`, `%2f`, `%5C` or `%5c`. Default: nothing.
    pub path_with_escaped_slashes_action: PathWithEscapedSlashesAction,
    /// Drop the port from the authority when it equals the listener's. Default false.
    pub strip_matching_host_port: bool,
    /// Drop any port from the authority. Default false.
    pub strip_any_host_port: bool,
    /// HTTP/1 settings.
    pub http1: Http1Options,
    /// HTTP/2 settings.
    pub http2: Http2Options,
    /// Upgrade types allowed by default, lower case (`websocket`).
    pub upgrade_types: Vec<String>,
    /// What is sent behind an upgrade other than `websocket` waits until the upstream has agreed, as it does behind
    /// `websocket` in any case. Default true.
    pub hold_generic_upgrades: bool,
    /// Answer `Expect: 100-continue` ourselves (false) or pass it on (true). Default false.
    pub proxy_100_continue: bool,
    /// Access logs; empty = off.
    pub access_log: Vec<Arc<AccessLog>>,
    /// What answers of the gateway's own look like. Default: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_replies: Option<Arc<LocalReplies>>,
    /// What answers of the gateway's own tell in `proxy-status`. Default nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_status: Option<ProxyStatus>,
    /// Router option: do not add `x-envoy-*` headers. Default false.
    pub suppress_envoy_headers: bool,
    /// Prefix of the proxy's own headers without the trailing dash. Default `x-envoy`.
    pub header_prefix: String,
    /// How requests may come and go. Shown where it is not the default.
    #[serde(skip_serializing_if = "is_default")]
    pub request_floods: RequestFloods,
}

/// The filters that stand behind the router for requests to some clusters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterHttpFilters<F> {
    /// The places in `filters` of those of a cluster.
    places: BTreeMap<String, Range<usize>>,
    filters: Vec<F>,
}

impl<F> Default for ClusterHttpFilters<F> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), filters: Vec::new() }
    }
}

impl<F> ClusterHttpFilters<F> {
    /// Whether no cluster has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Those of one more cluster, in request order.
    pub fn insert(&mut self, cluster: String, filters: impl IntoIterator<Item = F>) {
        let first = self.filters.len();
        self.filters.extend(filters);
        self.places.insert(cluster, first..self.filters.len());
    }

    fn of(&self, cluster: &str) -> Option<Range<usize>> {
        if self.places.is_empty() { None } else { self.places.get(cluster).cloned() }
    }
}

/// What becomes of `x-forwarded-client-cert`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum ForwardClientCert {
    /// It goes.
    #[default]
    Sanitize,
    /// It stays where the client has presented a certificate.
    ForwardOnly,
    /// There, what is known of the client's certificate comes behind it.
    AppendForward,
    /// There, what is known of the client's certificate stands instead of it.
    SanitizeSet,
    /// It stays, whoever sends it.
    AlwaysForwardOnly,
}

/// What is told about the client's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of the configuration")]
pub struct ClientCertDetails {
    /// Its subject.
    pub subject: bool,
    /// The certificate.
    pub cert: bool,
    /// The certificate and what was presented with it.
    pub chain: bool,
    /// Its DNS names.
    pub dns: bool,
    /// Its URIs.
    pub uri: bool,
}

/// What the field `proxy-status` (RFC 9209) tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyStatus {
    /// What the gateway is called.
    pub name: ProxyName,
    /// Leave the details out.
    pub remove_details: bool,
    /// Leave out of them why the connection ended.
    pub remove_connection_termination_details: bool,
    /// Leave the response flags out of them.
    pub remove_response_flags: bool,
    /// The status is the one that RFC 9209 recommends, where it recommends one.
    pub set_recommended_response_code: bool,
}

/// What the gateway is called in `proxy-status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum ProxyName {
    /// As in the field `server`.
    ServerName,
    /// The id of its node.
    NodeId,
    /// This.
    Literal(String),
}

/// Whose requests are internal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InternalAddresses {
    /// Those that come over Unix sockets.
    pub unix_sockets: bool,
    /// Those of clients with such an address.
    pub ranges: Vec<IpNet>,
}

impl InternalAddresses {
    /// Whether a client at this address is internal; `None` is a Unix socket.
    #[must_use]
    pub fn contain(&self, client: Option<IpAddr>) -> bool {
        match client {
            None => self.unix_sockets,
            Some(client) => self.ranges.iter().any(|range| range.contains(&client)),
        }
    }
}

impl<R, F> HttpConnectionManager<R, F> {
    /// A connection manager with nothing but defaults.
    #[must_use]
    pub fn new(stat_prefix: String, route_config: R, http_filters: Vec<F>) -> Self {
        Self {
            stat_prefix,
            codec_type: CodecType::Auto,
            route_config,
            http_filters,
            upstream_http_filters: Vec::new(),
            cluster_http_filters: ClusterHttpFilters::default(),
            server_name: "envoy".to_owned(),
            server_header_transformation: ServerHeaderTransformation::Overwrite,
            use_remote_address: false,
            xff_num_trusted_hops: 0,
            skip_xff_append: false,
            ip_detection: Vec::new(),
            internal_addresses: InternalAddresses::default(),
            forward_client_cert: ForwardClientCert::Sanitize,
            client_cert_details: ClientCertDetails::default(),
            via: String::new(),
            generate_request_id: true,
            preserve_external_request_id: false,
            always_set_request_id_in_response: false,
            append_x_forwarded_port: false,
            max_headers_count: 100,
            max_request_headers_kb: 60,
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_stream_duration: None,
            max_requests_per_connection: None,
            headers_with_underscores_action: HeadersWithUnderscoresAction::Allow,
            stream_idle_timeout: Some(Duration::from_secs(300)),
            request_timeout: None,
            request_headers_timeout: None,
            drain_timeout: Duration::from_secs(5),
            delayed_close_timeout: Some(Duration::from_secs(1)),
            normalize_path: false,
            keep_dot_segment_parameters: false,
            merge_slashes: false,
            path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged,
            strip_matching_host_port: false,
            strip_any_host_port: false,
            http1: Http1Options::default(),
            http2: Http2Options::default(),
            upgrade_types: Vec::new(),
            hold_generic_upgrades: true,
            proxy_100_continue: false,
            access_log: Vec::new(),
            local_replies: None,
            proxy_status: None,
            suppress_envoy_headers: false,
            header_prefix: "x-envoy".to_owned(),
            request_floods: RequestFloods::default(),
        }
    }

    /// Every filter in request order, those behind the router next, those of clusters last;
    /// [`Route::filters`](crate::route::Route::filters) is index by index with this.
    pub fn filters(&self) -> impl Iterator<Item = &F> {
        self.http_filters.iter().chain(&self.upstream_http_filters).chain(&self.cluster_http_filters.filters)
    }

    /// The filter at this place among [all](Self::filters).
    #[must_use]
    pub fn filter(&self, index: usize) -> Option<&F> {
        let Some(behind) = index.checked_sub(self.http_filters.len()) else {
            return self.http_filters.get(index);
        };
        match behind.checked_sub(self.upstream_http_filters.len()) {
            None => self.upstream_http_filters.get(behind),
            Some(of_clusters) => self.cluster_http_filters.filters.get(of_clusters),
        }
    }

    /// The places of the filters behind the router that requests to this cluster pass.
    #[must_use]
    pub fn behind_router(&self, cluster: &str) -> Range<usize> {
        let first = self.http_filters.len();
        let of_clusters = first + self.upstream_http_filters.len();
        match self.cluster_http_filters.of(cluster) {
            Some(own) => of_clusters + own.start..of_clusters + own.end,
            None => first..of_clusters,
        }
    }

    /// The same with another route table and other filters.
    #[must_use]
    pub fn with<R2, F2>(
        self,
        route_config: R2,
        http_filters: Vec<F2>,
        upstream_http_filters: Vec<F2>,
        cluster_http_filters: ClusterHttpFilters<F2>,
    ) -> HttpConnectionManager<R2, F2> {
        // Named one by one, so that none is forgotten.
        HttpConnectionManager {
            stat_prefix: self.stat_prefix,
            codec_type: self.codec_type,
            route_config,
            http_filters,
            upstream_http_filters,
            cluster_http_filters,
            server_name: self.server_name,
            server_header_transformation: self.server_header_transformation,
            use_remote_address: self.use_remote_address,
            xff_num_trusted_hops: self.xff_num_trusted_hops,
            skip_xff_append: self.skip_xff_append,
            ip_detection: self.ip_detection,
            internal_addresses: self.internal_addresses,
            forward_client_cert: self.forward_client_cert,
            client_cert_details: self.client_cert_details,
            via: self.via,
            generate_request_id: self.generate_request_id,
            preserve_external_request_id: self.preserve_external_request_id,
            always_set_request_id_in_response: self.always_set_request_id_in_response,
            append_x_forwarded_port: self.append_x_forwarded_port,
            max_headers_count: self.max_headers_count,
            max_request_headers_kb: self.max_request_headers_kb,
            idle_timeout: self.idle_timeout,
            max_connection_duration: self.max_connection_duration,
            max_stream_duration: self.max_stream_duration,
            max_requests_per_connection: self.max_requests_per_connection,
            headers_with_underscores_action: self.headers_with_underscores_action,
            stream_idle_timeout: self.stream_idle_timeout,
            request_timeout: self.request_timeout,
            request_headers_timeout: self.request_headers_timeout,
            drain_timeout: self.drain_timeout,
            delayed_close_timeout: self.delayed_close_timeout,
            normalize_path: self.normalize_path,
            keep_dot_segment_parameters: self.keep_dot_segment_parameters,
            merge_slashes: self.merge_slashes,
            path_with_escaped_slashes_action: self.path_with_escaped_slashes_action,
            strip_matching_host_port: self.strip_matching_host_port,
            strip_any_host_port: self.strip_any_host_port,
            http1: self.http1,
            http2: self.http2,
            upgrade_types: self.upgrade_types,
            hold_generic_upgrades: self.hold_generic_upgrades,
            proxy_100_continue: self.proxy_100_continue,
            access_log: self.access_log,
            local_replies: self.local_replies,
            proxy_status: self.proxy_status,
            suppress_envoy_headers: self.suppress_envoy_headers,
            header_prefix: self.header_prefix,
            request_floods: self.request_floods,
        }
    }
}

/// How requests of an HTTP/2 connection may come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequestFloods {
    /// A connection is closed when half of so many of its requests were reset by the client before it had an answer.
    /// Default 500.
    pub premature_reset_total_stream_count: u64,
    /// Requests that lived for longer than so many whole seconds were not reset prematurely. Default 1.
    pub premature_reset_min_stream_lifetime_seconds: u64,
    /// Most requests taken from a connection before other connections have their turn. Default `None`: about a hundred.
    pub max_requests_per_io_cycle: Option<u32>,
}

impl Default for RequestFloods {
    fn default() -> Self {
        Self {
            premature_reset_total_stream_count: 500,
            premature_reset_min_stream_lifetime_seconds: 1,
            max_requests_per_io_cycle: None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which HTTP version clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CodecType {
    /// By ALPN on TLS, else by the HTTP/2 preface.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// What to do with the upstream's `server` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ServerHeaderTransformation {
    /// Always our name.
    Overwrite,
    /// Our name if the upstream sent none.
    AppendIfAbsent,
    /// Leave it.
    PassThrough,
}

/// What to do with header names that contain an underscore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum HeadersWithUnderscoresAction {
    /// Keep them.
    Allow,
    /// Answer 400.
    RejectRequest,
    /// Remove them.
    DropHeader,
}

/// What to do with paths that contain escaped slashes or backslashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PathWithEscapedSlashesAction {
    /// Leave them.
    KeepUnchanged,
    /// Answer 400.
    RejectRequest,
    /// Redirect to the path with slashes (307).
    UnescapeAndRedirect,
    /// Go on with the path with slashes.
    UnescapeAndForward,
}

/// HTTP/1 settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Http1Options {
    /// Pass trailers on. Default false (T-9).
    pub enable_trailers: bool,
    /// Accept HTTP/1.0 requests. Default false: 426.
    pub accept_http_10: bool,
    /// Host of HTTP/1.0 requests without one.
    pub default_host_for_http_10: String,
    /// Refuse the method QUERY as an unknown one. Default false. Shown where it is not the default.
    #[serde(skip_serializing_if = "is_default")]
    pub refuse_query: bool,
}

/// HTTP/2 settings, for either side.
#[derive(Clone, PartialEq, Serialize)]
pub struct Http2Options {
    /// Most concurrent streams the peer may open. Default 1024.
    pub max_concurrent_streams: u32,
    /// Stream window, bytes. Default 256 KiB.
    pub initial_stream_window_size: u32,
    /// Connection window, bytes. Default 4 MiB (8 MiB towards processors).
    pub initial_connection_window_size: u32,
    /// Most bytes of a body that filters hold for a client of HTTP/2 (section 7). Default 16 MiB, Envoy's window of a
    /// stream: there the window that is configured is this limit, too.
    pub stream_buffer_limit: usize,
    /// PINGs that find peers which are gone. Default `None`.
    pub keepalive: Option<Http2Keepalive>,
    /// What the peer may send, or have us send, without need. Shown where it is not the default.
    #[serde(skip_serializing_if = "is_default")]
    pub frame_limits: FrameLimits,
}

/// PINGs that find peers which are gone (`connection_keepalive`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Http2Keepalive {
    /// Time between PINGs. `None` = none are sent regularly.
    pub interval: Option<Duration>,
    /// A connection on which nothing is received for so long after a PING is closed.
    pub timeout: Duration,
    /// Up to so many percent of the interval are added to it at random. Default 15.
    pub interval_jitter: f64,
    /// A PING goes ahead of a request when nothing was received for so long; towards upstreams only. `None` = never.
    pub connection_idle_interval: Option<Duration>,
}

impl fmt::Debug for Http2Options {
    /// Limits of frames are shown where they are not the default ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = f.debug_struct("Http2Options");
        options
            .field("max_concurrent_streams", &self.max_concurrent_streams)
            .field("initial_stream_window_size", &self.initial_stream_window_size)
            .field("initial_connection_window_size", &self.initial_connection_window_size)
            .field("stream_buffer_limit", &self.stream_buffer_limit)
            .field("keepalive", &self.keepalive);
        if !is_default(&self.frame_limits) {
            options.field("frame_limits", &self.frame_limits);
        }
        options.finish()
    }
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 1024,
            initial_stream_window_size: 256 * 1024,
            initial_connection_window_size: 4 * 1024 * 1024,
            stream_buffer_limit: 16 * 1024 * 1024,
            keepalive: None,
            frame_limits: FrameLimits::default(),
        }
    }
}
