//! Protobuf messages on a gRPC stream.

use std::{marker::PhantomData, sync::Arc};

use bytes::Buf;
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::limits::Place;

/// Bytes in front of each message.
const PREFIX: usize = 5;

/// Encodes `E`, decodes `D`.
#[derive(Debug)]
pub(crate) struct ProstCodec<E, D> {
    /// Who is told how large the messages are that were read.
    place: Option<Arc<Place>>,
    types: PhantomData<fn(E) -> D>,
}

/// The encoding half.
#[derive(Debug)]
pub(crate) struct ProstEncoder<E>(PhantomData<fn(E)>);

/// The decoding half.
#[derive(Debug)]
pub(crate) struct ProstDecoder<D> {
    place: Option<Arc<Place>>,
    message: PhantomData<fn() -> D>,
}

impl<E, D> Default for ProstCodec<E, D> {
    fn default() -> Self {
        Self { place: None, types: PhantomData }
    }
}

impl<E, D> ProstCodec<E, D> {
    /// For an exchange that has this place.
    pub(crate) fn of(place: Arc<Place>) -> Self {
        Self { place: Some(place), ..Self::default() }
    }
}

impl<E: Message + 'static, D: Message + Default + 'static> Codec for ProstCodec<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = ProstEncoder<E>;
    type Decoder = ProstDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder { place: self.place.clone(), message: PhantomData }
    }
}

impl<E: Message> Encoder for ProstEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(format!("message does not encode: {error}")))
    }
}

impl<D: Message + Default> Decoder for ProstDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        if let Some(place) = &self.place {
            place.read(buffer.remaining() + PREFIX);
        }
        D::decode(buffer)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("message does not decode: {error}")))
    }
}
