//! The kinds of HTTP filters beside external processing: how each is read, in the chain and in routes.

use tollgate_ir::{FilterConfig, Override};

use super::{
    buffer, compressor, cors, decompressor, ext_authz, fault, grpc_web, header_mutation, header_to_metadata,
    health_check, host_lookup, jwt_authn, local_ratelimit, lua, matched, ratelimit, rbac, set_metadata,
};
use crate::{
    envoy::{Scope, ext_proc::EXTERNAL_PROCESSOR},
    schema::{Schema, Value},
};

/// A kind of HTTP filter.
pub(in crate::envoy) struct Kind {
    /// What it is configured with in the chain.
    pub(super) settings: &'static Schema,
    /// Reads that.
    pub(super) read: fn(&Value<'_>, &Scope) -> Option<FilterConfig>,
    /// What routes may say about it.
    pub(super) per_route: Option<PerRoute>,
    /// Envoy has it behind the router, too.
    pub(super) upstream: bool,
}

/// What routes may say about a kind of filter.
pub(in crate::envoy) struct PerRoute {
    pub(super) settings: &'static Schema,
    pub(super) read: fn(&Value<'_>, &Scope) -> Option<Override>,
}

/// Every kind.
static KINDS: [Kind; 18] = [
    health_check::KIND,
    host_lookup::KIND,
    buffer::KIND,
    compressor::KIND,
    cors::KIND,
    decompressor::KIND,
    fault::KIND,
    grpc_web::KIND,
    local_ratelimit::KIND,
    lua::KIND,
    jwt_authn::KIND,
    ratelimit::KIND,
    ext_authz::KIND,
    header_mutation::KIND,
    set_metadata::KIND,
    header_to_metadata::KIND,
    rbac::KIND,
    matched::KIND,
];

/// The schemas of the kinds, for the documentation.
pub(in crate::envoy) static SCHEMAS: [&[&Schema]; 18] = [
    &health_check::SCHEMAS,
    &host_lookup::SCHEMAS,
    &buffer::SCHEMAS,
    &compressor::SCHEMAS,
    &cors::SCHEMAS,
    &decompressor::SCHEMAS,
    &fault::SCHEMAS,
    &grpc_web::SCHEMAS,
    &local_ratelimit::SCHEMAS,
    &lua::SCHEMAS,
    &jwt_authn::schema::SCHEMAS,
    &ratelimit::SCHEMAS,
    &ext_authz::SCHEMAS,
    &header_mutation::SCHEMAS,
    &set_metadata::SCHEMAS,
    &header_to_metadata::SCHEMAS,
    &rbac::SCHEMAS,
    &matched::SCHEMAS,
];

impl Kind {
    /// The kind whose settings in a chain have this type.
    pub(in crate::envoy) fn find(type_name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.settings.name == type_name)
    }

    /// The kind whose settings in routes have this type.
    pub(in crate::envoy) fn find_per_route(type_name: &str) -> Option<&'static PerRoute> {
        KINDS.iter().filter_map(|kind| kind.per_route.as_ref()).find(|said| said.settings.name == type_name)
    }

    /// The types of filters that a chain may have that ends with `end`, for messages.
    pub(super) fn names(end: &'static str, upstream: bool) -> Vec<&'static str> {
        let kinds = KINDS.iter().filter(|kind| kind.upstream || !upstream).map(|kind| kind.settings.name);
        [EXTERNAL_PROCESSOR.name, end].into_iter().chain(kinds).collect()
    }

    /// Reads settings of a chain.
    pub(in crate::envoy) fn read(&self, value: &Value<'_>, scope: &Scope) -> Option<FilterConfig> {
        (self.read)(value, scope)
    }
}

impl PerRoute {
    /// Reads what a route says.
    pub(in crate::envoy) fn read_per_route(&self, value: &Value<'_>, scope: &Scope) -> Option<Override> {
        (self.read)(value, scope)
    }
}
