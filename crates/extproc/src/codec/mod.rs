//! The wire codec: gRPC framing, and requests written straight from what the data plane holds.

mod decode;
mod encode;
mod reply;
mod wire;

pub use decode::{DecodeError, Decoder};
pub use encode::{Envelope, HeadersRef, ProtocolConfig, encode_body, encode_headers, encode_trailers};
pub(crate) use reply::decode_reply;

/// Decodes a message as an exchange does, for the fuzz targets: the body of the mutation stands beside it.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn split_reply(
    message: crate::Slices,
) -> Result<(crate::messages::ProcessingResponse, crate::Slices), prost::DecodeError> {
    decode_reply(message)
}
