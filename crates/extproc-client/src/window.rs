//! What a stream's flow-control window consists of.

use std::rc::Rc;

use crate::pool::Connection;

/// Received bytes that the peer has not got back.
///
/// Bytes of whole messages are given back when the caller is done with them. All others are given back at once, or a
/// message larger than the window could never arrive; what is kept of them is limited by the largest message accepted.
pub(crate) struct Window {
    connection: Rc<Connection>,
    /// All of them.
    held: usize,
    /// Those the caller has to be done with.
    owed: usize,
    /// Bytes of messages that were given back before the message was complete, and that the caller will still report.
    early: usize,
}

impl Window {
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        Self { connection, held: 0, owed: 0, early: 0 }
    }

    /// Bytes arrived.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.held += bytes;
        self.connection.hold(bytes);
    }

    /// All bytes held.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Bytes held that nobody will report.
    pub(crate) fn unowed(&self) -> usize {
        self.held - self.owed
    }

    /// A message goes to the caller; `buffered` bytes have arrived behind it.
    pub(crate) fn hand_out(&mut self, length: usize, buffered: usize) {
        let owed = length.min(self.unowed().saturating_sub(buffered));
        self.owed += owed;
        self.early += length - owed;
    }

    /// The caller is done with bytes: how many of them have to be given back now.
    pub(crate) fn take_back(&mut self, bytes: usize) -> usize {
        let early = bytes.min(self.early);
        self.early -= early;
        let bytes = (bytes - early).min(self.owed);
        self.owed -= bytes;
        bytes
    }

    /// Bytes are given back.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.held -= bytes;
        self.connection.unhold(bytes);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.connection.unhold(self.held);
    }
}
