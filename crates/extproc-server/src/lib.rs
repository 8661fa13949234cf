//! Write an ext_proc processor in Rust, run it behind any gateway, test it without one.
//!
//! A processor is a gRPC service that a gateway asks about each HTTP request and response: Envoy, Envoy Gateway, kgateway,
//! Istio, agentgateway, Tollgate, or any other that speaks
//! [Envoy's ext_proc protocol](https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_proc_filter).
//! Here it is middleware: a function that gets a request and what comes next, and returns a response.
//!
//! ```no_run
//! use extproc_server::{Next, Request, Response, Result, Server};
//!
//! async fn mark(mut request: Request, next: Next) -> Result<Response> {
//!     request.headers_mut().insert("x-seen", "yes".parse()?);
//!     let mut response = next.run(request).await?;
//!     response.headers_mut().insert("x-seen", "yes".parse()?);
//!     Ok(response)
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     Server::new(mark).serve("127.0.0.1:9002").await
//! }
//! ```
//!
//! Requests and responses are those of the crate [`http`]. What the function changes of a head is sent to the gateway, as the
//! smallest mutation that does it; what it does not touch passes untouched. State of an exchange is in local variables. The server
//! has health checks, limits and counters, and ends in order with SIGTERM.
//!
//! # Bodies
//!
//! The gateway's configuration says which bodies it shows, and how: its *body mode*. The function says what it wants, and this
//! crate finds the replies that the mode takes.
//!
//! ```no_run
//! use extproc_server::{Next, Request, Response, Result, Server};
//!
//! async fn redact(mut request: Request, next: Next) -> Result<Response> {
//!     // What is compressed could not be read.
//!     request.headers_mut().remove("accept-encoding");
//!     let response = next.run(request).await?;
//!     Ok(response.map(|body| body.map_text(|text| text.replace("secret", "***"))))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     Server::new(redact).serve("127.0.0.1:9002").await
//! }
//! ```
//!
//! A [`Body`] can be changed as a whole ([`map_text`](Body::map_text), [`map_json`](Body::map_json)), by
//! [pieces](Body::map_chunks), [lines](Body::map_lines), [server-sent events](Body::map_events) or
//! [JSON values](Body::map_json_values), or be read ([`text`](Body::text), [`json`](Body::json), [`chunk`](Body::chunk)) and
//! replaced by any other. [`decompressed`] undoes compression. What a mode cannot give is an error immediately, with the setting
//! that would help: [`NotPossible`].
//!
//! | | headers changed after reading the body | body rewritten whole | body rewritten in pieces | body replaced unread |
//! |---|---|---|---|---|
//! | `NONE` | – | – | – | yes |
//! | `BUFFERED` | yes | yes | as whole | yes |
//! | `BUFFERED_PARTIAL` | yes | if it fits into the gateway's buffer | as whole | yes |
//! | `STREAMED` | – | unless trailers end the body | what is held back: unless trailers end the body | yes |
//! | `FULL_DUPLEX_STREAMED` | yes | yes | yes | yes |
//!
//! # Answers
//!
//! A response that is returned without a call of `next` goes to the client, and the request goes no further.
//!
//! ```
//! # use extproc_server::{Body, Next, Request, Response, Result};
//! use http::{StatusCode, header::AUTHORIZATION};
//!
//! async fn guard(request: Request, next: Next) -> Result<Response> {
//!     if request.headers().contains_key(AUTHORIZATION) {
//!         return next.run(request).await;
//!     }
//!     let mut response = Response::new(Body::from("who are you?"));
//!     *response.status_mut() = StatusCode::UNAUTHORIZED;
//!     Ok(response)
//! }
//! ```
//!
//! Errors and panics end only their own exchange; what the client then sees is [up to you](Server::on_error).
//!
//! # What the gateway knows
//!
//! [`Next::exchange`] has the [`Exchange`]: attributes and metadata of the request, metadata for other filters, another choice of
//! the route, other modes, more time.
//!
//! ```
//! # use extproc_server::{Next, Request, Response, Result};
//! async fn tenant(mut request: Request, next: Next) -> Result<Response> {
//!     let exchange = next.exchange();
//!     let route = exchange.attribute("xds.route_name").unwrap_or_default();
//!     exchange.set_metadata("example.com", "route", route);
//!     request.headers_mut().insert("x-tenant", "blue".parse()?);
//!     exchange.reroute();
//!     next.run(request).await
//! }
//! ```
//!
//! # Tests
//!
//! With feature `test`, a gateway without a network plays exchanges in every mode, with bodies cut at awkward places. What hangs, or
//! what a gateway would refuse or ignore, fails the test.
//!
#![cfg_attr(feature = "test", doc = "```")]
#![cfg_attr(not(feature = "test"), doc = "```ignore")]
//! use extproc_server::{Next, Request, Response, Result, test::TestGateway};
//!
//! async fn redact(request: Request, next: Next) -> Result<Response> {
//!     Ok(next.run(request).await?.map(|body| body.map_text(|text| text.replace("secret", "***"))))
//! }
//!
//! #[tokio::test]
//! async fn secrets_are_hidden() {
//!     for played in TestGateway::new(redact).every_mode().get("/a").upstream("a secret").play().await {
//!         assert_eq!(played.client().text(), "a ***", "{played}");
//!     }
//! }
//! ```
//!
//! # Layers, and other servers
//!
//! With feature `tower`, [`Next`] is a `tower::Service`, and [any layer is a handler][layer]. [`Server::into_service`] makes a
//! service that other servers can mount: axum and tonic with that feature, hyper always.
//!
#![cfg_attr(feature = "tower", doc = "```")]
#![cfg_attr(not(feature = "tower"), doc = "```ignore")]
//! # use extproc_server::{Next, Request, Response, Result, Server};
//! # async fn handler(request: Request, next: Next) -> Result<Response> { next.run(request).await }
//! let process = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
//! let router: axum::Router = axum::Router::new().route_service(process, Server::new(handler).into_service());
//! // For tonic: `tonic::service::Routes::from(router)`.
//! ```
//!
//! # Logs and traces
//!
//! Each exchange has a span `exchange` of `tracing`, in which the handler and its bodies run, with `method`, `path`, and `trace_id`
//! and `parent_id` of the request's `traceparent`, so that lines of a log can be found by the trace. For spans that are exported as
//! children of the gateway's, make [a span of your own](Server::span) with a parent, as OpenTelemetry knows it.
//! Nothing of this costs anything without a subscriber.
//!
//! # Features
//!
//! * `tls` (default): TLS and mutual TLS, with certificates that are read again when they change.
//! * `tower`: layers and services of `tower`.
//! * `test`: the gateway for tests.
//!
//! The messages of the protocol itself are in [`raw`].
//!
#![cfg_attr(feature = "tower", doc = "[layer]: crate::layer")]
#![cfg_attr(
    not(feature = "tower"),
    doc = "[layer]: https://docs.rs/extproc-server/latest/extproc_server/fn.layer.html"
)]

mod address;
mod body;
mod counters;
mod exchange;
mod failure;
mod handler;
mod health;
mod limits;
mod listener;
mod next;
mod preface;
pub mod raw;
mod server;
mod service;
mod status;
#[cfg(feature = "test")]
pub mod test;
mod throttle;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tower")]
mod tower;
mod trace;

pub use extproc::{BodySendMode, Direction, HeaderSendMode, session::NotPossible};

#[cfg(feature = "tls")]
pub use self::tls::{Tls, TlsError};
#[cfg(feature = "tower")]
pub use self::tower::{Layered, layer};
pub use self::{
    address::{ListenAddress, ParseListenAddressError, UnixAddress},
    body::{Body, DEFAULT_LIMIT, Event, TooLarge, decompressed},
    counters::Counters,
    exchange::{Details, End, Exchange, GrpcStatus, InPieces, Modes},
    failure::{BoxError, Ended, Failure, Outcome, Result},
    handler::Handler,
    health::Health,
    next::{Next, Running},
    server::{BoundServer, Server},
    service::{ProcessorService, ResponseBody},
    status::{Code, Status},
};

/// A request on its way to the upstream.
pub type Request = http::Request<Body>;
/// A response on its way to the client.
pub type Response = http::Response<Body>;

/// Compiles the example of the readme.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
