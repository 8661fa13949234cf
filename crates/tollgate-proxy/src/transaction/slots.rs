//! The filters of one request.
//!
//! A chain may have a filter for each of many policies, most of which are off on most routes. What a request has of a chain
//! are only the filters that are there on its route; those that are off have no place and cost nothing. Whether one is
//! there is decided when the first head comes by its place, by the route in force at that moment: up to there the
//! route may be another one.

use smallvec::SmallVec;

use extproc::Direction;

use super::{
    chain::Onion,
    filter::{AnyFilter, FilterPlace, Slot},
};

/// The filters of one request that are there, and how far heads have come.
#[derive(Debug)]
pub(super) struct Slots {
    onion: Onion,
    /// By index, ascending.
    present: SmallVec<[(usize, Slot); 2]>,
    before_router: Seen,
    behind_router: Seen,
}

/// The filters on one side of the router that a head has passed. Requests pass them in ascending order and responses in
/// descending order, so it is a number of the first ones and a number of the last ones.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The first one that no head of a request has reached.
    request: usize,
    /// The first one that a head of a response has passed.
    response: usize,
}

impl Slots {
    /// No head has come by.
    pub(super) fn new(onion: Onion) -> Self {
        Self {
            onion,
            present: SmallVec::new(),
            before_router: Seen { request: 0, response: onion.before_router },
            behind_router: Seen { request: onion.behind_router.0, response: onion.behind_router.1 },
        }
    }

    /// The filter at an index, if it is at work.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut AnyFilter> {
        let at = self.position(index).ok()?;
        match &mut self.present[at].1 {
            Slot::Active(filter) => Some(filter),
            Slot::Idle => None,
        }
    }

    /// The filters at work.
    pub(super) fn active(&self) -> impl Iterator<Item = &AnyFilter> {
        self.present.iter().filter_map(|(_, slot)| slot.filter())
    }

    /// The filters at work.
    pub(super) fn active_mut(&mut self) -> impl Iterator<Item = &mut AnyFilter> {
        self.present.iter_mut().filter_map(|(_, slot)| match slot {
            Slot::Active(filter) => Some(filter),
            Slot::Idle => None,
        })
    }

    /// The first filter at work from an index on: more may come to be while one is asked after the other.
    pub(super) fn next_active(&self, from: usize) -> Option<usize> {
        let first = self.position(from).unwrap_or_else(|place| place);
        self.present[first..].iter().find(|(_, slot)| slot.filter().is_some()).map(|(index, _)| *index)
    }

    /// The filters that are there, by index.
    pub(super) fn present(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.present.iter().map(|(index, slot)| (*index, slot))
    }

    /// Whether a head has come by the place of a filter.
    pub(super) fn is_decided(&self, index: usize) -> bool {
        let Seen { request, response } = *self.seen(index);
        index < request || index >= response
    }

    /// The filter at `from` or behind it, in this direction, that a part comes to next. A head decides on its way which
    /// filters are there: those that are on by the route in force, as far as they begin. `None`: there is none on this side of the router.
    pub(super) fn enter(
        &mut self,
        from: usize,
        direction: Direction,
        is_head: bool,
        on: &[usize],
        mut begin: impl FnMut(FilterPlace) -> Option<Slot>,
    ) -> Option<usize> {
        let mut from = from;
        loop {
            let known = self.next_present(from, direction);
            if !is_head {
                return known;
            }
            let undecided = self.next_undecided(from, direction, on);
            let comes_first = |index: usize| match (known, direction) {
                (None, _) => true,
                (Some(known), Direction::Request) => index < known,
                (Some(known), Direction::Response) => index > known,
            };
            let Some(index) = undecided.filter(|index| comes_first(*index)) else {
                self.passes(known, from, direction);
                return known;
            };
            self.passes(Some(index), from, direction);
            let place = FilterPlace { index, upstream: self.onion.is_upstream(index) };
            if let Some(slot) = begin(place) {
                let is_active = slot.filter().is_some();
                let at = self.position(index).unwrap_or_else(|place| place);
                self.present.insert(at, (index, slot));
                if is_active {
                    return Some(index);
                }
            }
            from = match direction {
                Direction::Request if self.side(index).1 == index + 1 => return None,
                Direction::Request => index + 1,
                Direction::Response if self.side(index).0 == index => return None,
                Direction::Response => index - 1,
            };
        }
    }

    /// Forgets the filters of a try: the next one has new ones, and perhaps others.
    pub(super) fn renew_behind_router(&mut self, onion: Onion) {
        self.onion = onion;
        self.present.retain(|(index, _)| !onion.is_upstream(*index));
        self.behind_router = Seen { request: onion.behind_router.0, response: onion.behind_router.1 };
    }

    /// The next filter at work, on the same side of the router.
    fn next_present(&self, from: usize, direction: Direction) -> Option<usize> {
        let (start, end) = self.side(from);
        let is_active = |(_, slot): &&(usize, Slot)| slot.filter().is_some();
        let found = match direction {
            Direction::Request => self.present.iter().filter(is_active).find(|(index, _)| *index >= from),
            Direction::Response => {
                self.present.iter().rev().filter(is_active).find(|(index, _)| *index <= from)
            }
        };
        found.map(|(index, _)| *index).filter(|index| (start..end).contains(index))
    }

    /// The next filter that is on by the route in force and that no head has passed, on the same side of the router.
    fn next_undecided(&self, from: usize, direction: Direction, on: &[usize]) -> Option<usize> {
        let (start, end) = self.side(from);
        let Seen { request, response } = *self.seen(from);
        let undecided = request.max(start)..response.min(end);
        match direction {
            Direction::Request => {
                let first = from.max(undecided.start);
                on.get(on.partition_point(|index| *index < first)..)?.first()
            }
            Direction::Response => {
                let last = from.min(undecided.end.checked_sub(1)?);
                on[..on.partition_point(|index| *index <= last)].last()
            }
        }
        .copied()
        .filter(|index| undecided.contains(index))
    }

    /// A head comes to this filter, or leaves the side of the router without coming to another one.
    fn passes(&mut self, next: Option<usize>, from: usize, direction: Direction) {
        let (start, end) = self.side(from);
        let is_upstream = self.onion.is_upstream(from);
        let seen = if is_upstream { &mut self.behind_router } else { &mut self.before_router };
        match direction {
            Direction::Request => seen.request = seen.request.max(next.map_or(end, |index| index + 1)),
            Direction::Response => seen.response = seen.response.min(next.unwrap_or(start)),
        }
    }

    fn seen(&self, index: usize) -> &Seen {
        if self.onion.is_upstream(index) { &self.behind_router } else { &self.before_router }
    }

    /// The filters on the same side of the router as this one.
    fn side(&self, index: usize) -> (usize, usize) {
        if self.onion.is_upstream(index) { self.onion.behind_router } else { (0, self.onion.before_router) }
    }

    fn position(&self, index: usize) -> Result<usize, usize> {
        self.present.binary_search_by_key(&index, |(known, _)| *known)
    }
}

#[cfg(test)]
mod tests;
