//! Rate limits of a service: it is asked about each request before that goes on.
//!
//! What it is asked are [descriptors]. Those that are wanted when a request is over, for what is known only then, are sent
//! by a task of their own.

pub(super) mod descriptors;
mod messages;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{self, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use extproc::{Direction, Messages, mutation::Side};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tollgate_model::filter::{RateLimit as Settings, RequestType, UnaryService};

use self::{
    descriptors::{Descriptor, Policies, describe},
    messages::{
        DescriptorStatus, Entry, OVER_LIMIT, RateLimitDescriptor, RateLimitOverride, RateLimitRequest,
        RateLimitResponse, UInt64Value,
    },
};
use super::{
    Action, Context, Filter, FilterPlace, Room,
    held::HeldParts,
    side_call::{SideCall, Unanswered, grpc_message, grpc_request},
};
use crate::{
    connection_manager::EnvoyHeaders,
    format::{FormatContext, evaluate_header},
    incident::Incident,
    local_reply::LocalReply,
    route_headers::change_field,
    stats::RateLimitMetric as Metric,
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
};

/// Largest answer that is taken.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// How long a call may take that nobody waits for, where the settings know no end.
const LONGEST: Duration = Duration::from_secs(15);

const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Namespace of dynamic metadata.
const NAMESPACE: &str = "envoy.filters.http.ratelimit";

/// The filter at work on one request.
#[derive(Debug)]
pub(in crate::transaction) struct RateLimit {
    settings: Arc<Settings>,
    state: State,
    /// What has come of the request and may not pass yet.
    waiting: HeldParts,
    /// Added to the response.
    response: HeaderMap,
    /// The request is refused because of a limit.
    limited: bool,
    /// What follows the end of the request was sent.
    done: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing has come.
    New,
    Asking(Box<SideCall>),
    /// The request passes.
    Open,
    /// The client gets this answer, once.
    Refused(Option<Box<LocalReply>>),
}

impl RateLimit {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self {
            settings: Arc::clone(settings),
            state: State::New,
            waiting: HeldParts::default(),
            response: HeaderMap::new(),
            limited: false,
            done: false,
        }
    }

    /// Counts for the cluster that the request goes to.
    fn tally(&self, metric: Metric, core: &Core) {
        if let Some(cluster) = &core.decision.cluster {
            let prefix = Metric::own(&cluster.name, &self.settings.stat_prefix);
            core.configuration.stats.count_filter(&prefix, metric, 1);
        }
    }

    fn describe(&self, on_stream_done: bool, core: &Core) -> Vec<Descriptor> {
        let policies = Policies {
            of_filter: &self.settings.policies,
            virtual_host: self.settings.virtual_host,
            stage: self.settings.stage,
            on_stream_done,
        };
        describe(policies, core)
    }

    /// Whether the request is one of those that are limited.
    fn concerns(&self, core: &Core) -> bool {
        let names = EnvoyHeaders::of(&core.http().header_prefix);
        let is_internal =
            core.messages.request.fields.get(&names.internal).is_some_and(|value| value == "true");
        let is_of_type = match self.settings.request_type {
            RequestType::Both => true,
            RequestType::Internal => is_internal,
            RequestType::External => !is_internal,
        };
        is_of_type && core.route_action().is_some() && core.decision.cluster.is_some()
    }

    /// The head of the request has come.
    fn start(&mut self, cx: &mut Context<'_>) {
        self.state = State::Open;
        if !self.settings.filter_enabled.includes(fastrand::u64(..)) || !self.concerns(cx.core) {
            return;
        }
        let descriptors = self.describe(false, cx.core);
        if !descriptors.is_empty() {
            match self.ask(descriptors, cx.core, cx.now) {
                Ok(call) => self.state = State::Asking(Box::new(call)),
                Err(why) => self.failed(&why, cx),
            }
        }
    }

    fn ask(&self, descriptors: Vec<Descriptor>, core: &Core, now: Instant) -> Result<SideCall, Unanswered> {
        let request = RateLimitRequest {
            domain: self.settings.domain.clone(),
            descriptors: descriptors.into_iter().map(message).collect(),
        };
        let service = &self.settings.service;
        let timed = UnaryService { timeout: self.settings.timeout, ..service.clone() };
        let (head, body) = grpc_request(core, &timed, PATH, &request);
        SideCall::start(core, &service.cluster, head, body, self.settings.timeout, LONGEST_ANSWER, now)
    }

    fn answered(&mut self, answer: RateLimitResponse, cx: &mut Context<'_>) {
        if let Some(metadata) = answer.dynamic_metadata.filter(|metadata| !metadata.fields.is_empty()) {
            // An answer is not larger than what the metadata of a request may be.
            let _ = cx.core.info.metadata.set(NAMESPACE, metadata);
        }
        self.response = fields(answer.response_headers_to_add);
        if self.settings.x_ratelimit_headers {
            show_limits(&answer.statuses, &mut self.response);
        }
        let is_over = answer.overall_code == OVER_LIMIT;
        self.tally(if is_over { Metric::OverLimit } else { Metric::Ok }, cx.core);
        if is_over {
            cx.core.charge_upstream(StatusCode::TOO_MANY_REQUESTS);
            if !self.settings.disable_x_envoy_ratelimited_header {
                self.response.insert(RATE_LIMITED, HeaderValue::from_static("true"));
            }
        }
        if is_over && self.settings.filter_enforced.includes(fastrand::u64(..)) {
            self.limited = true;
            let mut reply = LocalReply {
                status: self.settings.rate_limited_status,
                fields: HeaderMap::new(),
                body: answer.raw_body,
                grpc_status: self.settings.rate_limited_as_resource_exhausted.then_some(8),
                details: "request_rate_limited".into(),
                flags: ResponseFlags::RATE_LIMITED,
            };
            // What the service says about the body holds.
            if let Some(content_type) = self.response.remove(CONTENT_TYPE) {
                reply.fields.insert(CONTENT_TYPE, content_type);
            }
            self.state = State::Refused(Some(Box::new(reply)));
            return;
        }
        let request = &mut cx.core.messages.request.fields;
        for (name, value) in &fields(answer.request_headers_to_add) {
            request.append(name.clone(), value.clone());
        }
        self.state = State::Open;
    }

    /// The service has not answered.
    fn failed(&mut self, why: &Unanswered, cx: &mut Context<'_>) {
        self.tally(Metric::Error, cx.core);
        let denies = self.settings.failure_mode_deny.includes(fastrand::u64(..));
        if let Some(suppressed) = cx.core.configuration.stats.http.admit(Incident::RateLimit) {
            let outcome = if denies { "refused" } else { "allowed" };
            let request_id = cx.core.request_id();
            tracing::warn!(reason = %why, outcome, request_id, suppressed, "a rate limit service has failed");
        }
        if !denies {
            self.tally(Metric::FailureModeAllowed, cx.core);
            self.state = State::Open;
            return;
        }
        self.state = State::Refused(Some(Box::new(LocalReply {
            status: self.settings.status_on_error,
            fields: HeaderMap::new(),
            body: Bytes::new(),
            grpc_status: None,
            details: "rate_limiter_error".into(),
            flags: ResponseFlags::RATE_LIMIT_SERVICE_ERROR,
        })));
    }

    /// A part of the request goes on or waits.
    fn request(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        match &mut self.state {
            State::Open if self.waiting.is_empty() => return Some(Action::Forward(Direction::Request, part)),
            State::Refused(reply) => return reply.take().map(Action::Reply),
            _ => {}
        }
        self.waiting.push(part);
        self.next_action(cx)
    }

    fn respond(&self, cx: &mut Context<'_>) {
        if self.response.is_empty() && !self.limited {
            return;
        }
        let Core { configuration, messages, info, .. } = &mut *cx.core;
        let Messages { response: Some(response), .. } = &*messages else { return };
        let mut changed = response.fields.clone();
        for (name, value) in &self.response {
            changed.append(name.clone(), value.clone());
        }
        if self.limited {
            for addition in &self.settings.response_headers_to_add {
                let text = evaluate_header(&addition.value, &FormatContext { info, messages, logs: &[] });
                change_field(
                    &mut changed,
                    addition,
                    text,
                    Side::Response,
                    &configuration.http().header_prefix,
                );
            }
        }
        if let Some(response) = &mut messages.response {
            response.fields = changed;
        }
    }

    /// Tells the service about a request that is over.
    fn tell_end(&mut self, cx: &Context<'_>) {
        if std::mem::replace(&mut self.done, true) || !self.concerns(cx.core) {
            return;
        }
        let descriptors = self.describe(true, cx.core);
        if descriptors.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let Ok(mut call) = self.ask(descriptors, cx.core, cx.now) else { return };
        let timeout = if self.settings.timeout.is_zero() { LONGEST } else { self.settings.timeout };
        // The answer is nobody's business.
        tokio::task::spawn_local(async move {
            tokio::time::timeout(timeout, poll_fn(|task| call.poll(task))).await.ok()
        });
    }
}

fn message(descriptor: Descriptor) -> RateLimitDescriptor {
    let entries = descriptor.entries.into_iter().map(|(key, value)| Entry { key, value });
    RateLimitDescriptor {
        entries: entries.collect(),
        limit: descriptor.limit.map(|limit| RateLimitOverride {
            requests_per_unit: limit.requests_per_unit,
            unit: limit.unit.number(),
        }),
        hits_addend: descriptor.hits.map(|(value, _)| UInt64Value { value }),
        is_negative_hits: descriptor.hits.is_some_and(|(_, is_negative)| is_negative),
    }
}

/// Fields that are fields.
fn fields(list: Vec<messages::HeaderValue>) -> HeaderMap {
    let fields = list.into_iter().filter_map(|header| {
        let value = if header.raw_value.is_empty() { header.value.into() } else { header.raw_value };
        let name = HeaderName::try_from(header.key).ok()?;
        Some((name, HeaderValue::from_maybe_shared(value).ok()?))
    });
    let mut all = HeaderMap::new();
    for (name, value) in fields {
        // More than a map can hold is no answer of a service.
        _ = all.try_append(name, value);
    }
    all
}

/// Seconds of a unit; those of months and years are not shown.
fn window(unit: i32) -> Option<u32> {
    match unit {
        1 => Some(1),
        2 => Some(60),
        3 => Some(60 * 60),
        4 => Some(24 * 60 * 60),
        5 => Some(30 * 24 * 60 * 60),
        6 => Some(365 * 24 * 60 * 60),
        _ => None,
    }
}

/// Shows the limit of which least is left, and all of them.
fn show_limits(statuses: &[DescriptorStatus], fields: &mut HeaderMap) {
    let limits = || statuses.iter().filter_map(|status| Some((status, status.current_limit.as_ref()?)));
    let Some((least, limit)) = limits().min_by_key(|(status, _)| status.limit_remaining) else { return };
    let mut text = limit.requests_per_unit.to_string();
    for (_, limit) in limits() {
        if let Some(window) = window(limit.unit) {
            text.push_str(&format!(", {};w={window}", limit.requests_per_unit));
            if !limit.name.is_empty() {
                text.push_str(&format!(";name=\"{}\"", limit.name));
            }
        }
    }
    if let Ok(text) = HeaderValue::try_from(text) {
        fields.append(LIMIT, text);
    }
    fields.append(REMAINING, HeaderValue::from(least.limit_remaining));
    let reset = least.duration_until_reset.as_ref().map_or(0, |reset| reset.seconds);
    fields.append(RESET, HeaderValue::from(reset));
}

impl Filter for RateLimit {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if direction == Direction::Request {
            self.start(cx);
            return self.request(head, cx);
        }
        self.respond(cx);
        Some(Action::Forward(direction, head))
    }

    fn behind_request_headers(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        self.request(part, cx)
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        match &mut self.state {
            State::Open => {
                let part = self.waiting.pop()?;
                Some(Action::Forward(Direction::Request, part))
            }
            State::Refused(reply) => reply.take().map(Action::Reply),
            State::New | State::Asking(_) => None,
        }
    }

    fn poll(&mut self, task: &mut task::Context<'_>, _room: Room, cx: &mut Context<'_>) -> Poll<usize> {
        let State::Asking(call) = &mut self.state else { return Poll::Pending };
        let Poll::Ready(answer) = call.poll(task) else { return Poll::Pending };
        let mut read = 0;
        match answer {
            Ok(answer) => {
                read = answer.body.len();
                match grpc_message::<RateLimitResponse>(&answer) {
                    Some(answer) => self.answered(answer, cx),
                    None => self.failed(&Unanswered::NoMessage, cx),
                }
            }
            Err(why) => self.failed(&why, cx),
        }
        if matches!(self.state, State::Refused(_)) {
            self.waiting.clear();
        }
        Poll::Ready(read)
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Asking(call) => call.deadline,
            _ => None,
        }
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) {
        self.failed(&Unanswered::TimedOut, cx);
    }

    /// While the service is asked nothing more is read.
    fn has_room(&self, direction: Direction, _pressed: bool) -> bool {
        direction == Direction::Response || !matches!(self.state, State::Asking(_))
    }

    fn held(&self) -> usize {
        let call = match &self.state {
            State::Asking(call) => call.held(),
            _ => 0,
        };
        self.waiting.bytes() + call
    }

    fn waits(&self) -> Option<&'static str> {
        matches!(self.state, State::Asking(_)).then_some("ratelimit_idle")
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        self.tell_end(cx);
        // Nobody wants the answer any more.
        self.state = State::Open;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{messages::CurrentLimit, *};

    #[test]
    fn the_tightest_limit_is_shown_with_all() {
        let status = |requests_per_unit, unit, name: &str, limit_remaining| DescriptorStatus {
            current_limit: Some(CurrentLimit { requests_per_unit, unit, name: name.into() }),
            limit_remaining,
            ..DescriptorStatus::default()
        };
        let mut fields = HeaderMap::new();
        show_limits(&[DescriptorStatus::default()], &mut fields);
        assert!(fields.is_empty());
        show_limits(&[status(10, 1, "per-ip", 5), status(1000, 3, "", 3), status(7, 0, "", 9)], &mut fields);
        assert_eq!(fields[LIMIT], "1000, 10;w=1;name=\"per-ip\", 1000;w=3600");
        assert_eq!((&fields[REMAINING], &fields[RESET]), (&HeaderValue::from(3), &HeaderValue::from(0)));
    }
}
