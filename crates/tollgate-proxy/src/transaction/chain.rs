//! The chain: an onion of filters around the router, and the queue of the parts that pass it.
//!
//! ```text
//!  request:   client -> filter 0 -> filter 1 -> router -> filter 2 -> upstream
//!  response:  client <- filter 0 <- filter 1 <- router <- filter 2 <- upstream
//! ```
//!
//! Nothing on this way calls the next one. Who has a part for somebody puts it into the queue with the place that it is
//! about to enter, and one loop, [`run`](Transaction::run), takes the newest entry and hands it over. The newest comes
//! first, so what follows from a part is done before the next part of the same message moves.

use std::time::Instant;

use extproc::{Direction, Slices};
use smallvec::SmallVec;
use tollgate_model::http_connection_manager::HttpConnectionManager;

use super::{
    Transaction,
    filter::{Action, Context, Filter, FilterPlace, Slot},
};
use crate::stream::Downstream;

/// A part of a message on its way through the chain. Heads and trailers are in [`Core`](super::core::Core).
#[derive(Debug)]
pub(super) enum Part {
    Headers { end_stream: bool },
    Data { data: Slices, end_stream: bool },
    Trailers,
}

impl Part {
    /// Nothing of the message follows.
    pub(super) fn ends_stream(&self) -> bool {
        match self {
            Self::Headers { end_stream } | Self::Data { end_stream, .. } => *end_stream,
            Self::Trailers => true,
        }
    }
}

/// Where a part can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Client,
    /// By index; those behind the router come after the others.
    Filter(usize),
    Router,
    Upstream,
}

/// The order of the places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Onion {
    /// Filters before the router, which are the first ones.
    pub(super) before_router: usize,
    /// The first filter behind the router, and the first one that is not there any more. They belong to one try, and may be
    /// those of its cluster.
    pub(super) behind_router: (usize, usize),
}

impl Onion {
    /// The places of a chain, as long as no cluster is known.
    pub(super) fn of(http: &HttpConnectionManager) -> Self {
        let before_router = http.http_filters.len();
        Self {
            before_router,
            behind_router: (before_router, before_router + http.upstream_http_filters.len()),
        }
    }

    /// Where a part goes from `place`.
    pub(super) fn next(self, place: Place, direction: Direction) -> Place {
        match direction {
            Direction::Request => match place {
                Place::Client => self.inwards(0),
                Place::Filter(index) if self.is_upstream(index) => self.to_upstream(index + 1),
                Place::Filter(index) => self.inwards(index + 1),
                Place::Router => self.to_upstream(self.behind_router.0),
                Place::Upstream => Place::Upstream,
            },
            Direction::Response => match place {
                Place::Upstream => self.to_router(self.behind_router.1),
                Place::Filter(index) if self.is_upstream(index) => self.to_router(index),
                Place::Router => outwards(self.before_router),
                Place::Filter(index) => outwards(index),
                Place::Client => Place::Client,
            },
        }
    }

    /// Where a part goes from the last filter on this filter's side of the router.
    pub(super) fn past_filters(self, index: usize, direction: Direction) -> Place {
        match (self.is_upstream(index), direction) {
            (false, Direction::Request) | (true, Direction::Response) => Place::Router,
            (true, Direction::Request) => Place::Upstream,
            (false, Direction::Response) => Place::Client,
        }
    }

    /// Whether the filter belongs to one try.
    pub(super) fn is_upstream(self, filter: usize) -> bool {
        filter >= self.before_router
    }

    fn inwards(self, index: usize) -> Place {
        if index < self.before_router { Place::Filter(index) } else { Place::Router }
    }

    fn to_upstream(self, index: usize) -> Place {
        if index < self.behind_router.1 { Place::Filter(index) } else { Place::Upstream }
    }

    fn to_router(self, behind: usize) -> Place {
        if behind > self.behind_router.0 { Place::Filter(behind - 1) } else { Place::Router }
    }
}

fn outwards(behind: usize) -> Place {
    behind.checked_sub(1).map_or(Place::Client, Place::Filter)
}

/// Something to do.
#[derive(Debug)]
enum Work {
    /// A part is about to enter a place.
    Enter(Place, Direction, Part),
    /// A filter may ask for more.
    Actions(usize),
}

/// What there is to do, the newest first.
#[derive(Debug, Default)]
pub(super) struct Queue(SmallVec<[Work; 3]>);

impl Queue {
    /// A part is about to enter a place. It does so before everything that was put here earlier.
    pub(super) fn enter(&mut self, place: Place, direction: Direction, part: Part) {
        self.0.push(Work::Enter(place, direction, part));
    }

    /// A filter may ask for something.
    pub(super) fn ask(&mut self, filter: usize) {
        self.0.push(Work::Actions(filter));
    }

    /// Forgets what is on its way through filters and places that belong to a try.
    pub(super) fn give_up_try(&mut self, onion: Onion) {
        self.0.retain(|work| match work {
            Work::Enter(Place::Filter(index), ..) | Work::Actions(index) => !onion.is_upstream(*index),
            Work::Enter(Place::Upstream, ..) | Work::Enter(Place::Router, Direction::Response, _) => false,
            Work::Enter(..) => true,
        });
    }
}

impl<D: Downstream> Transaction<'_, D> {
    /// Does everything that there is to do.
    pub(super) fn run(&mut self, now: Instant) {
        while let Some(work) = self.queue.0.pop() {
            if self.finished {
                self.queue.0.clear();
                return;
            }
            match work {
                Work::Enter(Place::Filter(index), direction, part) => {
                    self.enter_filter(index, direction, part, now);
                }
                Work::Enter(Place::Router, Direction::Request, part) => self.router_part(part, now),
                Work::Enter(Place::Router, Direction::Response, part) => self.router_response_part(part, now),
                Work::Enter(Place::Upstream, _, part) => self.upstream_part(part),
                Work::Enter(Place::Client, _, part) => self.client_part(part, now),
                Work::Actions(index) => self.ask_filter(index, now),
            }
        }
    }

    /// A part goes on from a place.
    pub(super) fn pass_on(&mut self, from: Place, direction: Direction, part: Part) {
        self.queue.enter(self.onion.next(from, direction), direction, part);
    }

    fn enter_filter(&mut self, index: usize, direction: Direction, part: Part, now: Instant) {
        let is_head = matches!(part, Part::Headers { .. });
        let core = &self.core;
        let begin = |place| Slot::begin(place, core);
        let Some(index) = self.slots.enter(index, direction, is_head, core.filters_on(), begin) else {
            return self.queue.enter(self.onion.past_filters(index, direction), direction, part);
        };
        let place = self.filter_place(index);
        let Some(filter) = self.slots.get_mut(index) else { return };
        let mut cx = Context { core: &mut self.core, place, now };
        let action = match part {
            Part::Headers { end_stream } => filter.headers(direction, end_stream, &mut cx),
            Part::Data { data, end_stream } => filter.data(direction, data, end_stream, &mut cx),
            Part::Trailers => filter.trailers(direction, &mut cx),
        };
        self.queue.ask(index);
        if let Some(action) = action {
            self.carry_out(index, action, now);
        }
    }

    fn ask_filter(&mut self, index: usize, now: Instant) {
        let place = self.filter_place(index);
        let Some(filter) = self.slots.get_mut(index) else { return };
        let mut cx = Context { core: &mut self.core, place, now };
        if let Some(action) = filter.next_action(&mut cx) {
            self.queue.ask(index);
            self.carry_out(index, action, now);
        }
    }

    fn carry_out(&mut self, index: usize, action: Action, now: Instant) {
        match action {
            Action::Forward(direction, part) => self.pass_on(Place::Filter(index), direction, part),
            Action::ClearRouteCache => {
                self.core.refresh_route();
                self.refresh_stream_limit();
            }
            Action::Reply(reply) => self.local_reply(*reply, now),
            Action::PayloadTooLarge(direction) => self.payload_too_large(direction, now),
            Action::StartResponse { head, end_stream } => self.filter_response(index, *head, end_stream),
            Action::ContinueResponse(part) => self.filter_response_part(index, part),
        }
    }

    /// Where a filter stands.
    pub(super) fn filter_place(&self, index: usize) -> FilterPlace {
        FilterPlace { index, upstream: self.onion.is_upstream(index) }
    }

    /// The request goes to this cluster: it may have filters of its own behind the router.
    pub(super) fn take_filters_of(&mut self, cluster: &str) {
        let http = self.core.http();
        if http.cluster_http_filters.is_empty() {
            return;
        }
        let own = http.behind_router(cluster);
        self.onion.behind_router = (own.start, own.end);
        self.slots.renew_behind_router(self.onion);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(onion: Onion, direction: Direction) -> Vec<Place> {
        let (mut place, end) = match direction {
            Direction::Request => (Place::Client, Place::Upstream),
            Direction::Response => (Place::Upstream, Place::Client),
        };
        let mut way = vec![place];
        while place != end {
            place = onion.next(place, direction);
            way.push(place);
        }
        way
    }

    #[test]
    fn requests_go_inwards_and_responses_come_back_the_same_way() {
        use Place::{Client, Filter, Router, Upstream};
        for (before_router, behind_router, expected) in [
            (0, (0, 0), vec![Client, Router, Upstream]),
            (2, (2, 2), vec![Client, Filter(0), Filter(1), Router, Upstream]),
            (0, (0, 1), vec![Client, Router, Filter(0), Upstream]),
            (2, (5, 7), vec![Client, Filter(0), Filter(1), Router, Filter(5), Filter(6), Upstream]),
            (1, (1, 3), vec![Client, Filter(0), Router, Filter(1), Filter(2), Upstream]),
        ] {
            let onion = Onion { before_router, behind_router };
            assert_eq!(way(onion, Direction::Request), expected);
            let back: Vec<_> = expected.into_iter().rev().collect();
            assert_eq!(way(onion, Direction::Response), back);
        }
    }

    #[test]
    fn what_belongs_to_a_try_is_given_up_with_it() {
        let head = || Part::Headers { end_stream: false };
        let onion = Onion { before_router: 1, behind_router: (1, 2) };
        let mut queue = Queue::default();
        queue.enter(Place::Client, Direction::Response, head());
        queue.ask(0);
        queue.ask(1);
        queue.enter(Place::Filter(1), Direction::Request, head());
        queue.enter(Place::Upstream, Direction::Request, head());
        queue.enter(Place::Router, Direction::Response, head());
        queue.enter(Place::Router, Direction::Request, head());
        queue.give_up_try(onion);
        let left: Vec<_> = queue.0.iter().collect();
        assert!(
            matches!(
                left[..],
                [
                    Work::Enter(Place::Client, ..),
                    Work::Actions(0),
                    Work::Enter(Place::Router, Direction::Request, _)
                ]
            ),
            "{left:?}"
        );
    }
}
