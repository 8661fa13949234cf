//! Values of attributes (section 17) from what is known about a request.

mod connection;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use extproc::{
    Messages, ResponseHeaders,
    attributes::{
        AddressAttribute, AttributePath, AttributeSource, AttributeValue, CertificateAttribute,
        ConnectionAttribute, RequestAttribute, ResponseAttribute, UpstreamAttribute, XdsAttribute,
        header_bytes, of_messages,
    },
    messages::{Metadata, Struct, Value},
};
use http::{HeaderMap, header};
use tollgate_model::Snapshot;

use crate::{
    certificate,
    stream_info::{ConfiguredEndpoint, StreamInfo, TlsInfo, UpstreamInfo},
};

/// A request under way as a source of attributes. What is not known (yet) has no value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestAttributes<'a> {
    pub(crate) info: &'a StreamInfo,
    pub(crate) messages: &'a Messages,
    /// Whether the processor was shown the head of the response; it has no `response.headers` otherwise.
    pub(crate) response_headers_shown: bool,
    /// The configuration in force.
    pub(crate) snapshot: &'a Snapshot,
}

/// Evaluates with the attributes of a request whose response is as it was sent: for logs and filters.
pub(crate) fn with_attributes<T>(
    info: &StreamInfo,
    messages: &Messages,
    evaluate: impl FnOnce(&dyn AttributeSource) -> T,
) -> T {
    let configuration = info.configuration.upgrade();
    let none = Snapshot::default();
    let snapshot = configuration.as_ref().map_or(&none, |configuration| &configuration.snapshot);
    evaluate(&RequestAttributes { info, messages, response_headers_shown: true, snapshot })
}

impl AttributeSource for RequestAttributes<'_> {
    fn value(&self, path: &AttributePath) -> Option<AttributeValue> {
        match path {
            AttributePath::Request(attribute) => self.request(*attribute, path),
            AttributePath::Response(attribute) => self.response(*attribute, path),
            AttributePath::ResponseHeader(_) if !self.response_headers_shown => None,
            AttributePath::RequestHeader(_)
            | AttributePath::ResponseHeader(_)
            | AttributePath::ResponseTrailer(_) => of_messages(path, self.messages),
            AttributePath::Source(attribute) => address(*attribute, self.info.remote_address),
            AttributePath::Destination(attribute) => address(*attribute, self.info.connection.local_address),
            AttributePath::Connection(attribute) => self.connection(*attribute),
            AttributePath::Upstream(attribute) => upstream(*attribute, &self.info.upstream),
            AttributePath::Xds(attribute) => self.xds(*attribute),
            AttributePath::Metadata => {
                let namespaces = self.info.metadata.namespaces();
                let values = namespaces.map(|(name, values)| (name.to_owned(), values.clone().into()));
                Some(metadata(Struct { fields: values.collect() }))
            }
            // No filter leaves objects for others.
            AttributePath::FilterState => Some(AttributeValue::Map(Struct::default())),
        }
    }
}

impl RequestAttributes<'_> {
    fn request(&self, attribute: RequestAttribute, path: &AttributePath) -> Option<AttributeValue> {
        let info = self.info;
        match attribute {
            RequestAttribute::Time => Some(AttributeValue::Timestamp(info.start_time)),
            RequestAttribute::Protocol => Some(text(info.protocol.as_str())),
            RequestAttribute::Duration => {
                span(Some(info.start), info.last_downstream_tx).map(AttributeValue::Duration)
            }
            RequestAttribute::Size => {
                let length = self.messages.request.fields.get(header::CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                Some(AttributeValue::Uint(length.unwrap_or(info.bytes_received)))
            }
            RequestAttribute::HeadersBytes => {
                Some(AttributeValue::Uint(header_bytes(&self.messages.request) as u64))
            }
            RequestAttribute::TotalSize => {
                let head = header_bytes(&self.messages.request) as u64;
                Some(AttributeValue::Uint(info.bytes_received.saturating_add(head)))
            }
            _ => of_messages(path, self.messages),
        }
    }

    fn response(&self, attribute: ResponseAttribute, path: &AttributePath) -> Option<AttributeValue> {
        let info = self.info;
        match attribute {
            ResponseAttribute::Code => {
                info.response_code.map(|code| AttributeValue::Int(code.as_u16().into()))
            }
            ResponseAttribute::CodeDetails => info.response_code_details.as_deref().map(text),
            ResponseAttribute::Flags => Some(AttributeValue::Uint(info.response_flags.bits())),
            ResponseAttribute::Size => Some(AttributeValue::Uint(info.bytes_sent)),
            ResponseAttribute::HeadersBytes => {
                let head = self.messages.response.as_ref().filter(|_| self.response_headers_shown);
                Some(AttributeValue::Uint(head.map_or(0, response_bytes) as u64))
            }
            ResponseAttribute::TotalSize => {
                let head = self.messages.response.as_ref().filter(|_| self.response_headers_shown);
                let head = head.map_or(0, response_bytes);
                let trailers = self.messages.response_trailers.as_ref().map_or(0, field_bytes);
                Some(AttributeValue::Uint(info.bytes_sent.saturating_add((head + trailers) as u64)))
            }
            ResponseAttribute::BackendLatency => {
                span(info.first_upstream_tx, info.last_upstream_rx).map(AttributeValue::Duration)
            }
            ResponseAttribute::Headers if !self.response_headers_shown => {
                Some(AttributeValue::Map(Struct::default()))
            }
            ResponseAttribute::GrpcStatus | ResponseAttribute::Headers | ResponseAttribute::Trailers => {
                of_messages(path, self.messages)
            }
        }
    }

    fn connection(&self, attribute: ConnectionAttribute) -> Option<AttributeValue> {
        let connection = &*self.info.connection;
        let tls = connection.tls.as_ref();
        match attribute {
            ConnectionAttribute::Id => Some(AttributeValue::Uint(connection.id)),
            ConnectionAttribute::Mtls => {
                Some(AttributeValue::Bool(tls.is_some_and(|tls| tls.peer_certificate.is_some())))
            }
            ConnectionAttribute::RequestedServerName => {
                Some(text(tls.and_then(|tls| tls.server_name.as_deref()).unwrap_or_default()))
            }
            ConnectionAttribute::TlsVersion => tls.map(|tls| text(tls.version)),
            ConnectionAttribute::Certificate(attribute) => certificate(attribute, tls?),
            // Requests are only served on connections that did not fail and were not ended.
            ConnectionAttribute::TransportFailureReason | ConnectionAttribute::TerminationDetails => None,
        }
    }

    fn xds(&self, attribute: XdsAttribute) -> Option<AttributeValue> {
        let info = self.info;
        let node = &self.snapshot.node;
        match attribute {
            XdsAttribute::Node => {
                let entries = [("id", &node.id), ("cluster", &node.cluster)];
                Some(AttributeValue::Map(object(entries.map(|(key, value)| (key, Value::string(value))))))
            }
            XdsAttribute::ClusterName => info.upstream.cluster.as_deref().map(text),
            XdsAttribute::ClusterMetadata => {
                let cluster = self.snapshot.clusters.get(info.upstream.cluster.as_deref()?)?;
                Some(static_metadata(&cluster.metadata))
            }
            XdsAttribute::ListenerDirection => {
                Some(AttributeValue::Int(info.chain.listener.traffic_direction as i64))
            }
            XdsAttribute::ListenerMetadata => Some(static_metadata(&info.chain.listener.metadata)),
            XdsAttribute::RouteName => info.route.as_deref().map(|route| text(&route.route.name)),
            XdsAttribute::RouteMetadata => {
                info.route.as_deref().map(|route| static_metadata(&route.route.metadata))
            }
            XdsAttribute::VirtualHostName => {
                info.route.as_deref().map(|route| text(&route.virtual_host.name))
            }
            XdsAttribute::VirtualHostMetadata => {
                info.route.as_deref().map(|route| static_metadata(&route.virtual_host.metadata))
            }
            XdsAttribute::UpstreamHostMetadata => {
                info.upstream.address.as_ref()?;
                let endpoint = info.upstream.endpoint.as_deref().and_then(ConfiguredEndpoint::get);
                let configured = endpoint.filter(|endpoint| !endpoint.metadata.filter_metadata.is_empty());
                // Envoy's text for an endpoint without metadata.
                Some(configured.map_or_else(|| text("NULL"), |endpoint| static_metadata(&endpoint.metadata)))
            }
            XdsAttribute::FilterChainName => Some(text(&info.chain.filter_chain().name)),
        }
    }
}

fn upstream(attribute: UpstreamAttribute, upstream: &UpstreamInfo) -> Option<AttributeValue> {
    if attribute == UpstreamAttribute::RequestAttemptCount {
        return Some(AttributeValue::Uint(upstream.attempt_count.into()));
    }
    // Before the router has chosen an endpoint there is no upstream.
    let endpoint = upstream.address.as_deref()?;
    match attribute {
        UpstreamAttribute::Address => Some(text(endpoint)),
        UpstreamAttribute::Port => {
            let endpoint: SocketAddr = endpoint.parse().ok()?;
            Some(AttributeValue::Uint(endpoint.port().into()))
        }
        UpstreamAttribute::LocalAddress => address(AddressAttribute::Address, upstream.local_address),
        UpstreamAttribute::TransportFailureReason => {
            Some(text(upstream.transport_failure_reason.as_deref().unwrap_or_default()))
        }
        UpstreamAttribute::RequestAttemptCount => Some(AttributeValue::Uint(upstream.attempt_count.into())),
        UpstreamAttribute::CxPoolReadyDuration => upstream.pool_ready_duration.map(AttributeValue::Duration),
        UpstreamAttribute::Locality => {
            let parts = ["region", "zone", "sub_zone"].map(|part| (part, Value::string("")));
            Some(AttributeValue::Map(object(parts)))
        }
        UpstreamAttribute::TlsVersion => upstream.tls.as_ref().map(|tls| text(tls.version)),
        UpstreamAttribute::Certificate(attribute) => certificate(attribute, upstream.tls.as_ref()?),
    }
}

fn certificate(attribute: CertificateAttribute, tls: &TlsInfo) -> Option<AttributeValue> {
    let peer = || tls.peer_certificate.as_deref();
    let local = || tls.local_certificate.as_deref();
    let value = match attribute {
        CertificateAttribute::SubjectLocal => certificate::subject(local()?),
        CertificateAttribute::SubjectPeer => certificate::subject(peer()?),
        CertificateAttribute::DnsSanLocal => certificate::first_dns_name(local()?),
        CertificateAttribute::DnsSanPeer => certificate::first_dns_name(peer()?),
        CertificateAttribute::UriSanLocal => certificate::first_uri(local()?),
        CertificateAttribute::UriSanPeer => certificate::first_uri(peer()?),
        CertificateAttribute::Sha256PeerDigest => Some(certificate::sha256(peer()?)),
        CertificateAttribute::Peer => Some(certificate::url_encoded_pem(peer()?)),
    };
    value.map(AttributeValue::String)
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::String(text.to_owned())
}

/// `None` on a Unix socket.
fn address(attribute: AddressAttribute, address: Option<SocketAddr>) -> Option<AttributeValue> {
    let address = address?;
    Some(match attribute {
        AddressAttribute::Address => AttributeValue::String(address.to_string()),
        AddressAttribute::Port => AttributeValue::Uint(address.port().into()),
    })
}

fn span(from: Option<Instant>, to: Option<Instant>) -> Option<Duration> {
    to?.checked_duration_since(from?)
}

fn object(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Struct {
    Struct { fields: entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

/// `envoy.config.core.v3.Metadata` as an object (decision 7).
fn metadata(namespaces: Struct) -> AttributeValue {
    AttributeValue::Map(object([("filter_metadata", namespaces.into())]))
}

fn static_metadata(configured: &Metadata) -> AttributeValue {
    let namespaces = configured.filter_metadata.iter();
    metadata(Struct {
        fields: namespaces.map(|(name, values)| (name.clone(), values.clone().into())).collect(),
    })
}

/// Bytes of the names and values of a head.
fn response_bytes(head: &ResponseHeaders) -> usize {
    ":status".len() + head.status.as_str().len() + field_bytes(&head.fields)
}

fn field_bytes(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
