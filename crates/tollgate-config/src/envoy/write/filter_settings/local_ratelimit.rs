//! The filter `local_ratelimit`.

use http::StatusCode;
use serde_json::Value;
use tollgate_model::{filter::LocalRateLimit, route::Fraction};

use crate::envoy::{
    http_filters::local_ratelimit::{LOCAL_RATE_LIMIT, TOKEN_BUCKET, X_RATELIMIT_HEADERS},
    route::RUNTIME_FRACTIONAL_PERCENT,
    status::{HTTP_STATUS, STATUS_CODE},
    write::{
        access_log::fractional_percent,
        matchers::header_addition,
        out::{Out, duration},
    },
};

pub(super) fn written(settings: &LocalRateLimit) -> Value {
    let mut out = Out::new(&LOCAL_RATE_LIMIT);
    out.set("stat_prefix", &*settings.stat_prefix);
    if settings.status != StatusCode::TOO_MANY_REQUESTS {
        let mut status = Out::new(&HTTP_STATUS);
        status.some("code", STATUS_CODE.name_of(&settings.status.as_u16()));
        out.set("status", status.done());
    }
    if let Some(bucket) = &settings.token_bucket {
        let mut written = Out::new(&TOKEN_BUCKET);
        written.set("max_tokens", bucket.max_tokens);
        written.set("tokens_per_fill", bucket.tokens_per_fill);
        written.set("fill_interval", duration(bucket.fill_interval));
        out.set("token_bucket", written.done());
    }
    for (name, share) in
        [("filter_enabled", settings.filter_enabled), ("filter_enforced", settings.filter_enforced)]
    {
        if share != (Fraction { numerator: 0, denominator: 100 }) {
            let mut percent = Out::new(&RUNTIME_FRACTIONAL_PERCENT);
            percent.set("default_value", fractional_percent(share));
            out.set(name, percent.done());
        }
    }
    let unenforced = settings.request_headers_to_add_when_not_enforced.iter();
    out.list("request_headers_to_add_when_not_enforced", unenforced.map(header_addition).collect());
    let response = settings.response_headers_to_add.iter();
    out.list("response_headers_to_add", response.map(header_addition).collect());
    out.name("enable_x_ratelimit_headers", &X_RATELIMIT_HEADERS, &settings.x_ratelimit_headers, &false);
    out.unless("rate_limited_as_resource_exhausted", settings.rate_limited_as_resource_exhausted, false);
    out.unless("enable_retry_after_header", settings.retry_after_header, false);
    out.any()
}
