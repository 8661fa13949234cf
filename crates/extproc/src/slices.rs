//! Bytes that are together in meaning but not in memory.

use std::{iter, option, vec};

use bytes::{Bytes, BytesMut};

/// A slice of at least this size is not worth copying.
const LARGE: usize = 8 * 1024;
/// Small slices are copied together up to this size.
const MOST_GATHERED: usize = 16 * 1024;

/// A run of bytes in any number of slices, none of them empty. Cloning and moving it copies no bytes; one slice costs no
/// allocation.
///
/// Bodies pass through a gateway as they arrived. Nobody needs them in one place, and copying them there costs more than
/// most of what is done with them.
///
/// ```
/// use bytes::Bytes;
/// use extproc::Slices;
///
/// let mut slices = Slices::from(Bytes::from_static(b"abc"));
/// slices.push(Bytes::from_static(b"def"));
/// assert_eq!(slices.len(), 6);
/// assert_eq!(slices.into_bytes(), "abcdef");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Slices {
    /// Empty only if everything is.
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Slices {
    /// No bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: Bytes::new(), rest: Vec::new() }
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Appends a slice.
    pub fn push(&mut self, slice: Bytes) {
        if self.first.is_empty() {
            self.first = slice;
        } else if !slice.is_empty() {
            self.rest.push(slice);
        }
    }

    /// Forgets what is beyond the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        let mut left = length.saturating_sub(self.first.len());
        self.first.truncate(length);
        let mut kept = 0;
        for slice in &mut self.rest {
            if left == 0 {
                break;
            }
            slice.truncate(left);
            left -= slice.len();
            kept += 1;
        }
        self.rest.truncate(kept);
    }

    /// The slices in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        Some(&self.first).filter(|first| !first.is_empty()).into_iter().chain(&self.rest)
    }

    /// The first slice, empty only if there are no bytes, and the others.
    pub(crate) fn split_first(&self) -> (&Bytes, &[Bytes]) {
        (&self.first, &self.rest)
    }

    /// All bytes in one place. One slice is not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut joined = BytesMut::with_capacity(self.len());
        self.iter().for_each(|slice| joined.extend_from_slice(slice));
        joined.freeze()
    }
}

impl From<Bytes> for Slices {
    fn from(bytes: Bytes) -> Self {
        Self { first: bytes, rest: Vec::new() }
    }
}

/// Two runs are equal if their bytes are, wherever they are cut.
impl PartialEq for Slices {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |slices: &Self| slices.iter().flatten().copied().collect::<Vec<u8>>();
        self.len() == other.len() && bytes(self) == bytes(other)
    }
}

impl Eq for Slices {}

impl IntoIterator for Slices {
    type Item = Bytes;
    type IntoIter = iter::Chain<option::IntoIter<Bytes>, vec::IntoIter<Bytes>>;

    /// The slices in their order.
    fn into_iter(self) -> Self::IntoIter {
        Some(self.first).filter(|first| !first.is_empty()).into_iter().chain(self.rest)
    }
}

/// Collects pieces of any size. Small ones are copied together, so that what is held is never more than a few times
/// what arrived, however it was cut.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    slices: Slices,
    small: BytesMut,
    length: usize,
}

impl Gather {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        if piece.len() < LARGE {
            self.small.extend_from_slice(&piece);
            if self.small.len() >= MOST_GATHERED {
                self.flush();
            }
        } else {
            self.flush();
            self.slices.push(piece);
        }
    }

    /// Bytes collected.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Takes what was collected and leaves nothing.
    pub(crate) fn take(&mut self) -> Slices {
        self.flush();
        self.length = 0;
        std::mem::take(&mut self.slices)
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            self.slices.push(std::mem::take(&mut self.small).freeze());
        }
    }
}

impl FromIterator<Bytes> for Slices {
    /// Copies small pieces together; one piece alone is not copied.
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let Some(first) = pieces.next() else { return Self::new() };
        let Some(second) = pieces.next() else { return first.into() };
        let mut gather = Gather::default();
        gather.push(first);
        gather.push(second);
        pieces.for_each(|piece| gather.push(piece));
        gather.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(parts: &[&'static str]) -> Slices {
        let mut slices = Slices::new();
        parts.iter().for_each(|part| slices.push(Bytes::from_static(part.as_bytes())));
        slices
    }

    #[test]
    fn empty_slices_are_none() {
        let slices = slices(&["", "ab", "", "c"]);
        assert_eq!(slices.iter().count(), 2);
        assert_eq!((slices.len(), slices.is_empty()), (3, false));
        assert_eq!((Slices::new().iter().count(), Slices::new().into_iter().count()), (0, 0));
        assert!(Slices::from(Bytes::new()).is_empty());
    }

    #[test]
    fn truncating_cuts_at_any_place() {
        for length in 0..=10 {
            let mut cut = slices(&["abc", "d", "efgh"]);
            cut.truncate(length);
            assert!(cut.iter().all(|slice| !slice.is_empty()));
            assert_eq!(cut.is_empty(), length == 0);
            assert_eq!(cut.into_bytes(), &b"abcdefgh"[..length.min(8)]);
        }
    }

    #[test]
    fn equality_is_about_bytes() {
        assert_eq!(slices(&["ab", "c"]), slices(&["a", "bc"]));
        assert_ne!(slices(&["ab", "c"]), slices(&["a", "bd"]));
        assert_ne!(slices(&["ab"]), slices(&["abc"]));
    }

    /// Tiny pieces do not cost more than their bytes; large ones and a single one stay where they are.
    #[test]
    fn small_pieces_are_copied_together_and_no_others() {
        let tiny = (0..MOST_GATHERED * 2).map(|_| Bytes::from_static(b"x")).collect::<Slices>();
        assert_eq!((tiny.len(), tiny.iter().count()), (MOST_GATHERED * 2, 2));
        let large = Bytes::from(vec![1; LARGE]);
        let place = large.as_ptr();
        let mixed =
            [Bytes::from_static(b"a"), Bytes::from_static(b"b"), large].into_iter().collect::<Slices>();
        assert_eq!(mixed.iter().map(Bytes::len).collect::<Vec<_>>(), [2, LARGE]);
        assert_eq!(mixed.iter().last().map(|slice| slice.as_ptr()), Some(place));
        let one = Bytes::from_static(b"alone");
        assert_eq!([one.clone()].into_iter().collect::<Slices>().into_bytes().as_ptr(), one.as_ptr());
    }
}
