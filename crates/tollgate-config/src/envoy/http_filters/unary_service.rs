//! gRPC services that a filter asks once a request.

use std::time::Duration;

use tollgate_model::{filter::UnaryService, processor::GrpcTarget};

use crate::{
    envoy::{
        Scope,
        grpc_service::{GRPC_SERVICE, read_grpc_service},
    },
    schema::Value,
};

/// Reads a `GrpcService` with the time that an answer may take, if it says nothing about that.
pub(super) fn read_unary_service(
    value: &Value<'_>,
    usual_timeout: Duration,
    scope: &Scope,
) -> Option<UnaryService> {
    let service = read_grpc_service(value, scope)?;
    if service.retry_policy.is_some() {
        value.error_with_help(
            "\"retry_policy\" is not supported here",
            "remove it: the service is asked once",
        );
    }
    let GrpcTarget::EnvoyGrpc(cluster) = service.target else {
        value.error_with_help("google_grpc is not supported here", "use envoy_grpc with a cluster");
        return None;
    };
    let timeout = value.message(&GRPC_SERVICE)?.duration("timeout").unwrap_or(usual_timeout);
    Some(UnaryService {
        cluster,
        authority: service.authority,
        initial_metadata: service.initial_metadata,
        skip_envoy_headers: service.skip_envoy_headers,
        timeout,
    })
}
