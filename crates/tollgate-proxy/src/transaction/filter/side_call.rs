//! Requests that filters send to clusters by themselves, whose whole answer they want.

use std::{
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use extproc::{RequestHeaders, ResponseHeaders};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tollgate_model::filter::UnaryService;

use crate::{
    format::{FormatContext, evaluate_header},
    stats::ClusterMetric,
    stream::{BodyEvent, ResponseEvent},
    stream_info::Protocol,
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
    /// It is no message.
    #[error("the answer is an error, or no message")]
    NoMessage,
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
        let choice = Choice {
            protocol: Some(Protocol::Http11),
            session: None,
            named: None,
            picked: None,
            hashed: None,
            routed: None,
            ..core.choice()
        };
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

/// Head and body of a call with one message.
pub(super) fn grpc_request(
    core: &Core,
    service: &UnaryService,
    path: &'static str,
    message: &impl prost::Message,
) -> (RequestHeaders, Bytes) {
    let mut framed = BytesMut::with_capacity(5 + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    // A buffer that grows has room.
    let _ = message.encode(&mut framed);
    let context = FormatContext { info: &core.info, messages: &core.messages, logs: &[] };
    let mut fields = HeaderMap::new();
    for (name, format) in &service.initial_metadata {
        let value = HeaderValue::try_from(evaluate_header(format, &context));
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value)
            && !value.is_empty()
        {
            fields.append(name, value);
        }
    }
    fields.insert("te", HeaderValue::from_static("trailers"));
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    if !service.timeout.is_zero()
        && let Ok(timeout) = HeaderValue::try_from(format!("{}m", service.timeout.as_millis()))
    {
        fields.insert("grpc-timeout", timeout);
    }
    if !service.skip_envoy_headers {
        fields.insert("x-envoy-internal", HeaderValue::from_static("true"));
        fields.insert("x-forwarded-for", core.worker.own_address_value.clone());
    }
    let head = RequestHeaders {
        method: Method::POST,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_str(&service.authority)
            .unwrap_or_else(|_| HeaderValue::from_static("service")),
        path: HeaderValue::from_static(path),
        fields,
    };
    (head, framed.freeze())
}

/// The message of an answer; `None` if it is an error or no message.
pub(super) fn grpc_message<M: prost::Message + Default>(answer: &Answer) -> Option<M> {
    let status = answer.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    let status = status.or_else(|| answer.head.fields.get("grpc-status"));
    let is_ok = answer.head.status == StatusCode::OK && status.is_some_and(|status| status == "0");
    let message = answer.body.get(5..).filter(|_| answer.body.first() == Some(&0));
    M::decode(message.filter(|_| is_ok)?).ok()
}
