//! The HTTP filters of a chain, by kind.
//!
//! A kind of filter has its settings in a module of its own ([`processor`](crate::processor), [`cors`](crate::cors) and the
//! modules here) and one variant of [`FilterOverride`] or of [`FilterSettings`].

mod buffer;
mod compressor;
mod decompressor;
mod ext_authz;
mod fault;
mod header_mutation;
mod header_to_metadata;
mod health_check;
mod jwt_authn;
mod local_ratelimit;
mod lua;
mod matched;
mod ratelimit;
mod rbac;
mod set_metadata;

use std::sync::Arc;

use serde::{Serialize, Serializer};

pub use self::{
    buffer::Buffer,
    compressor::{
        CompressionLibrary, Compressor, CompressorDirection, CompressorPerRoute, ResponseCompression,
    },
    decompressor::{DecompressionLibrary, Decompressor, DecompressorDirection},
    ext_authz::{AuthBody, AuthService, CheckSettings, ExtAuthz, HttpAuthService, UnaryService},
    fault::{AbortStatus, ActiveFault, ActiveFaults, Fault, FaultPart},
    header_mutation::{HeaderMutation, Mutation, Mutations, QueryParameterMutation},
    header_to_metadata::{
        HeaderToMetadata, HeaderToMetadataRule, MetadataKind, MetadataSource, MetadataTarget, TargetValue,
    },
    health_check::{HealthCheck, HealthCheckAnswer, HealthCheckCache},
    jwt_authn::{
        AsyncFetch, ClaimToHeader, FetchRetry, JwtAuthn, JwtKeys, JwtOfRoute, JwtProvider, JwtRequirement,
        JwtRule, LocalJwks, RemoteJwks, TokenCache,
    },
    local_ratelimit::{Left, LocalRateLimit, TokenBucket},
    lua::{Lua, LuaContext, LuaOfRoute, LuaPerRoute, LuaScript},
    matched::{MatchAction, Matched},
    ratelimit::{RateLimit, RateLimitPerRoute, RequestType, VirtualHostLimits},
    rbac::{
        Rbac, RbacAction, RbacCondition, RbacEngine, RbacMetadataSource, RbacPolicy, RbacRules, RbacVerdict,
    },
    set_metadata::{MetadataEntry, SetMetadata},
};
use crate::{cors::CorsPolicy, processor::ExtProcFilter};

/// One HTTP filter of a chain.
#[derive(Debug, PartialEq, Serialize)]
pub struct HttpFilter {
    /// Unique name in the chain; per-route configuration refers to it (EN-7).
    pub name: String,
    /// `http.<connection manager prefix>.ext_proc.[<filter stat_prefix>.]`: where the counters of an external processing
    /// filter are kept (Z-1). Empty for other filters.
    pub stat_prefix: String,
    /// What applies where no route says otherwise.
    pub default: FilterOverride,
}

/// What a filter does on a route, everything folded (section 19 of the protocol rules).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum FilterOverride {
    /// It is not there.
    Disabled,
    /// It is there, but talks to nobody: only logs know it.
    Idle,
    /// Talks to a processor.
    ExtProc(Arc<ExtProcFilter>),
    /// Answers preflight requests and gives responses their `access-control-*` headers.
    Cors(Arc<CorsPolicy>),
    /// Does what these settings say.
    Settings(FilterSettings),
    /// Is one of several, as the request decides.
    Matched(Arc<Matched<Self>>),
}

impl FilterOverride {
    /// Shows what it may do: itself, or the filters that a matcher may choose.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match self {
            Self::Matched(matched) => matched.visit(&mut |inner| inner.visit(visit)),
            other => visit(other),
        }
    }
}

/// Settings of a filter that are ready for use as they are written: nothing of them is compiled with the snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum FilterSettings {
    /// Answers health checks.
    HealthCheck(Arc<HealthCheck>),
    /// Collects requests.
    Buffer(Buffer),
    /// Compresses bodies.
    Compressor(Arc<Compressor>),
    /// Decompresses bodies.
    Decompressor(Arc<Decompressor>),
    /// Lets requests wait or fail.
    Fault(Arc<Fault>),
    /// Lets browsers call gRPC services.
    GrpcWeb(()),
    /// Asks an authorization service.
    ExtAuthz(Arc<ExtAuthz>),
    /// Waits for the address of the host of a request.
    HostLookup(Arc<crate::cluster::HostLookup>),
    /// Changes headers, trailers and query parameters.
    HeaderMutation(Arc<HeaderMutation>),
    /// Makes dynamic metadata of headers and cookies.
    HeaderToMetadata(Arc<HeaderToMetadata>),
    /// Wants tokens that somebody has signed.
    JwtAuthn(Arc<JwtAuthn>),
    /// Limits how many requests there may be in a time.
    LocalRateLimit(Arc<LocalRateLimit>),
    /// Runs a script.
    Lua(Arc<Lua>),
    /// Asks a service whether requests are within their limits.
    RateLimit(Arc<RateLimit>),
    /// Lets pass what policies say.
    Rbac(Arc<Rbac>),
    /// Sets dynamic metadata.
    SetMetadata(Arc<SetMetadata>),
}

/// What filters do on a route, by their indices. A chain may have a filter for each of many policies, most of which are off on
/// most routes: only what is not so is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilterOverrides(Box<[(usize, FilterOverride)]>);

impl FilterOverrides {
    /// What the filter of an index does; `None` = what it does by default.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&FilterOverride> {
        let at = self.0.binary_search_by_key(&index, |(known, _)| *known).ok()?;
        Some(&self.0[at].1)
    }

    /// Indices, ascending, and what their filters do.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &FilterOverride)> {
        self.0.iter().map(|(index, does)| (*index, does))
    }

    /// What the filters up to the last one do that is named; those that are not named are off.
    pub fn dense(&self) -> impl Iterator<Item = &FilterOverride> {
        let number = self.0.last().map_or(0, |(last, _)| last + 1);
        (0..number).map(|index| self.get(index).unwrap_or(&FilterOverride::Disabled))
    }
}

impl FromIterator<(usize, FilterOverride)> for FilterOverrides {
    /// Of two for one index the first one counts.
    fn from_iter<I: IntoIterator<Item = (usize, FilterOverride)>>(all: I) -> Self {
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(index, _)| *index);
        all.dedup_by_key(|(index, _)| *index);
        Self(all.into())
    }
}

impl Serialize for FilterOverrides {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.dense())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_off() {
        let all = [(3, FilterOverride::Idle), (1, FilterOverride::Disabled), (3, FilterOverride::Disabled)];
        let overrides: FilterOverrides = all.into_iter().collect();
        assert_eq!(overrides.get(3), Some(&FilterOverride::Idle));
        assert_eq!(overrides.get(0), None);
        let dense: Vec<_> = overrides.dense().collect();
        let off = &FilterOverride::Disabled;
        assert_eq!(dense, [off, off, off, &FilterOverride::Idle]);
        assert_eq!(serde_json::to_value(&overrides).unwrap().as_array().unwrap().len(), 4);
        assert_eq!(FilterOverrides::default().dense().count(), 0);
    }
}
