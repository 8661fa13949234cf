//! What filters beside external processing count.
//!
//! Their prefixes follow from settings that routes may replace, so the metrics are found by a short look when something is
//! counted; those of every configured filter are there from the start.

use std::{cell::RefCell, sync::Arc};

use extproc::Direction;
use tollgate_model::{
    filter::{Compressor, Decompressor, FilterOverride, FilterSettings},
    http_connection_manager::HttpConnectionManager,
};

use super::{
    Block, MetricSet, WorkerStats,
    metrics::{Description, Kind, Metric, REQUEST_BOUNDS, metrics},
    scope::Scope,
};

/// Metrics of a kind of filter.
pub(crate) trait FilterMetrics: MetricSet {
    /// What precedes their names in the Prometheus form.
    const FAMILY: &'static str;

    /// What precedes their names in Envoy's form, for a connection manager and what else settles it.
    fn prefix(http_stat_prefix: &str, own: &str) -> String;
}

metrics! {
    /// Of a `set_metadata` filter.
    SetMetadataMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Namespaces left as they were because overwriting them is not allowed.
        OverwriteDenied: Counter = "overwrite_denied",
    }
}

impl SetMetadataMetric {
    /// What the filter itself sets.
    pub(crate) const OF_FILTER: &str = "";
    /// What routes set.
    pub(crate) const OF_ROUTE: &str = "route";
}

impl FilterMetrics for SetMetadataMetric {
    const FAMILY: &'static str = "tollgate_http_set_metadata_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        // As in Envoy those of routes have no connection manager.
        match own {
            Self::OF_ROUTE => "set_metadata.".to_owned(),
            _ => format!("http.{http_stat_prefix}.set_metadata."),
        }
    }
}

metrics! {
    /// Of a `header_to_metadata` filter with a `stat_prefix`.
    HeaderToMetadataMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Rules for requests that were applied.
        RequestRulesProcessed: Counter = "request_rules_processed",
        /// Values of requests that were set.
        RequestMetadataAdded: Counter = "request_metadata_added",
        /// Values set because a request has no such header or cookie.
        RequestHeaderNotFound: Counter = "request_header_not_found",
        /// Rules for responses that were applied.
        ResponseRulesProcessed: Counter = "response_rules_processed",
        /// Values of responses that were set.
        ResponseMetadataAdded: Counter = "response_metadata_added",
        /// Values set because a response has no such header.
        ResponseHeaderNotFound: Counter = "response_header_not_found",
        /// Values that are not base64.
        Base64DecodeFailed: Counter = "base64_decode_failed",
        /// Values of 8 KiB or more.
        HeaderValueTooLong: Counter = "header_value_too_long",
        /// Values of which the expression left nothing.
        RegexSubstitutionFailed: Counter = "regex_substitution_failed",
    }
}

impl FilterMetrics for HeaderToMetadataMetric {
    const FAMILY: &'static str = "tollgate_http_header_to_metadata_";

    fn prefix(_http_stat_prefix: &str, own: &str) -> String {
        format!("http_filter_name.{own}.")
    }
}

metrics! {
    /// Of an `ext_authz` filter.
    ExtAuthzMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Requests that the service lets pass.
        Ok: Counter = "ok",
        /// Requests that the service refuses.
        Denied: Counter = "denied",
        /// Requests without a verdict.
        Error: Counter = "error",
        /// Requests that the service is not asked about.
        Disabled: Counter = "disabled",
        /// Requests that pass although there is no verdict.
        FailureModeAllowed: Counter = "failure_mode_allowed",
        /// Answers that ask for what cannot be done.
        Invalid: Counter = "invalid",
    }
}

impl FilterMetrics for ExtAuthzMetric {
    const FAMILY: &'static str = "tollgate_http_ext_authz_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        with_own("http", http_stat_prefix, "ext_authz", own)
    }
}

metrics! {
    /// The same by the cluster that the requests would go to.
    ExtAuthzOfClusterMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: true {
        /// Requests that the service lets pass.
        Ok: Counter = "ok",
        /// Requests that the service refuses.
        Denied: Counter = "denied",
        /// Requests without a verdict.
        Error: Counter = "error",
        /// Requests that pass although there is no verdict.
        FailureModeAllowed: Counter = "failure_mode_allowed",
    }
}

impl ExtAuthzOfClusterMetric {
    /// What settles the prefix.
    pub(crate) fn own(cluster: &str, stat_prefix: &str) -> String {
        with_own("cluster", cluster, "ext_authz", stat_prefix)
    }
}

impl FilterMetrics for ExtAuthzOfClusterMetric {
    const FAMILY: &'static str = "tollgate_cluster_ext_authz_";

    fn prefix(_http_stat_prefix: &str, own: &str) -> String {
        own.to_owned()
    }
}

metrics! {
    /// Of a `jwt_authn` filter.
    JwtAuthnMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Requests that pass.
        Allowed: Counter = "allowed",
        /// CORS preflight requests that pass whatever they have.
        CorsPreflightBypassed: Counter = "cors_preflight_bypassed",
        /// Requests that are refused.
        Denied: Counter = "denied",
        /// Key sets that were fetched.
        JwksFetchSuccess: Counter = "jwks_fetch_success",
        /// Key sets that could not be fetched.
        JwksFetchFailed: Counter = "jwks_fetch_failed",
        /// Tokens that were verified before.
        JwtCacheHit: Counter = "jwt_cache_hit",
        /// Tokens of providers that were not.
        JwtCacheMiss: Counter = "jwt_cache_miss",
    }
}

impl FilterMetrics for JwtAuthnMetric {
    const FAMILY: &'static str = "tollgate_http_jwt_authn_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        with_own("http", http_stat_prefix, "jwt_authn", own)
    }
}

metrics! {
    /// Of a `local_ratelimit` filter.
    LocalRateLimitMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Requests for which a token was asked for.
        Enabled: Counter = "enabled",
        /// Requests beyond the limit that were refused.
        Enforced: Counter = "enforced",
        /// Requests beyond the limit.
        RateLimited: Counter = "rate_limited",
        /// Requests within the limit.
        Ok: Counter = "ok",
    }
}

impl FilterMetrics for LocalRateLimitMetric {
    const FAMILY: &'static str = "tollgate_http_local_rate_limit_";

    fn prefix(_http_stat_prefix: &str, own: &str) -> String {
        format!("{own}.http_local_rate_limit.")
    }
}

metrics! {
    /// Of a `cors` filter.
    CorsMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Requests of origins that are allowed.
        OriginValid: Counter = "origin_valid",
        /// Requests of others.
        OriginInvalid: Counter = "origin_invalid",
    }
}

impl FilterMetrics for CorsMetric {
    const FAMILY: &'static str = "tollgate_http_cors_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        with_own("http", http_stat_prefix, "cors", own)
    }
}

metrics! {
    /// Of a `fault` filter.
    FaultMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Requests that waited.
        DelaysInjected: Counter = "delays_injected",
        /// Requests that were answered.
        AbortsInjected: Counter = "aborts_injected",
        /// Responses that were slow.
        ResponseRlInjected: Counter = "response_rl_injected",
        /// Requests without a fault because too many had one.
        FaultsOverflow: Counter = "faults_overflow",
        /// Requests that have faults.
        ActiveFaults: Gauge = "active_faults",
    }
}

impl FilterMetrics for FaultMetric {
    const FAMILY: &'static str = "tollgate_http_fault_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        with_own("http", http_stat_prefix, "fault", own)
    }
}

metrics! {
    /// Of a `decompressor` filter, by direction.
    DecompressorMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Messages that were decompressed.
        Decompressed: Counter = "decompressed",
        /// Messages with a body that were not.
        NotDecompressed: Counter = "not_decompressed",
        /// Bytes before.
        TotalCompressedBytes: Counter = "total_compressed_bytes",
        /// Bytes after.
        TotalUncompressedBytes: Counter = "total_uncompressed_bytes",
        /// Bodies that were not what they said, or grew too much. Envoy counts them by library.
        DecodeFailed: Counter = "decode_failed",
    }
}

impl DecompressorMetric {
    /// What settles the prefix.
    pub(crate) fn own(settings: &Decompressor, direction: Direction) -> String {
        let of_direction = match direction {
            Direction::Request => "request",
            Direction::Response => "response",
        };
        format!("{}.{}.{of_direction}.", settings.name, settings.library.stat_name())
    }
}

impl FilterMetrics for DecompressorMetric {
    const FAMILY: &'static str = "tollgate_http_decompressor_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        format!("http.{http_stat_prefix}.decompressor.{own}")
    }
}

metrics! {
    /// Of a `lua` filter.
    LuaMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Functions of scripts that failed.
        Errors: Counter = "errors",
        /// Functions of scripts that were begun.
        Executions: Counter = "executions",
    }
}

impl FilterMetrics for LuaMetric {
    const FAMILY: &'static str = "tollgate_http_lua_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        with_own("http", http_stat_prefix, "lua", own)
    }
}

metrics! {
    /// Of a `ratelimit` filter, by the cluster that the requests would go to.
    RateLimitMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: true {
        /// Requests within their limits.
        Ok: Counter = "ok",
        /// Requests without an answer.
        Error: Counter = "error",
        /// Requests beyond a limit.
        OverLimit: Counter = "over_limit",
        /// Requests that pass although there is no answer.
        FailureModeAllowed: Counter = "failure_mode_allowed",
    }
}

impl RateLimitMetric {
    /// What settles the prefix.
    pub(crate) fn own(cluster: &str, stat_prefix: &str) -> String {
        with_own("cluster", cluster, "ratelimit", stat_prefix)
    }
}

impl FilterMetrics for RateLimitMetric {
    const FAMILY: &'static str = "tollgate_cluster_ratelimit_";

    fn prefix(_http_stat_prefix: &str, own: &str) -> String {
        own.to_owned()
    }
}

metrics! {
    /// Of a `compressor` filter, by direction.
    CompressorMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Messages that were compressed.
        Compressed: Counter = "compressed",
        /// Messages that were not.
        NotCompressed: Counter = "not_compressed",
        /// Bytes before.
        TotalUncompressedBytes: Counter = "total_uncompressed_bytes",
        /// Bytes after.
        TotalCompressedBytes: Counter = "total_compressed_bytes",
        /// Messages that are too short.
        ContentLengthTooSmall: Counter = "content_length_too_small",
    }
}

impl CompressorMetric {
    /// What settles the prefix.
    pub(crate) fn own(settings: &Compressor, direction: Direction) -> String {
        let of_direction = match direction {
            Direction::Request => "request.",
            Direction::Response if settings.response.counted_apart => "response.",
            Direction::Response => "",
        };
        format!("{}{of_direction}", CompressorAcceptMetric::own(settings))
    }
}

impl FilterMetrics for CompressorMetric {
    const FAMILY: &'static str = "tollgate_http_compressor_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        format!("http.{http_stat_prefix}.compressor.{own}")
    }
}

metrics! {
    /// What clients accept that a `compressor` filter might compress for.
    CompressorAcceptMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Nothing is said.
        NoAcceptHeader: Counter = "no_accept_header",
        /// Rather no encoding.
        HeaderIdentity: Counter = "header_identity",
        /// This encoding, by its name.
        HeaderCompressorUsed: Counter = "header_compressor_used",
        /// Rather the encoding of another filter.
        HeaderCompressorOvershadowed: Counter = "header_compressor_overshadowed",
        /// Any encoding.
        HeaderWildcard: Counter = "header_wildcard",
        /// Nothing that is of use.
        HeaderNotValid: Counter = "header_not_valid",
        /// Responses that were left alone for their `etag`.
        NotCompressedEtag: Counter = "not_compressed_etag",
    }
}

impl CompressorAcceptMetric {
    /// What settles the prefix.
    pub(crate) fn own(settings: &Compressor) -> String {
        format!("{}.{}.", settings.name, settings.library.stat_name())
    }
}

impl FilterMetrics for CompressorAcceptMetric {
    const FAMILY: &'static str = "tollgate_http_compressor_accept_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        format!("http.{http_stat_prefix}.compressor.{own}")
    }
}

metrics! {
    /// Of an `rbac` filter.
    RbacMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Requests that pass.
        Allowed: Counter = "allowed",
        /// Requests that are refused.
        Denied: Counter = "denied",
        /// Requests that would pass by the shadow rules.
        ShadowAllowed: Counter = "shadow_allowed",
        /// Requests that would be refused by the shadow rules.
        ShadowDenied: Counter = "shadow_denied",
    }
}

impl FilterMetrics for RbacMetric {
    const FAMILY: &'static str = "tollgate_http_rbac_";

    fn prefix(http_stat_prefix: &str, own: &str) -> String {
        with_own("http", http_stat_prefix, "rbac", own)
    }
}

/// `<group>.<owner>.<filter>.`, and the filter's own prefix if it has one.
fn with_own(group: &str, owner: &str, filter: &str, own: &str) -> String {
    match own {
        "" => format!("{group}.{owner}.{filter}."),
        own => format!("{group}.{owner}.{filter}.{own}."),
    }
}

metrics! {
    /// Of a filter that a matcher chooses.
    CompositeMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Requests for which a filter was chosen.
        FilterDelegationSuccess: Counter = "filter_delegation_success",
    }
}

impl FilterMetrics for CompositeMetric {
    const FAMILY: &'static str = "tollgate_http_composite_";

    fn prefix(http_stat_prefix: &str, _own: &str) -> String {
        format!("http.{http_stat_prefix}.composite.")
    }
}

/// The metrics of the filters of one connection manager.
#[derive(Debug)]
pub(super) struct OtherFilters {
    worker: WorkerStats,
    http_stat_prefix: String,
    known: RefCell<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    family: &'static str,
    own: Box<str>,
    block: Arc<Block>,
}

impl OtherFilters {
    pub(super) fn new(worker: &WorkerStats, http: &HttpConnectionManager) -> Self {
        let all = Self {
            worker: worker.clone(),
            http_stat_prefix: http.stat_prefix.clone(),
            known: RefCell::default(),
        };
        let routes = http.route_config.virtual_hosts.iter().flat_map(|host| &host.routes);
        let of_routes = routes.flat_map(|route| route.filters.iter().map(|(_, does)| does));
        for filter in http.filters().map(|filter| &filter.default).chain(of_routes) {
            if let FilterOverride::Matched(_) = filter {
                all.add::<CompositeMetric>("", 0, 0);
            }
            filter.visit(&mut |filter| match filter {
                FilterOverride::Settings(settings) => all.prepare(settings),
                FilterOverride::Cors(_) => all.add::<CorsMetric>("", 0, 0),
                _ => {}
            });
        }
        all
    }

    /// Makes the metrics of these settings, so that reports show them before anything is counted.
    fn prepare(&self, settings: &FilterSettings) {
        match settings {
            FilterSettings::HealthCheck(_)
            | FilterSettings::Buffer(_)
            | FilterSettings::GrpcWeb(())
            | FilterSettings::RateLimit(_)
            | FilterSettings::HeaderMutation(_) => {}
            FilterSettings::LocalRateLimit(settings) => {
                self.add::<LocalRateLimitMetric>(&settings.stat_prefix, 0, 0);
            }
            FilterSettings::Fault(_) => self.add::<FaultMetric>("", 0, 0),
            FilterSettings::Decompressor(settings) => {
                for direction in [Direction::Request, Direction::Response] {
                    self.add::<DecompressorMetric>(&DecompressorMetric::own(settings, direction), 0, 0);
                }
            }
            FilterSettings::Lua(settings) => self.add::<LuaMetric>(&settings.stat_prefix, 0, 0),
            FilterSettings::Compressor(settings) => {
                for direction in [Direction::Request, Direction::Response] {
                    self.add::<CompressorMetric>(&CompressorMetric::own(settings, direction), 0, 0);
                }
                self.add::<CompressorAcceptMetric>(&CompressorAcceptMetric::own(settings), 0, 0);
            }
            FilterSettings::JwtAuthn(settings) => self.add::<JwtAuthnMetric>(&settings.stat_prefix, 0, 0),
            FilterSettings::Rbac(settings) => {
                for rules in [&settings.rules, &settings.shadow_rules] {
                    self.add::<RbacMetric>(rules.as_ref().map_or("", |rules| &rules.stat_prefix), 0, 0);
                }
            }
            FilterSettings::ExtAuthz(settings) => self.add::<ExtAuthzMetric>(&settings.stat_prefix, 0, 0),
            FilterSettings::SetMetadata(settings) => {
                self.add::<SetMetadataMetric>(SetMetadataMetric::OF_FILTER, 0, 0);
                if !settings.by_route.is_empty() {
                    self.add::<SetMetadataMetric>(SetMetadataMetric::OF_ROUTE, 0, 0);
                }
            }
            FilterSettings::HostLookup(_) => {}
            FilterSettings::HeaderToMetadata(settings) if settings.stat_prefix.is_empty() => {}
            FilterSettings::HeaderToMetadata(settings) => {
                self.add::<HeaderToMetadataMetric>(&settings.stat_prefix, 0, 0);
            }
        }
    }

    pub(super) fn count<S: FilterMetrics>(&self, own: &str, metric: S, amount: u64) {
        self.add::<S>(own, metric.index(), amount);
    }

    fn add<S: FilterMetrics>(&self, own: &str, index: usize, amount: u64) {
        let mut known = self.known.borrow_mut();
        let place = known.iter().position(|known| known.family == S::FAMILY && *known.own == *own);
        let place = place.unwrap_or_else(|| {
            let prefix = S::prefix(&self.http_stat_prefix, own);
            let scope = Scope::Filter { family: S::FAMILY, prefix };
            let (block, _) = self.worker.block(scope, S::DESCRIPTION);
            known.push(Known { family: S::FAMILY, own: own.into(), block });
            known.len() - 1
        });
        if let Some(counter) = known.get(place).and_then(|known| known.block.values.get(index)) {
            counter.add(amount);
        }
    }
}
