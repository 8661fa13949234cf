//! What the HTTP connection manager and the router do to headers, as Envoy does it.
//!
//! | when | what | seen by filters |
//! |---|---|---|
//! | [`prepare_request`]: on arrival | hop-by-hop fields and control headers go, `x-forwarded-*`, `via`, `x-request-id` come | yes (E-3) |
//! | [`router_request`]: behind the chain | control headers go, `x-envoy-expected-rq-timeout-ms` comes | no |
//! | [`replace_host`], [`replace_path`]: after it | `x-envoy-original-host`, `x-forwarded-host`, `x-envoy-original-path` | no |
//! | [`router_response`]: when the upstream's head arrives | `x-envoy-upstream-service-time` | yes (E-3) |
//! | [`finish_response`]: on the way to the client | hop-by-hop fields go, `date`, `server`, `via` come | no |

mod client_cert;
mod envoy_headers;
mod fields;
mod forwarded;
mod grpc_timeout;
mod hop_by_hop;
mod ip_detection;
mod path;
mod request;
mod request_id;
mod response;
mod router;
#[cfg(test)]
pub(crate) mod testing;
mod upgrade;

pub(crate) use self::{
    envoy_headers::EnvoyHeaders,
    fields::append_to_forwarded_for,
    grpc_timeout::{asked_grpc_timeout, tell_grpc_timeout},
    request::{Prepared, prepare_request},
    request_id::unique_id,
    response::{finish_response, router_response},
    router::{replace_host, replace_path, router_request, tell_attempt, tell_internal, tell_timeout},
};
