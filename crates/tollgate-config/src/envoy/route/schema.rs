//! The messages of route tables.

use super::hash_policy::{
    CONNECTION_PROPERTIES, COOKIE, COOKIE_ATTRIBUTE, HASH_POLICY, HEADER, QUERY_PARAMETER,
};
use super::mirror::{FRACTIONAL_PERCENT, REQUEST_MIRROR_POLICY, RUNTIME_FRACTIONAL_PERCENT};
use super::retry::{
    OMIT_CANARY_HOSTS, OMIT_HOST_METADATA, PREVIOUS_HOSTS_PREDICATE, PREVIOUS_PRIORITIES,
    RATE_LIMITED_RETRY_BACK_OFF, RESET_HEADER, RETRY_BACK_OFF, RETRY_HOST_PREDICATE, RETRY_POLICY,
    RETRY_PRIORITY,
};
use super::uri_template::{URI_TEMPLATE_MATCH, URI_TEMPLATE_REWRITE};
use crate::schema::{Schema, harmless, read, refused, unimplemented};

const ADD_REQUEST: &str = "Headers added to requests.";
const REMOVE_REQUEST: &str = "Headers removed from requests.";
const ADD_RESPONSE: &str = "Headers added to responses.";
const REMOVE_RESPONSE: &str = "Headers removed from responses.";
const PER_FILTER: &str = "What is different for a filter, by the filter's name.";
const NO_METADATA: &str = "nothing reads it";
const MIRRORS: &str =
    "Clusters that get copies of the requests. The most specific level that names any counts.";
const NO_VIRTUAL_CLUSTERS: &str = "metrics are kept by route";

/// The schemas of route tables, for the documentation.
pub(in crate::envoy) static SCHEMAS: [&Schema; 37] = [
    &ROUTE_CONFIGURATION,
    &VIRTUAL_HOST,
    &ROUTE,
    &ROUTE_MATCH,
    &URI_TEMPLATE_MATCH,
    &URI_TEMPLATE_REWRITE,
    &COOKIE_MATCHER,
    &TLS_CONTEXT_MATCH_OPTIONS,
    &GRPC_ROUTE_MATCH_OPTIONS,
    &ROUTE_ACTION,
    &MAX_STREAM_DURATION,
    &REGEX_MATCH_AND_SUBSTITUTE,
    &UPGRADE_CONFIG,
    &HASH_POLICY,
    &HEADER,
    &COOKIE,
    &COOKIE_ATTRIBUTE,
    &CONNECTION_PROPERTIES,
    &QUERY_PARAMETER,
    &RETRY_POLICY,
    &RETRY_BACK_OFF,
    &RETRY_HOST_PREDICATE,
    &PREVIOUS_HOSTS_PREDICATE,
    &OMIT_CANARY_HOSTS,
    &OMIT_HOST_METADATA,
    &RATE_LIMITED_RETRY_BACK_OFF,
    &RESET_HEADER,
    &RETRY_PRIORITY,
    &PREVIOUS_PRIORITIES,
    &REQUEST_MIRROR_POLICY,
    &RUNTIME_FRACTIONAL_PERCENT,
    &FRACTIONAL_PERCENT,
    &WEIGHTED_CLUSTER,
    &CLUSTER_WEIGHT,
    &REDIRECT_ACTION,
    &DIRECT_RESPONSE_ACTION,
    &NON_FORWARDING_ACTION,
];

pub(in crate::envoy) static ROUTE_CONFIGURATION: Schema = Schema {
    name: "envoy.config.route.v3.RouteConfiguration",
    title: "",
    fields: &[
        read("name", "", "Name of the table."),
        read("virtual_hosts", "[]", "Routes by host name."),
        read("request_headers_to_add", "[]", ADD_REQUEST),
        read("request_headers_to_remove", "[]", REMOVE_REQUEST),
        read("response_headers_to_add", "[]", ADD_RESPONSE),
        read("response_headers_to_remove", "[]", REMOVE_RESPONSE),
        read(
            "most_specific_header_mutations_wins",
            "false",
            "Header changes of routes come after those of their virtual host and table, not before.",
        ),
        read(
            "validate_clusters",
            "true",
            "A route to a cluster that does not exist is an error, not a warning.",
        ),
        read("max_direct_response_body_size_bytes", "4096", "Largest body of a direct response, bytes."),
        read("ignore_port_in_host_matching", "false", "Compare host names without their port."),
        read(
            "ignore_path_parameters_in_path_matching",
            "false",
            "Compare paths without what follows a semicolon in a segment. The path itself stays as it is; a rewrite of a \
             prefix replaces nothing where the path itself does not begin with the prefix.",
        ),
        read("typed_per_filter_config", "{}", PER_FILTER),
        harmless("metadata", NO_METADATA),
        refused("vhds", "write the virtual hosts into virtual_hosts"),
        refused("cluster_specifier_plugins", "name clusters in the routes"),
        read("request_mirror_policies", "[]", MIRRORS),
        refused("internal_only_headers", "use request_headers_to_remove"),
    ],
    unsupported: &["vhost_header", "route_specifiers"],
};

pub(in crate::envoy) static VIRTUAL_HOST: Schema = Schema {
    name: "envoy.config.route.v3.VirtualHost",
    title: "",
    fields: &[
        read("name", "", "Unique name. Required."),
        read(
            "domains",
            "",
            "Host names: exact, `*.suffix`, `*-suffix`, `prefix.*` or `*`; each once in a table. Required.",
        ),
        read("routes", "[]", "Tried in order, the first match wins."),
        read("request_headers_to_add", "[]", ADD_REQUEST),
        read("request_headers_to_remove", "[]", REMOVE_REQUEST),
        read("response_headers_to_add", "[]", ADD_RESPONSE),
        read("response_headers_to_remove", "[]", REMOVE_RESPONSE),
        read("typed_per_filter_config", "{}", PER_FILTER),
        read(
            "request_body_buffer_limit",
            "the connection's",
            "Limit of buffered bodies, bytes, if it is above the connection's.",
        ),
        read("per_request_buffer_limit_bytes", "the connection's", "Old form of request_body_buffer_limit."),
        harmless("virtual_clusters", NO_VIRTUAL_CLUSTERS),
        read("rate_limits", "[]", "What of requests rate limits look at."),
        read("metadata", "{}", "Metadata (attribute `xds.virtual_host_metadata`)."),
        refused("matcher", "use routes"),
        refused("cors", "there is no CORS filter"),
        read(
            "require_tls",
            "NONE",
            "Which requests are sent to https instead (301): ALL that did not come by it, or those of them that are not internal \
             (EXTERNAL_ONLY).",
        ),
        read("retry_policy", "", "What is tried again on routes that do not say it themselves."),
        read(
            "include_request_attempt_count",
            "false",
            "Tell the upstream which try it sees (`x-envoy-attempt-count`).",
        ),
        read(
            "include_attempt_count_in_response",
            "false",
            "Tell the client how many tries there were (`x-envoy-attempt-count`).",
        ),
        read("request_mirror_policies", "[]", MIRRORS),
        unimplemented("hedge_policy", "a request is tried at one endpoint at a time"),
        unimplemented("include_is_timeout_retry_header", "tries do not tell why there is another one"),
    ],
    unsupported: &["retry_policy_typed_config", "route_specifiers"],
};

pub(in crate::envoy) static ROUTE: Schema = Schema {
    name: "envoy.config.route.v3.Route",
    title: "",
    fields: &[
        read("name", "", "Name of the route."),
        read("match", "", "When it applies. Required."),
        read("route", "", "Forward to a cluster. One of the four actions is required."),
        read("redirect", "", "Answer with a redirect."),
        read("direct_response", "", "Answer directly."),
        read("non_forwarding_action", "", "Nothing of its own, for filters that always answer."),
        read("request_headers_to_add", "[]", ADD_REQUEST),
        read("request_headers_to_remove", "[]", REMOVE_REQUEST),
        read("response_headers_to_add", "[]", ADD_RESPONSE),
        read("response_headers_to_remove", "[]", REMOVE_RESPONSE),
        read("typed_per_filter_config", "{}", PER_FILTER),
        read(
            "request_body_buffer_limit",
            "the virtual host's",
            "Limit of buffered bodies, bytes, if it is above the connection's.",
        ),
        read(
            "per_request_buffer_limit_bytes",
            "the virtual host's",
            "Old form of request_body_buffer_limit.",
        ),
        harmless("decorator", "no spans are exported"),
        harmless("tracing", "no spans are exported"),
        harmless("stat_prefix", "metrics are kept by the name of the route"),
        read("metadata", "{}", "Metadata (attribute `xds.route_metadata`)."),
        refused("filter_action", "use route, redirect, direct_response or non_forwarding_action"),
    ],
    unsupported: &["route_specifiers"],
};

pub(in crate::envoy) static ROUTE_MATCH: Schema = Schema {
    name: "envoy.config.route.v3.RouteMatch",
    title: "",
    fields: &[
        read("prefix", "", "The path begins with this. One of the five path conditions is required."),
        read("path", "", "The path is this."),
        read("path_separated_prefix", "", "The path is this, or begins with this and a slash."),
        read("safe_regex", "", "The whole path matches."),
        read("case_sensitive", "true", "Compare the path case-sensitively; not for safe_regex."),
        read("headers", "[]", "Conditions on headers; all have to hold."),
        read("query_parameters", "[]", "Conditions on query parameters; all have to hold."),
        read("grpc", "", "Only gRPC requests."),
        read("runtime_fraction", "all", "Which part of the requests."),
        refused("connect_matcher", "CONNECT is not served"),
        read("path_match_policy", "", "The path matches a template (UriTemplateMatchConfig)."),
        read("cookies", "[]", "Conditions on cookies; all have to hold."),
        read("tls_context", "{}", "Conditions on the client's certificate."),
        read(
            "dynamic_metadata",
            "[]",
            "Conditions on what filters have set; all have to hold. They are looked at when the route is chosen.",
        ),
        refused("filter_state", "match headers"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COOKIE_MATCHER: Schema = Schema {
    name: "envoy.config.route.v3.CookieMatcher",
    title: "",
    fields: &[
        read("name", "", "Name of the cookie; the first one of the name counts. Required."),
        read("string_match", "", "What its value must be. Required."),
        read("invert_match", "false", "Holds where there is no cookie with such a value."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static TLS_CONTEXT_MATCH_OPTIONS: Schema = Schema {
    name: "envoy.config.route.v3.RouteMatch.TlsContextMatchOptions",
    title: "",
    fields: &[
        read("presented", "either", "Whether the client presented a certificate."),
        read("validated", "either", "Whether the client's certificate was verified."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static GRPC_ROUTE_MATCH_OPTIONS: Schema = Schema {
    name: "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static NON_FORWARDING_ACTION: Schema =
    Schema { name: "envoy.config.route.v3.NonForwardingAction", title: "", fields: &[], unsupported: &[] };

pub(in crate::envoy) static ROUTE_ACTION: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction",
    title: "",
    fields: &[
        read("cluster", "", "The cluster. One of the three ways to name it is required."),
        read("cluster_header", "", "The request header that names the cluster."),
        read("weighted_clusters", "", "Several clusters, each with its share."),
        read(
            "cluster_not_found_response_code",
            "SERVICE_UNAVAILABLE",
            "Reply when the cluster does not exist: SERVICE_UNAVAILABLE, NOT_FOUND, INTERNAL_SERVER_ERROR.",
        ),
        read("prefix_rewrite", "", "Replaces the prefix or path that matched."),
        read("regex_rewrite", "", "Replaces what matches in the path."),
        read("path_rewrite", "", "What the path becomes; may hold `%OPERATOR%`s. The query stays."),
        read(
            "path_rewrite_policy",
            "",
            "What the path becomes, with parts of the template that has matched (UriTemplateRewriteConfig).",
        ),
        read("host_rewrite_literal", "", "Replaces the host."),
        read("host_rewrite_path_regex", "", "The host becomes the path with what matches in it replaced."),
        read("host_rewrite", "", "What the host becomes; may hold `%OPERATOR%`s."),
        read("auto_host_rewrite", "false", "The host becomes the endpoint's host name."),
        read("host_rewrite_header", "", "The host becomes the value of this request header."),
        read(
            "append_x_forwarded_host",
            "false",
            "Add the original host to `x-forwarded-host` when it is replaced.",
        ),
        read("timeout", "15s", "From the end of the request to the end of the response; 0 = no limit."),
        read(
            "idle_timeout",
            "the connection manager's",
            "A stream without progress ends after this; 0 = never.",
        ),
        read("upgrade_configs", "the connection manager's", "Upgrades that are allowed here or not."),
        unimplemented("priority", "there are no limits by priority"),
        read("rate_limits", "[]", "What of requests rate limits look at."),
        read("include_vh_rate_limits", "false", "The rate limits of the virtual host, too."),
        read("retry_policy", "the virtual host's", "What is tried again."),
        read("request_mirror_policies", "[]", MIRRORS),
        read("hash_policy", "[]", "What of a request is hashed, for clusters with RING_HASH or MAGLEV."),
        read(
            "metadata_match",
            "{}",
            "Which subset of the cluster: what the namespace `envoy.lb` has; dynamic metadata of requests come before it.",
        ),
        read(
            "max_stream_duration",
            "the connection manager's",
            "How long the stream may live, from the head of the request on. Then there is no timeout.",
        ),
        read(
            "max_grpc_timeout",
            "",
            "The timeout of gRPC requests is what `grpc-timeout` says, up to this; 0 = whatever it says. Without the header it is the maximum.",
        ),
        refused("cluster_specifier_plugin", "name the cluster"),
        refused("inline_cluster_specifier_plugin", "name the cluster"),
        refused("internal_redirect_policy", "redirects of upstreams go to the client"),
        refused("cors", "there is no CORS filter"),
        unimplemented("flush_timeout", "the idle timeout counts until the last byte is sent"),
        harmless("early_data_policy", "there is no early data"),
        unimplemented("hedge_policy", "a request is tried at one endpoint at a time"),
    ],
    unsupported: &[
        "retry_policy_typed_config",
        "grpc_timeout_offset",
        "internal_redirect_action",
        "max_internal_redirects",
    ],
};

pub(in crate::envoy) static MAX_STREAM_DURATION: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.MaxStreamDuration",
    title: "",
    fields: &[
        read("max_stream_duration", "the connection manager's", "So long; 0 = no limit."),
        read(
            "grpc_timeout_header_max",
            "",
            "`grpc-timeout` of requests counts, up to this; 0 = whatever it says. Without it the header does not count.",
        ),
        read("grpc_timeout_header_offset", "0s", "So much less than `grpc-timeout` says."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static REGEX_MATCH_AND_SUBSTITUTE: Schema = Schema {
    name: "envoy.type.matcher.v3.RegexMatchAndSubstitute",
    title: "",
    fields: &[
        read("pattern", "", "What is replaced, everywhere in the path. Required."),
        read("substitution", "", "What it becomes; `\\1` is the first group."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static UPGRADE_CONFIG: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.UpgradeConfig",
    title: "UpgradeConfig of routes",
    fields: &[
        read("upgrade_type", "", "Value of the `upgrade` header, case ignored. Required."),
        read("enabled", "true", "Whether it is allowed."),
        refused("connect_config", "CONNECT is not served"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static WEIGHTED_CLUSTER: Schema = Schema {
    name: "envoy.config.route.v3.WeightedCluster",
    title: "",
    fields: &[
        read("clusters", "", "The shares. Required."),
        harmless("total_weight", "as in Envoy, the sum of the weights counts"),
        unimplemented("runtime_key_prefix", "weights do not change at run time"),
        refused("header_name", "the choice is random"),
        refused("use_hash_policy", "the choice is random"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static CLUSTER_WEIGHT: Schema = Schema {
    name: "envoy.config.route.v3.WeightedCluster.ClusterWeight",
    title: "",
    fields: &[
        read("name", "", "The cluster. Required."),
        read("weight", "0", "Share of the requests, against the sum of all weights."),
        read("request_headers_to_add", "[]", ADD_REQUEST),
        read("request_headers_to_remove", "[]", REMOVE_REQUEST),
        read("response_headers_to_add", "[]", ADD_RESPONSE),
        read("response_headers_to_remove", "[]", REMOVE_RESPONSE),
        read("typed_per_filter_config", "{}", PER_FILTER),
        read("host_rewrite_literal", "", "Replaces the host."),
        refused("cluster_header", "use cluster_header of the route"),
        read(
            "metadata_match",
            "{}",
            "The same for the share; keys of the route that are not here count, too.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static REDIRECT_ACTION: Schema = Schema {
    name: "envoy.config.route.v3.RedirectAction",
    title: "",
    fields: &[
        read("https_redirect", "false", "The scheme becomes https."),
        read("scheme_redirect", "the request's", "New scheme."),
        read("host_redirect", "the request's", "New host."),
        read("port_redirect", "the request's", "New port."),
        read("path_redirect", "the request's", "New path, with a query of its own or not."),
        read("prefix_rewrite", "", "Replaces the prefix or path that matched."),
        read(
            "response_code",
            "MOVED_PERMANENTLY",
            "MOVED_PERMANENTLY, FOUND, SEE_OTHER, TEMPORARY_REDIRECT or PERMANENT_REDIRECT.",
        ),
        read("strip_query", "false", "Leave the query out."),
        read("regex_rewrite", "", "Replaces what matches in the path."),
        read("path_rewrite", "", "New path; may hold `%OPERATOR%`s."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DIRECT_RESPONSE_ACTION: Schema = Schema {
    name: "envoy.config.route.v3.DirectResponseAction",
    title: "",
    fields: &[
        read("status", "", "Status, 200 to 599. Required."),
        read("body", "", "Body, at most `max_direct_response_body_size_bytes`."),
        read(
            "body_format",
            "%LOCAL_REPLY_BODY%",
            "What the body becomes; `%LOCAL_REPLY_BODY%` is `body`. It is not a part of the limit.",
        ),
    ],
    unsupported: &[],
};
