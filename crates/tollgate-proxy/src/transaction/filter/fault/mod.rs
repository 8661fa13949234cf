//! Requests wait or are answered, and responses are slow, on purpose.

mod slow;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use extproc::{Direction, Slices};
use http::{HeaderMap, HeaderName, StatusCode};
use tollgate_model::{
    filter::{AbortStatus, ActiveFault, Fault as Settings, FaultPart},
    route::Fraction,
};

use self::slow::Slow;
use super::{Action, Context, Filter, FilterPlace, held::HeldParts};
use crate::{
    local_reply::LocalReply,
    stats::FaultMetric as Metric,
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
};

/// Namespace of dynamic metadata.
const NAMESPACE: &str = "envoy.filters.http.fault";

const NODE: HeaderName = HeaderName::from_static("x-envoy-downstream-service-node");
const DELAY: HeaderName = HeaderName::from_static("x-envoy-fault-delay-request");
const DELAY_PERCENTAGE: HeaderName = HeaderName::from_static("x-envoy-fault-delay-request-percentage");
const ABORT: HeaderName = HeaderName::from_static("x-envoy-fault-abort-request");
const ABORT_GRPC: HeaderName = HeaderName::from_static("x-envoy-fault-abort-grpc-request");
const ABORT_PERCENTAGE: HeaderName = HeaderName::from_static("x-envoy-fault-abort-request-percentage");
const RATE: HeaderName = HeaderName::from_static("x-envoy-fault-throughput-response");
const RATE_PERCENTAGE: HeaderName = HeaderName::from_static("x-envoy-fault-throughput-response-percentage");

/// The filter at work on one request and its response.
#[derive(Debug)]
pub(in crate::transaction) struct Fault {
    settings: Arc<Settings>,
    state: State,
    /// What has come of the request and may not pass yet.
    waiting: HeldParts,
    /// The request has a fault.
    active: Option<ActiveFault>,
    /// The response is slow.
    slow: Option<Box<Slow>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has come.
    New,
    WaitsUntil(Instant),
    /// It is time to decide about an answer.
    Waited,
    Open,
    /// The client has an answer.
    Aborted,
}

impl Fault {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self {
            settings: Arc::clone(settings),
            state: State::New,
            waiting: HeldParts::default(),
            active: None,
            slow: None,
        }
    }

    /// Whether the request is one of those that may have faults.
    fn concerns(&self, core: &Core) -> bool {
        let settings = &self.settings;
        let cluster = core.decision.cluster.as_ref().map(|cluster| &*cluster.name);
        let request = &core.messages.request;
        let is_of_node = || {
            let node = request.fields.get(NODE);
            node.is_some_and(|node| settings.downstream_nodes.iter().any(|known| known.as_bytes() == node))
        };
        (settings.upstream_cluster.is_empty() || cluster == Some(&settings.upstream_cluster))
            && (settings.downstream_nodes.is_empty() || is_of_node())
            && settings.headers.iter().all(|matcher| matcher.matches(request))
    }

    /// Counts a fault; `false`: there are too many.
    fn admit(&mut self, metric: Metric, core: &mut Core) -> bool {
        let stats = core.configuration.stats.clone();
        if self.active.is_none() {
            self.active = self.settings.active.begin(self.settings.max_active_faults);
            match self.active {
                Some(_) => stats.count_filter("", Metric::ActiveFaults, 1),
                None => stats.count_filter("", Metric::FaultsOverflow, 1),
            }
        }
        if self.active.is_none() {
            return false;
        }
        stats.count_filter("", metric, 1);
        if !self.settings.metadata.fields.is_empty() {
            // It is no more than the configuration has.
            let _ = core.info.metadata.set(NAMESPACE, self.settings.metadata.clone());
        }
        true
    }

    /// How long the request is to wait.
    fn delay(&self, request: &HeaderMap) -> Option<Duration> {
        let part = self.settings.delay.as_ref()?;
        let asked = || number(request, &DELAY).map(Duration::from_millis);
        let delay = drawn(part, request, &DELAY_PERCENTAGE, asked)?;
        (!delay.is_zero()).then_some(delay)
    }

    /// How the request is to be answered.
    fn abort(&self, request: &HeaderMap) -> Option<AbortStatus> {
        let part = self.settings.abort.as_ref()?;
        let asked = || {
            let http = number(request, &ABORT).filter(|status| (200..600).contains(status));
            let http = http.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
            let grpc = || number(request, &ABORT_GRPC).and_then(|status| u32::try_from(status).ok());
            http.map(AbortStatus::Http).or_else(|| grpc().map(AbortStatus::Grpc))
        };
        drawn(part, request, &ABORT_PERCENTAGE, asked)
    }

    /// Bytes a second of the response.
    fn response_rate(&self, request: &HeaderMap) -> Option<u64> {
        let part = self.settings.response_rate.as_ref()?;
        let asked = || number(request, &RATE).filter(|kilobytes| *kilobytes > 0)?.checked_mul(1024);
        drawn(part, request, &RATE_PERCENTAGE, asked)
    }

    /// The head of the request has come.
    fn start(&mut self, cx: &mut Context<'_>) {
        self.state = State::Open;
        if !self.concerns(cx.core) {
            return;
        }
        let request = &cx.core.messages.request.fields;
        if let Some(rate) = self.response_rate(request)
            && self.admit(Metric::ResponseRlInjected, cx.core)
        {
            self.slow = Some(Box::new(Slow::new(rate)));
        }
        if let Some(delay) = self.delay(&cx.core.messages.request.fields)
            && self.admit(Metric::DelaysInjected, cx.core)
        {
            cx.core.info.response_flags.insert(ResponseFlags::DELAY_INJECTED);
            self.state = State::WaitsUntil(cx.now + delay);
        }
    }

    /// The answer instead of the upstream's, if there is to be one.
    fn abortion(&mut self, cx: &mut Context<'_>) -> Option<Action> {
        if !self.concerns(cx.core) {
            return None;
        }
        let status = self.abort(&cx.core.messages.request.fields)?;
        if !self.admit(Metric::AbortsInjected, cx.core) {
            return None;
        }
        self.state = State::Aborted;
        self.waiting.clear();
        let (status, grpc_status) = match status {
            AbortStatus::Http(status) => (status, None),
            AbortStatus::Grpc(status) => (StatusCode::OK, Some(status)),
        };
        Some(Action::Reply(Box::new(LocalReply {
            status,
            fields: HeaderMap::new(),
            body: self.settings.abort_body.clone().into(),
            grpc_status,
            details: "fault_filter_abort".into(),
            flags: ResponseFlags::FAULT_INJECTED,
        })))
    }

    fn request(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        match self.state {
            State::Open if self.waiting.is_empty() => return Some(Action::Forward(Direction::Request, part)),
            State::Aborted => return None,
            _ => self.waiting.push(part),
        }
        self.next_action(cx)
    }

    fn response(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        match &mut self.slow {
            Some(slow) => {
                slow.push(part);
                slow.pop(cx.now).map(|part| Action::Forward(Direction::Response, part))
            }
            None => Some(Action::Forward(Direction::Response, part)),
        }
    }
}

/// What a part of the settings says for this request, if the request is drawn.
fn drawn<T: Copy>(
    part: &FaultPart<T>,
    request: &HeaderMap,
    percentage: &HeaderName,
    asked: impl FnOnce() -> Option<T>,
) -> Option<T> {
    let value = part.fixed.map_or_else(asked, Some)?;
    let mut share = part.percentage;
    // Who asks for a fault may ask for a smaller share.
    if part.fixed.is_none()
        && let Some(own) = number(request, percentage)
    {
        let numerator = u32::try_from(own).unwrap_or(u32::MAX).min(share.numerator);
        share = Fraction { numerator, ..share };
    }
    share.includes(fastrand::u64(..)).then_some(value)
}

fn number(fields: &HeaderMap, name: &HeaderName) -> Option<u64> {
    fields.get(name)?.to_str().ok()?.parse().ok()
}

impl Filter for Fault {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if direction == Direction::Response {
            return Some(Action::Forward(direction, head));
        }
        self.start(cx);
        if self.state == State::Open
            && let Some(reply) = self.abortion(cx)
        {
            return Some(reply);
        }
        self.request(head, cx)
    }

    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        cx: &mut Context<'_>,
    ) -> Option<Action> {
        let part = Part::Data { data, end_stream };
        match direction {
            Direction::Request => self.request(part, cx),
            Direction::Response => self.response(part, cx),
        }
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request => self.request(Part::Trailers, cx),
            Direction::Response => self.response(Part::Trailers, cx),
        }
    }

    fn next_action(&mut self, cx: &mut Context<'_>) -> Option<Action> {
        if self.state == State::Waited {
            self.state = State::Open;
            if let Some(reply) = self.abortion(cx) {
                return Some(reply);
            }
        }
        if self.state == State::Open
            && let Some(part) = self.waiting.pop()
        {
            return Some(Action::Forward(Direction::Request, part));
        }
        let part = self.slow.as_mut()?.pop(cx.now)?;
        Some(Action::Forward(Direction::Response, part))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::WaitsUntil(end) => Some(end),
            _ => self.slow.as_ref()?.deadline(),
        }
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) {
        if let State::WaitsUntil(end) = self.state
            && end <= cx.now
        {
            self.state = State::Waited;
        }
    }

    /// Nothing more is read while the request waits, and of a response only what goes out soon.
    fn has_room(&self, direction: Direction, _pressed: bool) -> bool {
        match direction {
            Direction::Request => !matches!(self.state, State::WaitsUntil(_)),
            Direction::Response => self.slow.as_ref().is_none_or(|slow| slow.has_room()),
        }
    }

    fn held(&self) -> usize {
        self.waiting.bytes() + self.slow.as_ref().map_or(0, |slow| slow.held())
    }

    fn waits(&self) -> Option<&'static str> {
        matches!(self.state, State::WaitsUntil(_)).then_some("fault_idle")
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        if self.active.take().is_some() {
            // One less.
            cx.core.configuration.stats.count_filter("", Metric::ActiveFaults, u64::MAX);
        }
        self.state = State::Aborted;
        self.waiting.clear();
        self.slow = None;
    }
}
