//! The host of a request is looked up before its cluster connects to it (`dynamic_forward_proxy`).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::{Duration, Instant},
};

use extproc::Direction;
use http::HeaderValue;
use tollgate_model::cluster::{HostLookup as Settings, HostOverride};

use super::{Action, Context, Filter, FilterPlace, Room, held::HeldParts};
use crate::{
    local_reply::LocalReply,
    transaction::{chain::Part, core::Core},
    upstream::Lookup,
};

/// How long a lookup may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The filter at work on one request.
#[derive(Debug)]
pub(in crate::transaction) struct HostLookup {
    settings: Arc<Settings>,
    state: State,
    /// What has come of the request and may not pass yet.
    waiting: HeldParts,
}

enum State {
    New,
    Waiting {
        answer: Pin<Box<dyn Future<Output = bool>>>,
        until: Instant,
    },
    /// The request passes.
    Open,
    /// The client gets this answer, once.
    Refused(Option<Box<LocalReply>>),
}

impl HostLookup {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings), state: State::New, waiting: HeldParts::default() }
    }

    /// The head of the request has come.
    fn start(&mut self, cx: &mut Context<'_>) {
        self.state = State::Open;
        let core = &mut *cx.core;
        let Some(action) = core.route_action() else { return };
        let cluster = core
            .decision
            .cluster_name(action, &core.messages.request)
            .and_then(|name| core.configuration.clusters.get(name))
            .filter(|cluster| cluster.forwards_to_hosts());
        let Some(cluster) = cluster else { return };
        if let Some(host) = self.override_host(core) {
            core.messages.request.authority = host;
        }
        self.state = match cluster.look_up(core.messages.request.authority.as_bytes()) {
            Lookup::Found => State::Open,
            Lookup::Nowhere => State::Refused(Some(Box::new(LocalReply::host_not_found()))),
            Lookup::TooMany => State::Refused(Some(Box::new(LocalReply::too_many_hosts()))),
            Lookup::Pending(lookup) => {
                let until = cx.now.checked_add(LONGEST).unwrap_or(cx.now);
                State::Waiting { answer: Box::pin(lookup.answer()), until }
            }
        };
    }

    fn override_host(&self, core: &Core) -> Option<HeaderValue> {
        match self.settings.rewrite.as_ref()? {
            HostOverride::Literal(host) => HeaderValue::from_str(host).ok(),
            HostOverride::Header(name) => core.messages.request.fields.get(name).cloned(),
        }
    }
}

impl Filter for HostLookup {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if direction == Direction::Response {
            return Some(Action::Forward(direction, head));
        }
        self.start(cx);
        self.behind_request_headers(head, cx)
    }

    fn behind_request_headers(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        if matches!(self.state, State::Open) && self.waiting.is_empty() {
            return Some(Action::Forward(Direction::Request, part));
        }
        if !matches!(self.state, State::Refused(None)) {
            self.waiting.push(part);
        }
        self.next_action(cx)
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        match &mut self.state {
            State::Open => Some(Action::Forward(Direction::Request, self.waiting.pop()?)),
            State::Refused(reply) => {
                let reply = reply.take()?;
                self.waiting.clear();
                Some(Action::Reply(reply))
            }
            State::New | State::Waiting { .. } => None,
        }
    }

    fn poll(&mut self, task: &mut task::Context<'_>, _room: Room, _cx: &mut Context<'_>) -> Poll<usize> {
        let State::Waiting { answer, .. } = &mut self.state else { return Poll::Pending };
        let found = task::ready!(answer.as_mut().poll(task));
        self.state = match found {
            true => State::Open,
            false => State::Refused(Some(Box::new(LocalReply::host_not_found()))),
        };
        Poll::Ready(0)
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    fn deadline_passed(&mut self, _cx: &mut Context<'_>) {
        if matches!(self.state, State::Waiting { .. }) {
            self.state = State::Refused(Some(Box::new(LocalReply::host_not_found())));
        }
    }

    fn has_room(&self, direction: Direction, _pressed: bool) -> bool {
        direction == Direction::Response || !matches!(self.state, State::Waiting { .. })
    }

    fn held(&self) -> usize {
        self.waiting.bytes()
    }

    fn end(&mut self, _cx: &mut Context<'_>) {
        self.state = State::Refused(None);
        self.waiting.clear();
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::New => "New",
            Self::Waiting { .. } => "Waiting",
            Self::Open => "Open",
            Self::Refused(_) => "Refused",
        })
    }
}
