//! The ext_proc protocol without I/O, for gateways and for processors.
//!
//! A gateway that speaks [Envoy's ext_proc protocol](https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ext_proc/v3/external_processor.proto)
//! shows parts of each HTTP request and response to an external processor, which may change them. This crate has the rules
//! of both sides as state machines: events go in, and what is to be done comes out. It opens no connection, reads no clock,
//! spawns nothing, and knows no HTTP or gRPC library; `extproc-client` and `extproc-server` carry its messages.
//!
//! * [`exchange`]: the gateway's side of one HTTP request; begin here.
//! * [`session`]: the processor's side, its mirror.
//! * [`lint`]: what a processor says wrongly, or in vain.
//! * [`messages`], [`codec`]: what travels, and its encoding, which copies no bodies.
//! * [`mutation`], [`attributes`], [`metadata`]: what a reply may change, and what a processor is told.
//! * [`Plan`]: the settings of a filter, with Envoy's defaults.
//! * `sim` (feature `sim`): a gateway in a test, without a network.
//!
//! A gateway drives an [`Exchange`](exchange::Exchange) like this:
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//!
//! use bytes::Bytes;
//! use extproc::{
//!     Attributes, Direction, Messages, Plan, RequestHeaders,
//!     exchange::{Action, Exchange, HeaderLimits, Host},
//!     messages::{HeadersResponse, ProcessingResponse, Struct, processing_response::Response},
//!     metadata::DynamicMetadata,
//! };
//! use http::{HeaderMap, HeaderValue, Method};
//! use prost::Message;
//!
//! /// What the gateway knows about a request.
//! struct Transaction(Messages, DynamicMetadata);
//!
//! impl Host for Transaction {
//!     fn messages(&self) -> &Messages { &self.0 }
//!     fn messages_mut(&mut self) -> &mut Messages { &mut self.0 }
//!     fn metadata(&self) -> &DynamicMetadata { &self.1 }
//!     fn metadata_mut(&mut self) -> &mut DynamicMetadata { &mut self.1 }
//!     fn attributes(&self, _: &Attributes, _: bool) -> Struct { Struct::default() }
//!     fn buffer_limit(&self, _: Direction) -> usize { 1 << 20 }
//!     fn header_limits(&self, _: Direction) -> HeaderLimits { HeaderLimits::default() }
//!     fn is_upgrade(&self) -> bool { false }
//! }
//!
//! let request = RequestHeaders {
//!     method: Method::GET,
//!     scheme: HeaderValue::from_static("https"),
//!     authority: HeaderValue::from_static("example.com"),
//!     path: HeaderValue::from_static("/"),
//!     fields: HeaderMap::new(),
//! };
//! let messages = Messages { request, request_trailers: None, response: None, response_trailers: None };
//! let mut host = Transaction(messages, DynamicMetadata::default());
//! let mut exchange = Exchange::new(Arc::new(Plan::new("ext_proc")));
//!
//! // The head of the request is here. It stays here until the processor has answered.
//! exchange.handle_headers(Direction::Request, true, Instant::now(), &mut host);
//! assert!(matches!(exchange.poll_action(), Some(Action::Open)));
//! assert!(matches!(exchange.poll_action(), Some(Action::Send { .. })));
//! assert!(exchange.poll_action().is_none() && exchange.awaits_processor());
//!
//! // The processor changes nothing.
//! let reply = Response::RequestHeaders(HeadersResponse::default());
//! let message = ProcessingResponse { response: Some(reply), ..Default::default() }.encode_to_vec();
//! exchange.handle_message(Bytes::from(message).into(), Instant::now(), &mut host);
//! let forwards = |action| matches!(action, Action::ForwardHeaders { end_stream: true, .. });
//! assert!(std::iter::from_fn(|| exchange.poll_action()).any(forwards));
//! ```

pub mod attributes;
pub mod codec;
pub mod exchange;
mod forward;
mod header_map;
mod http_message;
pub mod lint;
pub mod log;
pub mod matching;
pub mod messages;
pub mod metadata;
mod mode;
pub mod mutation;
mod plan;
mod queue;
pub mod session;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod slices;

pub use attributes::Attributes;
pub use forward::ForwardRules;
pub use header_map::{has_any, remove_fields};
pub use http_message::{Direction, Messages, RequestHeaders, ResponseHeaders};
pub use mode::{BodySendMode, HeaderSendMode, ProcessingMode, UndefinedMode};
pub use mutation::MutationRules;
pub use plan::{MetadataNamespaces, MetadataOptions, Plan, RouteCacheAction};
pub use queue::Queue;
pub use slices::Slices;
