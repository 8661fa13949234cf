//! Short `@type` names, so that scenarios stay readable.

use serde_json::{Value, json};

const TYPES: &[(&str, &str)] = &[
    ("ExternalProcessor", "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"),
    ("ExtProcPerRoute", "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"),
    ("FilterConfig", "envoy.config.route.v3.FilterConfig"),
    ("HttpConnectionManager", HCM),
    ("HttpProtocolOptions", HTTP_OPTIONS),
    ("Router", "envoy.extensions.filters.http.router.v3.Router"),
    ("UpstreamCodec", "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
    ("SetMetadata", "envoy.extensions.filters.http.set_metadata.v3.Config"),
    ("HealthCheck", "envoy.extensions.filters.http.health_check.v3.HealthCheck"),
    ("HeaderMutation", "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"),
    ("HeaderMutationPerRoute", "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute"),
    ("HeaderToMetadata", "envoy.extensions.filters.http.header_to_metadata.v3.Config"),
    ("ExtensionWithMatcher", "envoy.extensions.common.matching.v3.ExtensionWithMatcher"),
    ("ExtensionWithMatcherPerRoute", "envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute"),
    ("Composite", "envoy.extensions.filters.http.composite.v3.Composite"),
    ("ExecuteFilterAction", "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction"),
    ("SkipFilter", "envoy.extensions.filters.common.matcher.action.v3.SkipFilter"),
    ("HttpRequestHeaderMatchInput", "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"),
    ("ExtAuthz", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"),
    ("ExtAuthzPerRoute", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"),
    ("Buffer", "envoy.extensions.filters.http.buffer.v3.Buffer"),
    ("BufferPerRoute", "envoy.extensions.filters.http.buffer.v3.BufferPerRoute"),
    ("HTTPFault", "envoy.extensions.filters.http.fault.v3.HTTPFault"),
    ("LocalRateLimit", "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"),
    ("RBAC", "envoy.extensions.filters.http.rbac.v3.RBAC"),
    ("RBACPerRoute", "envoy.extensions.filters.http.rbac.v3.RBACPerRoute"),
    ("Cors", "envoy.extensions.filters.http.cors.v3.Cors"),
    ("CorsPolicy", "envoy.extensions.filters.http.cors.v3.CorsPolicy"),
    ("JwtAuthentication", "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"),
    ("JwtPerRouteConfig", "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"),
    ("RateLimit", "envoy.extensions.filters.http.ratelimit.v3.RateLimit"),
    ("RateLimitPerRoute", "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"),
    ("Compressor", "envoy.extensions.filters.http.compressor.v3.Compressor"),
    ("CompressorPerRoute", "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute"),
    ("Decompressor", "envoy.extensions.filters.http.decompressor.v3.Decompressor"),
    ("Lua", "envoy.extensions.filters.http.lua.v3.Lua"),
    ("LuaPerRoute", "envoy.extensions.filters.http.lua.v3.LuaPerRoute"),
    ("GrpcWeb", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"),
    ("StatefulSession", "envoy.extensions.filters.http.stateful_session.v3.StatefulSession"),
    ("StatefulSessionPerRoute", "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"),
    ("Gzip", "envoy.extensions.compression.gzip.compressor.v3.Gzip"),
    ("GzipDecompressor", "envoy.extensions.compression.gzip.decompressor.v3.Gzip"),
    ("Brotli", "envoy.extensions.compression.brotli.compressor.v3.Brotli"),
    ("BrotliDecompressor", "envoy.extensions.compression.brotli.decompressor.v3.Brotli"),
    ("Zstd", "envoy.extensions.compression.zstd.compressor.v3.Zstd"),
    ("ZstdDecompressor", "envoy.extensions.compression.zstd.decompressor.v3.Zstd"),
    ("CookieBasedSessionState", "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState"),
    ("HeaderBasedSessionState", "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState"),
    ("FileAccessLog", "envoy.extensions.access_loggers.file.v3.FileAccessLog"),
];

const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// Key of the HTTP options of a cluster.
pub(crate) const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// `@type` of a short name.
pub(crate) fn url(short: &str) -> String {
    let full = TYPES.iter().find(|(name, _)| *name == short).map_or(short, |(_, full)| full);
    format!("type.googleapis.com/{full}")
}

/// Writes out short `@type` names and `grpc_service: CLUSTER`.
pub(crate) fn write_out(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get_mut("@type")
                && !name.contains('/')
            {
                *name = url(name);
            }
            if let Some(service) = map.get_mut("grpc_service")
                && let Value::String(cluster) = service
            {
                *service = json!({"envoy_grpc": {"cluster_name": cluster}});
            }
            map.values_mut().for_each(write_out);
        }
        Value::Array(values) => values.iter_mut().for_each(write_out),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_written_out() {
        let mut value =
            json!([{"@type": "Router"}, {"@type": "type.googleapis.com/x"}, {"grpc_service": "p"}]);
        write_out(&mut value);
        let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
        let service = json!({"envoy_grpc": {"cluster_name": "p"}});
        assert_eq!(
            value,
            json!([{"@type": router}, {"@type": "type.googleapis.com/x"}, {"grpc_service": service}])
        );
    }
}
