//! FULL_DUPLEX_STREAMED: pieces go back when they are written (B-6).

use bytes::Bytes;

use super::{
    Link, reply,
    side::{Original, Side, Trailers},
};

/// The most bytes of a piece. Gateways handle any, but one that is too large for the windows of its connection stalls.
const LARGEST: usize = 64 * 1024;

impl Side {
    pub(super) fn flush_duplex(&mut self, link: &mut Link) {
        if self.has_body && !self.ended {
            while let Some(mut data) = self.written.pop_front() {
                let piece = data.split_to(data.len().min(LARGEST));
                if !data.is_empty() {
                    self.written.push_front(data);
                }
                let ends = self.ends_now();
                if !piece.is_empty() || ends {
                    self.ended = ends;
                    link.reply(reply::piece(self.direction, piece, ends));
                }
            }
            if self.ends_now() && !self.ended {
                self.ended = true;
                link.reply(reply::piece(self.direction, Bytes::new(), true));
            }
        }
        // B-6.4: with trailers it is their reply that ends the message.
        let before = self.written.is_empty() && (self.finishing || !self.has_body);
        if before && self.original == Original::Trailers && !matches!(self.trailers, Trailers::Answered) {
            self.flush_trailers(link);
        }
    }

    /// Everything was written, and no trailers follow.
    fn ends_now(&self) -> bool {
        self.written.is_empty() && self.finishing && self.original == Original::Data
    }
}
