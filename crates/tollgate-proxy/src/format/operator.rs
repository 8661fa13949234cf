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
        AddressPart, CertificateFact, DurationPrecision, HeaderOperand, HostSource, MetadataOwner, Operator,
        PathSource, ServerNameSource, TimePattern, TimePoint, Timestamp,
    },
    route::split_path,
};

use super::{FormatContext, Value, address, grpc_status, json, logging, query};
use crate::{
    certificate,
    connection_manager::{EnvoyHeaders, unique_id},
    stream_info::StreamInfo,
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
        Operator::StartTime(pattern) => time(pattern, info.start_time.into()),
        Operator::EmitTime(pattern) => time(pattern, SystemTime::now().into()),
        Operator::RequestHeadersBytes => Some(Value::Number(request_bytes(request))),
        Operator::ResponseHeadersBytes => {
            // `:status` and its three digits.
            Some(Value::Number(response.map_or(0, |response| 10 + bytes_of(&response.fields))))
        }
        Operator::ResponseTrailersBytes => Some(Value::Number(response_trailers.map_or(0, bytes_of))),
        Operator::BytesReceived => Some(Value::Number(info.bytes_received)),
        Operator::BytesSent => Some(Value::Number(info.bytes_sent)),
        Operator::Protocol => Some(Value::text(info.protocol.as_str())),
        Operator::UpstreamProtocol => upstream.protocol.map(|protocol| Value::text(protocol.as_str())),
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
        Operator::RequestTxDuration => milliseconds(since_start(info, info.last_upstream_tx)),
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
        Operator::UpstreamRemoteAddress(part) => address::of_text(upstream.address.as_deref()?, *part),
        Operator::UpstreamHostName { without_port } => {
            let part = if *without_port { AddressPart::WithoutPort } else { AddressPart::Whole };
            match upstream.host_name.as_deref().filter(|name| !name.is_empty()) {
                Some(name) => Some(Value::text(name)),
                None => address::of_text(upstream.address.as_deref()?, part),
            }
        }
        Operator::UpstreamCluster => upstream.cluster.as_deref().map(Value::text),
        Operator::UpstreamLocalAddress(part) => Some(address::of_socket(upstream.local_address?, *part)),
        Operator::UpstreamConnectionId => Some(Value::Number(upstream.connection_id)),
        Operator::UpstreamRequestAttemptCount => Some(Value::Number(upstream.attempt_count.into())),
        Operator::UpstreamTransportFailureReason => {
            let reason = upstream.transport_failure_reason.as_deref().filter(|reason| !reason.is_empty())?;
            Some(Value::owned(reason.replace(|letter: char| letter.is_ascii_whitespace(), "_")))
        }
        Operator::DownstreamRemoteAddress(part) => Some(address::of_socket(info.remote_address?, *part)),
        Operator::DownstreamDirectRemoteAddress(part) => {
            Some(address::of_socket(connection.remote_address?, *part))
        }
        Operator::DownstreamLocalAddress(part) => Some(address::of_socket(connection.local_address?, *part)),
        Operator::DownstreamTlsVersion => connection
            .tls
            .as_ref()
            .map(|tls| tls.version)
            .filter(|version| !version.is_empty())
            .map(Value::text),
        Operator::DownstreamTlsCipher => {
            connection.tls.as_ref().map(|tls| tls.cipher).filter(|cipher| !cipher.is_empty()).map(Value::text)
        }
        Operator::UpstreamTlsVersion => {
            upstream.tls.as_ref().map(|tls| tls.version).filter(|text| !text.is_empty()).map(Value::text)
        }
        Operator::UpstreamTlsCipher => {
            upstream.tls.as_ref().map(|tls| tls.cipher).filter(|text| !text.is_empty()).map(Value::text)
        }
        Operator::DownstreamPeerCertificate(fact) => {
            certificate_fact(connection.tls.as_ref()?.peer_certificate.as_deref()?, *fact)
        }
        Operator::DownstreamLocalCertificate(fact) => {
            certificate_fact(connection.tls.as_ref()?.local_certificate.as_deref()?, *fact)
        }
        Operator::UpstreamPeerCertificate(fact) => {
            certificate_fact(upstream.tls.as_ref()?.peer_certificate.as_deref()?, *fact)
        }
        Operator::ConnectionTerminationDetails | Operator::TraceId => None,
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
            let mut query = query::decode_ascii(query);
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
        Operator::GrpcStatus(form) => grpc_status::evaluate(context, *form),
    }
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

fn limited(text: &[u8], max_length: Option<usize>) -> Value<'_> {
    Value::Text(Cow::Borrowed(&text[..max_length.unwrap_or(text.len()).min(text.len())]))
}

fn header<'a>(
    operand: &HeaderOperand,
    find: impl Fn(&tollgate_model::header::FieldName) -> Option<&'a [u8]>,
) -> Option<Value<'a>> {
    operand.names.iter().find_map(find).map(|value| limited(value, operand.max_length))
}

fn time(pattern: &TimePattern, time: Timestamp) -> Option<Value<'static>> {
    let mut text = String::with_capacity(32);
    pattern.write(time, &mut text).ok()?;
    Some(Value::owned(text))
}

fn saturate(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn milliseconds(duration: Option<Duration>) -> Option<Value<'static>> {
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
        TimePoint::DownstreamRxBegin => Some(info.start),
        TimePoint::DownstreamRxEnd => info.last_downstream_rx,
        TimePoint::UpstreamTxBegin => info.first_upstream_tx,
        TimePoint::UpstreamTxEnd => info.last_upstream_tx,
        TimePoint::UpstreamRxBegin => info.first_upstream_rx,
        TimePoint::UpstreamRxEnd => info.last_upstream_rx,
        TimePoint::DownstreamTxBegin => info.first_downstream_tx,
        TimePoint::DownstreamTxEnd => info.last_downstream_tx,
    }
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
    fields.iter().map(|(name, value)| name.as_str().len() as u64 + value.len() as u64).sum()
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

fn certificate_fact(certificate: &[u8], fact: CertificateFact) -> Option<Value<'static>> {
    let text = match fact {
        CertificateFact::Subject => certificate::subject(certificate)?,
        CertificateFact::UriNames => certificate::uris(certificate).join(","),
        CertificateFact::DnsNames => certificate::dns_names(certificate).join(","),
        CertificateFact::Fingerprint256 => certificate::sha256(certificate)?,
    };
    (!text.is_empty()).then(|| Value::owned(text))
}

fn metadata<'a>(mut members: &'a Struct, path: &[String], max_length: Option<usize>) -> Option<Value<'a>> {
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
fn hostname() -> &'static str {
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
