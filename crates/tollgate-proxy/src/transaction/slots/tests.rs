//! Slots against a table with an entry for every filter of the chain.

use std::collections::HashMap;

use fastrand::Rng;

use super::*;
use crate::transaction::{chain::Place, filter::some_filter};

/// What a filter of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Undecided,
    Off,
    Idle,
    Active,
}

/// What filters would be if their turn came now.
type Route = Vec<Known>;

struct Table {
    onion: Onion,
    filters: Vec<Known>,
}

impl Table {
    /// Where a part comes to from a place.
    fn next(&mut self, from: Place, direction: Direction, is_head: bool, route: &Route) -> Place {
        let mut place = self.onion.next(from, direction);
        while let Place::Filter(index) = place {
            let filter = &mut self.filters[index];
            if is_head && *filter == Known::Undecided {
                *filter = route[index];
            }
            if *filter == Known::Active {
                break;
            }
            place = self.onion.next(place, direction);
        }
        place
    }
}

/// The same by slots.
fn next(slots: &mut Slots, from: Place, direction: Direction, is_head: bool, route: &Route) -> Place {
    let onion = slots.onion;
    let Place::Filter(index) = onion.next(from, direction) else { return onion.next(from, direction) };
    let on: Vec<usize> = (0..route.len()).filter(|index| route[*index] != Known::Off).collect();
    let begin = |place: FilterPlace| match route[place.index] {
        Known::Active => Some(Slot::Active(some_filter())),
        Known::Idle => Some(Slot::Idle),
        Known::Off | Known::Undecided => None,
    };
    match slots.enter(index, direction, is_head, &on, begin) {
        Some(index) => Place::Filter(index),
        None => onion.past_filters(index, direction),
    }
}

fn assert_same(slots: &Slots, table: &Table) {
    let present: HashMap<usize, &Slot> = slots.present().collect();
    let Onion { before_router, behind_router: (first, end) } = table.onion;
    for index in (0..before_router).chain(first..end) {
        let known = &table.filters[index];
        let found = match present.get(&index) {
            None if slots.is_decided(index) => Known::Off,
            None => Known::Undecided,
            Some(Slot::Idle) => Known::Idle,
            Some(Slot::Active(_)) => Known::Active,
        };
        assert_eq!(found, *known, "filter {index} of {:?}", table.filters);
    }
}

fn route(random: &mut Rng, filters: usize) -> Route {
    let sparse = random.bool();
    let draw = |_| match random.u8(..if sparse { 20 } else { 3 }) {
        0 => Known::Idle,
        1 => Known::Active,
        _ => Known::Off,
    };
    (0..filters).map(draw).collect()
}

/// Whatever the chain, wherever the route changes, wherever an answer begins: the same filters are asked, in the same
/// order.
#[test]
fn heads_decide_as_they_would_with_a_place_for_every_filter() {
    for seed in 0..5000 {
        let mut random = Rng::with_seed(seed);
        let filters = random.usize(..12);
        let before_router = random.usize(..=filters);
        let first = random.usize(before_router..=filters);
        let mut onion = Onion { before_router, behind_router: (first, random.usize(first..=filters)) };
        let mut slots = Slots::new(onion);
        let mut table = Table { onion, filters: vec![Known::Undecided; filters] };
        let mut current = route(&mut random, filters);
        let mut go = |from, direction, until, slots: &mut Slots, table: &mut Table, random: &mut Rng| {
            let mut place = from;
            while place != until {
                if random.u8(..4) == 0 {
                    current = route(random, filters);
                }
                let there = table.next(place, direction, true, &current);
                assert_eq!(next(slots, place, direction, true, &current), there);
                assert_same(slots, table);
                place = there;
                // Some filter answers, or gives the head up.
                if place != until && random.u8(..6) == 0 {
                    break;
                }
            }
        };
        go(Place::Client, Direction::Request, Place::Router, &mut slots, &mut table, &mut random);
        for _try in 0..random.usize(..3) {
            go(Place::Router, Direction::Request, Place::Upstream, &mut slots, &mut table, &mut random);
            go(Place::Upstream, Direction::Response, Place::Router, &mut slots, &mut table, &mut random);
            let first = random.usize(before_router..=filters);
            onion.behind_router = (first, random.usize(first..=filters));
            slots.renew_behind_router(onion);
            table.onion = onion;
            table.filters[onion.before_router..].fill(Known::Undecided);
            assert_same(&slots, &table);
        }
        go(Place::Router, Direction::Response, Place::Client, &mut slots, &mut table, &mut random);
        for (from, direction) in [(Place::Client, Direction::Request), (Place::Router, Direction::Response)] {
            let there = table.next(from, direction, false, &current);
            assert_eq!(next(&mut slots, from, direction, false, &current), there);
        }
    }
}

#[test]
fn filters_that_are_off_have_no_place() {
    let onion = Onion { before_router: 1000, behind_router: (1000, 1000) };
    let mut slots = Slots::new(onion);
    let mut route = vec![Known::Off; 1000];
    route[777] = Known::Active;
    assert_eq!(next(&mut slots, Place::Client, Direction::Request, true, &route), Place::Filter(777));
    assert_eq!(next(&mut slots, Place::Filter(777), Direction::Request, true, &route), Place::Router);
    assert_eq!(slots.present().count(), 1);
    assert!(!slots.present.spilled() && slots.is_decided(0) && slots.is_decided(999));
}
