//! Write an ext_proc processor in Rust.
//!
//! A processor is a gRPC service that a gateway (Envoy, or one that speaks its protocol) asks about each HTTP request
//! and response. Here it is a type with one asynchronous method, [`Processor::process`]: one value of it per exchange,
//! that is, per HTTP request and its response, so what is learnt from the request is at hand for the response. A
//! [`Server`] takes a function that makes such values, and serves them on TCP, TLS or a Unix socket, with the gRPC
//! health service beside it.
//!
//! ```
//! use extproc_server::{
//!     Processor, Server, Status, continue_with,
//!     messages::{HeaderValue, HeaderValueOption, HeaderMutation, CommonResponse, ProcessingRequest, ProcessingResponse},
//! };
//!
//! struct Mark;
//!
//! impl Processor for Mark {
//!     async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
//!         let mark = HeaderValue { key: "x-seen".into(), raw_value: "yes".into(), ..Default::default() };
//!         let mutation = HeaderMutation {
//!             set_headers: vec![HeaderValueOption { header: Some(mark), ..Default::default() }],
//!             ..Default::default()
//!         };
//!         continue_with(&request, CommonResponse { header_mutation: Some(mutation), ..Default::default() })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let server = Server::new(|_metadata| Mark).bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
//! println!("processor at {}", server.local_address());
//! # let stop = std::future::ready(());
//! server.serve(stop).await; // until the future `stop` is ready
//! # });
//! ```
//!
//! A processor that panics or takes too long harms its own exchange only: [`Server::on_failure`] says what becomes of
//! it. Exchanges, buffered bytes and waits are limited, and [`Server::counters`] has the numbers.

mod address;
mod codec;
mod counters;
mod failure;
mod health;
mod limits;
mod listener;
mod preface;
mod processor;
mod server;
mod service;
mod throttle;
mod tls;

pub use address::{ListenAddress, ParseListenAddressError};
pub use counters::Counters;
pub use extproc::messages;
pub use failure::Failure;
pub use processor::{Processor, continue_with};
pub use server::{BoundServer, Server};
pub use tls::{Tls, TlsError};
pub use tonic::{Code, Status, metadata::MetadataMap};
