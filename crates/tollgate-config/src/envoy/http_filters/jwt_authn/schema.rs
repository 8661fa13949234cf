//! The messages of the filter `jwt_authn`.

use crate::schema::{Schema, read, refused};

pub(in crate::envoy) static JWT_AUTHENTICATION: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
    title: "",
    fields: &[
        read("providers", "{}", "Who signs tokens, by name."),
        read("rules", "[]", "What requests need; the first one that applies counts."),
        read("requirement_map", "{}", "Requirements that rules and routes may name."),
        read("bypass_cors_preflight", "false", "Let CORS preflight requests pass."),
        read("strip_failure_response", "false", "Refuse without saying why."),
        read("stat_prefix", "", "Added to the names of the filter's statistics."),
        refused("filter_state_rules", "use rules, or requirement_name of the routes"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PER_ROUTE_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
    title: "",
    fields: &[
        read("disabled", "", "true turns the filter off. This or requirement_name is required."),
        read("requirement_name", "", "One of requirement_map, instead of the rules; 403 if it is not there."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static JWT_PROVIDER: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider",
    title: "",
    fields: &[
        read("issuer", "any", "`iss` of its tokens."),
        read("audiences", "any", "A token is for one of these."),
        read("subjects", "any", "`sub` of its tokens."),
        read("require_expiration", "false", "Tokens have to have `exp`."),
        read("max_lifetime", "unlimited", "How long a token may last from now on."),
        read("remote_jwks", "", "Keys of a server. This or local_jwks is required."),
        read(
            "local_jwks",
            "",
            "Keys in place. At most 1000 keys; RSA keys have at least 2048 bits, others are passed over.",
        ),
        read("forward", "false", "Leave the token in the request."),
        read("from_headers", "authorization", "Headers with tokens."),
        read("from_params", "access_token", "Query parameters with tokens."),
        read("from_cookies", "[]", "Cookies with tokens."),
        read("forward_payload_header", "", "A header that gets the payload, in base64url."),
        read("pad_forward_payload_header", "false", "Pad that."),
        read(
            "payload_in_metadata",
            "",
            "Key of the payload in dynamic metadata `envoy.filters.http.jwt_authn`.",
        ),
        read("normalize_payload_in_metadata", "", "Claims with words become lists there."),
        read("header_in_metadata", "", "Key of the header there."),
        read("failed_status_in_metadata", "", "Key of what is wrong with a token there."),
        read("clock_skew_seconds", "60", "How far clocks may be apart."),
        read("jwt_cache_config", "", "Keep good tokens, so that they are not verified again."),
        read("claim_to_headers", "[]", "Claims that become headers."),
        read("clear_route_cache", "false", "Match the routes again after that."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static NORMALIZE_PAYLOAD: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider.NormalizePayload",
    title: "JwtProvider.NormalizePayload",
    fields: &[read("space_delimited_claims", "[]", "Claims whose words become a list.")],
    unsupported: &[],
};

pub(in crate::envoy) static JWT_CACHE_CONFIG: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtCacheConfig",
    title: "",
    fields: &[
        read("jwt_cache_size", "100", "Most tokens."),
        read("jwt_max_token_size", "4096", "Longest token that is kept, bytes."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static REMOTE_JWKS: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks",
    title: "",
    fields: &[
        read("http_uri", "", "Where the keys are. An answer has at most 1 MiB and 1000 keys. Required."),
        read("cache_duration", "600s", "How long they may be used, at least 0.001s."),
        read(
            "async_fetch",
            "",
            "Fetch them before a request needs them. A listener does not wait for that: a request that comes earlier does.",
        ),
        read("retry_policy", "no further tries", "Further tries: num_retries and retry_back_off."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static JWKS_ASYNC_FETCH: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwksAsyncFetch",
    title: "",
    fields: &[
        read("fast_listener", "false", "Listeners never wait for keys, whatever this says."),
        read("failed_refetch_duration", "1s", "How long after a failure it is tried again."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static JWT_HEADER: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader",
    title: "",
    fields: &[
        read("name", "", "The header. Required."),
        read("value_prefix", "", "What stands before the token."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static JWT_CLAIM_TO_HEADER: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader",
    title: "",
    fields: &[
        read("header_name", "", "The header; what clients send in it is removed. Required."),
        read("claim_name", "", "The claim; dots lead into objects. This or claim_path is required."),
        read("claim_path", "", "The way to the claim, from outside in."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PATH_SEGMENT: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader.PathSegment",
    title: "JwtClaimToHeader.PathSegment",
    fields: &[read("key", "", "A key of an object. Required.")],
    unsupported: &[],
};

pub(in crate::envoy) static REQUIREMENT_RULE: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.RequirementRule",
    title: "",
    fields: &[
        read("match", "", "Which requests, as in routes. Required."),
        read("requires", "nothing", "What they need."),
        read("requirement_name", "", "Or one of requirement_map."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static JWT_REQUIREMENT: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement",
    title: "",
    fields: &[
        read("provider_name", "", "A token of this provider."),
        read("provider_and_audiences", "", "The same, for other audiences."),
        read("requires_any", "", "One of these."),
        read("requires_all", "", "All of these."),
        read("allow_missing", "", "No token, or good ones."),
        read("allow_missing_or_failed", "", "Anything; good tokens are made use of."),
        refused("extract_only_without_validation", "use allow_missing_or_failed, which verifies tokens"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PROVIDER_WITH_AUDIENCES: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.ProviderWithAudiences",
    title: "",
    fields: &[
        read("provider_name", "", "The provider. Required."),
        read("audiences", "those of the provider", "A token is for one of these."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static JWT_REQUIREMENT_OR_LIST: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList",
    title: "",
    fields: &[read("requirements", "", "Two at least. Required.")],
    unsupported: &[],
};

pub(in crate::envoy) static JWT_REQUIREMENT_AND_LIST: Schema = Schema {
    name: "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList",
    title: "",
    fields: &[read("requirements", "", "Two at least. Required.")],
    unsupported: &[],
};

pub(in crate::envoy::http_filters) static SCHEMAS: [&Schema; 15] = [
    &JWT_AUTHENTICATION,
    &PER_ROUTE_CONFIG,
    &JWT_PROVIDER,
    &NORMALIZE_PAYLOAD,
    &JWT_CACHE_CONFIG,
    &REMOTE_JWKS,
    &JWKS_ASYNC_FETCH,
    &JWT_HEADER,
    &JWT_CLAIM_TO_HEADER,
    &PATH_SEGMENT,
    &REQUIREMENT_RULE,
    &JWT_REQUIREMENT,
    &PROVIDER_WITH_AUDIENCES,
    &JWT_REQUIREMENT_OR_LIST,
    &JWT_REQUIREMENT_AND_LIST,
];
