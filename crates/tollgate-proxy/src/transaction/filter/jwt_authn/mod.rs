//! Tokens: what a request needs is proved by somebody's signature.
//!
//! What is needed is [judged](judge) as a whole on a copy of the request. Where keys are missing they are
//! [fetched](fetch), and it is judged once more; so nothing is done by halves. Keys that are to be fetched before a request
//! needs them are the business of [`ahead`].

mod ahead;
mod fetch;
mod judge;
mod tokens;

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{self, Poll},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use extproc::Direction;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tollgate_model::{
    filter::{JwtAuthn as Settings, JwtKeys, JwtOfRoute, JwtRequirement},
    jwt::{Fault, Jwks},
    route::PathParameters,
};

pub(crate) use self::ahead::fetch_keys_ahead;
use self::{
    fetch::Fetch,
    judge::{Judge, Stop},
};
use super::{Action, Context, Filter, FilterPlace, Room, held::HeldParts};
use crate::{
    incident::Incident,
    local_reply::LocalReply,
    stats::JwtAuthnMetric as Metric,
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
};

/// Namespace of its dynamic metadata.
const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// Most bytes of a path that a refusal shows.
const LONGEST_PATH: usize = 256;

/// The filter at work on one request.
#[derive(Debug)]
pub(in crate::transaction) struct JwtAuthn {
    settings: Arc<Settings>,
    state: State,
    /// What has come of the request and may not pass yet.
    waiting: HeldParts,
    /// The routes are to be matched again before anything goes on.
    clears_route_cache: bool,
    /// Keys that were fetched for this request, by provider; `None` = it failed.
    fetched: BTreeMap<String, Option<Arc<Jwks>>>,
}

#[derive(Debug)]
enum State {
    /// Nothing has come.
    New,
    /// Keys of a provider are on their way.
    Fetching { provider: String, fetch: Box<Fetch> },
    /// The request passes.
    Open,
    /// The client gets this answer, once.
    Refused(Option<Box<LocalReply>>),
}

impl JwtAuthn {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self {
            settings: Arc::clone(settings),
            state: State::New,
            waiting: HeldParts::default(),
            clears_route_cache: false,
            fetched: BTreeMap::new(),
        }
    }

    fn tally(&self, metric: Metric, amount: u64, core: &Core) {
        core.configuration.stats.count_filter(&self.settings.stat_prefix, metric, amount);
    }

    /// Judges the request by what it needs.
    fn judge(&mut self, cx: &mut Context<'_>) {
        if self.settings.bypass_cors_preflight && is_preflight(cx.core) {
            self.tally(Metric::CorsPreflightBypassed, 1, cx.core);
            return self.pass(cx.core);
        }
        let settings = Arc::clone(&self.settings);
        let requirement = match required(&settings, cx.core) {
            Ok(Some(requirement)) => requirement,
            Ok(None) => return self.pass(cx.core),
            Err(reply) => {
                self.tally(Metric::Denied, 1, cx.core);
                self.state = State::Refused(Some(Box::new(reply)));
                return;
            }
        };
        let mut judge = Judge::new(&settings, &self.fetched, cx.core.messages.request.clone(), cx.now);
        let judged = judge.requirement(requirement);
        if let Err(Stop::Wanted(provider)) = judged {
            return self.fetch(provider, cx);
        }
        self.tally(Metric::JwtCacheHit, judge.cache_hits, cx.core);
        self.tally(Metric::JwtCacheMiss, judge.cache_misses, cx.core);
        let refusal = match judged {
            Err(Stop::Fault(fault)) => Some(refusal(fault, &settings, cx.core)),
            _ => None,
        };
        let Judge { request, metadata, clears_route_cache, .. } = judge;
        cx.core.messages.request = request;
        if !metadata.fields.is_empty() {
            // A request is not larger than what its metadata may be.
            let _ = cx.core.info.metadata.set(NAMESPACE, metadata);
        }
        match refusal {
            Some(reply) => {
                self.tally(Metric::Denied, 1, cx.core);
                self.state = State::Refused(Some(Box::new(reply)));
            }
            None => {
                self.clears_route_cache = clears_route_cache;
                self.pass(cx.core);
            }
        }
    }

    fn pass(&mut self, core: &Core) {
        self.tally(Metric::Allowed, 1, core);
        self.state = State::Open;
    }

    /// Fetches keys of a provider.
    fn fetch(&mut self, provider: String, cx: &mut Context<'_>) {
        let fetch = self.settings.providers.get(&provider).and_then(|provider| match provider.keys {
            JwtKeys::Remote(_) => {
                let worker = &cx.core.worker;
                Some(Fetch::start(
                    Arc::clone(provider),
                    &cx.core.configuration.clusters,
                    worker.own_address_value.clone(),
                    cx.now,
                ))
            }
            JwtKeys::Local(_) => None,
        });
        match fetch {
            Some(fetch) => self.state = State::Fetching { provider, fetch: Box::new(fetch) },
            // There is nothing to fetch.
            None => {
                self.fetched.insert(provider, None);
                self.judge(cx);
            }
        }
    }

    /// The keys have come, or they do not.
    fn fetched(&mut self, keys: Option<Arc<Jwks>>, cx: &mut Context<'_>) {
        let State::Fetching { provider, fetch } = std::mem::replace(&mut self.state, State::New) else {
            return;
        };
        let metric = if keys.is_some() { Metric::JwksFetchSuccess } else { Metric::JwksFetchFailed };
        self.tally(metric, 1, cx.core);
        if keys.is_none()
            && let Some(suppressed) = cx.core.configuration.stats.http.admit(Incident::Authorization)
        {
            let reason = fetch.failure();
            tracing::warn!(provider, reason, suppressed, "keys of a token provider could not be fetched");
        }
        self.fetched.insert(provider, keys);
        self.judge(cx);
        if matches!(self.state, State::Refused(_)) {
            self.waiting.clear();
        }
    }

    /// A part of the request goes on or waits.
    fn request(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        if matches!(self.state, State::Open) && self.waiting.is_empty() && !self.clears_route_cache {
            return Some(Action::Forward(Direction::Request, part));
        }
        if let State::Refused(reply) = &mut self.state {
            return reply.take().map(Action::Reply);
        }
        self.waiting.push(part);
        self.next_action(cx)
    }
}

/// What the request needs.
fn required<'s>(settings: &'s Settings, core: &Core) -> Result<Option<&'s JwtRequirement>, LocalReply> {
    if settings.by_route == Some(JwtOfRoute::Nothing) {
        return Ok(None);
    }
    if let Some(JwtOfRoute::Named(name)) = &settings.by_route {
        return settings.requirement_map.get(name).map(Some).ok_or_else(|| {
            let known: Vec<&str> = settings.requirement_map.keys().map(String::as_str).collect();
            let wrong = format!("Wrong requirement_name: {name}. It should be one of [{}]", known.join(","));
            let body = match settings.strip_failure_response {
                true => Bytes::new(),
                false => format!("Failed JWT authentication: {wrong}").into(),
            };
            reply(StatusCode::FORBIDDEN, body, &wrong)
        });
    }
    let matched = core.matched(PathParameters::Kept);
    let rule = settings.rules.iter().find(|rule| rule.route_match.matches(&matched));
    Ok(match rule.and_then(|rule| rule.requires.as_ref()) {
        Some(JwtRequirement::Named(name)) => settings.requirement_map.get(name),
        other => other,
    })
}

fn is_preflight(core: &Core) -> bool {
    let request = &core.messages.request;
    let has = |name| request.fields.get(name).is_some_and(|value| !value.is_empty());
    request.method == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn reply(status: StatusCode, body: Bytes, why: &str) -> LocalReply {
    LocalReply {
        status,
        fields: HeaderMap::new(),
        body,
        grpc_status: None,
        details: format!("jwt_authn_access_denied{{{}}}", why.replace(' ', "_")).into(),
        flags: ResponseFlags::default(),
    }
}

/// What the client of a request is told; the request is as it came.
fn refusal(fault: Fault, settings: &Settings, core: &Core) -> LocalReply {
    let status = match fault {
        Fault::AudienceNotAllowed => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    let why = fault.to_string();
    if settings.strip_failure_response {
        return reply(status, Bytes::new(), &why);
    }
    let mut reply = reply(status, why.clone().into(), &why);
    let request = &core.messages.request;
    let original = request.fields.get("x-envoy-original-path");
    let path = original.unwrap_or(&request.path).as_bytes();
    let mut challenge = b"Bearer realm=\"".to_vec();
    challenge.extend_from_slice(request.scheme.as_bytes());
    challenge.extend_from_slice(b"://");
    challenge.extend_from_slice(request.authority.as_bytes());
    challenge.extend_from_slice(&path[..path.len().min(LONGEST_PATH)]);
    challenge.push(b'"');
    if fault != Fault::Missing {
        challenge.extend_from_slice(b", error=\"invalid_token\"");
    }
    if let Ok(challenge) = HeaderValue::from_bytes(&challenge) {
        reply.fields.insert(header::WWW_AUTHENTICATE, challenge);
    }
    reply
}

impl Filter for JwtAuthn {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if direction == Direction::Response {
            return Some(Action::Forward(direction, head));
        }
        self.judge(cx);
        self.request(head, cx)
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
            State::New | State::Fetching { .. } => None,
        }
    }

    fn poll(&mut self, task: &mut task::Context<'_>, _room: Room, cx: &mut Context<'_>) -> Poll<usize> {
        let State::Fetching { fetch, .. } = &mut self.state else { return Poll::Pending };
        let Poll::Ready(keys) = fetch.poll(task, cx.now) else { return Poll::Pending };
        self.fetched(keys, cx);
        Poll::Ready(0)
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Fetching { fetch, .. } => Some(fetch.deadline()),
            _ => None,
        }
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) {
        if let State::Fetching { fetch, .. } = &mut self.state
            && fetch.deadline_passed(&cx.core.configuration.clusters, cx.now)
        {
            self.fetched(None, cx);
        }
    }

    /// While keys are fetched nothing more is read.
    fn has_room(&self, direction: Direction, _pressed: bool) -> bool {
        direction == Direction::Response || !matches!(self.state, State::Fetching { .. })
    }

    fn held(&self) -> usize {
        let fetch = match &self.state {
            State::Fetching { fetch, .. } => fetch.held(),
            _ => 0,
        };
        self.waiting.bytes() + fetch
    }

    fn waits(&self) -> Option<&'static str> {
        matches!(self.state, State::Fetching { .. }).then_some("jwt_authn_idle")
    }

    fn end(&mut self, _cx: &mut Context<'_>) {
        // Nobody wants the answer any more.
        self.state = State::Open;
        self.waiting.clear();
        self.clears_route_cache = false;
    }
}

/// Seconds since 1970.
fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
