//! Format strings about a connection that has ended.

use std::time::{Instant, SystemTime};

use tollgate_model::{
    format::{DurationPrecision, MetadataOwner, Operator, ServerNameSource, TimePoint},
    listener::{FilterChain, Listener},
};

use super::{
    Facts, Value, address, cel, certificate,
    operator::{fingerprint, hostname, metadata, milliseconds, of_upstream, saturate, time, tls_text},
};
use crate::{
    connection_manager::unique_id,
    stream_info::{ConnectionInfo, Protocol, ResponseFlags, UpstreamInfo},
};

/// A connection of a client that has ended.
#[derive(Debug)]
pub(crate) struct ConnectionEnd<'a> {
    /// Who was connected.
    pub(crate) connection: &'a ConnectionInfo,
    /// SNI, known even where there was no handshake.
    pub(crate) server_name: Option<&'a str>,
    /// The listener.
    pub(crate) listener: &'a Listener,
    /// Which of its filter chains served it; `None` = none was found.
    pub(crate) filter_chain: Option<&'a FilterChain>,
    /// When it was accepted (wall clock).
    pub(crate) start_time: SystemTime,
    /// When it ended.
    pub(crate) end: Instant,
    /// Bytes from the client, without those of TLS.
    pub(crate) bytes_received: u64,
    /// Bytes to the client, without those of TLS.
    pub(crate) bytes_sent: u64,
    /// Version of its requests, once there was one.
    pub(crate) protocol: Option<Protocol>,
    /// What went wrong with it.
    pub(crate) flags: ResponseFlags,
    /// Why it was refused before any request.
    pub(crate) details: Option<&'static str>,
    /// How the client ended it.
    pub(crate) close_type: CloseType,
    /// Why the gateway closed it; `None` = it did not.
    pub(crate) local_close_reason: Option<&'a str>,
    /// Why the gateway ended it below HTTP.
    pub(crate) termination_details: Option<&'static str>,
    /// Why TLS failed.
    pub(crate) transport_failure: Option<&'a str>,
    /// Where it was passed on to, if it was.
    pub(crate) upstream: Option<&'a UpstreamInfo>,
    /// What passes it on writes the line, not its listener.
    pub(crate) by_proxy: bool,
}

/// How a client ended its connection, if it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CloseType {
    /// In the ordinary way.
    #[default]
    Normal,
    /// With a reset.
    RemoteReset,
}

impl Facts for ConnectionEnd<'_> {
    fn value(&self, operator: &Operator) -> Option<Value<'_>> {
        let tls = self.connection.tls.as_ref();
        let connection = self.connection;
        match operator {
            Operator::StartTime(pattern) => time(pattern, self.start_time),
            Operator::EmitTime(pattern) => time(pattern, SystemTime::now()),
            Operator::BytesReceived => Some(Value::Number(self.bytes_received)),
            Operator::BytesSent => Some(Value::Number(self.bytes_sent)),
            Operator::Protocol => self.protocol.map(|protocol| Value::text(protocol.as_str())),
            Operator::RequestHeadersBytes
            | Operator::ResponseHeadersBytes
            | Operator::ResponseTrailersBytes
            | Operator::ResponseCode
            | Operator::StreamBytes(_)
            | Operator::Zero => Some(Value::Number(0)),
            Operator::Empty | Operator::LocalReplyBody => Some(Value::text("")),
            Operator::ResponseCodeDetails { .. } => self.details.map(Value::text),
            Operator::ResponseFlags { long } => {
                let names = self.flags.names_of_connection(*long);
                Some(if names.is_empty() { Value::text("-") } else { Value::owned(names) })
            }
            Operator::Duration => milliseconds(self.end.checked_duration_since(connection.accepted)),
            Operator::DownstreamHandshakeDuration => {
                milliseconds(connection.handshake?.1.checked_duration_since(connection.accepted))
            }
            Operator::CommonDuration { from, to, precision } => {
                let duration = self.moment(*to)?.checked_duration_since(self.moment(*from)?)?;
                Some(Value::Number(saturate(match precision {
                    DurationPrecision::Milliseconds => duration.as_millis(),
                    DurationPrecision::Microseconds => duration.as_micros(),
                    DurationPrecision::Nanoseconds => duration.as_nanos(),
                })))
            }
            Operator::DownstreamRemoteAddress(part) => {
                Some(address::of_socket(connection.remote_address?, *part))
            }
            Operator::DownstreamDirectRemoteAddress(part) => {
                Some(address::of_socket(connection.direct_remote_address?, *part))
            }
            Operator::DownstreamLocalAddress(part) => {
                Some(address::of_socket(connection.local_address?, *part))
            }
            Operator::DownstreamTlsVersion => tls_text(tls, |tls| tls.version),
            Operator::DownstreamTlsCipher => tls_text(tls, |tls| tls.cipher),
            Operator::DownstreamTlsGroup => tls_text(tls, |tls| tls.group),
            Operator::Certificate { owner, fact } => certificate::evaluate(tls, None, *owner, fact),
            Operator::DownstreamDetectedCloseType => Some(Value::text(match self.close_type {
                CloseType::Normal => "Normal",
                CloseType::RemoteReset => "RemoteReset",
            })),
            Operator::ConnectionTerminationDetails => self.termination_details.map(Value::text),
            Operator::DownstreamLocalCloseReason => Some(without_spaces(self.local_close_reason?)),
            Operator::DownstreamTransportFailureReason => Some(without_spaces(self.transport_failure?)),
            Operator::RequestedServerName {
                source: ServerNameSource::SniOnly | ServerNameSource::SniFirst | ServerNameSource::HostFirst,
                ..
            } => self.server_name.map(Value::text),
            Operator::ConnectionId => Some(Value::Number(connection.id)),
            Operator::UniqueId => Some(Value::owned(unique_id())),
            Operator::Hostname => Some(Value::text(hostname())),
            Operator::FilterChainName => self
                .filter_chain
                .map(|chain| chain.name.as_str())
                .filter(|name| !name.is_empty())
                .map(Value::text),
            Operator::AccessLogType => {
                Some(Value::text(if self.by_proxy { "TcpConnectionEnd" } else { "NotSet" }))
            }
            Operator::StaticMetadata { owner, namespace, path, max_length } => {
                let owned = match owner {
                    MetadataOwner::Listener => &self.listener.metadata,
                    MetadataOwner::FilterChain => &self.filter_chain?.metadata,
                    _ => return None,
                };
                metadata(owned.filter_metadata.get(namespace)?, path, *max_length)
            }
            Operator::Coalesce { operators, .. } => {
                operators.iter().find_map(|operator| self.value(operator))
            }
            Operator::Cel { expression, typed, max_length } => {
                cel::evaluate(expression, *typed, *max_length, self)
            }
            Operator::TlsFingerprint(kind) => fingerprint(tls, *kind),
            Operator::TlsSessionId { upstream: false } => tls?.session_id.as_deref().map(Value::text),
            Operator::UpstreamConnectionId | Operator::UpstreamRequestAttemptCount
                if self.upstream.is_none() =>
            {
                Some(Value::Number(0))
            }
            // What is about a request has no value.
            _ => of_upstream(operator, self.upstream?),
        }
    }
}

impl ConnectionEnd<'_> {
    fn moment(&self, point: TimePoint) -> Option<Instant> {
        match point {
            TimePoint::DownstreamConnectionBegin | TimePoint::DownstreamRxBegin => {
                Some(self.connection.accepted)
            }
            TimePoint::DownstreamHandshakeBegin => Some(self.connection.handshake?.0),
            TimePoint::DownstreamHandshakeEnd => Some(self.connection.handshake?.1),
            _ => None,
        }
    }
}

fn without_spaces(text: &str) -> Value<'_> {
    Value::owned(text.replace(|letter: char| letter.is_ascii_whitespace(), "_"))
}
