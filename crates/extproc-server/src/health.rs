//! The gRPC health service, as far as health checkers of gateways use it: `grpc.health.v1.Health/Check`.

use std::future::{Ready, ready};

use tonic::{Request, Response, Status, server::UnaryService};

/// Path of the method.
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// `ServingStatus.SERVING`.
const SERVING: i32 = 1;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct HealthCheckRequest {
    /// Whose health is asked for. A server of this crate has one service, so the answer is the same for every name.
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct HealthCheckResponse {
    /// A `ServingStatus`.
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

/// Answers SERVING: who is not serving does not answer.
#[derive(Debug)]
pub(crate) struct Check;

impl UnaryService<HealthCheckRequest> for Check {
    type Response = HealthCheckResponse;
    type Future = Ready<Result<Response<HealthCheckResponse>, Status>>;

    fn call(&mut self, _: Request<HealthCheckRequest>) -> Self::Future {
        ready(Ok(Response::new(HealthCheckResponse { status: SERVING })))
    }
}
