//! `google_grpc`: a processor that is a target of its own (EN-24).

mod target;

use std::{sync::Arc, time::Duration};

use extproc::messages::Metadata;
use tollgate_ir::{GoogleCluster, GrpcService};
use tollgate_model::{
    cluster::{
        CircuitBreakers, Discovery, Dns, DnsLookupFamily, Endpoint, EndpointAddress, HealthPolicy, LbPolicy,
        UpstreamProtocol,
    },
    format::Format,
    http_connection_manager::{Http2Keepalive, Http2Options},
    processor::GrpcTarget,
    socket::TcpOptions,
    tls::{ServerNameIndication, ServerValidation, TlsVersions, UpstreamTlsSettings},
};

use self::target::parse_target;
use super::{
    grpc_service::MAX_RECEIVE_MESSAGE_LENGTH,
    listener::BUFFER_LIMIT,
    tls::{read_identity, read_trusted_ca, system_roots},
};
use crate::schema::{Message, Schema, Value, read, refused, unimplemented};

const ONLY_TOKENS: &str = "use access_token";

pub(super) static GOOGLE_GRPC: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.GoogleGrpc",
    title: "",
    fields: &[
        read(
            "target_uri",
            "",
            "`host:port`, `dns:///host:port`, `ipv4:address:port`, `ipv6:[address]:port` or `unix:path`. Required.",
        ),
        read("stat_prefix", "", "Any name. Required."),
        read("channel_credentials", "cleartext", "TLS."),
        read(
            "call_credentials",
            "[]",
            "Tokens sent with each call; only with TLS, or on a Unix socket with local_credentials.",
        ),
        unimplemented("per_stream_buffer_limit_bytes", "streams are bounded by HTTP/2 windows"),
        read("channel_args", "{}", "Settings of the gRPC library."),
        refused("channel_credentials_plugin", "use channel_credentials"),
        refused("call_credentials_plugin", "use call_credentials"),
        refused("credentials_factory_name", "use channel_credentials and call_credentials"),
        refused("config", "use channel_credentials and call_credentials"),
    ],
    unsupported: &[],
};

pub(super) static CHANNEL_ARGS: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelArgs",
    title: "",
    fields: &[read(
        "args",
        "{}",
        "`grpc.keepalive_time_ms` and `grpc.keepalive_timeout_ms` (20000): PINGs. Others have no effect.",
    )],
    unsupported: &[],
};

pub(super) static CHANNEL_ARG: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelArgs.Value",
    title: "",
    fields: &[read("string_value", "", "Text."), read("int_value", "", "A number.")],
    unsupported: &[],
};

pub(super) static CHANNEL_CREDENTIALS: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelCredentials",
    title: "",
    fields: &[
        read("ssl_credentials", "", "TLS; the certificate has to be for the host of the target."),
        refused("google_default", "use ssl_credentials"),
        read("local_credentials", "", "Cleartext to a Unix socket or an address of the loopback interface."),
    ],
    unsupported: &[],
};

pub(super) static LOCAL_CREDENTIALS: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.GoogleGrpc.GoogleLocalCredentials",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(super) static SSL_CREDENTIALS: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.GoogleGrpc.SslCredentials",
    title: "",
    fields: &[
        read("root_certs", "the system's", "PEM of the certificates that are trusted."),
        read("private_key", "", "PEM of our own key, together with cert_chain."),
        read("cert_chain", "", "PEM of our own certificate, together with private_key."),
    ],
    unsupported: &[],
};

pub(super) static CALL_CREDENTIALS: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials",
    title: "",
    fields: &[
        read("access_token", "", "Sent as `authorization: Bearer <token>`. Required."),
        refused("google_compute_engine", ONLY_TOKENS),
        refused("google_refresh_token", ONLY_TOKENS),
        refused("service_account_jwt_access", ONLY_TOKENS),
        refused("google_iam", ONLY_TOKENS),
        refused("from_plugin", ONLY_TOKENS),
        refused("sts_service", ONLY_TOKENS),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 7] = [
    &GOOGLE_GRPC,
    &CHANNEL_ARGS,
    &CHANNEL_ARG,
    &CHANNEL_CREDENTIALS,
    &LOCAL_CREDENTIALS,
    &SSL_CREDENTIALS,
    &CALL_CREDENTIALS,
];

/// How long a PING may be unanswered, as in the gRPC library.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long connecting may take, as in the gRPC library.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How often names are looked up, as in the gRPC library.
const REFRESH_RATE: Duration = Duration::from_secs(30);

/// Reads `GoogleGrpc`.
pub(super) fn read_google_grpc(value: &Value<'_>) -> Option<GrpcService> {
    let message = value.message(&GOOGLE_GRPC)?;
    let uri = message.required("target_uri");
    let target = uri.as_ref().and_then(|uri| match parse_target(&uri.non_empty_string()?) {
        Ok(target) => Some(target),
        Err(problem) => {
            uri.error_with_help(
                problem,
                "a target is host:port, dns:///host:port, ipv4:address:port, ipv6:[address]:port or unix:path",
            );
            None
        }
    });
    let stat_prefix = message.required_string("stat_prefix");
    let keepalive = message.get("channel_args").and_then(|arguments| read_channel_args(&arguments));
    let credentials = message
        .message("channel_credentials", &CHANNEL_CREDENTIALS)
        .and_then(|credentials| credentials.required_one_of(&["ssl_credentials", "local_credentials"]));
    let addresses = target.as_ref().map(|target| &*target.addresses).unwrap_or_default();
    let mut is_private = false;
    let tls = credentials.as_ref().and_then(|(kind, credentials)| {
        if *kind == "local_credentials" {
            is_private = read_local_credentials(credentials, addresses);
            return None;
        }
        is_private = true;
        read_ssl_credentials(credentials, target.as_ref().map_or("", |target| target.host.as_str()))
    });
    let initial_metadata = read_call_credentials(&message, is_private);
    let target = target?;
    let is_name = matches!(target.addresses.first(), Some(EndpointAddress::Dns { .. }));
    let dns = Dns {
        refresh_rate: REFRESH_RATE,
        respect_dns_ttl: false,
        lookup_family: DnsLookupFamily::All,
        failure_refresh: None,
        jitter: Duration::ZERO,
    };
    let hostname = target.host;
    let cluster = GoogleCluster {
        alt_stat_name: None,
        name: format!("google_grpc.{stat_prefix}"),
        // The gRPC library takes the first address that can be connected to, of either family.
        discovery: if is_name { Discovery::LogicalDns(dns) } else { Discovery::Static },
        endpoints: target
            .addresses
            .into_iter()
            .map(|address| Endpoint { hostname: hostname.clone(), ..Endpoint::new(address) })
            .collect(),
        lb_policy: LbPolicy::RoundRobin,
        slow_start: None,
        locality_weighted: false,
        override_host: None,
        subsets: None,
        connect_timeout: CONNECT_TIMEOUT,
        protocol: UpstreamProtocol::Http2(Http2Options { keepalive, ..Http2Options::default() }),
        tls: tls.map(Arc::new),
        transport_socket_matches: Vec::new(),
        tcp: TcpOptions::HTTP2_UPSTREAM,
        per_connection_buffer_limit_bytes: BUFFER_LIMIT as usize,
        circuit_breakers: CircuitBreakers::default(),
        health: HealthPolicy::default(),
        idle_timeout: Some(Duration::from_secs(3600)),
        max_requests_per_connection: None,
        metadata: Metadata::default(),
    };
    Some(GrpcService {
        target: GrpcTarget::GoogleGrpc(Arc::new(cluster)),
        target_uri: uri.and_then(|uri| uri.non_empty_string()),
        authority: target.authority,
        initial_metadata,
        max_receive_message_length: MAX_RECEIVE_MESSAGE_LENGTH,
        skip_envoy_headers: true,
        retry_policy: None,
    })
}

/// The PINGs that are asked for.
fn read_channel_args(value: &Value<'_>) -> Option<Http2Keepalive> {
    let (mut interval, mut timeout) = (None, KEEPALIVE_TIMEOUT);
    for (name, value) in value.message(&CHANNEL_ARGS)?.map("args") {
        let Some((kind, argument)) = value
            .message(&CHANNEL_ARG)
            .and_then(|value| value.required_one_of(&["string_value", "int_value"]))
        else {
            continue;
        };
        let milliseconds = || {
            let number = argument.integer(1..=i64::from(i32::MAX)).filter(|_| kind == "int_value")?;
            u64::try_from(number).ok().map(Duration::from_millis)
        };
        match name {
            "grpc.keepalive_time_ms" => interval = milliseconds(),
            "grpc.keepalive_timeout_ms" => timeout = milliseconds().unwrap_or(timeout),
            _ => value
                .no_effect(format!("the channel argument \"{name}\""), "there is no gRPC library to take it"),
        }
    }
    let interval = Some(interval?);
    Some(Http2Keepalive { interval, timeout, interval_jitter: 0.0, connection_idle_interval: None })
}

/// Reads `local_credentials`: they are for connections that do not leave the machine. Whether nobody else can read what is sent:
/// on a Unix socket.
fn read_local_credentials(value: &Value<'_>, addresses: &[EndpointAddress]) -> bool {
    value.message(&LOCAL_CREDENTIALS);
    let is_local = |address: &EndpointAddress| match address {
        EndpointAddress::Pipe(_) => true,
        EndpointAddress::Socket(address) => address.ip().is_loopback(),
        EndpointAddress::Dns { .. } => false,
    };
    if !addresses.iter().all(is_local) {
        value.error_with_help(
            "local_credentials are for a Unix socket or an address of the loopback interface",
            "use ssl_credentials",
        );
    }
    addresses.iter().all(|address| matches!(address, EndpointAddress::Pipe(_)))
}

fn read_ssl_credentials(value: &Value<'_>, host: &str) -> Option<UpstreamTlsSettings> {
    let message = value.message(&SSL_CREDENTIALS)?;
    let trusted_ca = match message.get("root_certs") {
        None => system_roots(value),
        Some(source) => read_trusted_ca(&source),
    };
    let certificate = match (message.get("cert_chain"), message.get("private_key")) {
        (Some(chain), Some(key)) => read_identity(&chain, &key),
        (None, None) => None,
        _ => {
            value.error("\"cert_chain\" and \"private_key\" belong together");
            None
        }
    };
    Some(UpstreamTlsSettings {
        sni: ServerNameIndication::Fixed(host.to_owned()),
        validation: ServerValidation::ChainAndServerName { trusted_ca: trusted_ca? },
        certificate,
        alpn_protocols: vec!["h2".to_owned()],
        versions: TlsVersions::default(),
        max_session_keys: 1,
    })
}

/// Tokens become metadata; where others could read them the gRPC library would not send them.
fn read_call_credentials(message: &Message<'_>, is_private: bool) -> Vec<(String, Format)> {
    message
        .list("call_credentials")
        .iter()
        .filter_map(|value| {
            let (_, token) = value.message(&CALL_CREDENTIALS)?.required_one_of(&["access_token"])?;
            let token = token.non_empty_string()?;
            if !is_private {
                value.error_with_help(
                    "call credentials are only sent over TLS or a Unix socket",
                    "add channel_credentials.ssl_credentials, or local_credentials for a Unix socket",
                );
            }
            Some(("authorization".to_owned(), Format::literal(&format!("Bearer {token}"))))
        })
        .collect()
}
