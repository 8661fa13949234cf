//! The HTTP connection manager.

use std::{sync::Arc, time::Duration};

use tollgate_ir::{HttpConnectionManager, RouteTable};
use tollgate_model::http_connection_manager::{
    ClientCertDetails, ClusterHttpFilters, CodecType, ForwardClientCert, HeadersWithUnderscoresAction,
    Http1Options, InternalAddresses, PathWithEscapedSlashesAction, ProxyName, ProxyStatus,
    ServerHeaderTransformation,
};

use super::{
    Scope,
    access_log::read_access_logs,
    config_source::{is_from_server, read_from_server, read_resource},
    http_filters::{Filters, read_http_filters},
    ip_detection::read_ip_detection,
    listener::read_cidr_range,
    local_reply::read_local_replies,
    protocol_options::{COMMON_HTTP_PROTOCOL_OPTIONS, read_http1_options, read_http2_options},
    route::{TableOrigins, read_route_configuration, schema::ROUTE_CONFIGURATION},
};
use crate::{
    schema::{Enumeration, Message, Schema, Value, harmless, read, refused, unimplemented},
    yaml::{Content, Node},
};

const ONE_LINE: &str = "a request is logged once, when it ends";
const NO_SPANS: &str = "no spans are exported";

pub(super) static HTTP_CONNECTION_MANAGER: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    title: "",
    fields: &[
        read("codec_type", "AUTO", "AUTO (ALPN on TLS, else the HTTP/2 preface), HTTP1 or HTTP2."),
        read("stat_prefix", "", "Prefix of statistics, `http.<stat_prefix>.`. Required."),
        read("route_config", "", "Virtual hosts and routes. This or rds is required."),
        read("rds", "", "A file with the routes."),
        read(
            "http_filters",
            "",
            "HTTP filters in request order; the last one has to be the router. Required.",
        ),
        read("server_name", "envoy", "`server` header of responses."),
        read(
            "server_header_transformation",
            "OVERWRITE",
            "What to do with the upstream's `server` header: OVERWRITE, APPEND_IF_ABSENT, PASS_THROUGH.",
        ),
        read(
            "use_remote_address",
            "false",
            "The gateway is the edge: trust the peer address, not `x-forwarded-for`.",
        ),
        read("xff_num_trusted_hops", "0", "Trusted proxies in front of the gateway."),
        read("skip_xff_append", "false", "Do not add the peer address to `x-forwarded-for`."),
        read("via", "", "Added to `via`."),
        read("generate_request_id", "true", "Create `x-request-id` when it is missing."),
        read("preserve_external_request_id", "false", "Keep the `x-request-id` of clients at the edge."),
        read("always_set_request_id_in_response", "false", "Put `x-request-id` into responses."),
        read("append_x_forwarded_port", "false", "Add `x-forwarded-port`."),
        read("common_http_protocol_options", "{}", "Settings of both versions of HTTP."),
        read("http_protocol_options", "{}", "Settings of HTTP/1."),
        read("http2_protocol_options", "{}", "Settings of HTTP/2."),
        read("max_request_headers_kb", "60", "Largest header block of a request, KiB; more: 431. 1 to 8192."),
        read("stream_idle_timeout", "300s", "A stream without progress ends after this; 0 = never."),
        read("request_timeout", "none", "The whole request has to be there by then; 0 = no limit."),
        read(
            "request_headers_timeout",
            "none",
            "The request headers have to be there by then; 0 = no limit.",
        ),
        read("drain_timeout", "5s", "Time between the notice and the end of a draining connection."),
        read(
            "delayed_close_timeout",
            "1s",
            "How long a connection that closes is still read from; 0 = not at all.",
        ),
        read("normalize_path", "false", "Normalize paths (RFC 3986)."),
        read(
            "path_with_escaped_slashes_action",
            "KEEP_UNCHANGED",
            "Paths with `%2F` or `%5C`: keep, refuse (400), redirect to the decoded path (307), or decode.",
        ),
        read("merge_slashes", "false", "Merge adjacent slashes of paths."),
        read(
            "strip_matching_host_port",
            "false",
            "Drop the port from the authority if it is the listener's.",
        ),
        read("strip_any_host_port", "false", "Drop any port from the authority."),
        read("upgrade_configs", "[]", "Upgrades that are allowed, `websocket` for one."),
        read("proxy_100_continue", "false", "Pass `expect: 100-continue` on instead of answering it."),
        read("access_log", "[]", "Access logs."),
        read(
            "proxy_status_config",
            "",
            "Answers of the gateway's own tell in `proxy-status` why; without it they do not.",
        ),
        unimplemented("tracing", NO_SPANS),
        harmless("request_id_extension", "request ids are random UUIDs"),
        unimplemented("access_log_options", ONE_LINE),
        refused("scoped_routes", "write the routes into route_config"),
        refused("http3_protocol_options", "HTTP/3 is not served"),
        read("local_reply_config", "", "What answers of the gateway's own look like."),
        read(
            "forward_client_cert_details",
            "SANITIZE",
            "What becomes of `x-forwarded-client-cert`: SANITIZE, FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET, ALWAYS_FORWARD_ONLY.",
        ),
        read(
            "set_current_client_cert_details",
            "{}",
            "What APPEND_FORWARD and SANITIZE_SET tell about the client's certificate beside its digest.",
        ),
        read(
            "original_ip_detection_extensions",
            "[]",
            "Who says where a client is, one after the other: XffConfig or CustomHeaderConfig; not beside use_remote_address and \
             xff_num_trusted_hops.",
        ),
        read("internal_address_config", "{}", "Whose requests are internal; without it nobody's."),
        unimplemented("add_user_agent", "`user-agent` stays as it is"),
        harmless("record_route_resolution_stats", "metrics are always on"),
        unimplemented(
            "http1_safe_max_connection_duration",
            "a connection that is too old is closed behind its next response",
        ),
        unimplemented(
            "scheme_header_transformation",
            "the scheme of requests is that of the client's connection",
        ),
        unimplemented("stream_flush_timeout", "stream_idle_timeout counts until the last byte is sent"),
        harmless("drain_timeout_jitter", "drain_timeout counts as it is"),
        unimplemented("access_log_flush_interval", ONE_LINE),
        unimplemented("flush_access_log_on_new_request", ONE_LINE),
        unimplemented(
            "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
            "IPv4 addresses are shown as such",
        ),
        unimplemented(
            "stream_error_on_invalid_http_message",
            "a message that is not valid ends its connection",
        ),
        unimplemented("append_local_overload", "answers of overload actions have no header of their own"),
        harmless("add_proxy_protocol_connection_state", "there is no such state"),
    ],
    unsupported: &[
        "early_header_mutation_extensions",
        "forward_client_cert_matcher",
        "path_normalization_options",
        "strip_trailing_host_dot",
        "typed_header_validation_config",
        "forward_proto_config",
    ],
};

pub(in crate::envoy) static FORWARD_CLIENT_CERT_DETAILS: Enumeration<ForwardClientCert> = Enumeration {
    values: &[
        ("SANITIZE", 0, Some(ForwardClientCert::Sanitize)),
        ("FORWARD_ONLY", 1, Some(ForwardClientCert::ForwardOnly)),
        ("APPEND_FORWARD", 2, Some(ForwardClientCert::AppendForward)),
        ("SANITIZE_SET", 3, Some(ForwardClientCert::SanitizeSet)),
        ("ALWAYS_FORWARD_ONLY", 4, Some(ForwardClientCert::AlwaysForwardOnly)),
    ],
};

pub(in crate::envoy) static SET_CURRENT_CLIENT_CERT_DETAILS: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
    title: "",
    fields: &[
        read("subject", "false", "Its subject."),
        read("cert", "false", "The certificate."),
        read("chain", "false", "The certificate and what was presented with it."),
        read("dns", "false", "Its DNS names."),
        read("uri", "false", "Its URIs."),
    ],
    unsupported: &["issuer", "format"],
};

pub(in crate::envoy) static PROXY_STATUS_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ProxyStatusConfig",
    title: "",
    fields: &[
        read("remove_details", "false", "Leave the details out."),
        read("remove_connection_termination_details", "false", "Leave out of them why the connection ended."),
        read("remove_response_flags", "false", "Leave the response flags out of them."),
        read("set_recommended_response_code", "false", "The status is the one that RFC 9209 recommends."),
        read("use_node_id", "", "The gateway is called by its node's id, whatever is written here."),
        read("literal_proxy_name", "server_name", "What the gateway is called."),
    ],
    unsupported: &[],
};

pub(super) static UPGRADE_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
    title: "UpgradeConfig of the connection manager",
    fields: &[
        read("upgrade_type", "", "Value of the `upgrade` header, case ignored. Required."),
        read("enabled", "true", "Whether routes allow it that do not say otherwise."),
        refused("filters", "upgrades pass the same filters as other requests"),
    ],
    unsupported: &[],
};

pub(super) static RDS: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.Rds",
    title: "",
    fields: &[
        read("route_config_name", "", "Name of the RouteConfiguration. Required."),
        read("config_source", "", "The file. Required."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 6] = [
    &HTTP_CONNECTION_MANAGER,
    &INTERNAL_ADDRESS_CONFIG,
    &SET_CURRENT_CLIENT_CERT_DETAILS,
    &PROXY_STATUS_CONFIG,
    &RDS,
    &UPGRADE_CONFIG,
];

pub(in crate::envoy) static INTERNAL_ADDRESS_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
    title: "",
    fields: &[
        read("unix_sockets", "false", "Requests over Unix sockets are."),
        read("cidr_ranges", "[]", "Requests of clients with such an address are."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static CODEC_TYPE: Enumeration<CodecType> = Enumeration {
    values: &[
        ("AUTO", 0, Some(CodecType::Auto)),
        ("HTTP1", 1, Some(CodecType::Http1)),
        ("HTTP2", 2, Some(CodecType::Http2)),
        ("HTTP3", 3, None),
    ],
};

pub(in crate::envoy) static SERVER_HEADER_TRANSFORMATION: Enumeration<ServerHeaderTransformation> =
    Enumeration {
        values: &[
            ("OVERWRITE", 0, Some(ServerHeaderTransformation::Overwrite)),
            ("APPEND_IF_ABSENT", 1, Some(ServerHeaderTransformation::AppendIfAbsent)),
            ("PASS_THROUGH", 2, Some(ServerHeaderTransformation::PassThrough)),
        ],
    };

pub(in crate::envoy) static PATH_WITH_ESCAPED_SLASHES_ACTION: Enumeration<PathWithEscapedSlashesAction> =
    Enumeration {
        values: &[
            ("IMPLEMENTATION_SPECIFIC_DEFAULT", 0, Some(PathWithEscapedSlashesAction::KeepUnchanged)),
            ("KEEP_UNCHANGED", 1, Some(PathWithEscapedSlashesAction::KeepUnchanged)),
            ("REJECT_REQUEST", 2, Some(PathWithEscapedSlashesAction::RejectRequest)),
            ("UNESCAPE_AND_REDIRECT", 3, Some(PathWithEscapedSlashesAction::UnescapeAndRedirect)),
            ("UNESCAPE_AND_FORWARD", 4, Some(PathWithEscapedSlashesAction::UnescapeAndForward)),
        ],
    };

pub(in crate::envoy) static HEADERS_WITH_UNDERSCORES_ACTION: Enumeration<HeadersWithUnderscoresAction> =
    Enumeration {
        values: &[
            ("ALLOW", 0, Some(HeadersWithUnderscoresAction::Allow)),
            ("REJECT_REQUEST", 1, Some(HeadersWithUnderscoresAction::RejectRequest)),
            ("DROP_HEADER", 2, Some(HeadersWithUnderscoresAction::DropHeader)),
        ],
    };

/// Reads the HTTP connection manager; it calls its route table `table`.
pub(super) fn read_http_connection_manager(
    value: &Value<'_>,
    table: String,
    scope: &Scope,
) -> Option<(HttpConnectionManager, RouteTable, TableOrigins)> {
    let message = value.message(&HTTP_CONNECTION_MANAGER)?;
    let stat_prefix = message.required_string("stat_prefix");
    let filters = read_http_filters(&message, scope);
    let route_config = match message.required_one_of(&["route_config", "rds"]) {
        Some(("rds", rds)) => read_rds(&rds, &filters, scope),
        routes => routes.and_then(|(_, routes)| read_route_configuration(&routes, &filters, scope, true)),
    };
    let common = message.message("common_http_protocol_options", &COMMON_HTTP_PROTOCOL_OPTIONS);
    let common = common.as_ref();
    let strip_any_host_port = message.boolean("strip_any_host_port", false);
    let strip_matching_host_port = message.boolean("strip_matching_host_port", false);
    if strip_any_host_port && strip_matching_host_port {
        value.error("\"strip_matching_host_port\" and \"strip_any_host_port\" cannot be given together");
    }
    let suppress_envoy_headers = filters.suppress_envoy_headers;
    let (http_filters, upstream_http_filters) = filters.into_lists();
    let (routes, origins) = route_config?;
    let manager = HttpConnectionManager {
        codec_type: message.enumeration("codec_type", &CODEC_TYPE, CodecType::Auto),
        server_name: Some(message.header_text("server_name"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "envoy".to_owned()),
        server_header_transformation: message.enumeration(
            "server_header_transformation",
            &SERVER_HEADER_TRANSFORMATION,
            ServerHeaderTransformation::Overwrite,
        ),
        use_remote_address: message.boolean("use_remote_address", false),
        internal_addresses: read_internal_addresses(&message),
        forward_client_cert: message.enumeration(
            "forward_client_cert_details",
            &FORWARD_CLIENT_CERT_DETAILS,
            ForwardClientCert::Sanitize,
        ),
        client_cert_details: read_client_cert_details(&message),
        xff_num_trusted_hops: message.u32("xff_num_trusted_hops").unwrap_or(0),
        skip_xff_append: message.boolean("skip_xff_append", false),
        ip_detection: read_ip_detection(&message),
        via: message.header_text("via"),
        generate_request_id: message.boolean("generate_request_id", true),
        preserve_external_request_id: message.boolean("preserve_external_request_id", false),
        always_set_request_id_in_response: message.boolean("always_set_request_id_in_response", false),
        append_x_forwarded_port: message.boolean("append_x_forwarded_port", false),
        max_headers_count: common.and_then(|common| read_max_headers_count(common)).unwrap_or(100),
        max_request_headers_kb: message
            .get("max_request_headers_kb")
            .and_then(|size| size.integer(1..=8192))
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(60),
        idle_timeout: match common {
            Some(common) => common.timeout("idle_timeout", Some(HOUR)),
            None => Some(HOUR),
        },
        max_connection_duration: common.and_then(|common| common.timeout("max_connection_duration", None)),
        max_stream_duration: common.and_then(|common| common.timeout("max_stream_duration", None)),
        max_requests_per_connection: common
            .and_then(|common| common.u32("max_requests_per_connection"))
            .filter(|requests| *requests > 0),
        headers_with_underscores_action: common.map_or(HeadersWithUnderscoresAction::Allow, |common| {
            common.enumeration(
                "headers_with_underscores_action",
                &HEADERS_WITH_UNDERSCORES_ACTION,
                HeadersWithUnderscoresAction::Allow,
            )
        }),
        stream_idle_timeout: message.timeout("stream_idle_timeout", Some(Duration::from_secs(300))),
        request_timeout: message.timeout("request_timeout", None),
        request_headers_timeout: message.timeout("request_headers_timeout", None),
        drain_timeout: message.duration("drain_timeout").unwrap_or(Duration::from_secs(5)),
        delayed_close_timeout: message.timeout("delayed_close_timeout", Some(Duration::from_secs(1))),
        normalize_path: message.boolean("normalize_path", false),
        keep_dot_segment_parameters: scope.runtime.keep_dot_segment_parameters,
        merge_slashes: message.boolean("merge_slashes", false),
        path_with_escaped_slashes_action: message.enumeration(
            "path_with_escaped_slashes_action",
            &PATH_WITH_ESCAPED_SLASHES_ACTION,
            PathWithEscapedSlashesAction::KeepUnchanged,
        ),
        strip_matching_host_port,
        strip_any_host_port,
        http1: Http1Options {
            refuse_query: scope.runtime.refuse_query,
            ..read_http1_options(message.get("http_protocol_options").as_ref())
        },
        http2: read_http2_options(message.get("http2_protocol_options").as_ref()),
        upgrade_types: read_upgrade_types(&message),
        hold_generic_upgrades: scope.runtime.pause_generic_upgrades,
        proxy_100_continue: message.boolean("proxy_100_continue", false),
        access_log: read_access_logs(&message.list("access_log")),
        local_replies: message.get("local_reply_config").map(|value| Arc::new(read_local_replies(&value))),
        proxy_status: message
            .message("proxy_status_config", &PROXY_STATUS_CONFIG)
            .map(|s| read_proxy_status(&s)),
        suppress_envoy_headers,
        header_prefix: scope.header_prefix.clone(),
        request_floods: scope.runtime.request_floods,
        http_filters,
        upstream_http_filters,
        cluster_http_filters: ClusterHttpFilters::default(),
        route_config: table,
        stat_prefix,
    };
    Some((manager, routes, origins))
}

fn read_client_cert_details(message: &Message<'_>) -> ClientCertDetails {
    let details = message.message("set_current_client_cert_details", &SET_CURRENT_CLIENT_CERT_DETAILS);
    let Some(details) = details else { return ClientCertDetails::default() };
    ClientCertDetails {
        subject: details.boolean("subject", false),
        cert: details.boolean("cert", false),
        chain: details.boolean("chain", false),
        dns: details.boolean("dns", false),
        uri: details.boolean("uri", false),
    }
}

fn read_proxy_status(message: &Message<'_>) -> ProxyStatus {
    let name = match message.one_of(&["use_node_id", "literal_proxy_name"]) {
        // As in Envoy it is enough that it is there.
        Some(("use_node_id", value)) => {
            value.boolean();
            ProxyName::NodeId
        }
        Some((_, value)) => ProxyName::Literal(value.header_text().unwrap_or_default()),
        None => ProxyName::ServerName,
    };
    ProxyStatus {
        name,
        remove_details: message.boolean("remove_details", false),
        remove_connection_termination_details: message
            .boolean("remove_connection_termination_details", false),
        remove_response_flags: message.boolean("remove_response_flags", false),
        set_recommended_response_code: message.boolean("set_recommended_response_code", false),
    }
}

/// Reads the routes that are in a file of their own.
fn read_rds(value: &Value<'_>, filters: &Filters, scope: &Scope) -> Option<(RouteTable, TableOrigins)> {
    let message = value.message(&RDS)?;
    let name = message.required_string("route_config_name");
    let source = message.required("config_source")?;
    if is_from_server(&source) {
        let routes = read_from_server(&source, &ROUTE_CONFIGURATION, &name, |routes| {
            read_route_configuration(routes, filters, scope, false)
        });
        if routes.is_some() {
            return routes;
        }
        // Nothing yet: requests get 404, as in Envoy.
        let nothing = Node { content: Content::Mapping(Vec::new()), location: source.location() };
        let nothing = Value::embedded(source.context, &nothing, &source.path);
        return read_route_configuration(&nothing, filters, scope, false);
    }
    read_resource(&source, &ROUTE_CONFIGURATION, ("name", &name), |routes| {
        // As in Envoy: such routes may come before their clusters.
        read_route_configuration(routes, filters, scope, false)
    })
}

const HOUR: Duration = Duration::from_secs(3600);

fn read_max_headers_count(common: &Message<'_>) -> Option<usize> {
    usize::try_from(common.get("max_headers_count")?.integer(1..=i64::from(u32::MAX))?).ok()
}

fn read_upgrade_types(message: &Message<'_>) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for value in message.list("upgrade_configs") {
        let Some(config) = value.message(&UPGRADE_CONFIG) else { continue };
        let upgrade_type = config.required_string("upgrade_type").to_ascii_lowercase();
        if upgrade_type == "connect" || upgrade_type == "connect-udp" {
            value.error(format!("the upgrade type \"{upgrade_type}\" is not supported"));
        }
        if types.contains(&upgrade_type) {
            value.error(format!("the upgrade type \"{upgrade_type}\" is given twice"));
        }
        if config.boolean("enabled", true) {
            types.push(upgrade_type);
        }
    }
    types
}

fn read_internal_addresses(manager: &Message<'_>) -> InternalAddresses {
    let Some(config) = manager.message("internal_address_config", &INTERNAL_ADDRESS_CONFIG) else {
        return InternalAddresses::default();
    };
    let ranges = config.list("cidr_ranges");
    InternalAddresses {
        unix_sockets: config.boolean("unix_sockets", false),
        ranges: ranges.iter().filter_map(read_cidr_range).collect(),
    }
}
