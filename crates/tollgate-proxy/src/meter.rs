//! Bytes of a request and its response as they are on the wire.
//!
//! HTTP/1 is counted where it is encoded and decoded. Frames of HTTP/2 are made by its library, out of sight: of them only the
//! sizes of heads before compression are known.

use std::{cell::Cell, rc::Rc};

use http::HeaderMap;
use tollgate_model::format::{ByteCount, ByteKind};

/// Bytes between the gateway and one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Meter {
    /// What the gateway sent.
    pub(crate) sent: Traffic,
    /// What it received.
    pub(crate) received: Traffic,
    /// The peer speaks HTTP/2.
    pub(crate) http2: bool,
}

/// Bytes in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Everything, framing included; HTTP/1 only.
    pub(crate) wire: u64,
    /// Fields of heads and trailers, as HTTP/1 encodes them or as HTTP/2 has them before compression.
    pub(crate) fields: u64,
}

impl Traffic {
    /// Adds a head.
    pub(crate) fn merge(&mut self, head: Self) {
        self.wire += head.wire;
        self.fields += head.fields;
    }

    /// Adds a message or a part of it.
    pub(crate) fn add(&mut self, wire: usize, fields: usize) {
        self.wire += wire as u64;
        self.fields += fields as u64;
    }
}

impl Meter {
    /// One of the counts; `None` = it is not known.
    pub(crate) fn get(&self, count: ByteCount) -> Option<u64> {
        let traffic = if count.sent { &self.sent } else { &self.received };
        match count.kind {
            ByteKind::Wire => (!self.http2).then_some(traffic.wire),
            ByteKind::Headers => (!self.http2).then_some(traffic.fields),
            ByteKind::DecompressedHeaders => Some(traffic.fields),
        }
    }
}

/// A meter that several tries of a request count on.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedMeter(Rc<Cell<Meter>>);

impl SharedMeter {
    /// Counts.
    pub(crate) fn count(&self, add: impl FnOnce(&mut Meter)) {
        let mut meter = self.0.get();
        add(&mut meter);
        self.0.set(meter);
    }

    /// What was counted.
    pub(crate) fn get(&self) -> Meter {
        self.0.get()
    }
}

/// Bytes of names and values.
pub(crate) fn size_of_fields(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// What HTTP/1 adds to a field, as Envoy counts received ones: the colon and the end of the line.
pub(crate) const RECEIVED_FIELD: usize = 3;

/// Received trailers of HTTP/1.
pub(crate) fn received_trailers(fields: &HeaderMap) -> usize {
    size_of_fields(fields) + RECEIVED_FIELD * fields.len()
}
