//! What each operator gives.

use std::{
    borrow::Cow,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use extproc::{RequestHeaders, messages::Struct};
use http::{HeaderMap, HeaderValue};
use tollgate_model::{
    format::{
        AddressPart, AttemptPart, DurationPrecision, Fingerprint, HeaderOperand, HostSource, MetadataOwner,
        Operator, PathSource, ServerNameSource, TimePattern, TimePoint,
    },
    route::split_path,
};

use super::{FormatContext, Value, address, cel, certificate, grpc_status, json, logging, query};
use crate::{
    attributes::with_attributes,
    connection_manager::{EnvoyHeaders, unique_id},
    meter::size_of_fields,
    stream_info::{ResponseFlags, StreamInfo, TlsInfo, UpstreamInfo},
};

/// The value of an operator; `None` = there is none.
pub(super) fn evaluate<'a>(operator: &Operator, context: &FormatContext<'a>) -> Option<Value<'a>> {
    let FormatContext { info, messages, logs } = *context;
    let request = &messages.request;
    let response = messages.response.as_ref();
    let response_trailers = messages.response_trailers.as_ref();
    let upstream = &info.upstream;
    let connection = &info.connection;
    match operator {
        Operator::RequestHeader(_) | Operator::RequestHeaderWithoutQuery(_) if info.malformed => None,
        Operator::Path { .. } | Operator::QueryParameters { .. } if info.malformed => None,
        Operator::RequestHeadersBytes if info.malformed => Some(Value::Number(0)),
        Operator::RequestHeader(operand) => header(operand, |name| name.first_in_request(request)),
        Operator::RequestHeaderWithoutQuery(operand) => {
            let unlimited = HeaderOperand { names: operand.names.clone(), max_length: None };
            match header(&unlimited, |name| name.first_in_request(request))? {
                Value::Text(Cow::Borrowed(text)) => Some(limited(split_path(text).0, operand.max_length)),
                value => Some(value),
            }
        }
        Operator::ResponseHeader(operand) => header(operand, |name| name.first_in_response(response?)),
        Operator::ResponseTrailer(operand) => {
            header(operand, |name| name.first_in_trailers(response_trailers?))
        }
        Operator::StartTime(pattern) => time(pattern, info.start_time),
        Operator::EmitTime(pattern) => time(pattern, SystemTime::now()),
        Operator::RequestHeadersBytes => Some(Value::Number(request_bytes(request))),
        Operator::ResponseHeadersBytes => {
            // `:status` and its three digits.
            Some(Value::Number(response.map_or(0, |response| 10 + bytes_of(&response.fields))))
        }
        Operator::ResponseTrailersBytes => Some(Value::Number(response_trailers.map_or(0, bytes_of))),
        Operator::BytesReceived => Some(Value::Number(info.bytes_received)),
        Operator::BytesSent => Some(Value::Number(info.bytes_sent)),
        Operator::Protocol => Some(Value::text(info.protocol.as_str())),
        Operator::ResponseCode => {
            Some(Value::Number(info.response_code.map_or(0, |code| code.as_u16().into())))
        }
        Operator::ResponseCodeDetails { allow_whitespaces } => details(info, *allow_whitespaces),
        Operator::ResponseFlags { long } => {
            let names =
                if *long { info.response_flags.long_names() } else { info.response_flags.short_names() };
            Some(if names.is_empty() { Value::text("-") } else { Value::owned(names) })
        }
        Operator::Duration => milliseconds(end(info).checked_duration_since(info.start)),
        Operator::RequestDuration => milliseconds(since_start(info, info.last_downstream_rx)),
        Operator::RequestTxDuration => milliseconds(since_start(info, sent_upstream(info))),
        Operator::ResponseDuration => milliseconds(since_start(info, info.first_upstream_rx)),
        Operator::ResponseTxDuration => {
            let first = info.first_upstream_rx?;
            milliseconds(end(info).checked_duration_since(first))
        }
        Operator::CommonDuration { from, to, precision } => {
            let duration = moment(info, *to)?.checked_duration_since(moment(info, *from)?)?;
            Some(Value::Number(saturate(match precision {
                DurationPrecision::Milliseconds => duration.as_millis(),
                DurationPrecision::Microseconds => duration.as_micros(),
                DurationPrecision::Nanoseconds => duration.as_nanos(),
            })))
        }
        Operator::DownstreamRemoteAddress(part) => Some(address::of_socket(info.remote_address?, *part)),
        Operator::DownstreamDirectRemoteAddress(part) => {
            Some(address::of_socket(connection.direct_remote_address?, *part))
        }
        Operator::DownstreamLocalAddress(part) => Some(address::of_socket(connection.local_address?, *part)),
        Operator::DownstreamTlsVersion => tls_text(connection.tls.as_ref(), |tls| tls.version),
        Operator::DownstreamTlsCipher => tls_text(connection.tls.as_ref(), |tls| tls.cipher),
        Operator::DownstreamTlsGroup => tls_text(connection.tls.as_ref(), |tls| tls.group),
        Operator::Certificate { owner, fact } => {
            certificate::evaluate(connection.tls.as_ref(), upstream.tls.as_deref(), *owner, fact)
        }
        Operator::StreamBytes(count) => {
            let meter = match &info.upstream_meter {
                Some(meter) if count.upstream => meter.get(),
                None if count.upstream => return None,
                _ => info.downstream_meter,
            };
            meter.get(*count).map(Value::Number)
        }
        Operator::DownstreamHandshakeDuration => {
            milliseconds(connection.handshake?.1.checked_duration_since(connection.accepted))
        }
        Operator::DownstreamDetectedCloseType => Some(Value::text("Normal")),
        Operator::ConnectionTerminationDetails
        | Operator::DownstreamLocalCloseReason
        | Operator::DownstreamTransportFailureReason
        | Operator::Absent => None,
        Operator::UpstreamProtocol
        | Operator::UpstreamHost
        | Operator::UpstreamRemoteAddress(_)
        | Operator::UpstreamEndpointId
        | Operator::UpstreamHostName { .. }
        | Operator::UpstreamAttempts(_)
        | Operator::UpstreamCluster { .. }
        | Operator::UpstreamConnectionPoolReadyDuration
        | Operator::UpstreamDetectedCloseType
        | Operator::UpstreamServerName
        | Operator::UpstreamTlsGroup
        | Operator::UpstreamLocalAddress(_)
        | Operator::UpstreamConnectionId
        | Operator::UpstreamRequestAttemptCount
        | Operator::UpstreamTransportFailureReason
        | Operator::UpstreamTlsVersion
        | Operator::UpstreamTlsCipher => of_upstream(operator, upstream),
        Operator::Zero => Some(Value::Number(0)),
        Operator::Empty => Some(Value::text("")),
        Operator::Coalesce { operators, max_length } => {
            let first = operators.iter().find_map(|operator| evaluate(operator, context));
            match (first?, max_length) {
                (Value::Text(text), Some(length)) => {
                    let mut text = text.into_owned();
                    text.truncate(*length);
                    Some(Value::Text(Cow::Owned(text)))
                }
                (value, _) => Some(value),
            }
        }
        Operator::ConnectionId => Some(Value::Number(connection.id)),
        Operator::StreamId => {
            let id = request.fields.get("x-request-id").filter(|id| !HeaderValue::is_empty(id))?;
            Some(Value::Text(Cow::Borrowed(id.as_bytes())))
        }
        Operator::UniqueId => Some(Value::owned(unique_id())),
        Operator::RequestedServerName { source, host } => server_name(context, *source, *host),
        Operator::RouteName => info
            .route
            .as_ref()
            .map(|route| route.route.name.as_str())
            .filter(|name| !name.is_empty())
            .map(Value::text),
        Operator::FilterChainName => {
            Some(info.chain.filter_chain().name.as_str()).filter(|name| !name.is_empty()).map(Value::text)
        }
        Operator::AccessLogType => Some(Value::text("DownstreamEnd")),
        Operator::Hostname => Some(Value::text(hostname())),
        Operator::LocalReplyBody => Some(Value::text("")),
        Operator::QueryParameter { name, max_length } => {
            let mut value = query::parameter(split_path(request.path.as_bytes()).1, name.as_bytes())?;
            value.truncate(max_length.unwrap_or(usize::MAX));
            Some(Value::Text(Cow::Owned(value)))
        }
        Operator::QueryParameters { decoded, max_length } => {
            let query = Some(request.path.as_bytes())
                .filter(|path| path.contains(&b'?'))
                .map(|path| split_path(path).1)?;
            if !decoded {
                return Some(limited(query, *max_length));
            }
            let mut query = query::decode_visible(query);
            query.truncate(max_length.unwrap_or(usize::MAX));
            Some(Value::Text(Cow::Owned(query)))
        }
        Operator::Path { with_query, source, max_length } => {
            let path = path(context, *source)?;
            Some(limited(if *with_query { path } else { split_path(path).0 }, *max_length))
        }
        Operator::DynamicMetadata { namespace, path, max_length } => {
            metadata(info.metadata.namespace(namespace)?, path, *max_length)
        }
        Operator::StaticMetadata { owner, namespace, path, max_length } => {
            let endpoint = upstream.endpoint.as_ref();
            let owned = match owner {
                MetadataOwner::Cluster => &endpoint?.cluster.metadata,
                MetadataOwner::Route => &info.route.as_ref()?.route.metadata,
                MetadataOwner::VirtualHost => &info.route.as_ref()?.virtual_host.metadata,
                MetadataOwner::UpstreamHost => &endpoint?.get()?.metadata,
                MetadataOwner::Listener => &info.chain.listener.metadata,
                MetadataOwner::FilterChain => &info.chain.filter_chain().metadata,
            };
            metadata(owned.filter_metadata.get(namespace)?, path, *max_length)
        }
        Operator::FilterState { name, form, max_length } => {
            let log = logs.iter().find(|log| log.name == name)?;
            match logging::evaluate(log, form)? {
                Value::Text(text) => {
                    let mut text = text.into_owned();
                    text.truncate(max_length.unwrap_or(usize::MAX));
                    Some(Value::Text(Cow::Owned(text)))
                }
                value => Some(value),
            }
        }
        Operator::Cel { expression, typed, max_length } => with_attributes(info, messages, |attributes| {
            cel::evaluate(expression, *typed, *max_length, attributes)
        }),
        Operator::TlsFingerprint(kind) => fingerprint(connection.tls.as_ref(), *kind),
        Operator::TlsSessionId { upstream: false } => {
            connection.tls.as_ref()?.session_id.as_deref().map(Value::text)
        }
        Operator::TlsSessionId { upstream: true } => None,
        Operator::RouteResolutionCount => Some(Value::Number(info.route_resolutions.into())),
        Operator::RouteResolutionTime => {
            Some(Value::Number(saturate(info.route_resolution_time.as_micros())))
        }
        Operator::GrpcStatus(form) => grpc_status::evaluate(context, *form),
    }
}

pub(super) fn fingerprint(tls: Option<&TlsInfo>, kind: Fingerprint) -> Option<Value<'_>> {
    let tls = tls?;
    let taken = match kind {
        Fingerprint::Ja3 => &tls.ja3,
        Fingerprint::Ja4 => &tls.ja4,
    };
    taken.as_deref().map(Value::text)
}

/// How much of a JSON value text formats show; JSON formats show all of it.
pub(super) fn json_length(operator: &Operator) -> Option<usize> {
    match operator {
        Operator::DynamicMetadata { max_length, .. }
        | Operator::StaticMetadata { max_length, .. }
        | Operator::FilterState { max_length, .. } => *max_length,
        _ => None,
    }
}

pub(super) fn limited(text: &[u8], max_length: Option<usize>) -> Value<'_> {
    Value::Text(Cow::Borrowed(&text[..max_length.unwrap_or(text.len()).min(text.len())]))
}

fn header<'a>(
    operand: &HeaderOperand,
    find: impl Fn(&tollgate_model::header::FieldName) -> Option<&'a [u8]>,
) -> Option<Value<'a>> {
    operand.names.iter().find_map(find).map(|value| limited(value, operand.max_length))
}

pub(super) fn time(pattern: &TimePattern, time: SystemTime) -> Option<Value<'static>> {
    let mut text = String::with_capacity(32);
    pattern.write(time, &mut text).ok()?;
    Some(Value::owned(text))
}

pub(super) fn saturate(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

pub(super) fn milliseconds(duration: Option<Duration>) -> Option<Value<'static>> {
    duration.map(|duration| Value::Number(saturate(duration.as_millis())))
}

/// When the response was complete; now, as long as it is not.
fn end(info: &StreamInfo) -> Instant {
    info.last_downstream_tx.unwrap_or_else(Instant::now)
}

fn since_start(info: &StreamInfo, moment: Option<Instant>) -> Option<Duration> {
    moment?.checked_duration_since(info.start)
}

fn moment(info: &StreamInfo, point: TimePoint) -> Option<Instant> {
    match point {
        // Requests are known from the end of their heads.
        TimePoint::DownstreamRxBegin | TimePoint::DownstreamRxHeadEnd => Some(info.start),
        TimePoint::DownstreamRxEnd => info.last_downstream_rx,
        TimePoint::UpstreamConnectBegin => Some(info.upstream.connect?.began),
        TimePoint::UpstreamConnectEnd => Some(info.upstream.connect?.connected),
        TimePoint::UpstreamHandshakeEnd => info.upstream.connect?.handshake,
        TimePoint::UpstreamTxBegin => info.first_upstream_tx,
        TimePoint::UpstreamTxEnd => sent_upstream(info),
        TimePoint::UpstreamRxBegin => info.first_upstream_rx,
        TimePoint::UpstreamRxBodyBegin => info.first_upstream_body_rx,
        TimePoint::UpstreamRxEnd => info.last_upstream_rx,
        TimePoint::DownstreamTxBegin => info.first_downstream_tx,
        TimePoint::DownstreamTxEnd => info.last_downstream_tx,
        TimePoint::DownstreamConnectionBegin => Some(info.connection.accepted),
        // Only a request that ends with its connection knows.
        TimePoint::DownstreamConnectionEnd => {
            info.response_flags.contains(ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION).then(|| end(info))
        }
        TimePoint::DownstreamHandshakeBegin => Some(info.connection.handshake?.0),
        TimePoint::DownstreamHandshakeEnd => Some(info.connection.handshake?.1),
    }
}

/// What an operator shows of an upstream; `None` for operators about something else, too.
pub(super) fn of_upstream<'a>(operator: &Operator, upstream: &'a UpstreamInfo) -> Option<Value<'a>> {
    match operator {
        Operator::UpstreamProtocol => upstream.protocol.map(|protocol| Value::text(protocol.as_str())),
        Operator::UpstreamHost => upstream.address.as_deref().map(Value::text),
        Operator::UpstreamRemoteAddress(part) => address::of_text(remote_address(upstream)?, *part),
        Operator::UpstreamEndpointId => remote_address(upstream).map(|_| Value::text("")),
        Operator::UpstreamHostName { without_port } => host_name(upstream, *without_port),
        Operator::UpstreamAttempts(part) => {
            let address = remote_address(upstream)?;
            match *part {
                AttemptPart::Address { without_port: false } => Some(Value::text(address)),
                AttemptPart::Address { without_port: true } => {
                    address::of_text(address, AddressPart::WithoutPort)
                }
                AttemptPart::HostName { without_port } => host_name(upstream, without_port),
                AttemptPart::ConnectionId => Some(Value::owned(upstream.connection_id.to_string())),
            }
        }
        Operator::UpstreamCluster { raw: false } => {
            upstream.stat_name.as_deref().or(upstream.cluster.as_deref()).map(Value::text)
        }
        Operator::UpstreamCluster { raw: true } => upstream.cluster.as_deref().map(Value::text),
        Operator::UpstreamConnectionPoolReadyDuration => milliseconds(upstream.pool_ready_duration),
        Operator::UpstreamDetectedCloseType => upstream.endpoint.as_ref().map(|_| Value::text("Normal")),
        Operator::UpstreamServerName => upstream.tls.as_ref()?.server_name.as_deref().map(Value::text),
        Operator::UpstreamTlsGroup => tls_text(upstream.tls.as_deref(), |tls| tls.group),
        Operator::UpstreamLocalAddress(part) => Some(address::of_socket(upstream.local_address?, *part)),
        Operator::UpstreamConnectionId => Some(Value::Number(upstream.connection_id)),
        Operator::UpstreamRequestAttemptCount => Some(Value::Number(upstream.attempt_count.into())),
        Operator::UpstreamTransportFailureReason => {
            let reason = upstream.transport_failure_reason.as_deref().filter(|reason| !reason.is_empty())?;
            Some(Value::owned(reason.replace(|letter: char| letter.is_ascii_whitespace(), "_")))
        }
        Operator::UpstreamTlsVersion => tls_text(upstream.tls.as_deref(), |tls| tls.version),
        Operator::UpstreamTlsCipher => tls_text(upstream.tls.as_deref(), |tls| tls.cipher),
        _ => None,
    }
}

/// When the last byte of the request went upstream, if any did.
fn sent_upstream(info: &StreamInfo) -> Option<Instant> {
    info.first_upstream_tx?;
    info.last_upstream_tx
}

/// The other side of the connection to the upstream, once there is one.
fn remote_address(upstream: &UpstreamInfo) -> Option<&str> {
    upstream.connect?;
    upstream.address.as_deref()
}

/// The host name of the endpoint, else its address.
fn host_name(upstream: &UpstreamInfo, without_port: bool) -> Option<Value<'_>> {
    let Some(name) = upstream.host_name.as_deref().filter(|name| !name.is_empty()) else {
        let part = if without_port { AddressPart::WithoutPort } else { AddressPart::Whole };
        return address::of_text(upstream.address.as_deref()?, part);
    };
    // As Envoy does: whatever is behind the last colon.
    let end = name.rfind(':').filter(|_| without_port).unwrap_or(name.len());
    Some(Value::text(&name[..end]))
}

/// A fact of TLS that is not empty.
pub(super) fn tls_text<'a>(
    tls: Option<&'a TlsInfo>,
    fact: impl Fn(&'a TlsInfo) -> &'static str,
) -> Option<Value<'a>> {
    tls.map(fact).filter(|text| !text.is_empty()).map(Value::text)
}

fn details(info: &StreamInfo, allow_whitespaces: bool) -> Option<Value<'_>> {
    let details = info.response_code_details.as_deref()?;
    let replaced = !allow_whitespaces && details.contains(|letter: char| letter.is_ascii_whitespace());
    Some(if replaced {
        Value::owned(details.replace(|letter: char| letter.is_ascii_whitespace(), "_"))
    } else {
        Value::text(details)
    })
}

fn bytes_of(fields: &HeaderMap) -> u64 {
    size_of_fields(fields) as u64
}

fn request_bytes(request: &RequestHeaders) -> u64 {
    let pseudo = [
        (":method", request.method.as_str().len()),
        (":scheme", request.scheme.len()),
        (":authority", request.authority.len()),
        (":path", request.path.len()),
    ];
    pseudo.iter().map(|(name, length)| (name.len() + length) as u64).sum::<u64>() + bytes_of(&request.fields)
}

fn path<'a>(context: &FormatContext<'a>, source: PathSource) -> Option<&'a [u8]> {
    let names = EnvoyHeaders::of(&context.info.chain.filter_chain().http.header_prefix);
    let original = context.messages.request.fields.get(&names.original_path).map(HeaderValue::as_bytes);
    let current = Some(context.messages.request.path.as_bytes());
    match source {
        PathSource::OriginalOrPath => original.or(current),
        PathSource::Path => current,
        PathSource::Original => original,
    }
}

fn server_name<'a>(
    context: &FormatContext<'a>,
    source: ServerNameSource,
    host: HostSource,
) -> Option<Value<'a>> {
    let not_empty = |name: &&'a [u8]| !name.is_empty();
    let tls = context.info.connection.tls.as_ref();
    let sni = tls.and_then(|tls| tls.server_name.as_deref()).map(str::as_bytes).filter(not_empty);
    let names = EnvoyHeaders::of(&context.info.chain.filter_chain().http.header_prefix);
    let original = context
        .messages
        .request
        .fields
        .get(&names.original_host)
        .map(HeaderValue::as_bytes)
        .filter(not_empty);
    let authority = Some(context.messages.request.authority.as_bytes()).filter(not_empty);
    let host = match host {
        HostSource::OriginalOrHost => original.or(authority),
        HostSource::Host => authority,
        HostSource::Original => original,
    };
    let name = match source {
        ServerNameSource::SniOnly => sni,
        ServerNameSource::SniFirst => sni.or(host),
        ServerNameSource::HostFirst => host.or(sni),
    };
    name.map(|name| Value::Text(Cow::Borrowed(name)))
}

pub(super) fn metadata<'a>(
    mut members: &'a Struct,
    path: &[String],
    max_length: Option<usize>,
) -> Option<Value<'a>> {
    use extproc::messages::value::Kind;

    let mut out = Vec::new();
    let Some((last, outer)) = path.split_last() else {
        json::write_struct(members, &mut out);
        return String::from_utf8(out).ok().map(Value::Json);
    };
    for key in outer {
        members = match members.fields.get(key)?.kind.as_ref()? {
            Kind::StructValue(inner) => inner,
            _ => return None,
        };
    }
    let value = members.fields.get(last)?;
    match value.kind.as_ref()? {
        Kind::NullValue(_) => None,
        Kind::StringValue(text) => Some(limited(text.as_bytes(), max_length)),
        _ => {
            json::write_value(value, &mut out);
            String::from_utf8(out).ok().map(Value::Json)
        }
    }
}

/// The name of this machine; `-` if it has none.
pub(super) fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"));
        name.ok()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "-".to_owned())
    })
}
