//! Copies of requests for other clusters. A copy is sent when the request is complete, by a task of its own, and whatever
//! becomes of it: the request itself neither waits nor fails for it.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use extproc::RequestHeaders;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;
use tollgate_model::route::{RequestMirrorPolicy, host_without_port};

use super::{host::Core, router::Waiting};
use crate::{
    connection_manager::tell_internal,
    stream::{BodyEvent, ResponseEvent},
    upstream::{UpstreamFailure, UpstreamRequest, WorkerCluster},
};

/// How long a copy may take where its route has no timeout.
const LONGEST: Duration = Duration::from_secs(15);

/// Copies of a request that is still arriving.
#[derive(Debug)]
pub(super) struct Mirrors {
    targets: SmallVec<[Target; 1]>,
    head: RequestHeaders,
    parts: Vec<Waiting>,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Target {
    cluster: Rc<WorkerCluster>,
    /// Leave the authority as it is.
    same_host: bool,
}

impl Mirrors {
    /// Draws which copies are made of a request whose head is ready for its upstream.
    pub(super) fn draw(core: &Core, policies: &[RequestMirrorPolicy]) -> Option<Box<Self>> {
        let drawn = policies.iter().filter(|policy| policy.fraction.includes(fastrand::u64(..)));
        let targets: SmallVec<[Target; 1]> = drawn
            .filter_map(|policy| {
                let cluster = core.configuration.clusters.get(&policy.cluster)?;
                Some(Target { cluster, same_host: policy.disable_shadow_host_suffix_append })
            })
            .collect();
        if targets.is_empty() || core.upgrade {
            return None;
        }
        let limit = core.body_buffer_limit();
        Some(Box::new(Self {
            targets,
            head: core.messages.request.clone(),
            parts: Vec::new(),
            bytes: 0,
            limit,
        }))
    }

    /// Keeps a part of the request. `false` when it is more than may be kept: then there are no copies.
    pub(super) fn keep(&mut self, part: &Waiting) -> bool {
        if let Waiting::Data { data, .. } = part {
            self.bytes += data.len();
        }
        self.parts.push(part.clone());
        self.bytes <= self.limit
    }

    /// The request is complete: its copies are sent.
    pub(super) fn send(self, core: &Core, now: Instant) {
        let Self { targets, head, parts, .. } = self;
        let timeout = core.route_timeout().unwrap_or(LONGEST);
        let own_address = core.worker.own_address;
        let trailers = core.messages.request_trailers.clone();
        for Target { cluster, same_host } in targets {
            let Ok(upstream) = UpstreamRequest::start(&cluster, None, now) else { continue };
            let mut head = head.clone();
            if !same_host {
                head.authority = shadow_host(&head.authority);
            }
            tell_internal(&mut head.fields, core.http(), own_address);
            let shadow = Shadow { upstream, head, parts: parts.clone(), trailers: trailers.clone() };
            tokio::task::spawn_local(async move {
                // Its outcome is nobody's business.
                let _ = tokio::time::timeout(timeout, shadow.send()).await;
            });
        }
    }
}

/// A copy on its way.
struct Shadow {
    upstream: UpstreamRequest,
    head: RequestHeaders,
    parts: Vec<Waiting>,
    trailers: Option<HeaderMap>,
}

impl Shadow {
    async fn send(mut self) -> Result<(), UpstreamFailure> {
        let end_stream = self.parts.is_empty();
        poll_fn(|cx| self.upstream.poll_connect(cx, &self.head, end_stream)).await?;
        for part in self.parts {
            match part {
                Waiting::Data { data, end_stream } => self.upstream.send_data(data, end_stream),
                Waiting::Trailers => {
                    if let Some(trailers) = &self.trailers {
                        self.upstream.send_trailers(trailers);
                    }
                }
            }
        }
        poll_fn(|cx| {
            // Writing goes on as long as there is something to write.
            let _ = self.upstream.poll_writable(cx)?;
            loop {
                match ready!(self.upstream.poll_response(cx))? {
                    ResponseEvent::Informational(_) => {}
                    ResponseEvent::Headers { end_stream, .. }
                    | ResponseEvent::Body(BodyEvent::Data { end_stream, .. })
                        if !end_stream => {}
                    ResponseEvent::Headers { .. } | ResponseEvent::Body(_) => return Poll::Ready(Ok(())),
                }
            }
        })
        .await
    }
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
