//! Reading format strings.

mod bytes;
mod certificate;
mod coalesce;
#[cfg(test)]
mod tests;

use tollgate_cel::Expression;

use super::{
    AddressPart, AttemptPart, DurationPrecision, FilterStateForm, Fingerprint, FormatError, FormatPart,
    FormatProblem, Formatters, GrpcStatusForm, HeaderOperand, HostSource, MetadataOwner, Operator,
    PathSource, ServerNameSource, TimePattern, TimePoint, Zone,
};
use crate::header::FieldName;

/// One `%NAME(arguments):length%` as written.
struct Command<'a> {
    name: &'a str,
    /// Absent and empty are the same.
    arguments: &'a str,
    max_length: Option<usize>,
}

/// What a command may carry.
#[derive(Clone, Copy)]
enum Shape {
    /// Nothing.
    Bare,
    /// Arguments, no length.
    Arguments,
    /// Arguments and a length.
    ArgumentsAndLength,
}

pub(super) fn parse(source: &str, formatters: Formatters<'_>) -> Result<Vec<FormatPart>, FormatError> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some(percent) = rest.find('%') {
        text.push_str(&rest[..percent]);
        rest = &rest[percent..];
        if let Some(after) = rest.strip_prefix("%%") {
            text.push('%');
            rest = after;
            continue;
        }
        let at =
            |problem| FormatError { position: source[..source.len() - rest.len()].chars().count(), problem };
        let (command, after) = split_command(rest).ok_or_else(|| at(FormatProblem::NotAnOperator))?;
        match operator(&command, formatters).map_err(at)? {
            Parsed::Text(fixed) => text.push_str(&fixed),
            Parsed::Operator(operator) => {
                if !text.is_empty() {
                    parts.push(FormatPart::Text(std::mem::take(&mut text)));
                }
                parts.push(FormatPart::Operator(operator));
            }
        }
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(FormatPart::Text(text));
    }
    Ok(parts)
}

/// Splits `%NAME(arguments):length%…`. The arguments end at the first parenthesis that is followed by a valid end, so
/// they may contain parentheses and percent signs (as time patterns do), but no line break.
fn split_command(source: &str) -> Option<(Command<'_>, &str)> {
    let body = source.strip_prefix('%')?;
    let name_length = body
        .bytes()
        .take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
        .count();
    if name_length == 0 {
        return None;
    }
    let (name, tail) = body.split_at(name_length);
    let Some(arguments) = tail.strip_prefix('(') else {
        let (max_length, rest) = split_end(tail)?;
        return Some((Command { name, arguments: "", max_length }, rest));
    };
    let line = arguments.find('\n').map_or(arguments, |end| &arguments[..end]);
    line.match_indices(')').find_map(|(end, _)| {
        let (max_length, rest) = split_end(&arguments[end + 1..])?;
        Some((Command { name, arguments: &arguments[..end], max_length }, rest))
    })
}

/// Splits `%` or `:length%` off.
fn split_end(tail: &str) -> Option<(Option<usize>, &str)> {
    if let Some(rest) = tail.strip_prefix('%') {
        return Some((None, rest));
    }
    let (length, rest) = tail.strip_prefix(':')?.split_once('%')?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Some(length.parse().ok()?), rest))
}

enum Parsed {
    Text(String),
    Operator(Operator),
}

fn operator(command: &Command<'_>, formatters: Formatters<'_>) -> Result<Parsed, FormatProblem> {
    use AddressPart::{Port, Whole};
    use Shape::{Arguments, ArgumentsAndLength, Bare};
    let arguments = command.arguments;
    let max_length = command.max_length;
    let (shape, operator) = match command.name {
        "REQ" | "REQUEST_HEADER" => (ArgumentsAndLength, Operator::RequestHeader(headers(command)?)),
        "REQ_WITHOUT_QUERY" if formatters.req_without_query => {
            (ArgumentsAndLength, Operator::RequestHeaderWithoutQuery(headers(command)?))
        }
        "RESP" | "RESPONSE_HEADER" => (ArgumentsAndLength, Operator::ResponseHeader(headers(command)?)),
        "TRAILER" | "RESPONSE_TRAILER" => (ArgumentsAndLength, Operator::ResponseTrailer(headers(command)?)),
        "START_TIME" => (Arguments, Operator::StartTime(time_pattern(command, Zone::Utc)?)),
        "START_TIME_LOCAL" => (Arguments, Operator::StartTime(time_pattern(command, Zone::Local)?)),
        "EMIT_TIME" => (Arguments, Operator::EmitTime(time_pattern(command, Zone::Utc)?)),
        "EMIT_TIME_LOCAL" => (Arguments, Operator::EmitTime(time_pattern(command, Zone::Local)?)),
        "REQUEST_HEADERS_BYTES" => (Bare, Operator::RequestHeadersBytes),
        "RESPONSE_HEADERS_BYTES" => (Bare, Operator::ResponseHeadersBytes),
        "RESPONSE_TRAILERS_BYTES" => (Bare, Operator::ResponseTrailersBytes),
        "BYTES_RECEIVED" => (Bare, Operator::BytesReceived),
        "BYTES_SENT" => (Bare, Operator::BytesSent),
        "PROTOCOL" => (Bare, Operator::Protocol),
        "UPSTREAM_PROTOCOL" => (Bare, Operator::UpstreamProtocol),
        "RESPONSE_CODE" => (Bare, Operator::ResponseCode),
        "RESPONSE_CODE_DETAILS" => {
            (Arguments, Operator::ResponseCodeDetails { allow_whitespaces: arguments == "ALLOW_WHITESPACES" })
        }
        "RESPONSE_FLAGS" => (Bare, Operator::ResponseFlags { long: false }),
        "RESPONSE_FLAGS_LONG" => (Bare, Operator::ResponseFlags { long: true }),
        "DURATION" => (Bare, Operator::Duration),
        "REQUEST_DURATION" => (Bare, Operator::RequestDuration),
        "REQUEST_TX_DURATION" => (Bare, Operator::RequestTxDuration),
        "RESPONSE_DURATION" => (Bare, Operator::ResponseDuration),
        "RESPONSE_TX_DURATION" => (Bare, Operator::ResponseTxDuration),
        "COMMON_DURATION" => (Arguments, common_duration(command)?),
        "UPSTREAM_HOST" => (Bare, Operator::UpstreamHost),
        "UPSTREAM_REMOTE_ADDRESS" => (Bare, Operator::UpstreamRemoteAddress(Whole)),
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            (Arguments, Operator::UpstreamRemoteAddress(network(command)?))
        }
        "UPSTREAM_REMOTE_PORT" => (Bare, Operator::UpstreamRemoteAddress(Port)),
        "UPSTREAM_HOST_NAME" => (Bare, Operator::UpstreamHostName { without_port: false }),
        "UPSTREAM_HOST_NAME_WITHOUT_PORT" => (Bare, Operator::UpstreamHostName { without_port: true }),
        "UPSTREAM_CLUSTER" => (Bare, Operator::UpstreamCluster { raw: false }),
        "UPSTREAM_CLUSTER_RAW" => (Bare, Operator::UpstreamCluster { raw: true }),
        "UPSTREAM_HOSTS_ATTEMPTED" => {
            (Bare, Operator::UpstreamAttempts(AttemptPart::Address { without_port: false }))
        }
        "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT" => {
            (Bare, Operator::UpstreamAttempts(AttemptPart::Address { without_port: true }))
        }
        "UPSTREAM_HOST_NAMES_ATTEMPTED" => {
            (Bare, Operator::UpstreamAttempts(AttemptPart::HostName { without_port: false }))
        }
        "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT" => {
            (Bare, Operator::UpstreamAttempts(AttemptPart::HostName { without_port: true }))
        }
        "UPSTREAM_CONNECTION_IDS_ATTEMPTED" => (Bare, Operator::UpstreamAttempts(AttemptPart::ConnectionId)),
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => (Bare, Operator::UpstreamConnectionPoolReadyDuration),
        "UPSTREAM_DETECTED_CLOSE_TYPE" => (Bare, Operator::UpstreamDetectedCloseType),
        "UPSTREAM_SERVER_NAME" => (Bare, Operator::UpstreamServerName),
        "UPSTREAM_TLS_GROUP" => (Bare, Operator::UpstreamTlsGroup),
        "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID" => (Bare, Operator::UpstreamEndpointId),
        "UPSTREAM_LOCAL_ADDRESS" => (Bare, Operator::UpstreamLocalAddress(Whole)),
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => {
            (Arguments, Operator::UpstreamLocalAddress(network(command)?))
        }
        "UPSTREAM_LOCAL_PORT" => (Bare, Operator::UpstreamLocalAddress(Port)),
        "UPSTREAM_CONNECTION_ID" => (Bare, Operator::UpstreamConnectionId),
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => (Bare, Operator::UpstreamRequestAttemptCount),
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => (Bare, Operator::UpstreamTransportFailureReason),
        "DOWNSTREAM_REMOTE_ADDRESS" => (Bare, Operator::DownstreamRemoteAddress(Whole)),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            (Arguments, Operator::DownstreamRemoteAddress(network(command)?))
        }
        "DOWNSTREAM_REMOTE_PORT" => (Bare, Operator::DownstreamRemoteAddress(Port)),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => (Bare, Operator::DownstreamDirectRemoteAddress(Whole)),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            (Arguments, Operator::DownstreamDirectRemoteAddress(network(command)?))
        }
        "DOWNSTREAM_DIRECT_REMOTE_PORT" => (Bare, Operator::DownstreamDirectRemoteAddress(Port)),
        "DOWNSTREAM_LOCAL_ADDRESS" | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS" => {
            (Bare, Operator::DownstreamLocalAddress(Whole))
        }
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT" => {
            (Arguments, Operator::DownstreamLocalAddress(network(command)?))
        }
        "DOWNSTREAM_LOCAL_PORT" | "DOWNSTREAM_DIRECT_LOCAL_PORT" => {
            (Bare, Operator::DownstreamLocalAddress(Port))
        }
        "DOWNSTREAM_TLS_VERSION" => (Bare, Operator::DownstreamTlsVersion),
        "DOWNSTREAM_TLS_CIPHER" => (Bare, Operator::DownstreamTlsCipher),
        "DOWNSTREAM_TLS_GROUP" => (Bare, Operator::DownstreamTlsGroup),
        "UPSTREAM_TLS_VERSION" => (Bare, Operator::UpstreamTlsVersion),
        "UPSTREAM_TLS_CIPHER" => (Bare, Operator::UpstreamTlsCipher),
        "DOWNSTREAM_HANDSHAKE_DURATION" => (Bare, Operator::DownstreamHandshakeDuration),
        "DOWNSTREAM_DETECTED_CLOSE_TYPE" => (Bare, Operator::DownstreamDetectedCloseType),
        "CONNECTION_TERMINATION_DETAILS" => (Bare, Operator::ConnectionTerminationDetails),
        "DOWNSTREAM_LOCAL_CLOSE_REASON" => (Bare, Operator::DownstreamLocalCloseReason),
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON" => (Bare, Operator::DownstreamTransportFailureReason),
        "TRACE_ID"
        | "SPAN_ID"
        | "ROUNDTRIP_DURATION"
        | "VIRTUAL_CLUSTER_NAME"
        | "UPSTREAM_LOCAL_CLOSE_REASON" => (Bare, Operator::Absent),
        "UPSTREAM_FILTER_STATE" => {
            filter_state(command)?;
            (ArgumentsAndLength, Operator::Absent)
        }
        "BYTES_RETRANSMITTED" | "PACKETS_RETRANSMITTED" => (Bare, Operator::Zero),
        "CUSTOM_FLAGS"
        | "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID"
        | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID" => (Bare, Operator::Empty),
        "COALESCE" => (
            ArgumentsAndLength,
            Operator::Coalesce { operators: coalesce::read(command, formatters)?, max_length },
        ),
        "CONNECTION_ID" => (Bare, Operator::ConnectionId),
        "STREAM_ID" => (Bare, Operator::StreamId),
        "UNIQUE_ID" => (Bare, Operator::UniqueId),
        "REQUESTED_SERVER_NAME" => (Arguments, requested_server_name(command)?),
        "ROUTE_NAME" => (Bare, Operator::RouteName),
        "FILTER_CHAIN_NAME" => (Bare, Operator::FilterChainName),
        "ACCESS_LOG_TYPE" => (Bare, Operator::AccessLogType),
        "HOSTNAME" => (Bare, Operator::Hostname),
        "LOCAL_REPLY_BODY" => (Bare, Operator::LocalReplyBody),
        "QUERY_PARAM" => {
            let name = required(command, "QUERY_PARAM(name)")?.to_owned();
            (ArgumentsAndLength, Operator::QueryParameter { name, max_length })
        }
        "QUERY_PARAMS" => (ArgumentsAndLength, query_parameters(command)?),
        "PATH" => (ArgumentsAndLength, path(command)?),
        "ENVIRONMENT" => {
            let name = required(command, "ENVIRONMENT(variable)")?;
            let mut value = environment(name);
            truncate(&mut value, max_length);
            return Ok(Parsed::Text(value));
        }
        "DYNAMIC_METADATA" => {
            let mut keys =
                required(command, "DYNAMIC_METADATA(namespace:key)")?.split(':').map(str::to_owned);
            let namespace = keys.next().unwrap_or_default();
            (ArgumentsAndLength, Operator::DynamicMetadata { namespace, path: keys.collect(), max_length })
        }
        "METADATA" => (ArgumentsAndLength, metadata(command)?),
        "CLUSTER_METADATA" => {
            (ArgumentsAndLength, static_metadata(command, MetadataOwner::Cluster, arguments))
        }
        "UPSTREAM_METADATA" => {
            (ArgumentsAndLength, static_metadata(command, MetadataOwner::UpstreamHost, arguments))
        }
        "FILTER_STATE" => (ArgumentsAndLength, filter_state(command)?),
        "CEL" => (ArgumentsAndLength, cel(command, false, formatters)?),
        "TYPED_CEL" => (ArgumentsAndLength, cel(command, true, formatters)?),
        "TLS_JA3_FINGERPRINT" => (Bare, Operator::TlsFingerprint(Fingerprint::Ja3)),
        "TLS_JA4_FINGERPRINT" => (Bare, Operator::TlsFingerprint(Fingerprint::Ja4)),
        "DOWNSTREAM_TLS_SESSION_ID" => (Bare, Operator::TlsSessionId { upstream: false }),
        "UPSTREAM_TLS_SESSION_ID" => (Bare, Operator::TlsSessionId { upstream: true }),
        "ROUTE_RESOLUTION_COUNT" => (Bare, Operator::RouteResolutionCount),
        "ROUTE_RESOLUTION_TIME_US" => (Bare, Operator::RouteResolutionTime),
        "FILE_CONTENT" if formatters.file_content.is_some() => return file_content(command, formatters),
        "GRPC_STATUS" => (Arguments, grpc_status(command)?),
        "GRPC_STATUS_NUMBER" => (Bare, Operator::GrpcStatus(GrpcStatusForm::Number)),
        name => {
            if let Some(count) = bytes::read(name) {
                (Bare, Operator::StreamBytes(count))
            } else if let Some(operator) = certificate::read(command)? {
                (Arguments, operator)
            } else {
                return Err(match UNSUPPORTED.iter().find(|(prefix, _)| name.starts_with(prefix)) {
                    Some((_, reason)) => FormatProblem::UnsupportedOperator { name: name.to_owned(), reason },
                    None => FormatProblem::UnknownOperator { name: name.to_owned() },
                });
            }
        }
    };
    check_shape(command, shape)?;
    Ok(Parsed::Operator(operator))
}

/// Operators of Envoy that are not here, by how they begin, and why.
const UNSUPPORTED: &[(&str, &str)] = &[
    (
        "REQ_WITHOUT_QUERY",
        "it needs the formatter envoy.formatter.req_without_query; PATH(NQ) shows the path without its query",
    ),
    ("DOWNSTREAM_CX_RTT", "no library shows the round-trip times of the kernel without unsafe code"),
    ("FILE_CONTENT", "it needs the formatter envoy.formatter.file_content"),
    ("SECRET", "secrets are not written into formats"),
];

fn cel(command: &Command<'_>, typed: bool, formatters: Formatters<'_>) -> Result<Operator, FormatProblem> {
    let expression = Expression::parse(command.arguments, formatters.cel)
        .map_err(|error| FormatProblem::InvalidExpression { name: command.name.to_owned(), error })?;
    Ok(Operator::Cel { expression, typed, max_length: command.max_length })
}

/// `FILE_CONTENT(path)` or `FILE_CONTENT(path:watched directory)`. A change of the file is a change of the configuration.
fn file_content(command: &Command<'_>, formatters: Formatters<'_>) -> Result<Parsed, FormatProblem> {
    let expected = "a file, or a file and the directory that is watched with a ':' between them";
    let (path, _) = pair(command).map_err(|_| invalid(command, command.arguments, expected))?;
    let (Some(read), false) = (formatters.file_content, path.is_empty()) else {
        return Err(invalid(command, command.arguments, expected));
    };
    let content =
        read(path).map_err(|reason| FormatProblem::UnreadableFile { path: path.to_owned(), reason })?;
    let mut text = String::from_utf8_lossy(&content).into_owned();
    truncate(&mut text, command.max_length);
    Ok(Parsed::Text(text))
}

fn metadata(command: &Command<'_>) -> Result<Operator, FormatProblem> {
    const EXPECTED: &str = "(TYPE:namespace:key)";
    let arguments = required(command, EXPECTED)?;
    let (kind, rest) = arguments.split_once(':').unwrap_or((arguments, ""));
    let owner = match kind {
        "DYNAMIC" => {
            let (namespace, path) = keys(rest);
            return Ok(Operator::DynamicMetadata { namespace, path, max_length: command.max_length });
        }
        "CLUSTER" => MetadataOwner::Cluster,
        "ROUTE" => MetadataOwner::Route,
        "VIRTUAL_HOST" => MetadataOwner::VirtualHost,
        "UPSTREAM_HOST" => MetadataOwner::UpstreamHost,
        "LISTENER" => MetadataOwner::Listener,
        "LISTENER_FILTER_CHAIN" => MetadataOwner::FilterChain,
        kind => {
            let expected =
                "DYNAMIC, CLUSTER, ROUTE, VIRTUAL_HOST, UPSTREAM_HOST, LISTENER or LISTENER_FILTER_CHAIN";
            return Err(invalid(command, kind, expected));
        }
    };
    Ok(static_metadata(command, owner, rest))
}

fn static_metadata(command: &Command<'_>, owner: MetadataOwner, arguments: &str) -> Operator {
    let (namespace, path) = keys(arguments);
    Operator::StaticMetadata { owner, namespace, path, max_length: command.max_length }
}

fn keys(arguments: &str) -> (String, Vec<String>) {
    let mut keys = arguments.split(':').map(str::to_owned);
    (keys.next().unwrap_or_default(), keys.collect())
}

fn check_shape(command: &Command<'_>, shape: Shape) -> Result<(), FormatProblem> {
    let name = || command.name.to_owned();
    match shape {
        Shape::Bare if !command.arguments.is_empty() => {
            Err(FormatProblem::UnexpectedArguments { name: name() })
        }
        Shape::Bare | Shape::Arguments if command.max_length.is_some() => {
            Err(FormatProblem::UnexpectedLength { name: name() })
        }
        _ => Ok(()),
    }
}

fn invalid(command: &Command<'_>, argument: &str, expected: &'static str) -> FormatProblem {
    FormatProblem::InvalidArgument { name: command.name.to_owned(), argument: argument.to_owned(), expected }
}

fn required<'a>(command: &Command<'a>, expected: &'static str) -> Result<&'a str, FormatProblem> {
    if command.arguments.is_empty() {
        return Err(FormatProblem::MissingArguments { name: command.name.to_owned(), expected });
    }
    Ok(command.arguments)
}

/// `A` or `A?B`; either may be empty.
fn headers(command: &Command<'_>) -> Result<HeaderOperand, FormatProblem> {
    let arguments = required(command, "(name) or (name?alternative)")?;
    if arguments.matches('?').count() > 1 {
        return Err(invalid(command, arguments, "a header name and at most one alternative"));
    }
    let names = arguments
        .split('?')
        .filter(|name| !name.is_empty())
        .map(|name| FieldName::parse(name).ok_or_else(|| invalid(command, name, "a header name")))
        .collect::<Result<_, _>>()?;
    Ok(HeaderOperand { names, max_length: command.max_length })
}

fn time_pattern(command: &Command<'_>, zone: Zone) -> Result<TimePattern, FormatProblem> {
    if command.arguments.is_empty() {
        return Ok(TimePattern::default_in(zone));
    }
    TimePattern::parse(command.arguments, zone)
        .map_err(|specifier| invalid(command, specifier, "a time specifier of this gateway"))
}

/// `_WITHOUT_PORT` operators take a prefix length; Envoy ignores arguments that are no number.
fn network(command: &Command<'_>) -> Result<AddressPart, FormatProblem> {
    if command.arguments.is_empty() {
        return Ok(AddressPart::WithoutPort);
    }
    match command.arguments.parse() {
        Ok(length @ 0..=128) => Ok(AddressPart::Network(length)),
        _ => Err(invalid(command, command.arguments, "a prefix length (0 to 128)")),
    }
}

const TIME_POINTS: [(&str, TimePoint); 17] = [
    ("DS_RX_BEG", TimePoint::DownstreamRxBegin),
    ("DS_RX_HDR_END", TimePoint::DownstreamRxHeadEnd),
    ("DS_RX_END", TimePoint::DownstreamRxEnd),
    ("US_CX_BEG", TimePoint::UpstreamConnectBegin),
    ("US_CX_END", TimePoint::UpstreamConnectEnd),
    ("US_HS_END", TimePoint::UpstreamHandshakeEnd),
    ("US_TX_BEG", TimePoint::UpstreamTxBegin),
    ("US_TX_END", TimePoint::UpstreamTxEnd),
    ("US_RX_BEG", TimePoint::UpstreamRxBegin),
    ("US_RX_BODY_BEG", TimePoint::UpstreamRxBodyBegin),
    ("US_RX_END", TimePoint::UpstreamRxEnd),
    ("DS_TX_BEG", TimePoint::DownstreamTxBegin),
    ("DS_TX_END", TimePoint::DownstreamTxEnd),
    ("DS_CX_BEG", TimePoint::DownstreamConnectionBegin),
    ("DS_CX_END", TimePoint::DownstreamConnectionEnd),
    ("DS_HS_BEG", TimePoint::DownstreamHandshakeBegin),
    ("DS_HS_END", TimePoint::DownstreamHandshakeEnd),
];

fn common_duration(command: &Command<'_>) -> Result<Operator, FormatProblem> {
    let arguments = required(command, "COMMON_DURATION(from:to:precision)")?;
    let mut words = arguments.split(':');
    let (Some(from), Some(to), precision, None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid(command, arguments, "from:to or from:to:precision"));
    };
    let time_point = |word| TIME_POINTS.iter().find(|(name, _)| *name == word).map(|(_, point)| *point);
    let precision = match precision {
        None | Some("ms") => DurationPrecision::Milliseconds,
        Some("us") => DurationPrecision::Microseconds,
        Some("ns") => DurationPrecision::Nanoseconds,
        Some(other) => return Err(invalid(command, other, "one of ms, us, ns")),
    };
    Ok(match (time_point(from), time_point(to)) {
        (Some(from), Some(to)) => Operator::CommonDuration { from, to, precision },
        // Other points are those that filters set, and none does here or in Envoy.
        _ => Operator::Absent,
    })
}

/// Splits `first:second`; a missing part is empty.
fn pair<'a>(command: &Command<'a>) -> Result<(&'a str, &'a str), FormatProblem> {
    let (first, second) = command.arguments.split_once(':').unwrap_or((command.arguments, ""));
    if second.contains(':') {
        return Err(invalid(command, command.arguments, "at most two words separated by ':'"));
    }
    Ok((first, second))
}

fn requested_server_name(command: &Command<'_>) -> Result<Operator, FormatProblem> {
    let (source, host) = pair(command)?;
    let source = match source {
        "" | "SNI_ONLY" => ServerNameSource::SniOnly,
        "SNI_FIRST" => ServerNameSource::SniFirst,
        "HOST_FIRST" => ServerNameSource::HostFirst,
        other => return Err(invalid(command, other, "one of SNI_ONLY, SNI_FIRST, HOST_FIRST")),
    };
    let host = match host {
        "" | "ORIG_OR_HOST" => HostSource::OriginalOrHost,
        "HOST" => HostSource::Host,
        "ORIG" => HostSource::Original,
        other => return Err(invalid(command, other, "one of ORIG_OR_HOST, HOST, ORIG")),
    };
    Ok(Operator::RequestedServerName { source, host })
}

fn query_parameters(command: &Command<'_>) -> Result<Operator, FormatProblem> {
    let decoded = match command.arguments {
        "" | "ORIG" => false,
        "DECODED" => true,
        other => return Err(invalid(command, other, "one of ORIG, DECODED")),
    };
    Ok(Operator::QueryParameters { decoded, max_length: command.max_length })
}

fn path(command: &Command<'_>) -> Result<Operator, FormatProblem> {
    let (query, source) = pair(command)?;
    let with_query = match query {
        "" | "WQ" => true,
        "NQ" => false,
        other => return Err(invalid(command, other, "one of WQ, NQ")),
    };
    let source = match source {
        "" | "ORIG_OR_PATH" => PathSource::OriginalOrPath,
        "PATH" => PathSource::Path,
        "ORIG" => PathSource::Original,
        other => return Err(invalid(command, other, "one of ORIG_OR_PATH, PATH, ORIG")),
    };
    Ok(Operator::Path { with_query, source, max_length: command.max_length })
}

fn filter_state(command: &Command<'_>) -> Result<Operator, FormatProblem> {
    let mut words = required(command, "FILTER_STATE(name:PLAIN|TYPED|FIELD:field)")?.splitn(3, ':');
    let name = words.next().unwrap_or_default();
    if name.is_empty() {
        return Err(invalid(command, name, "the name of a filter"));
    }
    let form = match (words.next(), words.next()) {
        (Some("PLAIN"), None) => FilterStateForm::Plain,
        (None | Some("" | "TYPED"), None) => FilterStateForm::Typed,
        (Some("FIELD"), Some(field)) if !field.is_empty() => {
            // What follows a further colon is ignored, as Envoy does.
            FilterStateForm::Field(field.split(':').next().unwrap_or_default().to_owned())
        }
        (Some("FIELD"), _) => {
            return Err(invalid(command, command.arguments, "FIELD with the name of a field"));
        }
        (Some("PLAIN" | "TYPED"), Some(_)) => return Err(invalid(command, command.arguments, "FIELD:field")),
        (other, _) => return Err(invalid(command, other.unwrap_or_default(), "one of PLAIN, TYPED, FIELD")),
    };
    Ok(Operator::FilterState { name: name.to_owned(), form, max_length: command.max_length })
}

fn grpc_status(command: &Command<'_>) -> Result<Operator, FormatProblem> {
    Ok(Operator::GrpcStatus(match command.arguments {
        "" | "CAMEL_STRING" => GrpcStatusForm::CamelString,
        "SNAKE_STRING" => GrpcStatusForm::SnakeString,
        "NUMBER" => GrpcStatusForm::Number,
        other => return Err(invalid(command, other, "one of CAMEL_STRING, SNAKE_STRING, NUMBER")),
    }))
}

fn environment(name: &str) -> String {
    std::env::var_os(name).map_or_else(|| "-".to_owned(), |value| value.to_string_lossy().into_owned())
}

/// Cuts `text` to at most `max_length` bytes, at a character boundary.
fn truncate(text: &mut String, max_length: Option<usize>) {
    if let Some(max_length) = max_length.filter(|length| *length < text.len()) {
        text.truncate(text.floor_char_boundary(max_length));
    }
}
