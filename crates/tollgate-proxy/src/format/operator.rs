//! The value of each operator.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use extproc::messages::{self, value::Kind};
use serde_json::{Map, Number, Value};
use tollgate_model::{
    format::{
        AddressPart, DurationPrecision, GrpcStatusForm, HeaderOperand, HostSource, Operator, PathSource,
        ServerNameSource, TimePattern, TimePoint, Timestamp,
    },
    route::{is_grpc, split_path},
};

use super::{FormatContext, filter_state};
use crate::stream_info::StreamInfo;

/// The value of an operator; `None` if there is none.
pub(super) fn value(operator: &Operator, context: &FormatContext<'_>) -> Option<Value> {
    let info = context.info;
    let messages = context.messages;
    Some(match operator {
        Operator::RequestHeader(operand) => header(operand, |name| name.first_in_request(&messages.request))?,
        Operator::RequestHeaderWithoutQuery(operand) => {
            let whole = |name: &tollgate_model::header::FieldName| {
                name.first_in_request(&messages.request).map(|value| split_path(value).0)
            };
            let found = operand.names.iter().find_map(whole)?;
            limited(&lossy(found), operand.max_length)
        }
        Operator::ResponseHeader(operand) => {
            let head = messages.response.as_ref()?;
            header(operand, |name| name.first_in_response(head))?
        }
        Operator::ResponseTrailer(operand) => {
            let trailers = messages.response_trailers.as_ref()?;
            header(operand, |name| name.first_in_trailers(trailers))?
        }
        Operator::StartTime(pattern) => time(pattern, info.start_time)?,
        Operator::EmitTime(pattern) => time(pattern, SystemTime::now())?,
        Operator::RequestHeadersBytes => {
            let request = &messages.request;
            let pseudo =
                [":authority", ":path", ":method", ":scheme"].iter().map(|name| name.len()).sum::<usize>()
                    + request.authority.len()
                    + request.path.len()
                    + request.method.as_str().len()
                    + request.scheme.len();
            Value::from(pseudo + map_bytes(&request.fields))
        }
        Operator::ResponseHeadersBytes => {
            let bytes = |head: &extproc::ResponseHeaders| ":status".len() + 3 + map_bytes(&head.fields);
            Value::from(messages.response.as_ref().map_or(0, bytes))
        }
        Operator::ResponseTrailersBytes => {
            Value::from(messages.response_trailers.as_ref().map_or(0, map_bytes))
        }
        Operator::BytesReceived => Value::from(info.bytes_received),
        Operator::BytesSent => Value::from(info.bytes_sent),
        Operator::Protocol => Value::from(info.protocol.as_str()),
        Operator::UpstreamProtocol => Value::from(info.upstream.protocol?.as_str()),
        Operator::ResponseCode => Value::from(info.response_code.map_or(0, |status| status.as_u16())),
        Operator::ResponseCodeDetails { allow_whitespaces } => {
            let details = info.response_code_details.as_ref()?;
            if *allow_whitespaces {
                Value::from(&**details)
            } else {
                Value::from(details.replace(|c: char| c.is_ascii_whitespace(), "_"))
            }
        }
        Operator::ResponseFlags { long } => {
            let flags = info.response_flags;
            let names = if *long { flags.long_names() } else { flags.short_names() };
            // A dash in JSON too.
            Value::from(if names.is_empty() { "-".to_owned() } else { names })
        }
        Operator::Duration => milliseconds(info.start, info.last_downstream_tx?)?,
        Operator::RequestDuration => milliseconds(info.start, info.last_downstream_rx?)?,
        Operator::RequestTxDuration => milliseconds(info.start, info.last_upstream_tx?)?,
        Operator::ResponseDuration => milliseconds(info.start, info.first_upstream_rx?)?,
        Operator::ResponseTxDuration => milliseconds(info.first_upstream_rx?, info.last_downstream_tx?)?,
        Operator::CommonDuration { from, to, precision } => {
            let passed = moment(*to, info)?.checked_duration_since(moment(*from, info)?)?;
            whole(match precision {
                DurationPrecision::Milliseconds => passed.as_millis(),
                DurationPrecision::Microseconds => passed.as_micros(),
                DurationPrecision::Nanoseconds => passed.as_nanos(),
            })
        }
        Operator::UpstreamRemoteAddress(part) => {
            let text = info.upstream.address.as_deref()?;
            match text.parse() {
                Ok(address) => address_part(address, *part),
                Err(_) if *part == AddressPart::Whole => Value::from(text),
                Err(_) => return None,
            }
        }
        Operator::UpstreamHostName { without_port } => {
            let text = info.upstream.host_name.as_deref().or(info.upstream.address.as_deref())?;
            match text.parse::<SocketAddr>() {
                Ok(address) if *without_port => Value::from(address.ip().to_string()),
                _ => Value::from(text),
            }
        }
        Operator::UpstreamCluster => Value::from(info.upstream.cluster.as_deref()?),
        Operator::UpstreamLocalAddress(part) => address_part(info.upstream.local_address?, *part),
        Operator::UpstreamConnectionId => Value::from(info.upstream.connection_id),
        Operator::UpstreamRequestAttemptCount => Value::from(info.upstream.attempt_count),
        Operator::UpstreamTransportFailureReason => {
            let reason = info.upstream.transport_failure_reason.as_deref()?;
            Value::from(reason.replace(|c: char| c.is_ascii_whitespace(), "_"))
        }
        Operator::DownstreamRemoteAddress(part) => address_part(info.remote_address?, *part),
        Operator::DownstreamDirectRemoteAddress(part) => address_part(info.connection.remote_address?, *part),
        Operator::DownstreamLocalAddress(part) => address_part(info.connection.local_address?, *part),
        Operator::DownstreamTlsVersion => {
            let version = info.connection.tls.as_ref()?.version;
            if version.is_empty() {
                return None;
            }
            Value::from(version)
        }
        Operator::DownstreamTlsCipher => {
            let cipher = info.connection.tls.as_ref()?.cipher;
            if cipher.is_empty() {
                return None;
            }
            Value::from(cipher)
        }
        Operator::ConnectionId => Value::from(info.connection.id),
        Operator::StreamId => {
            let id = messages.request.fields.get("x-request-id").map(|id| lossy(id.as_bytes()));
            Value::from(id.unwrap_or_else(|| info.connection.id.to_string()))
        }
        Operator::UniqueId => Value::from(crate::connection_manager::unique_id()),
        Operator::RequestedServerName { source, host } => {
            let sni = || info.connection.tls.as_ref().and_then(|tls| tls.server_name.clone());
            let host = || host_of(*host, context);
            let name = match source {
                ServerNameSource::SniOnly => sni(),
                ServerNameSource::SniFirst => sni().or_else(host),
                ServerNameSource::HostFirst => host().or_else(sni),
            };
            Value::from(name?)
        }
        Operator::RouteName => {
            let name = &info.route.as_ref()?.name;
            if name.is_empty() {
                return None;
            }
            Value::from(name.as_str())
        }
        Operator::FilterChainName => {
            let name = &info.connection.filter_chain().name;
            if name.is_empty() {
                return None;
            }
            Value::from(name.as_str())
        }
        Operator::AccessLogType => Value::from("DownstreamEnd"),
        Operator::Hostname => Value::from(hostname()?),
        Operator::LocalReplyBody => Value::from(info.local_reply_body.as_ref().map(|body| lossy(body))?),
        Operator::QueryParameter { name, max_length } => {
            let (_, query) = split_path(messages.request.path.as_bytes());
            let found = query.split(|byte| *byte == b'&').find_map(|pair| {
                let mut halves = pair.splitn(2, |byte| *byte == b'=');
                let key = halves.next()?;
                (key == name.as_bytes()).then(|| halves.next().unwrap_or_default())
            })?;
            limited(&lossy(&percent_decode(found)), *max_length)
        }
        Operator::QueryParameters { decoded, max_length } => {
            let (_, query) = split_path(messages.request.path.as_bytes());
            let text = if *decoded { lossy(&percent_decode(query)) } else { lossy(query) };
            limited(&text, *max_length)
        }
        Operator::Path { with_query, source, max_length } => {
            let original = messages.request.fields.get("x-envoy-original-path");
            let path = match source {
                PathSource::OriginalOrPath => original.unwrap_or(&messages.request.path),
                PathSource::Path => &messages.request.path,
                PathSource::Original => original?,
            };
            let bytes = if *with_query { path.as_bytes() } else { split_path(path.as_bytes()).0 };
            limited(&lossy(bytes), *max_length)
        }
        Operator::DynamicMetadata { namespace, path, max_length } => {
            let values = info.metadata.namespace(namespace)?;
            let mut found = struct_value(values);
            for key in path {
                found = match found {
                    Value::Object(mut fields) => fields.remove(key)?,
                    _ => return None,
                };
            }
            cut(found, *max_length)
        }
        Operator::FilterState { name, form, max_length } => {
            let (_, log) = context.logs.iter().find(|(known, _)| known == name)?;
            cut(filter_state::value(log, form)?, *max_length)
        }
        Operator::GrpcStatus(form) => grpc_status(*form, context)?,
    })
}

fn header<'a>(
    operand: &HeaderOperand,
    look: impl Fn(&tollgate_model::header::FieldName) -> Option<&'a [u8]>,
) -> Option<Value> {
    let found = operand.names.iter().find_map(look)?;
    Some(limited(&lossy(found), operand.max_length))
}

fn limited(text: &str, max_length: Option<usize>) -> Value {
    Value::from(match max_length {
        Some(length) => &text[..text.floor_char_boundary(length)],
        None => text,
    })
}

fn cut(value: Value, max_length: Option<usize>) -> Value {
    match (value, max_length) {
        (value, None) => value,
        (Value::String(text), length) => limited(&text, length),
        (other, length) => limited(&other.to_string(), length),
    }
}

/// Header values may be any bytes; logs are text. Bytes that are no UTF-8 show as the replacement character.
fn lossy(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::with_capacity(bytes.len()), |mut text, chunk| {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        text
    })
}

fn map_bytes(fields: &http::HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn time(pattern: &TimePattern, time: SystemTime) -> Option<Value> {
    let mut text = String::new();
    pattern.write(Timestamp::from(time), &mut text).ok()?;
    Some(Value::from(text))
}

fn whole(number: u128) -> Value {
    Value::from(u64::try_from(number).unwrap_or(u64::MAX))
}

fn milliseconds(from: Instant, to: Instant) -> Option<Value> {
    to.checked_duration_since(from).map(|passed: Duration| whole(passed.as_millis()))
}

fn moment(point: TimePoint, info: &StreamInfo) -> Option<Instant> {
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

fn address_part(address: SocketAddr, part: AddressPart) -> Value {
    match part {
        AddressPart::Whole => Value::from(address.to_string()),
        AddressPart::WithoutPort => Value::from(address.ip().to_string()),
        AddressPart::Port => Value::from(address.port()),
        AddressPart::Network(length) => Value::from(network(address.ip(), length)),
    }
}

fn network(address: IpAddr, length: u8) -> String {
    match address {
        IpAddr::V4(address) => {
            let length = u32::from(length).min(32);
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let length = u32::from(length).min(128);
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}

fn host_of(source: HostSource, context: &FormatContext<'_>) -> Option<String> {
    let request = &context.messages.request;
    let original = request.fields.get("x-envoy-original-host");
    let host = match source {
        HostSource::OriginalOrHost => original.unwrap_or(&request.authority),
        HostSource::Host => &request.authority,
        HostSource::Original => original?,
    };
    Some(lossy(tollgate_model::route::host_without_port(host.as_bytes())))
}

/// Looked up once: names of machines do not change under way.
fn hostname() -> Option<&'static str> {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let read =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    NAME.get_or_init(read).as_deref()
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut index = 0;
    while let Some(byte) = text.get(index) {
        let digits = text.get(index + 1..index + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(code)) => {
                decoded.push(code);
                index += 3;
            }
            _ => {
                decoded.push(*byte);
                index += 1;
            }
        }
    }
    decoded
}

fn struct_value(values: &messages::Struct) -> Value {
    let fields = values.fields.iter().map(|(key, value)| (key.clone(), json_value(value)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn json_value(value: &messages::Value) -> Value {
    match &value.kind {
        Some(Kind::NumberValue(number)) => {
            // Whole numbers print without a fraction.
            let whole = *number as i64;
            if whole as f64 == *number {
                Value::from(whole)
            } else {
                Number::from_f64(*number).map_or(Value::Null, Value::Number)
            }
        }
        Some(Kind::StringValue(text)) => Value::from(text.as_str()),
        Some(Kind::BoolValue(flag)) => Value::from(*flag),
        Some(Kind::StructValue(values)) => struct_value(values),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(json_value).collect()),
        Some(Kind::NullValue(_)) | None => Value::Null,
    }
}

const GRPC_STATUS: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

fn grpc_status(form: GrpcStatusForm, context: &FormatContext<'_>) -> Option<Value> {
    let messages = context.messages;
    if !is_grpc(&messages.request) {
        return None;
    }
    let in_trailers = messages.response_trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    let in_head = || messages.response.as_ref().and_then(|head| head.fields.get("grpc-status"));
    let number: i64 = in_trailers.or_else(in_head)?.to_str().ok()?.trim().parse().ok()?;
    let names = usize::try_from(number).ok().and_then(|number| GRPC_STATUS.get(number));
    Some(match (form, names) {
        (GrpcStatusForm::Number, _) => Value::from(number),
        (GrpcStatusForm::CamelString, Some((camel, _))) => Value::from(*camel),
        (GrpcStatusForm::SnakeString, Some((_, snake))) => Value::from(*snake),
        (_, None) => Value::from(number.to_string()),
    })
}
