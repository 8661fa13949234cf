//! Settings of the kinds of filters that are written as they are.

pub(super) mod compressor;
mod decompressor;
pub(super) mod ext_authz;
mod fault;
pub(super) mod header_mutation;
mod health_check;
pub(super) mod jwt_authn;
mod local_ratelimit;
pub(super) mod lua;
mod metadata;
pub(super) mod ratelimit;
mod rbac;

use serde_json::Value;
use tollgate_model::filter::FilterSettings;

use super::{forward_proxy, out::Out};
use crate::envoy::http_filters::{
    buffer::{BUFFER, BUFFER_PER_ROUTE},
    grpc_web::GRPC_WEB,
};

/// Settings that a level has instead.
pub(super) fn of_level(settings: &FilterSettings) -> Value {
    match settings {
        FilterSettings::Buffer(buffer) => {
            let mut inner = Out::new(&BUFFER);
            inner.set("max_request_bytes", buffer.max_request_bytes);
            let mut out = Out::new(&BUFFER_PER_ROUTE);
            out.set("buffer", inner.done());
            out.any()
        }
        FilterSettings::Rbac(settings) => rbac::per_route(settings),
        FilterSettings::HostLookup(settings) => forward_proxy::per_route(settings),
        settings => filter_settings(settings),
    }
}

/// Settings with their type.
pub(super) fn filter_settings(settings: &FilterSettings) -> Value {
    match settings {
        FilterSettings::HealthCheck(settings) => health_check::written(settings),
        FilterSettings::Buffer(settings) => {
            let mut out = Out::new(&BUFFER);
            out.set("max_request_bytes", settings.max_request_bytes);
            out.any()
        }
        FilterSettings::Compressor(settings) => compressor::written(settings),
        FilterSettings::Decompressor(settings) => decompressor::written(settings),
        FilterSettings::Fault(settings) => fault::written(settings),
        FilterSettings::ExtAuthz(settings) => ext_authz::written(settings),
        FilterSettings::GrpcWeb(()) => Out::new(&GRPC_WEB).any(),
        FilterSettings::HeaderMutation(settings) => header_mutation::written(settings),
        FilterSettings::HeaderToMetadata(settings) => metadata::header_to_metadata(settings),
        FilterSettings::HostLookup(settings) => forward_proxy::filter(settings),
        FilterSettings::JwtAuthn(settings) => jwt_authn::written(settings),
        FilterSettings::LocalRateLimit(settings) => local_ratelimit::written(settings),
        FilterSettings::Lua(settings) => lua::written(settings),
        FilterSettings::RateLimit(settings) => ratelimit::written(settings),
        FilterSettings::Rbac(settings) => rbac::written(settings),
        FilterSettings::SetMetadata(settings) => metadata::set_metadata(settings),
    }
}
