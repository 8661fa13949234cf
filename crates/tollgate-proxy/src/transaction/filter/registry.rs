//! Every kind of filter, by the name that its settings have in [`FilterOverride`] or [`FilterSettings`].

use std::{
    task::{self, Poll},
    time::Instant,
};

use extproc::{Direction, Slices};
use tollgate_model::filter::{FilterOverride, FilterSettings};

use super::{
    Action, Context, Filter, FilterPlace, Room, Slot, buffer::Buffer, compressor::Compressor, cors::Cors,
    decompressor::Decompressor, ext_authz::ExtAuthz, ext_proc::ExtProc, fault::Fault, grpc_web::GrpcWeb,
    header_mutation::HeaderMutation, header_to_metadata::HeaderToMetadata, health_check::HealthCheck,
    host_lookup::HostLookup, jwt_authn::JwtAuthn, local_ratelimit::LocalRateLimit, lua::Lua, matched,
    rate_limit::RateLimit, rbac::Rbac, set_metadata::SetMetadata,
};
use crate::{format::FilterLog, transaction::core::Core};

/// Makes [`AnyFilter`], which hands every call to the filter that it is, and [`begin`].
macro_rules! registry {
    (
        compiled { $($kind:ident($filter:ty),)+ }
        settings { $($plain:ident($plain_filter:ty),)+ }
        tests { $($exercise:ident($exercise_filter:ty),)+ }
    ) => {
        /// A filter of any kind.
        #[derive(Debug)]
        pub(in crate::transaction) enum AnyFilter {
            $($kind(Box<$filter>),)+
            $($plain(Box<$plain_filter>),)+
            $(#[cfg(test)] $exercise(Box<$exercise_filter>),)+
        }

        /// The filter that a route asks for; `None` = none.
        pub(super) fn begin(does: &FilterOverride, place: FilterPlace, core: &Core) -> Option<Slot> {
            match does {
                FilterOverride::Disabled => None,
                FilterOverride::Idle => Some(Slot::Idle),
                FilterOverride::Matched(matched) => matched::begin(matched, place, core),
                $(FilterOverride::$kind(settings) => {
                    Some(Slot::Active(AnyFilter::$kind(Box::new(<$filter>::begin(settings, place, core)))))
                })+
                $(FilterOverride::Settings(FilterSettings::$plain(settings)) => {
                    Some(Slot::Active(AnyFilter::$plain(Box::new(<$plain_filter>::begin(settings, place, core)))))
                })+
            }
        }

        macro_rules! dispatch {
            ($this:ident, $name:ident => $call:expr) => {
                match $this {
                    $(Self::$kind($name) => $call,)+
                    $(Self::$plain($name) => $call,)+
                    $(#[cfg(test)] Self::$exercise($name) => $call,)+
                }
            };
        }
    };
}

registry! {
    compiled {
        ExtProc(ExtProc),
        Cors(Cors),
    }
    settings {
        HealthCheck(HealthCheck),
        Buffer(Buffer),
        Compressor(Compressor),
        Decompressor(Decompressor),
        Fault(Fault),
        GrpcWeb(GrpcWeb),
        ExtAuthz(ExtAuthz),
        HeaderMutation(HeaderMutation),
        HeaderToMetadata(HeaderToMetadata),
        HostLookup(HostLookup),
        JwtAuthn(JwtAuthn),
        LocalRateLimit(LocalRateLimit),
        Lua(Lua),
        RateLimit(RateLimit),
        Rbac(Rbac),
        SetMetadata(SetMetadata),
    }
    tests {
        HeaderGate(super::tests::header_gate::HeaderGate),
    }
}

impl Filter for AnyFilter {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        dispatch!(self, filter => filter.headers(direction, end_stream, cx))
    }

    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        cx: &mut Context<'_>,
    ) -> Option<Action> {
        dispatch!(self, filter => filter.data(direction, data, end_stream, cx))
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        dispatch!(self, filter => filter.trailers(direction, cx))
    }

    fn next_action(&mut self, cx: &mut Context<'_>) -> Option<Action> {
        dispatch!(self, filter => filter.next_action(cx))
    }

    fn poll(&mut self, task: &mut task::Context<'_>, room: Room, cx: &mut Context<'_>) -> Poll<usize> {
        dispatch!(self, filter => filter.poll(task, room, cx))
    }

    fn deadline(&self) -> Option<Instant> {
        dispatch!(self, filter => filter.deadline())
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) {
        dispatch!(self, filter => filter.deadline_passed(cx));
    }

    fn has_room(&self, direction: Direction, pressed: bool) -> bool {
        dispatch!(self, filter => filter.has_room(direction, pressed))
    }

    fn make_haste(&mut self) {
        dispatch!(self, filter => filter.make_haste());
    }

    fn held(&self) -> usize {
        dispatch!(self, filter => filter.held())
    }

    fn waits(&self) -> Option<&'static str> {
        dispatch!(self, filter => filter.waits())
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        dispatch!(self, filter => filter.end(cx));
    }

    fn log<'a>(&'a self, name: &'a str) -> Option<FilterLog<'a>> {
        dispatch!(self, filter => filter.log(name))
    }

    fn count(&mut self, cx: &mut Context<'_>) {
        dispatch!(self, filter => filter.count(cx));
    }
}
