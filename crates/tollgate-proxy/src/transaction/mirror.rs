//! Copies of requests for other clusters. A copy is sent while its request arrives, by a task of its own, and the request
//! does not fail whatever becomes of it. It waits for a copy that has fallen behind, but not for one that stands still.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use extproc::{RequestHeaders, Slices, mutation::Side, remove_fields};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use tokio::time::Sleep;
use tollgate_model::{
    filter::Mutation,
    route::{MirrorCluster, RequestMirrorPolicy, host_without_port},
};

use super::{core::Core, router::Waiting, upgrade::Upgrade};
use crate::{
    connection_manager::tell_internal,
    format::{FormatContext, evaluate_header},
    route_headers::change_field,
    stream::{BodyEvent, ResponseEvent},
    stream_info::Protocol,
    upstream::{Choice, UpstreamFailure, UpstreamRequest, WorkerCluster},
};

/// How long a copy may take once its request is complete, where the route has no timeout.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a request waits for a copy that takes nothing. Then there is no copy.
const LONGEST_STALL: Duration = Duration::from_secs(1);

/// The copies of a request that is still arriving. Dropped before the request is complete, it takes them back.
#[derive(Debug)]
pub(super) struct Mirrors {
    feeds: SmallVec<[Rc<Feed>; 1]>,
}

impl Mirrors {
    /// Draws which copies are made of a request whose head is ready for its upstream, and begins them. `None` when nothing
    /// of the request is left to be copied.
    pub(super) fn start(
        core: &Core,
        policies: &[RequestMirrorPolicy],
        end_stream: bool,
        now: Instant,
    ) -> Option<Self> {
        if policies.is_empty() || core.upgrade != Upgrade::None {
            return None;
        }
        let timeout = core.route_timeout().unwrap_or(LONGEST);
        let mut feeds = SmallVec::new();
        for policy in policies.iter().filter(|policy| policy.fraction.includes(fastrand::u64(..))) {
            let Some(cluster) = cluster_of(policy, core) else { continue };
            // A copy belongs to no session, nobody has picked a host for it, and nothing of it is hashed.
            let choice = Choice {
                protocol: Some(Protocol::Http11),
                session: None,
                named: None,
                picked: None,
                hashed: None,
                ..core.choice()
            };
            let Ok(upstream) = UpstreamRequest::start(&cluster, &choice, 1, now) else { continue };
            let mut head = core.messages.request.clone();
            match &policy.host_rewrite_literal {
                Some(host) => head.authority = HeaderValue::from_str(host).unwrap_or(head.authority),
                None if policy.disable_shadow_host_suffix_append => {}
                None => head.authority = shadow_host(&head.authority),
            }
            change(&mut head.fields, &policy.mutations, core);
            tell_internal(&mut head.fields, core.http(), &core.worker.own_address_value);
            let feed = Rc::new(Feed::new(core.body_buffer_limit(), end_stream));
            if !end_stream {
                feeds.push(feed.clone());
            }
            let mut shadow = Shadow {
                upstream,
                head,
                feed,
                state: if end_stream { State::HeadOnly } else { State::Head },
                timeout,
                deadline: None,
                stall: None,
            };
            // Its outcome is nobody's business.
            tokio::task::spawn_local(async move { poll_fn(|cx| shadow.poll(cx)).await.ok() });
        }
        (!feeds.is_empty()).then_some(Self { feeds })
    }

    /// Whether the copies keep up; if not, the task is woken when they do.
    pub(super) fn have_room(&self, cx: &Context<'_>) -> bool {
        self.feeds.iter().all(|feed| feed.has_room(cx))
    }

    /// Hands on a part of the request; `trailers` are those of the request, if it has any.
    pub(super) fn part(&self, part: &Waiting, trailers: Option<&HeaderMap>) {
        for feed in &self.feeds {
            feed.push(match part {
                Waiting::Data { data, end_stream } => {
                    Piece::Data { data: data.clone(), end_stream: *end_stream }
                }
                Waiting::Trailers => Piece::Trailers(trailers.cloned().unwrap_or_default()),
            });
        }
    }
}

/// Where a copy goes; `None` if there is no such cluster.
fn cluster_of(policy: &RequestMirrorPolicy, core: &Core) -> Option<Rc<WorkerCluster>> {
    let name = match &policy.cluster {
        MirrorCluster::Named(name) => name,
        MirrorCluster::Header(header) => {
            std::str::from_utf8(header.first_in_request(&core.messages.request)?).ok()?
        }
    };
    core.configuration.clusters.get(name)
}

/// Changes the head of a copy; values are made of the request itself.
fn change(fields: &mut HeaderMap, mutations: &[Mutation], core: &Core) {
    for mutation in mutations {
        match mutation {
            Mutation::Remove(name) => remove_fields(fields, std::slice::from_ref(name)),
            Mutation::RemoveOnMatch(matcher) => {
                let matching = fields.keys().filter(|name| matcher.matches(name.as_str().as_bytes()));
                let matching: Vec<HeaderName> = matching.cloned().collect();
                remove_fields(fields, &matching);
            }
            Mutation::Add(addition) => {
                let context = FormatContext { info: &core.info, messages: &core.messages, logs: &[] };
                let text = evaluate_header(&addition.value, &context);
                change_field(fields, addition, text, Side::Request, &core.http().header_prefix);
            }
        }
    }
}

impl Drop for Mirrors {
    fn drop(&mut self) {
        self.feeds.iter().for_each(|feed| feed.end());
    }
}

/// A part of a request that follows its head.
#[derive(Debug)]
enum Piece {
    Data { data: Slices, end_stream: bool },
    Trailers(HeaderMap),
}

impl Piece {
    fn ends_stream(&self) -> bool {
        match self {
            Self::Data { end_stream, .. } => *end_stream,
            Self::Trailers(_) => true,
        }
    }
}

/// The way from a request to its copy. What waits in it is bounded: past the limit nothing more of the request is read.
#[derive(Debug)]
struct Feed(RefCell<Queue>);

#[derive(Debug)]
struct Queue {
    pieces: VecDeque<Piece>,
    bytes: usize,
    limit: usize,
    source: Source,
    /// Wakes the copy when there is something for it.
    copy: Option<Waker>,
    /// Wakes the request when there is room.
    request: Option<Waker>,
}

/// How far the request is that a copy is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Arriving,
    Complete,
    /// The request ended early, or the copy stood still.
    Lost,
}

impl Feed {
    fn new(limit: usize, complete: bool) -> Self {
        let source = if complete { Source::Complete } else { Source::Arriving };
        Self(RefCell::new(Queue {
            pieces: VecDeque::new(),
            bytes: 0,
            limit,
            source,
            copy: None,
            request: None,
        }))
    }

    fn push(&self, piece: Piece) {
        let mut queue = self.0.borrow_mut();
        if queue.source != Source::Arriving {
            return;
        }
        if piece.ends_stream() {
            queue.source = Source::Complete;
        }
        if let Piece::Data { data, .. } = &piece {
            queue.bytes += data.len();
        }
        queue.pieces.push_back(piece);
        wake(&mut queue.copy);
    }

    fn has_room(&self, cx: &Context<'_>) -> bool {
        let mut queue = self.0.borrow_mut();
        let room = queue.has_room();
        queue.request = (!room).then(|| cx.waker().clone());
        room
    }

    /// The request ends here, unless it is complete.
    fn end(&self) {
        let mut queue = self.0.borrow_mut();
        if queue.source == Source::Arriving {
            queue.source = Source::Lost;
            wake(&mut queue.copy);
        }
    }

    /// The copy takes nothing any more.
    fn close(&self) {
        let mut queue = self.0.borrow_mut();
        queue.source = Source::Lost;
        queue.pieces.clear();
        queue.bytes = 0;
        wake(&mut queue.request);
    }

    /// How far the request is. The task is woken when there is more.
    fn watch(&self, cx: &Context<'_>) -> Source {
        let mut queue = self.0.borrow_mut();
        queue.copy = Some(cx.waker().clone());
        queue.source
    }

    fn is_full(&self) -> bool {
        !self.0.borrow().has_room()
    }

    fn pop(&self) -> Option<Piece> {
        let mut queue = self.0.borrow_mut();
        let piece = queue.pieces.pop_front();
        if let Some(Piece::Data { data, .. }) = &piece {
            queue.bytes -= data.len();
        }
        if queue.has_room() {
            wake(&mut queue.request);
        }
        piece
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.bytes <= self.limit
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// A copy on its way.
struct Shadow {
    upstream: UpstreamRequest,
    head: RequestHeaders,
    feed: Rc<Feed>,
    state: State,
    timeout: Duration,
    /// Since the request was complete.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Since the request began to wait for the copy.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.feed.close();
    }
}

/// What of a copy is to be written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    HeadOnly,
    Body,
    Nothing,
}

impl Shadow {
    /// Sends as much as there is and the connection takes. Ready when the head was sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFailure>> {
        if matches!(self.state, State::Head | State::HeadOnly) {
            let head_only = self.state == State::HeadOnly;
            ready!(self.upstream.poll_connect(cx, &self.head, head_only))?;
            self.state = if head_only { State::Nothing } else { State::Body };
        }
        while self.upstream.poll_writable(cx)?.is_ready() && self.state == State::Body {
            let Some(piece) = self.feed.pop() else { break };
            self.stall = None;
            if piece.ends_stream() {
                self.state = State::Nothing;
            }
            match piece {
                Piece::Data { data, end_stream } => self.upstream.send_data(data, end_stream),
                Piece::Trailers(trailers) => self.upstream.send_trailers(&trailers),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the copy is answered, or given up.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFailure>> {
        let source = self.feed.watch(cx);
        if source == Source::Lost {
            return Poll::Ready(Ok(()));
        }
        let begun = self.poll_send(cx)?.is_ready();
        if expired(source == Source::Complete, self.timeout, &mut self.deadline, cx)
            || expired(self.feed.is_full(), LONGEST_STALL, &mut self.stall, cx)
        {
            return Poll::Ready(Ok(()));
        }
        if !begun {
            return Poll::Pending;
        }
        loop {
            match ready!(self.upstream.poll_response(cx))? {
                ResponseEvent::Informational(_) => {}
                ResponseEvent::Headers { end_stream, .. }
                | ResponseEvent::Body(BodyEvent::Data { end_stream, .. })
                    if !end_stream => {}
                ResponseEvent::Headers { .. } | ResponseEvent::Body(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Whether it is `longest` since `running` became true.
fn expired(
    running: bool,
    longest: Duration,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> bool {
    if !running {
        *timer = None;
        return false;
    }
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
    timer.as_mut().poll(cx).is_ready()
}

/// The host with `-shadow` behind it and before its port.
fn shadow_host(authority: &HeaderValue) -> HeaderValue {
    let whole = authority.as_bytes();
    let host = host_without_port(whole);
    let shadow = [host, b"-shadow", &whole[host.len()..]].concat();
    HeaderValue::from_bytes(&shadow).unwrap_or_else(|_| authority.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_keeps_its_port() {
        let shadow = |host| shadow_host(&HeaderValue::from_static(host));
        assert_eq!(shadow("a.test"), "a.test-shadow");
        assert_eq!(shadow("a.test:8080"), "a.test-shadow:8080");
        assert_eq!(shadow("[::1]:80"), "[::1]-shadow:80");
    }
}
