//! The wire codec: gRPC framing, and requests written straight from what the data plane holds.

mod encode;
mod wire;

pub use encode::{Envelope, HeadersRef, ProtocolConfig, encode_body, encode_headers, encode_trailers};
