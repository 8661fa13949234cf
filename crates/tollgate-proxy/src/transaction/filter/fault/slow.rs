//! Responses that are slow.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::transaction::chain::Part;

/// A second has so many slices; each lets its share of the bytes pass.
const SLICES: u32 = 20;

/// How long a slice is.
const SLICE: Duration = Duration::from_millis(50);

/// How much may wait.
const MOST: usize = 64 * 1024;

/// A response on its way through a narrow place.
#[derive(Debug)]
pub(super) struct Slow {
    bytes_a_slice: usize,
    /// Slices that may be used. The first one may at once.
    slices: u32,
    /// When the last one came; `None`: nothing has passed yet.
    filled: Option<Instant>,
    parts: VecDeque<Part>,
    held: usize,
}

impl Slow {
    /// So many bytes a second.
    pub(super) fn new(rate: u64) -> Self {
        let bytes_a_slice = usize::try_from(rate / u64::from(SLICES)).unwrap_or(usize::MAX).max(1);
        Self { bytes_a_slice, slices: 1, filled: None, parts: VecDeque::new(), held: 0 }
    }

    pub(super) fn push(&mut self, part: Part) {
        if let Part::Data { data, .. } = &part {
            self.held += data.len();
        }
        self.parts.push_back(part);
    }

    /// What may pass now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Part> {
        let filled = *self.filled.get_or_insert(now);
        let passed = now.saturating_duration_since(filled).as_millis() / SLICE.as_millis();
        let passed = u32::try_from(passed).unwrap_or(SLICES);
        self.slices = (self.slices + passed).min(SLICES);
        self.filled = Some(filled + SLICE * passed);
        let is_data = matches!(self.parts.front()?, Part::Data { data, .. } if !data.is_empty());
        if !is_data {
            return self.parts.pop_front();
        }
        if self.slices == 0 {
            return None;
        }
        self.slices -= 1;
        let Some(Part::Data { data, end_stream }) = self.parts.pop_front() else { return None };
        let mut data = data.into_bytes();
        let rest = data.split_off(self.bytes_a_slice.min(data.len()));
        self.held -= data.len();
        let is_last = rest.is_empty();
        if !is_last {
            self.parts.push_front(Part::Data { data: rest.into(), end_stream });
        }
        Some(Part::Data { data: data.into(), end_stream: end_stream && is_last })
    }

    /// When more may pass.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.parts.is_empty()).then_some(self.filled? + SLICE)
    }

    pub(super) fn has_room(&self) -> bool {
        self.held < MOST
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn lengths(slow: &mut Slow, now: Instant) -> Vec<(usize, bool)> {
        std::iter::from_fn(|| slow.pop(now))
            .map(|part| match part {
                Part::Data { data, end_stream } => (data.len(), end_stream),
                other => (0, other.ends_stream()),
            })
            .collect()
    }

    #[test]
    fn a_slice_at_a_time_and_not_more_than_a_second_later() {
        let mut slow = Slow::new(200);
        let now = Instant::now();
        slow.push(Part::Data { data: Bytes::from_static(&[0; 25]).into(), end_stream: false });
        slow.push(Part::Trailers);
        assert_eq!(lengths(&mut slow, now), [(10, false)]);
        assert_eq!((slow.deadline(), slow.held()), (Some(now + SLICE), 15));
        assert_eq!(lengths(&mut slow, now + SLICE / 2), []);
        assert_eq!(lengths(&mut slow, now + SLICE), [(10, false)]);
        assert_eq!(lengths(&mut slow, now + SLICE * 2), [(5, false), (0, true)]);
        assert_eq!((slow.deadline(), slow.held()), (None, 0));
        slow.push(Part::Data { data: Bytes::from_static(&[0; 500]).into(), end_stream: true });
        let later = lengths(&mut slow, now + SLICE * 100);
        assert_eq!(later.len(), 20);
        assert!(!later.iter().any(|(_, ends)| *ends));
    }
}
