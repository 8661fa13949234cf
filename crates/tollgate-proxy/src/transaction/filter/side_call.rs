//! Requests that filters send to clusters by themselves, whose whole answer they want.

use std::{
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use extproc::{RequestHeaders, ResponseHeaders};
use http::HeaderMap;

use crate::{
    stats::ClusterMetric,
    stream::{BodyEvent, ResponseEvent},
    transaction::core::Core,
    upstream::{Choice, ClusterManager, UpstreamFailure, UpstreamRequest},
};

/// A request under way. It ends when this is dropped.
pub(super) struct SideCall {
    upstream: UpstreamRequest,
    head: RequestHeaders,
    /// What follows the head, until it is sent.
    body: Option<Bytes>,
    connected: bool,
    answer: Option<ResponseHeaders>,
    collected: Vec<u8>,
    /// Most bytes of an answer.
    limit: usize,
    /// When an answer comes too late.
    pub(super) deadline: Option<Instant>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: ResponseHeaders,
    pub(super) body: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// The cluster does not exist.
    #[error("there is no cluster of that name")]
    NoCluster,
    /// The request failed.
    #[error("{0}")]
    Failed(UpstreamFailure),
    /// The answer is larger than what is taken.
    #[error("the answer is too large")]
    TooLarge,
    /// It came too late.
    #[error("no answer in time")]
    TimedOut,
}

impl std::fmt::Debug for SideCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SideCall").field("head", &self.head).finish_non_exhaustive()
    }
}

impl SideCall {
    /// Begins a request to a cluster; a timeout of zero is none.
    pub(super) fn start(
        core: &Core,
        cluster: &str,
        head: RequestHeaders,
        body: Bytes,
        timeout: Duration,
        limit: usize,
        now: Instant,
    ) -> Result<Self, Unanswered> {
        // It belongs to no session, nobody has picked a host for it, and nothing of it is hashed.
        let choice = Choice { session: None, picked: None, hashed: None, ..core.choice() };
        let call = Self::start_on(&core.configuration.clusters, cluster, &choice, head, body, limit, now)?;
        Ok(Self { deadline: (!timeout.is_zero()).then(|| now + timeout), ..call })
    }

    /// The same for nobody's request, and without a deadline.
    pub(super) fn start_on(
        clusters: &ClusterManager,
        cluster: &str,
        choice: &Choice<'_>,
        head: RequestHeaders,
        body: Bytes,
        limit: usize,
        now: Instant,
    ) -> Result<Self, Unanswered> {
        let cluster = clusters.get(cluster).ok_or(Unanswered::NoCluster)?;
        let upstream = UpstreamRequest::start(&cluster, choice, 1, now).map_err(Unanswered::Failed)?;
        let body = (!body.is_empty()).then_some(body);
        Ok(Self {
            upstream,
            head,
            body,
            connected: false,
            answer: None,
            collected: Vec::new(),
            limit,
            deadline: None,
        })
    }

    /// Sends and reads as far as it goes. Ready with the answer when that is complete.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Unanswered>> {
        if !self.connected {
            let head_only = self.body.is_none();
            ready!(self.upstream.poll_connect(cx, &self.head, head_only)).map_err(Unanswered::Failed)?;
            self.connected = true;
            if let Some(body) = self.body.take() {
                self.upstream.send_data(body.into(), true);
            }
        }
        // What is left of the body is written by and by; its answer may come before that.
        if let Poll::Ready(Err(failure)) = self.upstream.poll_writable(cx) {
            return Poll::Ready(Err(Unanswered::Failed(failure)));
        }
        loop {
            let event = ready!(self.upstream.poll_response(cx)).map_err(Unanswered::Failed)?;
            let (ended, trailers) = match event {
                ResponseEvent::Informational(_) => (false, None),
                ResponseEvent::Headers { head, end_stream } => {
                    self.answer = Some(head);
                    (end_stream, None)
                }
                ResponseEvent::Body(BodyEvent::Data { data, end_stream }) => {
                    if self.collected.len() + data.len() > self.limit {
                        return Poll::Ready(Err(Unanswered::TooLarge));
                    }
                    self.collected.extend_from_slice(&data);
                    (end_stream, None)
                }
                ResponseEvent::Body(BodyEvent::Trailers(trailers)) => (true, Some(trailers)),
            };
            if let (true, Some(head)) = (ended, &mut self.answer) {
                let metrics = &self.upstream.counts().metrics;
                metrics.increment(ClusterMetric::UpstreamRqCompleted);
                metrics.count_response(head.status);
                let head = ResponseHeaders { status: head.status, fields: std::mem::take(&mut head.fields) };
                let body = std::mem::take(&mut self.collected).into();
                return Poll::Ready(Ok(Answer { head, body, trailers }));
            }
        }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.collected.len() + self.body.as_ref().map_or(0, Bytes::len) + self.upstream.held()
    }
}
