//! Bytes of a body that wait.

use std::mem;

use bytes::Bytes;

use crate::slices::{Gather, Slices};

/// Body pieces in their order. Small ones are copied together: a piece keeps the buffer alive that it was read into, so a
/// body of one-byte pieces would hold many times its size.
#[derive(Debug, Default)]
pub(in crate::exchange) enum Held {
    #[default]
    Nothing,
    /// The processor cleared a whole body. Nothing is left of it, but that must still be passed on.
    Cleared,
    /// A piece that is alone stays where it is.
    One(Bytes),
    /// Apart, so that all that holds nothing is small.
    Many(Box<Gather>),
}

impl Held {
    /// The number of bytes.
    pub(in crate::exchange) fn len(&self) -> usize {
        match self {
            Self::Nothing | Self::Cleared => 0,
            Self::One(piece) => piece.len(),
            Self::Many(pieces) => pieces.len(),
        }
    }

    /// Whether there is nothing to pass on, not even a cleared body.
    pub(in crate::exchange) fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Whether there is anything of a body; a cleared one has nothing.
    pub(in crate::exchange) fn has_bytes(&self) -> bool {
        matches!(self, Self::One(_) | Self::Many(_))
    }

    pub(in crate::exchange) fn push(&mut self, data: Slices) {
        for piece in data {
            match self {
                Self::Nothing | Self::Cleared => *self = Self::One(piece),
                Self::One(first) => {
                    let mut pieces = Box::<Gather>::default();
                    pieces.push(mem::take(first));
                    pieces.push(piece);
                    *self = Self::Many(pieces);
                }
                Self::Many(pieces) => pieces.push(piece),
            }
        }
    }

    /// As [`push`](Self::push), before what is here already.
    pub(in crate::exchange) fn push_first(&mut self, data: Slices) {
        let behind = self.take();
        self.push(data);
        self.push(behind);
    }

    /// What is left of a body that was cleared.
    pub(in crate::exchange) fn push_cleared(&mut self) {
        if self.is_empty() {
            *self = Self::Cleared;
        }
    }

    /// Everything, as one piece.
    pub(in crate::exchange) fn take(&mut self) -> Slices {
        match mem::take(self) {
            Self::Nothing | Self::Cleared => Slices::new(),
            Self::One(piece) => piece.into(),
            Self::Many(mut pieces) => pieces.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held bytes as they go on.
    fn taken(held: &mut Held) -> Bytes {
        held.take().into_bytes()
    }

    #[test]
    fn order_is_kept() {
        let mut held = Held::default();
        let large = vec![b'L'; 20 * 1024];
        for piece in [b"a".to_vec(), b"b".to_vec(), large.clone(), b"c".to_vec()] {
            held.push(Bytes::from(piece).into());
        }
        held.push_first(Bytes::from_static(b"first").into());
        let expected = [b"firstab".as_slice(), &large, b"c"].concat();
        assert_eq!(held.len(), expected.len());
        assert_eq!(taken(&mut held), expected);
        assert!(held.is_empty() && !held.has_bytes());
    }

    #[test]
    fn a_piece_alone_is_not_copied() {
        let mut held = Held::default();
        let piece = Bytes::from(vec![b'x'; 100]);
        held.push(piece.clone().into());
        assert_eq!(taken(&mut held).as_ptr(), piece.as_ptr());
    }

    /// Tiny pieces of a large buffer do not keep it alive.
    #[test]
    fn small_pieces_let_go_of_their_buffers() {
        let mut held = Held::default();
        let buffer = Bytes::from(vec![b'x'; 16 * 1024]);
        for index in 0..100 {
            held.push(buffer.slice(index..=index).into());
        }
        assert!(buffer.is_unique());
        assert_eq!(held.take().iter().count(), 1);
    }

    #[test]
    fn a_cleared_body_is_something() {
        let mut held = Held::default();
        assert!(held.is_empty());
        held.push_first(Slices::new());
        assert!(held.is_empty());
        held.push_cleared();
        assert!(!held.is_empty());
        assert!(held.take().is_empty());
        assert!(held.is_empty());
    }
}
