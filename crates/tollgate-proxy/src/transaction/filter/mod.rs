//! The interface of HTTP filters.
//!
//! A filter is given the parts of a request and its response as they pass its place in the chain, and answers with
//! [`Action`]s: pass this part on, answer the client, match the routes again. It may keep parts, wait for something
//! ([`poll`](Filter::poll), [`deadline`](Filter::deadline)) and go on later. It never calls another filter, the router or
//! the client: the loop of the [chain](super::chain) carries its actions out.
//!
//! The same filter works before the router, where it lives as long as the request, and behind it, where each try has a
//! new one.
//!
//! # A new kind of filter
//!
//! * its settings: a type in `tollgate-model` and a variant of [`FilterSettings`](tollgate_model::filter::FilterSettings);
//! * its schema: a file in `tollgate-config` (`envoy/http_filters/`), and one that writes it (`envoy/write/filter_settings/`);
//! * what it does: a file here that implements [`Filter`], and a line in the [registry].
//!
//! `tests/header_gate.rs` shows such a file: a filter that waits for a future.

mod buffer;
mod compressor;
mod cors;
mod decompressor;
mod ext_authz;
mod ext_proc;
mod fault;
mod grpc_web;
mod header_mutation;
mod header_to_metadata;
mod health_check;
mod held;
mod host_lookup;
mod jwt_authn;
mod local_ratelimit;
mod lua;
mod matched;
mod rate_limit;
mod rbac;
mod registry;
mod set_metadata;
mod side_call;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use self::tests::some_filter;

use std::{
    fmt,
    task::{self, Poll},
    time::Instant,
};

use extproc::{Direction, ResponseHeaders, Slices};

pub(crate) use self::jwt_authn::fetch_keys_ahead;
pub(super) use self::registry::AnyFilter;
use super::{chain::Part, core::Core};
use crate::{format::FilterLog, local_reply::LocalReply};

/// A filter at work on one request and its response.
///
/// [`headers`](Self::headers), [`data`](Self::data) and [`trailers`](Self::trailers) give the first thing to do; what they
/// do not implement passes on as it is. Then [`next_action`](Self::next_action) is asked until it has nothing more, as it
/// is after [`poll`](Self::poll) and [`deadline_passed`](Self::deadline_passed). Everything else has a default, too: a
/// filter implements what it needs.
pub(super) trait Filter: fmt::Debug {
    /// A head has come. It is in the messages of the context.
    fn headers(&mut self, direction: Direction, end_stream: bool, _cx: &mut Context<'_>) -> Option<Action> {
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }

    /// A piece of a body has come.
    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        cx: &mut Context<'_>,
    ) -> Option<Action> {
        let piece = Part::Data { data, end_stream };
        match direction {
            Direction::Request => self.behind_request_headers(piece, cx),
            Direction::Response => Some(Action::Forward(direction, piece)),
        }
    }

    /// Trailers have come. They are in the messages of the context, and end the message.
    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request => self.behind_request_headers(Part::Trailers, cx),
            Direction::Response => Some(Action::Forward(direction, Part::Trailers)),
        }
    }

    /// A piece of the body or the trailers of a request have come. For filters that do not look at bodies of responses: it is
    /// what [`data`](Self::data) and [`trailers`](Self::trailers) do for requests unless they do something else.
    fn behind_request_headers(&mut self, part: Part, _cx: &mut Context<'_>) -> Option<Action> {
        Some(Action::Forward(Direction::Request, part))
    }

    /// What there is to do next.
    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        None
    }

    /// Drives what the filter waits for. Ready when something has come of it, with the bytes that were read; it is polled
    /// again at once.
    fn poll(&mut self, _task: &mut task::Context<'_>, _room: Room, _cx: &mut Context<'_>) -> Poll<usize> {
        Poll::Pending
    }

    /// When [`deadline_passed`](Self::deadline_passed) is to be called.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline is over.
    fn deadline_passed(&mut self, _cx: &mut Context<'_>) {}

    /// Whether more of a body may be handed in; with `pressed`, memory is short. It is asked again after whatever happens
    /// to the request.
    fn has_room(&self, _direction: Direction, _pressed: bool) -> bool {
        true
    }

    /// Its memory is needed: whatever it ends from now on, it ends at once.
    fn make_haste(&mut self) {}

    /// Bytes that it holds.
    fn held(&self) -> usize {
        0
    }

    /// Response code details for a request that stands still while this filter waits for somebody.
    fn waits(&self) -> Option<&'static str> {
        None
    }

    /// The request, or the try that the filter belongs to, is over. May come more than once.
    fn end(&mut self, _cx: &mut Context<'_>) {}

    /// What access logs show of it under its name; `None` if it is not one of those that they know.
    fn log<'a>(&'a self, _name: &'a str) -> Option<FilterLog<'a>> {
        None
    }

    /// Adds what it has counted since the last time to its metrics. Called when nothing moves any more, and at its end.
    fn count(&mut self, _cx: &mut Context<'_>) {}
}

/// What a filter asks for.
#[derive(Debug)]
pub(super) enum Action {
    /// Pass a part on.
    Forward(Direction, Part),
    /// Match the request against the routes again (K-5).
    ClearRouteCache,
    /// Answer the client instead of going on. If the response head is on the wire already, the client's stream is reset
    /// instead (F-4, I-8).
    Reply(Box<LocalReply>),
    /// A body is larger than what the filter may hold of it: 413 for a request, 500 for a response (B-3.6).
    PayloadTooLarge(Direction),
    /// Start a response that the filter gives piece by piece (S-1). The request goes no further.
    StartResponse { head: Box<ResponseHeaders>, end_stream: bool },
    /// A part of that response behind its head. Trailers are in the messages.
    ContinueResponse(Part),
}

/// What a filter sees of its request.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// Messages, route and facts.
    pub(super) core: &'a mut Core,
    /// Where the filter stands.
    pub(super) place: FilterPlace,
    pub(super) now: Instant,
}

/// Where a filter stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct FilterPlace {
    /// Among all filters, those behind the router last.
    pub(super) index: usize,
    /// It stands behind the router and belongs to one try.
    pub(super) upstream: bool,
}

/// Which way more can be passed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) request: bool,
    pub(super) response: bool,
}

/// A filter that is there on the route of a request.
#[derive(Debug)]
pub(super) enum Slot {
    /// There, but off on this route: only logs know it.
    Idle,
    /// At work.
    Active(AnyFilter),
}

impl Slot {
    /// The filter of a place when the first head comes by: the route in force decides (Q-9, L-12). `None`: it is not there.
    pub(super) fn begin(place: FilterPlace, core: &Core) -> Option<Self> {
        #[cfg(test)]
        if let Some(filter) = tests::begin(core.filter_name(place.index)) {
            return Some(Self::Active(filter));
        }
        registry::begin(core.filter_override(place.index), place, core)
    }

    pub(super) fn filter(&self) -> Option<&AnyFilter> {
        match self {
            Self::Active(filter) => Some(filter),
            Self::Idle => None,
        }
    }
}
