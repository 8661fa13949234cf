//! Carries ext_proc exchanges to processors over HTTP/2.
//!
//! A [`Client`] opens one [`Call`] per exchange on a connection of an [`Endpoint`], which its [`Endpoints`] pick. The
//! call is driven by whoever polls it: no task, no channel and no lock belongs to an exchange. Each connection has one
//! task of its own on the local executor, so everything here must run inside a tokio `LocalRuntime` or `LocalSet`.
//!
//! How connections are made (addresses, TLS, socket options) is the business of a [`Connector`]. It knows no configuration and no
//! filter chain, and nothing of what a message means: the exchange (`extproc`) decides what is sent and what a reply does.
//!
//! ```
//! use std::{future::poll_fn, rc::Rc};
//!
//! use extproc_client::{
//!     Client, ClientSettings, ConnectError, Connecting, Connector, Endpoint, EndpointSettings, Endpoints, Event,
//!     PickError,
//! };
//!
//! /// The way to a processor that cannot be reached.
//! struct Nowhere;
//!
//! impl Connector for Nowhere {
//!     fn connect(&self) -> Connecting {
//!         Box::pin(async { Err(ConnectError::Remote("no way there".to_owned())) })
//!     }
//! }
//!
//! struct One(Rc<Endpoint>);
//!
//! impl Endpoints for One {
//!     fn pick(&self) -> Result<Rc<Endpoint>, PickError> {
//!         Ok(self.0.clone())
//!     }
//! }
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! tokio::task::LocalSet::new().block_on(&runtime, async {
//!     let endpoint = Endpoint::new(Rc::new(Nowhere), EndpointSettings::default());
//!     let client = Client::new(Rc::new(One(endpoint)), ClientSettings::default());
//!     let head = http::Request::post("http://processor/envoy.service.ext_proc.v3.ExternalProcessor/Process");
//!     let mut call = client.open(head.body(()).expect("a head")).expect("there is an endpoint");
//!     let Event::Closed(Err(status)) = poll_fn(|cx| call.poll(cx)).await else { panic!("it is reached") };
//!     assert_eq!(status.code, 14, "the code of what is not available");
//! });
//! # Ok::<(), std::io::Error>(())
//! ```

mod answer;
mod call;
mod client;
mod connect;
mod payload;
mod pool;
mod receive;
mod replay;
mod reset;
mod retry;
mod status;
mod stream;
mod window;
mod wire_size;

pub use call::{Call, Close, Event};
pub use client::{Client, ClientSettings};
pub use connect::{ConnectError, Connecting, Connector};
pub use http2_io::{Flood, FrameLimits, Io, KeepAlive};
pub use pool::{Endpoint, EndpointSettings, Endpoints, PickError};
pub use retry::RetryPolicy;
pub use status::GrpcStatus;
