//! The filter `grpc_web`.

use tollgate_ir::FilterConfig;
use tollgate_model::filter::FilterSettings;

use super::kinds::Kind;
use crate::schema::Schema;

pub(in crate::envoy) static GRPC_WEB: Schema = Schema {
    name: "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 1] = [&GRPC_WEB];

pub(super) const KIND: Kind = Kind {
    settings: &GRPC_WEB,
    read: |value, _| {
        value.message(&GRPC_WEB)?;
        Some(FilterConfig::Settings(FilterSettings::GrpcWeb(())))
    },
    per_route: None,
    upstream: false,
};
