//! A limit of requests in a time, for this gateway alone.

use std::{sync::Arc, time::Duration};

use extproc::{Direction, Messages, mutation::Side};
use http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};
use tollgate_model::filter::{LocalRateLimit as Settings, TokenBucket};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    format::{FormatContext, evaluate_header},
    local_reply::LocalReply,
    route_headers::change_field,
    stats::LocalRateLimitMetric as Metric,
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
};

/// What the filter does for one request.
#[derive(Debug)]
pub(in crate::transaction) struct LocalRateLimit {
    settings: Arc<Settings>,
    /// A token was asked for.
    asked: bool,
    /// The request is refused.
    refused: bool,
}

impl LocalRateLimit {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings), asked: false, refused: false }
    }

    fn tally(&self, metric: Metric, core: &Core) {
        core.configuration.stats.count_filter(&self.settings.stat_prefix, metric, 1);
    }

    /// Takes a token; gives the answer to a request for which there is none.
    fn request(&mut self, cx: &mut Context<'_>) -> Option<LocalReply> {
        let settings = Arc::clone(&self.settings);
        if !settings.filter_enabled.includes(fastrand::u64(..)) {
            return None;
        }
        self.tally(Metric::Enabled, cx.core);
        self.asked = true;
        if settings.token_bucket.as_ref().is_none_or(|bucket| bucket.take(cx.now)) {
            self.tally(Metric::Ok, cx.core);
            return None;
        }
        self.tally(Metric::RateLimited, cx.core);
        if !settings.filter_enforced.includes(fastrand::u64(..)) {
            let Core { configuration, messages, info, .. } = &mut *cx.core;
            for addition in &settings.request_headers_to_add_when_not_enforced {
                let text = evaluate_header(&addition.value, &FormatContext { info, messages, logs: &[] });
                let prefix = &configuration.http().header_prefix;
                change_field(&mut messages.request.fields, addition, text, Side::Request, prefix);
            }
            return None;
        }
        self.tally(Metric::Enforced, cx.core);
        self.refused = true;
        Some(LocalReply {
            status: settings.status,
            fields: HeaderMap::new(),
            body: bytes::Bytes::from_static(b"local_rate_limited"),
            grpc_status: settings.rate_limited_as_resource_exhausted.then_some(8),
            details: "local_rate_limited".into(),
            flags: ResponseFlags::RATE_LIMITED,
        })
    }

    fn response(&self, cx: &mut Context<'_>) {
        let Core { configuration, messages, info, .. } = &mut *cx.core;
        let Messages { response: Some(response), .. } = &*messages else { return };
        let mut fields = response.fields.clone();
        if self.refused {
            for addition in &self.settings.response_headers_to_add {
                let text = evaluate_header(&addition.value, &FormatContext { info, messages, logs: &[] });
                let prefix = &configuration.http().header_prefix;
                change_field(&mut fields, addition, text, Side::Response, prefix);
            }
        }
        if let (true, Some(bucket)) = (self.asked, &self.settings.token_bucket) {
            self.limits(bucket, &mut fields, cx.now);
        }
        if let Some(response) = &mut messages.response {
            response.fields = fields;
        }
    }

    fn limits(&self, bucket: &TokenBucket, fields: &mut HeaderMap, now: std::time::Instant) {
        let left = bucket.left(now);
        let next = HeaderValue::from(whole_seconds(left.next));
        if self.settings.x_ratelimit_headers {
            fields.insert(LIMIT, HeaderValue::from(bucket.max_tokens));
            fields.insert(REMAINING, HeaderValue::from(left.tokens));
            fields.insert(RESET, next.clone());
        }
        if self.settings.retry_after_header && self.refused {
            fields.insert(RETRY_AFTER, next);
        }
    }
}

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Seconds, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl Filter for LocalRateLimit {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request => {
                if let Some(reply) = self.request(cx) {
                    return Some(Action::Reply(Box::new(reply)));
                }
            }
            Direction::Response if self.asked => self.response(cx),
            Direction::Response => {}
        }
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }
}
