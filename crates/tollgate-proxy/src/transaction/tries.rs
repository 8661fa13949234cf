//! Tries: an upstream that fails may get the request again, or another one gets it.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use extproc::Direction;
use tollgate_model::route::RetryPolicy;

use super::{
    Transaction,
    chain::Place,
    router::{Router, Waiting},
};
use crate::{
    connection_manager::EnvoyHeaders,
    local_reply::LocalReply,
    memory::SLICE,
    retry::{retries_failure, retries_response, retries_timeout},
    stats::ClusterMetric,
    stream::Downstream,
    stream_info::ResponseFlags,
    upstream::{Choice, HostsTried, RetryPermit, Tried, UpstreamFailure, UpstreamRequest, WorkerCluster},
};

/// What a request needs to be tried more than once, or within a time.
#[derive(Debug)]
pub(super) struct Tries {
    policy: Arc<RetryPolicy>,
    cluster: Rc<WorkerCluster>,
    hosts: HostsTried,
    /// Tries begun.
    count: u32,
    remaining: u32,
    /// The request, as long as it may be sent again; `None` once it may not.
    replay: Option<Replay>,
    /// The request has left the chain to its end.
    ended: bool,
    /// Counts as a retry of the cluster, until the outcome of that try is known.
    permit: Option<RetryPermit>,
    per_try_timeout: Option<Duration>,
    try_deadline: Option<Instant>,
    last_activity: Option<Instant>,
}

/// The body of a request as far as it has come; trailers are in the messages.
#[derive(Debug)]
struct Replay {
    parts: Vec<Waiting>,
    bytes: usize,
    limit: usize,
}

/// What becomes of a request after the outcome of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It stands.
    Final,
    /// The request is tried again after this time.
    Retry(Duration),
    /// It stands, because there were enough tries.
    LimitExceeded,
    /// It stands, because the cluster has enough retries under way.
    Overflow,
}

/// Which deadline of a try passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TryDeadline {
    PerTry,
    PerTryIdle,
}

impl Tries {
    /// For a request whose first try has begun. `limit` bounds what is kept of its body.
    pub(super) fn new(
        policy: Arc<RetryPolicy>,
        per_try_timeout: Option<Duration>,
        cluster: Rc<WorkerCluster>,
        first: &UpstreamRequest,
        limit: usize,
        ended: bool,
    ) -> Self {
        let replay = Replay { parts: Vec::new(), bytes: 0, limit };
        let mut hosts = HostsTried::default();
        if avoids_hosts(&policy) {
            first.add_to(&mut hosts);
        }
        Self {
            cluster,
            hosts,
            count: 1,
            remaining: policy.num_retries,
            replay: (!policy.retry_on.is_empty()).then_some(replay),
            ended,
            permit: None,
            per_try_timeout,
            try_deadline: None,
            last_activity: None,
            policy,
        }
    }

    /// A part of the request goes to the upstream, or waits for the next try.
    fn keep(&mut self, part: &Waiting, between_tries: bool) {
        self.ended |= part.ends_stream();
        let Some(replay) = &mut self.replay else { return };
        if let Waiting::Data { data, .. } = part {
            replay.bytes += data.len();
        }
        if replay.bytes > replay.limit && !between_tries {
            self.replay = None;
        } else {
            replay.parts.push(part.clone());
        }
    }

    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.replay.as_ref().map_or(0, |replay| replay.bytes + SLICE * replay.parts.len())
    }

    /// Something of a response is passed on: nothing is tried again.
    pub(super) fn stop_retrying(&mut self) {
        self.replay = None;
        self.permit = None;
    }

    /// The try is on a connection. Its time runs from here or from the end of the request, whichever is later.
    pub(super) fn connected(&mut self, now: Instant) {
        self.last_activity = Some(now);
        if self.ended {
            self.start_clock(now);
        }
    }

    /// The request has gone upstream to its end.
    pub(super) fn start_clock(&mut self, now: Instant) {
        self.try_deadline = self.per_try_timeout.and_then(|timeout| now.checked_add(timeout));
    }

    /// What another try sends behind the head. More than the limit is sent once and not kept any longer.
    fn parts(&mut self) -> Vec<Waiting> {
        match &self.replay {
            Some(replay) if replay.bytes <= replay.limit => replay.parts.clone(),
            _ => self.replay.take().map(|replay| replay.parts).unwrap_or_default(),
        }
    }

    /// The next deadline of a try under way.
    pub(super) fn deadline(&self) -> Option<(Instant, TryDeadline)> {
        let idle = self.policy.per_try_idle_timeout.zip(self.last_activity);
        let idle = idle.and_then(|(timeout, last)| last.checked_add(timeout));
        let per_try = self.try_deadline.map(|deadline| (deadline, TryDeadline::PerTry));
        let idle = idle.map(|deadline| (deadline, TryDeadline::PerTryIdle));
        per_try.into_iter().chain(idle).min_by_key(|(deadline, _)| *deadline)
    }

    fn judge(&mut self, wants_retry: bool) -> Verdict {
        self.permit = None;
        if !wants_retry || self.replay.is_none() {
            return Verdict::Final;
        }
        let Some(remaining) = self.remaining.checked_sub(1) else {
            return Verdict::LimitExceeded;
        };
        self.remaining = remaining;
        let Some(permit) = self.cluster.try_retry() else {
            return Verdict::Overflow;
        };
        self.permit = Some(permit);
        Verdict::Retry(self.policy.back_off.interval(self.count, fastrand::u64(..)))
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Whether it matters where a request was before.
fn avoids_hosts(policy: &RetryPolicy) -> bool {
    policy.avoid_previous_hosts > 0 || policy.avoid_previous_priorities.is_some()
}

impl<D: Downstream> Transaction<'_, D> {
    /// Keeps a part of the request for another try.
    pub(super) fn keep_for_retry(&mut self, part: &Waiting) {
        let between_tries = matches!(self.router, Router::BetweenTries { .. });
        if let Some(tries) = &mut self.tries {
            tries.keep(part, between_tries);
        }
    }

    /// Something moved between us and the upstream.
    pub(super) fn try_activity(&mut self, now: Instant) {
        if let Some(tries) = &mut self.tries {
            tries.last_activity = Some(now);
        }
    }

    /// Whether the request is tried again because of a failure.
    pub(super) fn retry_failure(&mut self, failure: &UpstreamFailure, now: Instant) -> bool {
        let head_sent = matches!(self.router, Router::Active { .. });
        self.retry(|policy| retries_failure(policy.retry_on, failure, head_sent), now)
    }

    /// Whether the request is tried again because of the response whose head has reached the router.
    pub(super) fn retry_response(&mut self, now: Instant) -> bool {
        let (Some(tries), Some(response)) = (&self.tries, &self.core.messages.response) else { return false };
        let names = EnvoyHeaders::of(&self.core.http().header_prefix);
        let wants_retry = retries_response(&tries.policy, response, &names);
        if !wants_retry && tries.count > 1 {
            self.core.count_cluster(ClusterMetric::UpstreamRqRetrySuccess);
        }
        if self.retry(|_| wants_retry, now) {
            return true;
        }
        if let Some(tries) = &mut self.tries {
            tries.stop_retrying();
            tries.try_deadline = None;
        }
        false
    }

    fn retry(&mut self, wants: impl FnOnce(&RetryPolicy) -> bool, now: Instant) -> bool {
        let Some(tries) = &mut self.tries else { return false };
        let wants_retry = wants(&tries.policy);
        let asked = match &tries.policy.rate_limited_back_off {
            Some(limited) => self.core.messages.response.as_ref().and_then(|response| {
                let interval = limited.interval(&response.fields, since_1970())?;
                // All clients that were asked to wait do not come back in the same moment.
                Some(interval.mul_f64(1.0 + fastrand::f64() / 2.0))
            }),
            None => None,
        };
        match tries.judge(wants_retry) {
            Verdict::Final => false,
            Verdict::LimitExceeded => {
                self.core.info.response_flags.insert(ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED);
                self.core.count_cluster(ClusterMetric::UpstreamRqRetryLimitExceeded);
                false
            }
            Verdict::Overflow => {
                self.core.info.response_flags.insert(ResponseFlags::UPSTREAM_OVERFLOW);
                self.core.count_cluster(ClusterMetric::UpstreamRqRetryOverflow);
                false
            }
            Verdict::Retry(back_off) => {
                let back_off = asked.unwrap_or(back_off);
                self.core.count_cluster(ClusterMetric::UpstreamRqRetry);
                let until = now.checked_add(back_off).unwrap_or(now);
                // The last try is given up, and with it what it had.
                self.renew_upstream_filters(now);
                self.core.messages.response = None;
                self.core.messages.response_trailers = None;
                self.router = Router::BetweenTries { until, waiting_bytes: 0 };
                true
            }
        }
    }

    /// The back-off is over: another try.
    pub(super) fn next_try(&mut self, now: Instant) {
        self.router = Router::Done;
        let Some(tries) = &mut self.tries else { return };
        tries.count += 1;
        tries.try_deadline = None;
        tries.last_activity = None;
        let (most, avoids) = (tries.policy.avoid_previous_hosts, avoids_hosts(&tries.policy));
        let update_frequency = tries.policy.avoid_previous_priorities;
        let policy = tries.policy.clone();
        let omitted = policy.omitted_hosts.as_ref();
        // Wherever the session wanted to go: that has been tried.
        let choice = Choice {
            tried: Some(Tried { hosts: &tries.hosts, most, omitted, update_frequency }),
            session: None,
            ..self.core.choice()
        };
        let mut upstream = match UpstreamRequest::start(&tries.cluster, &choice, tries.count, now) {
            Ok(upstream) => upstream,
            Err(failure) => {
                self.core.info.upstream.attempt_count = tries.count;
                let reply = self.core.upstream_failure_reply(&failure);
                self.core.charge_upstream(reply.status);
                return self.local_reply(reply, now);
            }
        };
        self.core.tell_selected_host(&tries.cluster, &upstream);
        if avoids {
            upstream.add_to(&mut tries.hosts);
        }
        if !self.core.http().hold_generic_upgrades {
            upstream.trust_generic_upgrades();
        }
        let parts = tries.parts();
        let end_stream = tries.ended && parts.is_empty();
        self.core.prepare_retry(&upstream, tries.per_try_timeout, now);
        self.core.note_upstream(&upstream);
        for part in parts.into_iter().rev() {
            self.pass_on(Place::Router, Direction::Request, part.into());
        }
        self.begin_try(upstream, end_stream);
    }

    /// A try took too long or stood still.
    pub(super) fn try_timed_out(&mut self, which: TryDeadline, now: Instant) {
        self.router.timed_out();
        let details = match which {
            TryDeadline::PerTry => {
                self.core.count_cluster(ClusterMetric::UpstreamRqPerTryTimeout);
                "upstream_per_try_timeout"
            }
            TryDeadline::PerTryIdle => "upstream_per_try_idle_timeout",
        };
        if !self.retry(|policy| retries_timeout(policy.retry_on), now) {
            let reply = self.core.reply_of_router(LocalReply::upstream_timeout(details));
            if !self.client.response_routed {
                self.core.charge_upstream(reply.status);
            }
            self.local_reply(reply, now);
        }
    }
}
