//! Fetches the keys of a provider.

use std::{
    sync::Arc,
    task::{self, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use extproc::RequestHeaders;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use tollgate_model::{
    filter::{JwtKeys, JwtProvider, RemoteJwks},
    jwt::Jwks,
};

use super::super::side_call::{SideCall, Unanswered};
use crate::upstream::{Choice, ClusterManager};

/// Largest answer. Larger ones are not read.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Keys on their way.
#[derive(Debug)]
pub(super) struct Fetch {
    provider: Arc<JwtProvider>,
    own_address: HeaderValue,
    state: State,
    /// Tries so far.
    tries: u32,
    /// When all of it is over.
    until: Instant,
    failure: String,
}

#[derive(Debug)]
enum State {
    Asking(Box<SideCall>),
    /// The next try begins then.
    Resting(Instant),
    Failed,
}

impl Fetch {
    /// Begins to fetch keys of a provider that has remote ones.
    pub(super) fn start(
        provider: Arc<JwtProvider>,
        clusters: &ClusterManager,
        own_address: HeaderValue,
        now: Instant,
    ) -> Self {
        let timeout = remote(&provider).map(|remote| remote.timeout).unwrap_or_default();
        let mut fetch = Self {
            provider,
            own_address,
            state: State::Failed,
            tries: 0,
            // A time of zero is none, and nobody waits for ever.
            until: now + if timeout.is_zero() { LONGEST } else { timeout.min(LONGEST) },
            failure: String::new(),
        };
        fetch.ask(clusters, now);
        fetch
    }

    fn ask(&mut self, clusters: &ClusterManager, now: Instant) {
        self.tries += 1;
        let Some(remote) = remote(&self.provider) else { return };
        let head = head(remote, &self.own_address);
        let call = SideCall::start_on(
            clusters,
            &remote.cluster,
            &Choice::default(),
            head,
            Bytes::new(),
            LONGEST_ANSWER,
            now,
        );
        match call {
            Ok(call) => self.state = State::Asking(Box::new(call)),
            Err(why) => self.try_again(why.to_string(), now),
        }
    }

    /// A try has failed in a way that another one may not.
    fn try_again(&mut self, why: String, now: Instant) {
        self.failure = why;
        let retry = remote(&self.provider).and_then(|remote| remote.retry);
        self.state = match retry.filter(|retry| self.tries <= retry.num_retries) {
            Some(retry) => State::Resting(now + retry.back_off.interval(self.tries, fastrand::u64(..))),
            None => State::Failed,
        };
    }

    /// Ready with the keys, which the provider has then, or without if there are none.
    pub(super) fn poll(&mut self, task: &mut task::Context<'_>, now: Instant) -> Poll<Option<Arc<Jwks>>> {
        if let State::Asking(call) = &mut self.state {
            match ready!(call.poll(task)) {
                Ok(answer) if answer.head.status == StatusCode::OK => match Jwks::parse(&answer.body) {
                    Ok(keys) => {
                        let keys = Arc::new(keys);
                        if let Some(remote) = remote(&self.provider) {
                            remote.set(Arc::clone(&keys), now);
                        }
                        return Poll::Ready(Some(keys));
                    }
                    Err(fault) => (self.state, self.failure) = (State::Failed, fault.to_string()),
                },
                Ok(answer) if answer.head.status.is_server_error() => {
                    self.try_again(format!("the answer is {}", answer.head.status), now);
                }
                Ok(answer) => {
                    (self.state, self.failure) =
                        (State::Failed, format!("the answer is {}", answer.head.status));
                }
                Err(why @ Unanswered::TooLarge) => {
                    (self.state, self.failure) = (State::Failed, why.to_string());
                }
                Err(why) => self.try_again(why.to_string(), now),
            }
        }
        match self.state {
            State::Failed => Poll::Ready(None),
            // The deadline goes on with it.
            State::Asking(_) | State::Resting(_) => Poll::Pending,
        }
    }

    /// When [`deadline_passed`](Self::deadline_passed) is to be called.
    pub(super) fn deadline(&self) -> Instant {
        match self.state {
            State::Resting(at) => at.min(self.until),
            State::Asking(_) | State::Failed => self.until,
        }
    }

    /// Begins the next try. True: it is over.
    pub(super) fn deadline_passed(&mut self, clusters: &ClusterManager, now: Instant) -> bool {
        if now >= self.until {
            (self.state, self.failure) = (State::Failed, Unanswered::TimedOut.to_string());
            return true;
        }
        if let State::Resting(at) = self.state
            && now >= at
        {
            self.ask(clusters, now);
        }
        false
    }

    /// Why there are no keys.
    pub(super) fn failure(&self) -> &str {
        &self.failure
    }

    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Asking(call) => call.held(),
            State::Resting(_) | State::Failed => 0,
        }
    }
}

/// Longest time of a fetch, whatever is configured.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) fn remote(provider: &JwtProvider) -> Option<&RemoteJwks> {
    match &provider.keys {
        JwtKeys::Remote(remote) => Some(remote),
        JwtKeys::Local(_) => None,
    }
}

fn head(remote: &RemoteJwks, own_address: &HeaderValue) -> RequestHeaders {
    // Reading has seen that it is one.
    let uri: Uri = remote.uri.parse().unwrap_or_default();
    let text = |text: &str| HeaderValue::try_from(text).ok();
    let mut fields = HeaderMap::new();
    fields.insert(header::USER_AGENT, HeaderValue::from_static("Go-browser"));
    fields.insert("x-envoy-internal", HeaderValue::from_static("true"));
    fields.insert("x-forwarded-for", own_address.clone());
    if !remote.timeout.is_zero() {
        let milliseconds = u64::try_from(remote.timeout.as_millis()).unwrap_or(u64::MAX);
        fields.insert("x-envoy-expected-rq-timeout-ms", HeaderValue::from(milliseconds));
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: uri
            .authority()
            .and_then(|authority| text(authority.as_str()))
            .unwrap_or_else(|| HeaderValue::from_static("")),
        path: text(path).unwrap_or_else(|| HeaderValue::from_static("/")),
        fields,
    }
}
