//! The operators of format strings.

use tollgate_cel::Expression;

use super::time::TimePattern;
use crate::header::FieldName;

/// A fact of a request that a format string may contain. Names in the documentation are those of the format string.
///
/// Lengths (`max_length`) are in bytes; `None` = whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// `REQ(A?B):n`, `REQUEST_HEADER(A?B):n`: first value of the first of the named headers that is there.
    RequestHeader(HeaderOperand),
    /// `REQ_WITHOUT_QUERY(A?B):n`: the same, cut before the first `?`. Needs the formatter of that name.
    RequestHeaderWithoutQuery(HeaderOperand),
    /// `RESP(A?B):n`, `RESPONSE_HEADER(A?B):n`.
    ResponseHeader(HeaderOperand),
    /// `TRAILER(A?B):n`, `RESPONSE_TRAILER(A?B):n`.
    ResponseTrailer(HeaderOperand),
    /// `START_TIME(pattern)`, `START_TIME_LOCAL(pattern)`: when the request began. Default pattern
    /// `%Y-%m-%dT%H:%M:%E3SZ`.
    StartTime(TimePattern),
    /// `EMIT_TIME(pattern)`, `EMIT_TIME_LOCAL(pattern)`: when the string is built.
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
    /// `UPSTREAM_HOST`: the address of the endpoint that was chosen.
    UpstreamHost,
    /// `UPSTREAM_REMOTE_ADDRESS` and its parts: the other side of the connection, once there is one.
    UpstreamRemoteAddress(AddressPart),
    /// `UPSTREAM_HOST_NAME`, `UPSTREAM_HOST_NAME_WITHOUT_PORT`: the endpoint's host name, else its address.
    UpstreamHostName {
        /// Leave the port out.
        without_port: bool,
    },
    /// `UPSTREAM_CLUSTER`: the cluster's `alt_stat_name` if it has one; `UPSTREAM_CLUSTER_RAW`: always its name.
    UpstreamCluster {
        /// The name, whatever the cluster is called in statistics.
        raw: bool,
    },
    /// `UPSTREAM_HOSTS_ATTEMPTED`, `UPSTREAM_HOST_NAMES_ATTEMPTED`, `UPSTREAM_CONNECTION_IDS_ATTEMPTED` and those
    /// `WITHOUT_PORT`: of the last try, if it had a connection. Envoy forgets the tries before.
    UpstreamAttempts(AttemptPart),
    /// `UPSTREAM_CONNECTION_POOL_READY_DURATION`: how long the request waited for a connection, milliseconds.
    UpstreamConnectionPoolReadyDuration,
    /// `UPSTREAM_DETECTED_CLOSE_TYPE`: `Normal` once an endpoint was chosen; requests are logged before more is known.
    UpstreamDetectedCloseType,
    /// `UPSTREAM_SERVER_NAME`: the SNI sent to the upstream.
    UpstreamServerName,
    /// `UPSTREAM_TLS_GROUP`: the group of the key exchange.
    UpstreamTlsGroup,
    /// `UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID`: empty, as no address is internal.
    UpstreamEndpointId,
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
    /// `DOWNSTREAM_TLS_GROUP`: the group of the key exchange.
    DownstreamTlsGroup,
    /// `DOWNSTREAM_PEER_SUBJECT`, `UPSTREAM_LOCAL_DNS_SAN` and the like.
    Certificate {
        /// Whose.
        owner: CertificateOwner,
        /// What of it.
        fact: CertificateFact,
    },
    /// `DOWNSTREAM_WIRE_BYTES_SENT`, `UPSTREAM_HEADER_BYTES_RECEIVED` and the like.
    StreamBytes(ByteCount),
    /// `DOWNSTREAM_HANDSHAKE_DURATION`: of the TLS handshake, milliseconds.
    DownstreamHandshakeDuration,
    /// `DOWNSTREAM_DETECTED_CLOSE_TYPE`: `Normal` or `RemoteReset`. Requests are logged before it is known: `Normal`.
    DownstreamDetectedCloseType,
    /// `CONNECTION_TERMINATION_DETAILS`: why the gateway ended the connection below HTTP. Only in logs of listeners.
    ConnectionTerminationDetails,
    /// `DOWNSTREAM_LOCAL_CLOSE_REASON`: why the gateway closed the connection. Only in logs of listeners.
    DownstreamLocalCloseReason,
    /// `DOWNSTREAM_TRANSPORT_FAILURE_REASON`: why TLS failed. Only in logs of listeners.
    DownstreamTransportFailureReason,
    /// What cannot be there: facts of HTTP/3, of traces, of internal addresses and of virtual clusters, which do not
    /// exist here. `TRACE_ID`, `SPAN_ID`, `ROUNDTRIP_DURATION`, `VIRTUAL_CLUSTER_NAME`,
    /// `UPSTREAM_LOCAL_CLOSE_REASON`, `UPSTREAM_FILTER_STATE(...)`.
    Absent,
    /// The same where Envoy writes 0: `BYTES_RETRANSMITTED`, `PACKETS_RETRANSMITTED`.
    Zero,
    /// The same where Envoy writes an empty string: `CUSTOM_FLAGS`, `DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID`.
    Empty,
    /// `COALESCE({"operators": [...]}):n`: the first of these that is there and not empty.
    Coalesce {
        /// In order.
        operators: Vec<Self>,
        /// Longest output.
        max_length: Option<usize>,
    },
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
    /// `CEL(expression):n`, `TYPED_CEL(expression):n`.
    Cel {
        /// The expression.
        expression: Expression,
        /// Keep the type of the value in JSON.
        typed: bool,
        /// Longest output of what is text.
        max_length: Option<usize>,
    },
    /// `TLS_JA3_FINGERPRINT`, `TLS_JA4_FINGERPRINT`: of the client's hello, where the listener takes it.
    TlsFingerprint(Fingerprint),
    /// `DOWNSTREAM_TLS_SESSION_ID`, `UPSTREAM_TLS_SESSION_ID`: of TLS 1.2 without tickets, in hexadecimal.
    TlsSessionId {
        /// Of the upstream's connection, not the client's.
        upstream: bool,
    },
    /// `ROUTE_RESOLUTION_COUNT`: how often a route was looked for.
    RouteResolutionCount,
    /// `ROUTE_RESOLUTION_TIME_US`: how long that took, all together, microseconds.
    RouteResolutionTime,
    /// `GRPC_STATUS(CAMEL_STRING|SNAKE_STRING|NUMBER)`, `GRPC_STATUS_NUMBER`: of responses to gRPC requests.
    GrpcStatus(GrpcStatusForm),
}

/// How the hello of a TLS client is told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint {
    /// JA3: the MD5 of its numbers, in hexadecimal.
    Ja3,
    /// JA4: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    Ja4,
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
    /// `LISTENER`: the listener that accepted the connection.
    Listener,
    /// `LISTENER_FILTER_CHAIN`: the filter chain that serves it.
    FilterChain,
}

/// Whose certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateOwner {
    /// `DOWNSTREAM_PEER`: the client's.
    DownstreamPeer,
    /// `DOWNSTREAM_LOCAL`: ours towards the client.
    DownstreamLocal,
    /// `UPSTREAM_PEER`: the upstream's.
    UpstreamPeer,
    /// `UPSTREAM_LOCAL`: ours towards the upstream.
    UpstreamLocal,
}

/// What a certificate says. Several names have commas between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFact {
    /// `SUBJECT`, as RFC 2253 writes it.
    Subject,
    /// `ISSUER`, as RFC 2253 writes it.
    Issuer,
    /// `URI_SAN`.
    UriNames,
    /// `DNS_SAN`.
    DnsNames,
    /// `IP_SAN`.
    IpAddresses,
    /// `EMAIL_SAN`.
    EmailAddresses,
    /// `OTHERNAME_SAN`: those that are strings.
    OtherNames,
    /// `FINGERPRINT_256`: SHA-256 in hexadecimal.
    Fingerprint256,
    /// `FINGERPRINT_1`: SHA-1 in hexadecimal.
    Fingerprint1,
    /// `SERIAL`, in hexadecimal.
    Serial,
    /// `CHAIN_FINGERPRINTS_256`: of every certificate that was presented.
    ChainFingerprints256,
    /// `CHAIN_FINGERPRINTS_1`.
    ChainFingerprints1,
    /// `CHAIN_SERIALS`.
    ChainSerials,
    /// `ISSUER_FINGERPRINT_256`: of the CA certificate that signed it.
    IssuerFingerprint256,
    /// `ISSUER_SERIAL`.
    IssuerSerial,
    /// `CERT`: PEM, URL-encoded.
    Pem,
    /// `CERT_V_START(pattern)`: since when it is valid.
    ValidFrom(TimePattern),
    /// `CERT_V_END(pattern)`: until when.
    ValidUntil(TimePattern),
}

/// What is shown of the tries of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptPart {
    /// Addresses of endpoints.
    Address {
        /// Leave ports out.
        without_port: bool,
    },
    /// Host names of endpoints, else their addresses.
    HostName {
        /// Leave ports out.
        without_port: bool,
    },
    /// Numbers of connections.
    ConnectionId,
}

/// Which bytes of a request and its response are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteCount {
    /// Between the gateway and the upstream, not the client.
    pub upstream: bool,
    /// By the gateway, not received by it.
    pub sent: bool,
    /// What of it.
    pub kind: ByteKind,
}

/// What counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteKind {
    /// `WIRE_BYTES`: everything, framing included.
    Wire,
    /// `HEADER_BYTES`: heads and trailers as they are encoded.
    Headers,
    /// `DECOMPRESSED_HEADER_BYTES`: the same before HPACK.
    DecompressedHeaders,
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
    /// `DS_RX_HDR_END`: the head of the request was complete.
    DownstreamRxHeadEnd,
    /// `US_RX_BODY_BEG`: the first byte of the body from the upstream.
    UpstreamRxBodyBegin,
    /// `US_CX_BEG`: the upstream connection was begun.
    UpstreamConnectBegin,
    /// `US_CX_END`: it was there.
    UpstreamConnectEnd,
    /// `US_HS_END`: its TLS handshake was over.
    UpstreamHandshakeEnd,
    /// `DS_CX_BEG`: the client's connection was accepted.
    DownstreamConnectionBegin,
    /// `DS_CX_END`: it was closed.
    DownstreamConnectionEnd,
    /// `DS_HS_BEG`: its TLS handshake was begun.
    DownstreamHandshakeBegin,
    /// `DS_HS_END`: its TLS handshake was over.
    DownstreamHandshakeEnd,
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
