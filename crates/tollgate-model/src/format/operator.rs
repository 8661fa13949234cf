//! The operators of format strings.

use super::time::TimePattern;
use crate::header::FieldName;

/// A fact of a request that a format string may contain. Names in the documentation are those of the format string.
///
/// Lengths (`max_length`) are in bytes; `None` = whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// `REQ(A?B):n`, `REQUEST_HEADER(A?B):n`: first value of the first of the named headers that is there.
    RequestHeader(HeaderOperand),
    /// `REQ_WITHOUT_QUERY(A?B):n`: the same, cut before the first `?`.
    RequestHeaderWithoutQuery(HeaderOperand),
    /// `RESP(A?B):n`, `RESPONSE_HEADER(A?B):n`.
    ResponseHeader(HeaderOperand),
    /// `TRAILER(A?B):n`, `RESPONSE_TRAILER(A?B):n`.
    ResponseTrailer(HeaderOperand),
    /// `START_TIME(pattern)`: when the request began, UTC. Default pattern `%Y-%m-%dT%H:%M:%E3SZ`.
    StartTime(TimePattern),
    /// `EMIT_TIME(pattern)`: when the string is built, UTC.
    EmitTime(TimePattern),
    /// `REQUEST_HEADERS_BYTES`: names and values, pseudo-headers included.
    RequestHeadersBytes,
    /// `RESPONSE_HEADERS_BYTES`.
    ResponseHeadersBytes,
    /// `RESPONSE_TRAILERS_BYTES`.
    ResponseTrailersBytes,
    /// `BYTES_RECEIVED`: body bytes from the client.
    BytesReceived,
    /// `BYTES_SENT`: body bytes to the client.
    BytesSent,
    /// `PROTOCOL`: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    Protocol,
    /// `UPSTREAM_PROTOCOL`.
    UpstreamProtocol,
    /// `RESPONSE_CODE`: 0 when nothing was sent.
    ResponseCode,
    /// `RESPONSE_CODE_DETAILS`, `RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)`.
    ResponseCodeDetails {
        /// Do not replace white space by `_`.
        allow_whitespaces: bool,
    },
    /// `RESPONSE_FLAGS`, `RESPONSE_FLAGS_LONG`.
    ResponseFlags {
        /// Long names.
        long: bool,
    },
    /// `DURATION`: start to end, milliseconds.
    Duration,
    /// `REQUEST_DURATION`: start to the last byte from the client, milliseconds.
    RequestDuration,
    /// `REQUEST_TX_DURATION`: start to the last byte sent upstream, milliseconds.
    RequestTxDuration,
    /// `RESPONSE_DURATION`: start to the first byte from the upstream, milliseconds.
    ResponseDuration,
    /// `RESPONSE_TX_DURATION`: first byte from the upstream to the last byte to the client, milliseconds.
    ResponseTxDuration,
    /// `COMMON_DURATION(from:to:precision)`. Absent when a moment is missing or `to` is before `from`.
    CommonDuration {
        /// First moment.
        from: TimePoint,
        /// Second moment.
        to: TimePoint,
        /// Unit. Default milliseconds.
        precision: DurationPrecision,
    },
    /// `UPSTREAM_HOST`, `UPSTREAM_REMOTE_ADDRESS` and their parts: the endpoint's address.
    UpstreamRemoteAddress(AddressPart),
    /// `UPSTREAM_HOST_NAME`, `UPSTREAM_HOST_NAME_WITHOUT_PORT`: the endpoint's host name, else its address.
    UpstreamHostName {
        /// Leave the port out.
        without_port: bool,
    },
    /// `UPSTREAM_CLUSTER`, `UPSTREAM_CLUSTER_RAW`.
    UpstreamCluster,
    /// `UPSTREAM_LOCAL_ADDRESS` and its parts.
    UpstreamLocalAddress(AddressPart),
    /// `UPSTREAM_CONNECTION_ID`: 0 without one.
    UpstreamConnectionId,
    /// `UPSTREAM_REQUEST_ATTEMPT_COUNT`.
    UpstreamRequestAttemptCount,
    /// `UPSTREAM_TRANSPORT_FAILURE_REASON`.
    UpstreamTransportFailureReason,
    /// `DOWNSTREAM_REMOTE_ADDRESS` and its parts: the client, as `x-forwarded-for` is trusted.
    DownstreamRemoteAddress(AddressPart),
    /// `DOWNSTREAM_DIRECT_REMOTE_ADDRESS` and its parts: the peer of the connection.
    DownstreamDirectRemoteAddress(AddressPart),
    /// `DOWNSTREAM_LOCAL_ADDRESS`, `DOWNSTREAM_DIRECT_LOCAL_ADDRESS` and their parts.
    DownstreamLocalAddress(AddressPart),
    /// `DOWNSTREAM_TLS_VERSION`.
    DownstreamTlsVersion,
    /// `DOWNSTREAM_TLS_CIPHER`: the OpenSSL name.
    DownstreamTlsCipher,
    /// `UPSTREAM_TLS_VERSION`.
    UpstreamTlsVersion,
    /// `UPSTREAM_TLS_CIPHER`: the OpenSSL name.
    UpstreamTlsCipher,
    /// `DOWNSTREAM_PEER_SUBJECT` and the like: of the client's certificate.
    DownstreamPeerCertificate(CertificateFact),
    /// `DOWNSTREAM_LOCAL_SUBJECT` and the like: of our certificate towards the client.
    DownstreamLocalCertificate(CertificateFact),
    /// `UPSTREAM_PEER_SUBJECT` and the like: of the upstream's certificate.
    UpstreamPeerCertificate(CertificateFact),
    /// `CONNECTION_TERMINATION_DETAILS`: never there for HTTP.
    ConnectionTerminationDetails,
    /// `TRACE_ID`: never there, as there are no traces.
    TraceId,
    /// `CONNECTION_ID`.
    ConnectionId,
    /// `STREAM_ID`: the request id when it has one, else a number.
    StreamId,
    /// `UNIQUE_ID`: a new random UUID each time.
    UniqueId,
    /// `REQUESTED_SERVER_NAME(which:host)`.
    RequestedServerName {
        /// Which names, in order.
        source: ServerNameSource,
        /// Which header stands for the host.
        host: HostSource,
    },
    /// `ROUTE_NAME`.
    RouteName,
    /// `FILTER_CHAIN_NAME`.
    FilterChainName,
    /// `ACCESS_LOG_TYPE`: always `DownstreamEnd`.
    AccessLogType,
    /// `HOSTNAME` of this machine.
    Hostname,
    /// `LOCAL_REPLY_BODY`: body of a response made by the proxy.
    LocalReplyBody,
    /// `QUERY_PARAM(name):n`: first value, percent-decoded; names are compared undecoded and case-sensitively.
    QueryParameter {
        /// Name.
        name: String,
        /// Longest output.
        max_length: Option<usize>,
    },
    /// `QUERY_PARAMS(ORIG|DECODED):n`: the whole query.
    QueryParameters {
        /// Percent-decode.
        decoded: bool,
        /// Longest output.
        max_length: Option<usize>,
    },
    /// `PATH(WQ|NQ:source):n`.
    Path {
        /// With the query (`WQ`, the default).
        with_query: bool,
        /// Before or after rewriting.
        source: PathSource,
        /// Longest output.
        max_length: Option<usize>,
    },
    /// `DYNAMIC_METADATA(namespace:key:key):n`.
    DynamicMetadata {
        /// Namespace.
        namespace: String,
        /// Keys from outside in; empty = the whole namespace.
        path: Vec<String>,
        /// Longest output.
        max_length: Option<usize>,
    },
    /// `METADATA(TYPE:namespace:key:key):n`, `CLUSTER_METADATA(namespace:key):n`, `UPSTREAM_METADATA(namespace:key):n`: what
    /// is configured.
    StaticMetadata {
        /// Of what.
        owner: MetadataOwner,
        /// Namespace.
        namespace: String,
        /// Keys from outside in; empty = the whole namespace.
        path: Vec<String>,
        /// Longest output.
        max_length: Option<usize>,
    },
    /// `FILTER_STATE(name:PLAIN|TYPED|FIELD:field):n`: the logging information of an ext_proc filter (section 21).
    FilterState {
        /// Name of the filter.
        name: String,
        /// Which form.
        form: FilterStateForm,
        /// Longest output.
        max_length: Option<usize>,
    },
    /// `GRPC_STATUS(CAMEL_STRING|SNAKE_STRING|NUMBER)`, `GRPC_STATUS_NUMBER`: of responses to gRPC requests.
    GrpcStatus(GrpcStatusForm),
}

/// Names of headers and the longest output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderOperand {
    /// Tried in order; the first that is there counts. Never more than two.
    pub names: Vec<FieldName>,
    /// Longest output.
    pub max_length: Option<usize>,
}

/// What metadata is configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataOwner {
    /// `CLUSTER`: the cluster the request went to.
    Cluster,
    /// `ROUTE`: the route in force.
    Route,
    /// `VIRTUAL_HOST`: its virtual host.
    VirtualHost,
    /// `UPSTREAM_HOST`: the endpoint.
    UpstreamHost,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFact {
    /// `SUBJECT`, as RFC 2253 writes it.
    Subject,
    /// `URI_SAN`: all of them, with commas between.
    UriNames,
    /// `DNS_SAN`: all of them, with commas between.
    DnsNames,
    /// `FINGERPRINT_256`: SHA-256 in hexadecimal.
    Fingerprint256,
}

/// How much of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPart {
    /// `ip:port` or a path.
    Whole,
    /// `ip`.
    WithoutPort,
    /// The network of this prefix length, `ip/length`.
    Network(u8),
    /// `port`, a number.
    Port,
}

/// Unit of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationPrecision {
    /// `ms`.
    Milliseconds,
    /// `us`.
    Microseconds,
    /// `ns`.
    Nanoseconds,
}

/// A moment in the life of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePoint {
    /// `DS_RX_BEG`: the request began.
    DownstreamRxBegin,
    /// `DS_RX_END`: the last byte from the client.
    DownstreamRxEnd,
    /// `US_TX_BEG`: the first byte sent upstream.
    UpstreamTxBegin,
    /// `US_TX_END`: the last byte sent upstream.
    UpstreamTxEnd,
    /// `US_RX_BEG`: the first byte from the upstream.
    UpstreamRxBegin,
    /// `US_RX_END`: the last byte from the upstream.
    UpstreamRxEnd,
    /// `DS_TX_BEG`: the first byte to the client.
    DownstreamTxBegin,
    /// `DS_TX_END`: the last byte to the client.
    DownstreamTxEnd,
}

/// Which name stands for the server a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerNameSource {
    /// `SNI_ONLY`, the default.
    SniOnly,
    /// `SNI_FIRST`: SNI, else the host.
    SniFirst,
    /// `HOST_FIRST`: the host, else SNI.
    HostFirst,
}

/// Which header stands for the host a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostSource {
    /// `ORIG_OR_HOST`, the default: `x-envoy-original-host`, else the authority.
    OriginalOrHost,
    /// `HOST`: the authority.
    Host,
    /// `ORIG`: `x-envoy-original-host`.
    Original,
}

/// Which path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathSource {
    /// `ORIG_OR_PATH`, the default: as the client sent it.
    OriginalOrPath,
    /// `PATH`: as it stands, rewritten or not.
    Path,
    /// `ORIG`: as the client sent it, only if it was rewritten.
    Original,
}

/// How the logging information of a filter is shown (G-2, G-3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterStateForm {
    /// `rh:1179:0,bs:295,…`.
    Plain,
    /// An object, the default.
    Typed,
    /// One field of the object, as a string.
    Field(String),
}

/// How a gRPC status is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcStatusForm {
    /// `NotFound`.
    CamelString,
    /// `NOT_FOUND`.
    SnakeString,
    /// `5`.
    Number,
}
