//! Values of attributes from what is known about a connection that has ended.

use extproc::attributes::{
    AttributePath, AttributeSource, AttributeValue, ConnectionAttribute, RequestAttribute, ResponseAttribute,
    XdsAttribute,
};

use super::{address, certificate, static_metadata, text};
use crate::format::ConnectionEnd;

impl AttributeSource for ConnectionEnd<'_> {
    fn value(&self, path: &AttributePath) -> Option<AttributeValue> {
        let tls = self.connection.tls.as_ref();
        Some(match path {
            AttributePath::Request(RequestAttribute::Time) => AttributeValue::Timestamp(self.start_time),
            AttributePath::Response(ResponseAttribute::Flags) => AttributeValue::Uint(self.flags.bits()),
            AttributePath::Response(ResponseAttribute::CodeDetails) => text(self.details?),
            AttributePath::Source(attribute) => return address(*attribute, self.connection.remote_address),
            AttributePath::Destination(attribute) => {
                return address(*attribute, self.connection.local_address);
            }
            AttributePath::Connection(attribute) => match attribute {
                ConnectionAttribute::Id => AttributeValue::Uint(self.connection.id),
                ConnectionAttribute::Mtls => {
                    AttributeValue::Bool(tls.is_some_and(|tls| tls.peer_certificate.is_some()))
                }
                ConnectionAttribute::RequestedServerName => text(self.server_name.unwrap_or_default()),
                ConnectionAttribute::TlsVersion => text(tls?.version),
                ConnectionAttribute::Certificate(attribute) => return certificate(*attribute, tls?),
                ConnectionAttribute::TransportFailureReason => text(self.transport_failure?),
                ConnectionAttribute::TerminationDetails => text(self.termination_details?),
            },
            AttributePath::Xds(XdsAttribute::FilterChainName) => {
                text(self.filter_chain.map_or("", |chain| &chain.name))
            }
            AttributePath::Xds(XdsAttribute::ListenerDirection) => {
                AttributeValue::Int(self.listener.traffic_direction as i64)
            }
            AttributePath::Xds(XdsAttribute::ListenerMetadata) => static_metadata(&self.listener.metadata),
            _ => return None,
        })
    }
}
