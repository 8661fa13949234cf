//! Deadlines of a transaction: those of filters, the route's timeout, idleness, the stream's longest life.

use std::{
    task::Context,
    time::{Duration, Instant},
};

use tollgate_model::{
    http_connection_manager::HttpConnectionManager, overload::ClientTimeout, route::StreamLimit,
};

use super::{
    Transaction,
    filter::{Context as FilterContext, Filter},
    router::Router,
    tries::TryDeadline,
};
use crate::{connection_manager::tell_grpc_timeout, stream::Downstream};

/// The deadlines that are the transaction's own.
#[derive(Debug)]
pub(super) struct Deadlines {
    idle_timeout: Option<Duration>,
    last_activity: Instant,
    /// `request_timeout`: the request must be complete.
    request: Option<Instant>,
    /// `max_stream_duration`.
    stream: Option<Instant>,
    /// The route's timeout; runs from the end of the request.
    pub(super) response: Option<Instant>,
}

/// Which of them passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Filters,
    Response,
    Idle,
    Request,
    Stream,
    NextTry,
    Try(TryDeadline),
}

impl Deadlines {
    pub(super) fn new(http: &HttpConnectionManager, now: Instant) -> Self {
        Self {
            idle_timeout: http.stream_idle_timeout,
            last_activity: now,
            request: http.request_timeout.and_then(|timeout| now.checked_add(timeout)),
            stream: http.max_stream_duration.and_then(|timeout| now.checked_add(timeout)),
            response: None,
        }
    }

    /// Something moved between client and upstream.
    pub(super) fn activity(&mut self, now: Instant) {
        self.last_activity = now;
    }

    /// How long the stream may live by the route in force; it began at `start`.
    pub(super) fn set_stream_limit(&mut self, limit: Option<Duration>, start: Instant) {
        self.stream = limit.and_then(|limit| start.checked_add(limit));
    }

    /// A route's own idle timeout; `None` = none.
    pub(super) fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.idle_timeout = timeout;
    }
}

impl<D: Downstream> Transaction<'_, D> {
    /// The route in force may have its own idea of how long the stream may live.
    pub(super) fn refresh_stream_limit(&mut self) {
        let Some(limit) = self.core.stream_limit() else { return };
        let start = self.core.info.start;
        match limit {
            StreamLimit::None => self.deadlines.set_stream_limit(None, start),
            StreamLimit::Of(limit) => self.deadlines.set_stream_limit(Some(limit), start),
            StreamLimit::Told(limit) => {
                self.deadlines.set_stream_limit(Some(limit), start);
                tell_grpc_timeout(&mut self.core.messages.request.fields, limit);
            }
        }
    }

    /// Waits for the next deadline. True if one passed and something was done about it.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((deadline, due)) = self.next_deadline() else {
            return false;
        };
        if self.downstream.poll_deadline(deadline.into(), cx).is_pending() {
            return false;
        }
        self.deadline_passed(due, Instant::now().max(deadline));
        true
    }

    fn next_deadline(&self) -> Option<(Instant, Due)> {
        let filters = self.slots.active().filter_map(Filter::deadline).min();
        let request = if self.client.request_ended { None } else { self.deadlines.request };
        [
            (filters, Due::Filters),
            (self.deadlines.response, Due::Response),
            (self.idle_deadline(), Due::Idle),
            (request, Due::Request),
            (self.deadlines.stream, Due::Stream),
        ]
        .into_iter()
        .filter_map(|(deadline, due)| Some((deadline?, due)))
        .chain(self.deadline_of_tries())
        .min_by_key(|(deadline, _)| *deadline)
    }

    /// When nothing has moved for too long. It may become shorter while resources run short.
    fn idle_deadline(&self) -> Option<Instant> {
        let (since, limit) = (self.deadlines.last_activity, self.deadlines.idle_timeout?);
        match self.core.overload() {
            Some(overload) => {
                overload.deadline(ClientTimeout::StreamIdle, since.into(), limit).map(Into::into)
            }
            None => since.checked_add(limit),
        }
    }

    fn deadline_of_tries(&self) -> Option<(Instant, Due)> {
        let tries = self.tries.as_ref()?;
        match self.router {
            Router::BetweenTries { until, .. } => Some((until, Due::NextTry)),
            Router::Active { response_ended: false, .. } => {
                tries.deadline().map(|(deadline, which)| (deadline, Due::Try(which)))
            }
            _ => None,
        }
    }

    fn deadline_passed(&mut self, due: Due, now: Instant) {
        match due {
            Due::Filters => {
                let mut next = 0;
                while let Some(index) = self.slots.next_active(next) {
                    next = index + 1;
                    let place = self.filter_place(index);
                    if let Some(filter) = self.slots.get_mut(index)
                        && filter.deadline().is_some_and(|deadline| deadline <= now)
                    {
                        filter.deadline_passed(&mut FilterContext { core: &mut self.core, place, now });
                        self.queue.ask(index);
                        self.run(now);
                    }
                }
            }
            Due::Response => {
                self.deadlines.response = None;
                self.response_timed_out(now);
            }
            Due::Idle => {
                self.deadlines.idle_timeout = None;
                self.idle_timed_out(now);
            }
            Due::Request => {
                self.deadlines.request = None;
                self.request_timed_out(now);
            }
            Due::NextTry => self.next_try(now),
            Due::Try(which) => self.try_timed_out(which, now),
            Due::Stream => {
                self.deadlines.stream = None;
                self.stream_lived_too_long(now);
            }
        }
        self.run(now);
    }
}
