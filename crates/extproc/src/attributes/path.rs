//! The attributes there are.

use http::HeaderName;

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttributePath {
    /// `request.…`
    Request(RequestAttribute),
    /// `request.headers["…"]`: all values, joined with commas; the name may be a pseudo-header's or `host`.
    RequestHeader(String),
    /// `response.…`
    Response(ResponseAttribute),
    /// `response.headers["…"]`: all values, joined with commas; the name may be `:status`.
    ResponseHeader(String),
    /// `response.trailers["…"]`: all values, joined with commas.
    ResponseTrailer(HeaderName),
    /// `source.…`: the client's end of its connection.
    Source(AddressAttribute),
    /// `destination.…`: our end of the client's connection.
    Destination(AddressAttribute),
    /// `connection.…`: the client's connection.
    Connection(ConnectionAttribute),
    /// `upstream.…`: the connection to the upstream, once there is one.
    Upstream(UpstreamAttribute),
    /// `xds.…`: the configuration that was chosen.
    Xds(XdsAttribute),
    /// `metadata`: dynamic metadata, as `{filter_metadata: {namespace: {…}}}`.
    Metadata,
    /// `filter_state`: objects by name.
    FilterState,
}

/// Attributes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestAttribute {
    /// `path`: with the query.
    Path,
    /// `url_path`: without the query.
    UrlPath,
    /// `host`: the authority.
    Host,
    /// `scheme`
    Scheme,
    /// `method`
    Method,
    /// `headers`: values by name, pseudo-headers included.
    Headers,
    /// `referer`
    Referer,
    /// `useragent`
    UserAgent,
    /// `time`: when the request began, a timestamp.
    Time,
    /// `id`: `x-request-id`.
    Id,
    /// `protocol`: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    Protocol,
    /// `query`: without the question mark; empty if there is none.
    Query,
    /// `duration`: of the whole request, once it is over.
    Duration,
    /// `size`: `content-length`, else the bytes of the body so far.
    Size,
    /// `total_size`: bytes of the headers and of the body so far.
    TotalSize,
    /// `headers_bytes`: bytes of the headers.
    HeadersBytes,
}

/// Attributes of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseAttribute {
    /// `code`: the status.
    Code,
    /// `code_details`
    CodeDetails,
    /// `flags`: response flags as a bit set.
    Flags,
    /// `grpc_status`: of trailers or headers, else what the HTTP status stands for.
    GrpcStatus,
    /// `headers`: values by name, `:status` included.
    Headers,
    /// `trailers`: values by name.
    Trailers,
    /// `size`: bytes of the body so far.
    Size,
    /// `total_size`: bytes of headers, trailers and of the body so far.
    TotalSize,
    /// `backend_latency`: from the first byte sent upstream to the last received.
    BackendLatency,
    /// `headers_bytes`: bytes of the headers.
    HeadersBytes,
}

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressAttribute {
    /// `address`: `ip:port`.
    Address,
    /// `port`
    Port,
}

/// What the certificates of a TLS connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateAttribute {
    /// `subject_local_certificate`
    SubjectLocal,
    /// `subject_peer_certificate`
    SubjectPeer,
    /// `dns_san_local_certificate`: the first DNS name.
    DnsSanLocal,
    /// `dns_san_peer_certificate`: the first DNS name.
    DnsSanPeer,
    /// `uri_san_local_certificate`: the first URI.
    UriSanLocal,
    /// `uri_san_peer_certificate`: the first URI.
    UriSanPeer,
    /// `sha256_peer_certificate_digest`
    Sha256PeerDigest,
    /// `peer_certificate`: PEM, URL-encoded.
    Peer,
}

/// Attributes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionAttribute {
    /// `id`
    Id,
    /// `mtls`: the client's certificate was verified.
    Mtls,
    /// `requested_server_name`: SNI; empty without.
    RequestedServerName,
    /// `tls_version`
    TlsVersion,
    /// Certificates.
    Certificate(CertificateAttribute),
    /// `transport_failure_reason`
    TransportFailureReason,
    /// `termination_details`
    TerminationDetails,
}

/// Attributes of the connection to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamAttribute {
    /// `address`: `ip:port`.
    Address,
    /// `port`
    Port,
    /// `tls_version`
    TlsVersion,
    /// Certificates.
    Certificate(CertificateAttribute),
    /// `local_address`: `ip:port` of our end.
    LocalAddress,
    /// `transport_failure_reason`
    TransportFailureReason,
    /// `request_attempt_count`: tries so far; 0 before the first.
    RequestAttemptCount,
    /// `cx_pool_ready_duration`: how long a connection was waited for.
    CxPoolReadyDuration,
    /// `locality`: `{region, zone, sub_zone}`.
    Locality,
}

/// Attributes of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum XdsAttribute {
    /// `node`
    Node,
    /// `cluster_name`
    ClusterName,
    /// `cluster_metadata`
    ClusterMetadata,
    /// `listener_direction`: a number.
    ListenerDirection,
    /// `listener_metadata`
    ListenerMetadata,
    /// `route_name`
    RouteName,
    /// `route_metadata`
    RouteMetadata,
    /// `virtual_host_name`
    VirtualHostName,
    /// `virtual_host_metadata`
    VirtualHostMetadata,
    /// `upstream_host_metadata`
    UpstreamHostMetadata,
    /// `filter_chain_name`
    FilterChainName,
}

impl AttributePath {
    /// Whether the value are headers or trailers by name.
    #[must_use]
    pub const fn is_header_map(&self) -> bool {
        matches!(
            self,
            Self::Request(RequestAttribute::Headers)
                | Self::Response(ResponseAttribute::Headers | ResponseAttribute::Trailers)
        )
    }

    /// The attribute of one header or trailer, where this one has them all; `None` if it does not, or if no header can have
    /// that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Self> {
        let name = || name.to_ascii_lowercase();
        match self {
            Self::Request(RequestAttribute::Headers) => Some(Self::RequestHeader(name())),
            Self::Response(ResponseAttribute::Headers) => Some(Self::ResponseHeader(name())),
            Self::Response(ResponseAttribute::Trailers) => {
                HeaderName::try_from(name()).ok().map(Self::ResponseTrailer)
            }
            _ => None,
        }
    }

    /// Whether the value has members, which an expression may pick.
    #[must_use]
    pub const fn is_map(&self) -> bool {
        match self {
            Self::Request(RequestAttribute::Headers)
            | Self::Response(ResponseAttribute::Headers | ResponseAttribute::Trailers)
            | Self::Upstream(UpstreamAttribute::Locality)
            | Self::Metadata
            | Self::FilterState => true,
            Self::Xds(attribute) => matches!(
                attribute,
                XdsAttribute::Node
                    | XdsAttribute::ClusterMetadata
                    | XdsAttribute::ListenerMetadata
                    | XdsAttribute::RouteMetadata
                    | XdsAttribute::VirtualHostMetadata
                    | XdsAttribute::UpstreamHostMetadata
            ),
            _ => false,
        }
    }
}
