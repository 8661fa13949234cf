//! Health checks of the gateway: answered here, or passed on to the upstream whose last answer may stand for a while.

use std::{sync::Arc, time::Instant};

use extproc::{Direction, ResponseHeaders};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tollgate_model::filter::{HealthCheck as Settings, HealthCheckAnswer};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    local_reply::LocalReply,
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
};

/// What the filter does for one request.
#[derive(Debug)]
pub(in crate::transaction) struct HealthCheck {
    settings: Arc<Settings>,
    /// What becomes of the request; no health check at first.
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is no health check.
    Ordinary,
    /// It is one, and the upstream answers it.
    PassedOn,
    /// It is one, and is answered here when it is complete.
    Answered,
}

impl HealthCheck {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings), verdict: Verdict::Ordinary }
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        if !self.settings.headers.iter().all(|matcher| matcher.matches(&cx.core.messages.request)) {
            return Verdict::Ordinary;
        }
        match &self.settings.answer {
            _ if cx.core.worker.fails_health_checks() => Verdict::Answered,
            HealthCheckAnswer::Gateway(_) => Verdict::Answered,
            HealthCheckAnswer::Upstream(cache) => {
                let has_answer = cache.as_ref().is_some_and(|cache| cache.get(cx.now).is_some());
                if has_answer { Verdict::Answered } else { Verdict::PassedOn }
            }
        }
    }

    /// A part of the request goes on, or the answer follows the last one.
    fn request(&self, part: Part, cx: &Context<'_>) -> Option<Action> {
        if self.verdict != Verdict::Answered {
            return Some(Action::Forward(Direction::Request, part));
        }
        part.ends_stream().then(|| Action::Reply(Box::new(self.answer(cx))))
    }

    fn answer(&self, cx: &Context<'_>) -> LocalReply {
        match &self.settings.answer {
            _ if cx.core.worker.fails_health_checks() => {
                LocalReply::health_check(StatusCode::SERVICE_UNAVAILABLE, false, "health_check_failed")
            }
            HealthCheckAnswer::Gateway(clusters) if clusters.is_empty() => {
                LocalReply::health_check(StatusCode::OK, false, "health_check_ok")
            }
            HealthCheckAnswer::Gateway(clusters) => {
                let unhealthy =
                    clusters.iter().find_map(|(cluster, least)| unhealthy(cluster, *least, cx.core));
                match unhealthy {
                    Some(details) => {
                        LocalReply::health_check(StatusCode::SERVICE_UNAVAILABLE, false, details)
                    }
                    None => {
                        LocalReply::health_check(StatusCode::OK, false, "health_check_ok_cluster_healthy")
                    }
                }
            }
            HealthCheckAnswer::Upstream(cache) => {
                // A period that has ended since the head came leaves no answer; then the last one was good enough.
                let kept = cache.as_ref().and_then(|cache| cache.get(cx.now));
                let (status, degraded) = kept.unwrap_or((StatusCode::OK, false));
                LocalReply::health_check(status, degraded, "health_check_cached")
            }
        }
    }

    /// Marks the response to a health check, and keeps it.
    fn response(&self, response: &mut ResponseHeaders, local_cluster: &str, now: Instant) {
        if let HealthCheckAnswer::Upstream(Some(cache)) = &self.settings.answer {
            cache.set(response.status, response.fields.contains_key(DEGRADED), now);
        }
        if let Ok(cluster) = HeaderValue::from_str(local_cluster) {
            response.fields.insert(HEALTH_CHECKED_CLUSTER, cluster);
        }
    }
}

/// An upstream that answers but would rather have less to do.
const DEGRADED: HeaderName = HeaderName::from_static("x-envoy-degraded");
/// The cluster of the gateway that a health check went to.
const HEALTH_CHECKED_CLUSTER: HeaderName = HeaderName::from_static("x-envoy-upstream-healthchecked-cluster");

/// The gateway is to be left without waiting for the next health check.
const IMMEDIATE_FAIL: HeaderName = HeaderName::from_static("x-envoy-immediate-health-check-fail");

/// Why a cluster is unhealthy of which so many percent have to be healthy.
fn unhealthy(cluster: &str, least: f64, core: &Core) -> Option<&'static str> {
    let Some(cluster) = core.configuration.clusters.get(cluster) else {
        return Some("health_check_failed_no_cluster_found");
    };
    let membership = cluster.membership();
    if membership.total == 0 {
        return (least > 0.0).then_some("health_check_failed_cluster_empty");
    }
    #[expect(clippy::cast_precision_loss, reason = "no cluster has so many hosts")]
    let enough = membership.healthy as f64 * 100.0 >= membership.total as f64 * least;
    (!enough).then_some("health_check_failed_cluster_unhealthy")
}

impl Filter for HealthCheck {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let head = Part::Headers { end_stream };
        if direction == Direction::Request {
            self.verdict = self.judge(cx);
            cx.core.info.is_health_check |= self.verdict != Verdict::Ordinary;
            return self.request(head, cx);
        }
        let Core { configuration, messages, worker, .. } = &mut *cx.core;
        // Whoever checks health by the way notices, too.
        if let (true, Some(response)) = (worker.fails_health_checks(), &mut messages.response) {
            response.fields.insert(IMMEDIATE_FAIL, HeaderValue::from_static("true"));
        }
        if let (true, Some(response)) = (self.verdict != Verdict::Ordinary, &mut messages.response) {
            self.response(response, &configuration.snapshot.node.cluster, cx.now);
        }
        Some(Action::Forward(direction, head))
    }

    fn behind_request_headers(&mut self, part: Part, cx: &mut Context<'_>) -> Option<Action> {
        self.request(part, cx)
    }
}

impl LocalReply {
    /// The answer to a health check.
    fn health_check(status: StatusCode, degraded: bool, details: &'static str) -> Self {
        let mut fields = HeaderMap::new();
        if degraded {
            fields.insert(DEGRADED, HeaderValue::from_static(""));
        }
        let flags = match status.is_success() {
            true => ResponseFlags::default(),
            false => ResponseFlags::FAILED_LOCAL_HEALTH_CHECK,
        };
        Self { status, fields, body: bytes::Bytes::new(), grpc_status: None, details: details.into(), flags }
    }
}
