//! What the HTTP connection manager and the router do to headers by default, as Envoy does it.
//!
//! | when | what | seen by filters |
//! |---|---|---|
//! | [`prepare_request`]: on arrival | hop-by-hop fields go, `x-forwarded-*`, `x-request-id`, `via` come | yes (E-3) |
//! | [`router_request`]: behind the chain | `x-envoy-expected-rq-timeout-ms` | no |
//! | [`router_response`]: when the upstream's head arrives | `x-envoy-upstream-service-time` | yes (E-3) |
//! | [`finish_response`]: on the way to the client | hop-by-hop fields go, `server`, `date`, `via` come | no |

mod forwarded;
mod hop_by_hop;
mod path;
mod request;
mod request_id;
mod response;
mod upgrade;

pub(crate) use self::{
    request::{prepare_request, router_request},
    response::{finish_response, router_response},
};
