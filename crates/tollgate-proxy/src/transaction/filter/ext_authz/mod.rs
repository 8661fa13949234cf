//! External authorization: a service is asked about each request before it goes on.
//!
//! While it is asked, the request waits: with its body, if the service is to have that, else without. What it answers changes
//! the request, or is the answer of the client; if it fails, the settings say what follows.

mod check;
mod messages;
mod verdict;

use std::{
    sync::Arc,
    task::{self, Poll},
    time::Instant,
};

use bytes::Bytes;
use extproc::{
    Direction,
    messages::{Struct, Value},
    mutation::Side,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tollgate_model::{
    filter::{AuthService, ExtAuthz as Settings},
    header::AppendAction,
};

use self::{
    check::SentBody,
    verdict::{Changes, Refusal, Verdict},
};
use super::{
    Action, Context, Filter, FilterPlace, Room,
    held::HeldParts,
    side_call::{SideCall, Unanswered},
};
use crate::{
    incident::Incident,
    local_reply::LocalReply,
    route_headers::append_field,
    stats::{ExtAuthzMetric as Metric, ExtAuthzOfClusterMetric},
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
};

/// Where dynamic metadata of the service is kept.
const NAMESPACE: &str = "envoy.filters.http.ext_authz";

/// Largest answer of a service, bytes.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Marks requests that pass although the service has failed.
const FAILURE_MODE_ALLOWED: HeaderName = HeaderName::from_static("x-envoy-auth-failure-mode-allowed");

/// The filter at work on one request.
#[derive(Debug)]
pub(in crate::transaction) struct ExtAuthz {
    settings: Arc<Settings>,
    state: State,
    /// What has come of the request and may not pass yet.
    waiting: HeldParts,
    /// The routes are to be matched again before anything goes on.
    clears_route_cache: bool,
    /// Changes of the response.
    response: Vec<(HeaderName, HeaderValue, AppendAction)>,
}

#[derive(Debug)]
enum State {
    /// Nothing has come.
    New,
    /// The body is collected.
    Collecting,
    Asking {
        call: Box<SideCall>,
        began: Instant,
    },
    /// The request passes.
    Open,
    /// The client gets this answer, once.
    Refused(Option<Box<LocalReply>>),
    /// The body is too large to be sent: the client is told, once.
    TooLarge {
        said: bool,
    },
}

impl ExtAuthz {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self {
            settings: Arc::clone(settings),
            state: State::New,
            waiting: HeldParts::default(),
            clears_route_cache: false,
            response: Vec::new(),
        }
    }

    fn tally(&self, metric: Metric, cx: &Context<'_>) {
        cx.core.configuration.stats.count_filter(&self.settings.stat_prefix, metric, 1);
    }

    /// Counts what became of the request for the cluster that it would go to, too.
    fn count_outcome(&self, metric: Metric, of_cluster: ExtAuthzOfClusterMetric, cx: &Context<'_>) {
        self.tally(metric, cx);
        if let Some(cluster) = &cx.core.decision.cluster {
            let prefix = ExtAuthzOfClusterMetric::own(&cluster.name, &self.settings.stat_prefix);
            cx.core.configuration.stats.count_filter(&prefix, of_cluster, 1);
        }
    }

    fn is_enabled(&self, core: &Core) -> bool {
        let by_metadata = self.settings.filter_enabled_metadata.as_ref().is_none_or(|matcher| {
            matcher
                .find(|name| core.info.metadata.namespace(name))
                .is_some_and(|value| matcher.matches(value))
        });
        by_metadata && self.settings.filter_enabled.includes(fastrand::u64(..))
    }

    /// The head of the request has come.
    fn start(&mut self, end_stream: bool, cx: &mut Context<'_>) {
        if !self.is_enabled(cx.core) {
            self.tally(Metric::Disabled, cx);
            self.state = match self.settings.deny_at_disable {
                true => refused(StatusCode::FORBIDDEN, "ext_authz_error"),
                false => State::Open,
            };
        } else if self.settings.with_request_body.is_some() && !end_stream {
            self.state = State::Collecting;
        } else {
            self.ask(false, cx);
        }
    }

    /// Asks the service. `partial`: more of the body follows.
    fn ask(&mut self, partial: bool, cx: &mut Context<'_>) {
        // Of a request without a body nothing is said about one.
        let body = self.settings.with_request_body.filter(|_| self.waiting.bytes() > 0).map(|body| {
            let most = if body.allow_partial_message { body.max_request_bytes } else { usize::MAX };
            SentBody { bytes: self.waiting.first_bytes(most), partial, pack_as_bytes: body.pack_as_bytes }
        });
        // A body that is longer than what is sent goes on behind that, too.
        let partial = partial || body.as_ref().is_some_and(|body| body.bytes.len() < self.waiting.bytes());
        let body = body.map(|body| SentBody { partial, ..body });
        let settings = Arc::clone(&self.settings);
        let (cluster, timeout, (head, sent)) = match &settings.service {
            AuthService::Grpc(service) => {
                (&service.cluster, service.timeout, check::grpc(cx.core, &settings, service, body.as_ref()))
            }
            AuthService::Http(service) => {
                (&service.cluster, service.timeout, check::http(cx.core, &settings, service, body.as_ref()))
            }
        };
        match SideCall::start(cx.core, cluster, head, sent, timeout, LONGEST_ANSWER, cx.now) {
            Ok(call) => self.state = State::Asking { call: Box::new(call), began: cx.now },
            Err(why) => self.failed(Some(&why), None, cx),
        }
    }

    /// A part of the request goes on or waits.
    fn request(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        if matches!(self.state, State::Open) && self.waiting.is_empty() {
            return Some(Action::Forward(Direction::Request, part));
        }
        if matches!(self.state, State::Refused(_) | State::TooLarge { .. }) {
            return None;
        }
        let ends = part.ends_stream();
        self.waiting.push(part);
        if let (State::Collecting, Some(body)) = (&self.state, self.settings.with_request_body) {
            if body.allow_partial_message && self.waiting.bytes() >= body.max_request_bytes {
                self.ask(!ends, cx);
            } else if self.waiting.bytes() > body.max_request_bytes {
                self.waiting.clear();
                self.state = State::TooLarge { said: false };
            } else if ends {
                self.ask(false, cx);
            }
        }
        self.next_action(cx)
    }

    fn answered(&mut self, verdict: Verdict, began: Instant, cx: &mut Context<'_>) {
        match verdict {
            Verdict::Allowed(changes) => {
                self.count_outcome(Metric::Ok, ExtAuthzOfClusterMetric::Ok, cx);
                self.allowed(*changes, began, cx);
            }
            Verdict::Denied(refusal) => {
                self.count_outcome(Metric::Denied, ExtAuthzOfClusterMetric::Denied, cx);
                if self.settings.charge_cluster_response_stats {
                    cx.core.charge_upstream(refusal.status);
                }
                self.ingest(refusal.metadata.clone(), None, cx);
                self.refuse(refusal, "ext_authz_denied");
            }
            Verdict::Failed(refusal) => self.failed(None, refusal, cx),
            Verdict::Invalid => {
                self.tally(Metric::Invalid, cx);
                self.state = refused(StatusCode::INTERNAL_SERVER_ERROR, "ext_authz_invalid");
            }
        }
    }

    fn allowed(&mut self, changes: Changes, began: Instant, cx: &mut Context<'_>) {
        let changed = changes.apply(&mut cx.core.messages.request);
        self.clears_route_cache = changed && self.settings.clear_route_cache;
        self.ingest(changes.metadata, Some(began), cx);
        self.response = changes.response;
        self.state = State::Open;
    }

    /// Takes over dynamic metadata, for requests that pass with the time that the answer took, in milliseconds.
    fn ingest(&self, metadata: Option<Struct>, began: Option<Instant>, cx: &mut Context<'_>) {
        let Some(mut metadata) = metadata.filter(|_| self.settings.enable_dynamic_metadata_ingestion) else {
            return;
        };
        if let Some(began) = began {
            let took = cx.now.saturating_duration_since(began).as_millis();
            let took = u32::try_from(took).unwrap_or(u32::MAX);
            metadata.fields.insert("ext_authz_duration".to_owned(), Value::number(took.into()));
        }
        // An answer is not larger than what the metadata of a request may be.
        let _ = cx.core.info.metadata.set(NAMESPACE, metadata);
    }

    fn refuse(&mut self, refusal: Refusal, details: &'static str) {
        let mut reply = reply(refusal.status, details);
        reply.fields = refusal.fields;
        reply.body = refusal.body;
        self.state = State::Refused(Some(Box::new(reply)));
    }

    /// There is no verdict.
    fn failed(&mut self, why: Option<&Unanswered>, refusal: Option<Refusal>, cx: &mut Context<'_>) {
        self.count_outcome(Metric::Error, ExtAuthzOfClusterMetric::Error, cx);
        if let Some(suppressed) = cx.core.configuration.stats.http.admit(Incident::Authorization) {
            let reason = why.map_or_else(|| "an answer that is no verdict".to_owned(), ToString::to_string);
            let outcome = if self.settings.failure_mode_allow { "allowed" } else { "refused" };
            let request_id = cx.core.request_id();
            tracing::warn!(reason, outcome, request_id, suppressed, "an authorization service has failed");
        }
        if self.settings.failure_mode_allow {
            self.count_outcome(Metric::FailureModeAllowed, ExtAuthzOfClusterMetric::FailureModeAllowed, cx);
            if self.settings.failure_mode_allow_header_add {
                let fields = &mut cx.core.messages.request.fields;
                fields.insert(FAILURE_MODE_ALLOWED, HeaderValue::from_static("true"));
            }
            self.state = State::Open;
            return;
        }
        match refusal {
            Some(refusal) => self.refuse(refusal, "ext_authz_error"),
            None => self.state = refused(self.settings.status_on_error, "ext_authz_error"),
        }
    }
}

fn reply(status: StatusCode, details: &'static str) -> LocalReply {
    LocalReply {
        status,
        fields: HeaderMap::new(),
        body: Bytes::new(),
        grpc_status: None,
        details: details.into(),
        flags: ResponseFlags::UNAUTHORIZED_EXTERNAL_SERVICE,
    }
}

fn refused(status: StatusCode, details: &'static str) -> State {
    State::Refused(Some(Box::new(reply(status, details))))
}

impl Filter for ExtAuthz {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if direction == Direction::Request {
            self.start(end_stream, cx);
            return self.request(head, cx);
        }
        let Core { configuration, messages, .. } = &mut *cx.core;
        if let Some(response) = &mut messages.response {
            let prefix = &configuration.http().header_prefix;
            for (name, value, action) in &self.response {
                append_field(&mut response.fields, (name, value, *action), Side::Response, prefix);
            }
        }
        Some(Action::Forward(direction, head))
    }

    fn behind_request_headers(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        self.request(part, cx)
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        match &mut self.state {
            State::Open if std::mem::take(&mut self.clears_route_cache) => Some(Action::ClearRouteCache),
            State::Open => {
                let part = self.waiting.pop()?;
                Some(Action::Forward(Direction::Request, part))
            }
            State::Refused(reply) => reply.take().map(Action::Reply),
            State::TooLarge { said: said @ false } => {
                *said = true;
                Some(Action::PayloadTooLarge(Direction::Request))
            }
            State::New | State::Collecting | State::Asking { .. } | State::TooLarge { .. } => None,
        }
    }

    fn poll(&mut self, task: &mut task::Context<'_>, _room: Room, cx: &mut Context<'_>) -> Poll<usize> {
        let State::Asking { call, began } = &mut self.state else { return Poll::Pending };
        let Poll::Ready(answer) = call.poll(task) else { return Poll::Pending };
        let began = *began;
        let mut read = 0;
        match answer {
            Ok(answer) => {
                read = answer.body.len();
                let verdict = match &self.settings.service {
                    AuthService::Grpc(_) => verdict::of_grpc(&answer),
                    AuthService::Http(service) => verdict::of_http(&answer, service),
                };
                self.answered(verdict, began, cx);
            }
            Err(why) => self.failed(Some(&why), None, cx),
        }
        if matches!(self.state, State::Refused(_)) {
            self.waiting.clear();
        }
        Poll::Ready(read)
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Asking { call, .. } => call.deadline,
            _ => None,
        }
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) {
        self.failed(Some(&Unanswered::TimedOut), None, cx);
    }

    /// While the service is asked no more is read than what it gets.
    fn has_room(&self, direction: Direction, _pressed: bool) -> bool {
        direction == Direction::Response || !matches!(self.state, State::Asking { .. })
    }

    fn held(&self) -> usize {
        let call = match &self.state {
            State::Asking { call, .. } => call.held(),
            _ => 0,
        };
        self.waiting.bytes() + call
    }

    fn waits(&self) -> Option<&'static str> {
        matches!(self.state, State::Asking { .. }).then_some("ext_authz_idle")
    }

    fn end(&mut self, _cx: &mut Context<'_>) {
        // Nobody wants the answer any more.
        self.state = State::Open;
        self.waiting.clear();
    }
}
