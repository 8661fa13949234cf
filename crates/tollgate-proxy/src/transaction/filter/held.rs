//! Parts of a request that may not pass yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::transaction::chain::Part;

/// A queue of parts that knows how much of the body it holds.
#[derive(Debug, Default)]
pub(super) struct HeldParts {
    parts: VecDeque<Part>,
    bytes: usize,
}

impl HeldParts {
    pub(super) fn push(&mut self, part: Part) {
        self.bytes += body_bytes(&part);
        self.parts.push_back(part);
    }

    /// Lets the first part go.
    pub(super) fn pop(&mut self) -> Option<Part> {
        let part = self.parts.pop_front()?;
        self.bytes -= body_bytes(&part);
        Some(part)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Number of parts.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Bytes of the body.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first bytes of the body, at most so many.
    pub(super) fn first_bytes(&self, most: usize) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.bytes.min(most));
        for part in &self.parts {
            if let Part::Data { data, .. } = part {
                for piece in data.iter() {
                    let room = most - bytes.len();
                    bytes.extend_from_slice(&piece[..piece.len().min(room)]);
                }
            }
        }
        bytes.freeze()
    }
}

fn body_bytes(part: &Part) -> usize {
    match part {
        Part::Data { data, .. } => data.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use extproc::Slices;

    use super::*;

    fn data(text: &'static str) -> Part {
        Part::Data { data: Slices::from(Bytes::from_static(text.as_bytes())), end_stream: false }
    }

    #[test]
    fn bytes_are_those_of_what_is_held() {
        let mut held = HeldParts::default();
        held.push(Part::Headers { end_stream: false });
        held.push(data("abc"));
        held.push(data("de"));
        assert_eq!((held.len(), held.bytes()), (3, 5));
        assert_eq!(&held.first_bytes(4)[..], b"abcd");
        assert_eq!(&held.first_bytes(usize::MAX)[..], b"abcde");
        held.pop();
        held.pop();
        assert_eq!((held.len(), held.bytes()), (1, 2));
        held.clear();
        assert_eq!((held.is_empty(), held.bytes()), (true, 0));
        assert!(held.pop().is_none());
    }
}
