//! What a host speaks where ALPN decides it.

use std::{cell::Cell, rc::Rc};

use crate::{
    stream_info::Protocol,
    upstream::pool::{connect::Dialed, http1::Http1Pool, slot::ConnectionSlot},
};

/// What a host speaks where ALPN decides it on each connection.
#[derive(Debug)]
pub(in crate::upstream) struct Negotiation {
    http1: Rc<Http1Pool>,
    /// The latest connection is one of HTTP/1.1. Before there is one HTTP/2 is expected, so that requests wait for one
    /// connection alone.
    is_http1: Cell<bool>,
}

impl Negotiation {
    /// Nothing is known yet.
    pub(in crate::upstream) fn new(http1: &Rc<Http1Pool>) -> Rc<Self> {
        Rc::new(Self { http1: http1.clone(), is_http1: Cell::new(false) })
    }

    /// Whether requests are sent in HTTP/1.1.
    pub(in crate::upstream) fn is_http1(&self) -> bool {
        self.is_http1.get()
    }

    /// The pool of HTTP/1.1, if requests are sent in it.
    pub(in crate::upstream) fn http1(&self) -> Option<&Rc<Http1Pool>> {
        self.is_http1.get().then_some(&self.http1)
    }

    /// A connection was made on which the host wants HTTP/1.1, or has said nothing.
    pub(in crate::upstream) fn chose_http1(&self, dialed: Dialed, slot: ConnectionSlot) {
        self.is_http1.set(true);
        self.http1.adopt(dialed, slot);
    }

    /// A connection was made on which the host wants HTTP/2.
    pub(in crate::upstream) fn chose_http2(&self, slot: &ConnectionSlot) {
        self.is_http1.set(false);
        slot.speaks(Protocol::Http2);
    }
}
