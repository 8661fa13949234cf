//! What a client sends behind a request for a tunnel. Until the host has agreed, these bytes must not reach it: a host that
//! does not take the upgrade would read them as its next request, past every route and filter.

use extproc::Slices;

/// Pieces that wait for the host's answer. Their source is paused above the watermark, so they are bounded by it and one
/// piece.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Held {
    pieces: Vec<Slices>,
    bytes: usize,
    ended: bool,
}

impl Held {
    /// Keeps a piece.
    pub(in crate::upstream) fn add(&mut self, data: Slices, end_stream: bool) {
        self.ended |= end_stream;
        if !data.is_empty() {
            self.bytes += data.len();
            self.pieces.push(data);
        }
    }

    /// The request ended.
    pub(in crate::upstream) fn end(&mut self) {
        self.ended = true;
    }

    /// Bytes that wait.
    pub(in crate::upstream) fn len(&self) -> usize {
        self.bytes
    }

    /// The pieces in their order, each with whether it is the last of the request.
    pub(in crate::upstream) fn into_pieces(self) -> impl Iterator<Item = (Slices, bool)> {
        let last = self.ended.then(|| (Slices::default(), true));
        self.pieces.into_iter().map(|piece| (piece, false)).chain(last)
    }
}
