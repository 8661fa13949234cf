//! The names of attributes.

use super::path::{
    AddressAttribute, AttributePath, CertificateAttribute, ConnectionAttribute, RequestAttribute,
    ResponseAttribute, UpstreamAttribute, XdsAttribute,
};

impl AttributePath {
    /// The attribute `group.name`.
    #[must_use]
    pub fn named(group: &str, name: &str) -> Option<Self> {
        Some(match group {
            "request" => Self::Request(request(name)?),
            "response" => Self::Response(response(name)?),
            "source" => Self::Source(address(name)?),
            "destination" => Self::Destination(address(name)?),
            "connection" => Self::Connection(connection(name)?),
            "upstream" => Self::Upstream(upstream(name)?),
            "xds" => Self::Xds(xds(name)?),
            _ => return None,
        })
    }

    /// Whether attributes have names that begin so.
    #[must_use]
    pub fn is_group(name: &str) -> bool {
        matches!(name, "request" | "response" | "source" | "destination" | "connection" | "upstream" | "xds")
    }

    /// The attributes that are a group of their own.
    #[must_use]
    pub fn whole(group: &str) -> Option<Self> {
        match group {
            "metadata" => Some(Self::Metadata),
            // No filter leaves objects for others, on neither side.
            "filter_state" | "upstream_filter_state" => Some(Self::FilterState),
            _ => None,
        }
    }
}

fn request(name: &str) -> Option<RequestAttribute> {
    use RequestAttribute as Attribute;
    Some(match name {
        "path" => Attribute::Path,
        "url_path" => Attribute::UrlPath,
        "host" => Attribute::Host,
        "scheme" => Attribute::Scheme,
        "method" => Attribute::Method,
        "headers" => Attribute::Headers,
        "referer" => Attribute::Referer,
        "useragent" => Attribute::UserAgent,
        "time" => Attribute::Time,
        "id" => Attribute::Id,
        "protocol" => Attribute::Protocol,
        "query" => Attribute::Query,
        "duration" => Attribute::Duration,
        "size" => Attribute::Size,
        "total_size" => Attribute::TotalSize,
        "headers_bytes" => Attribute::HeadersBytes,
        _ => return None,
    })
}

fn response(name: &str) -> Option<ResponseAttribute> {
    use ResponseAttribute as Attribute;
    Some(match name {
        "code" => Attribute::Code,
        "code_details" => Attribute::CodeDetails,
        "flags" => Attribute::Flags,
        "grpc_status" => Attribute::GrpcStatus,
        "headers" => Attribute::Headers,
        "trailers" => Attribute::Trailers,
        "size" => Attribute::Size,
        "total_size" => Attribute::TotalSize,
        "backend_latency" => Attribute::BackendLatency,
        "headers_bytes" => Attribute::HeadersBytes,
        _ => return None,
    })
}

fn address(name: &str) -> Option<AddressAttribute> {
    match name {
        "address" => Some(AddressAttribute::Address),
        "port" => Some(AddressAttribute::Port),
        _ => None,
    }
}

fn certificate(name: &str) -> Option<CertificateAttribute> {
    use CertificateAttribute as Attribute;
    Some(match name {
        "subject_local_certificate" => Attribute::SubjectLocal,
        "subject_peer_certificate" => Attribute::SubjectPeer,
        "dns_san_local_certificate" => Attribute::DnsSanLocal,
        "dns_san_peer_certificate" => Attribute::DnsSanPeer,
        "uri_san_local_certificate" => Attribute::UriSanLocal,
        "uri_san_peer_certificate" => Attribute::UriSanPeer,
        "sha256_peer_certificate_digest" => Attribute::Sha256PeerDigest,
        "peer_certificate" => Attribute::Peer,
        _ => return None,
    })
}

fn connection(name: &str) -> Option<ConnectionAttribute> {
    use ConnectionAttribute as Attribute;
    Some(match name {
        "id" => Attribute::Id,
        "mtls" => Attribute::Mtls,
        "requested_server_name" => Attribute::RequestedServerName,
        "tls_version" => Attribute::TlsVersion,
        "transport_failure_reason" => Attribute::TransportFailureReason,
        "termination_details" => Attribute::TerminationDetails,
        _ => Attribute::Certificate(certificate(name)?),
    })
}

fn upstream(name: &str) -> Option<UpstreamAttribute> {
    use UpstreamAttribute as Attribute;
    Some(match name {
        "address" => Attribute::Address,
        "port" => Attribute::Port,
        "tls_version" => Attribute::TlsVersion,
        "local_address" => Attribute::LocalAddress,
        "transport_failure_reason" => Attribute::TransportFailureReason,
        "request_attempt_count" => Attribute::RequestAttemptCount,
        "cx_pool_ready_duration" => Attribute::CxPoolReadyDuration,
        "locality" => Attribute::Locality,
        _ => Attribute::Certificate(certificate(name)?),
    })
}

fn xds(name: &str) -> Option<XdsAttribute> {
    use XdsAttribute as Attribute;
    Some(match name {
        "node" => Attribute::Node,
        "cluster_name" => Attribute::ClusterName,
        "cluster_metadata" => Attribute::ClusterMetadata,
        "listener_direction" => Attribute::ListenerDirection,
        "listener_metadata" => Attribute::ListenerMetadata,
        "route_name" => Attribute::RouteName,
        "route_metadata" => Attribute::RouteMetadata,
        "virtual_host_name" => Attribute::VirtualHostName,
        "virtual_host_metadata" => Attribute::VirtualHostMetadata,
        "upstream_host_metadata" => Attribute::UpstreamHostMetadata,
        "filter_chain_name" => Attribute::FilterChainName,
        _ => return None,
    })
}
