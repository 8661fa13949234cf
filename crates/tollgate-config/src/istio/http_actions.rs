//! What a route of a VirtualService does with requests and responses.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use tollgate_model::{
    cors::{AllowList, CorsPolicy, OriginMatcher},
    matching::StringMatcher,
    route::{Fraction, PathRewrite, RedirectPath, RetryBackOff, RetryOn, RetryPolicy},
};

use super::{controller::retries, http_match::read_string_match, http_route::read_destination};
use crate::{
    envoy::read_regex_rewrite,
    kubernetes::values::{kubernetes_duration, port_number},
    routing::{Filters, HeaderChanges, Mirror, PortOfRedirect, Redirect, Retry},
    schema::{Enumeration, Message, Schema, Value, harmless, read, refused},
    yaml::Content,
};

static HEADERS: Schema = Schema {
    name: "istio.Headers",
    title: "",
    fields: &[read("request", "{}", "Changes of requests."), read("response", "{}", "Changes of responses.")],
    unsupported: &[],
};

static HEADER_OPERATIONS: Schema = Schema {
    name: "istio.HeaderOperations",
    title: "",
    fields: &[
        read("set", "{}", "Replaced, or added."),
        read("add", "{}", "Added to what there is."),
        read("remove", "[]", "Removed."),
    ],
    unsupported: &[],
};

static REDIRECT: Schema = Schema {
    name: "istio.HTTPRedirect",
    title: "",
    fields: &[
        read("uri", "that of the request", "New path."),
        read("authority", "that of the request", "New host."),
        read("port", "", "Port."),
        read("derivePort", "FROM_PROTOCOL_DEFAULT", "FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT."),
        read("scheme", "that of the request", "`http` or `https`."),
        read("redirectCode", "301", "301, 302, 303, 307 or 308."),
    ],
    unsupported: &["prefixRewrite"],
};

static DIRECT_RESPONSE: Schema = Schema {
    name: "istio.HTTPDirectResponse",
    title: "",
    fields: &[read("status", "", "200 to 599. Required."), read("body", "", "Its body.")],
    unsupported: &[],
};

static BODY: Schema = Schema {
    name: "istio.HTTPBody",
    title: "",
    fields: &[read("string", "", "A text."), read("bytes", "", "Base64.")],
    unsupported: &[],
};

static REWRITE: Schema = Schema {
    name: "istio.HTTPRewrite",
    title: "",
    fields: &[
        read("uri", "", "Instead of the path that was matched, or its prefix."),
        read("authority", "", "New authority."),
        read("uriRegexRewrite", "", "Replaces what matches in the path."),
    ],
    unsupported: &[],
};

static REGEX_REWRITE: Schema = Schema {
    name: "istio.RegexRewrite",
    title: "",
    fields: &[
        read("match", "", "Expression (RE2). Required."),
        read("rewrite", "", "What is written instead; \\1 is the first group."),
    ],
    unsupported: &[],
};

static RETRIES: Schema = Schema {
    name: "istio.HTTPRetry",
    title: "",
    fields: &[
        read("attempts", "0", "Tries after the first."),
        read("perTryTimeout", "that of the route", "Time of one try."),
        read(
            "retryOn",
            "connect-failure, refused-stream, unavailable, cancelled, 503",
            "Conditions of Envoy and statuses, separated by commas.",
        ),
        read("backoff", "25ms", "Shortest time between tries."),
        harmless("retryRemoteLocalities", "endpoints have no localities here"),
        refused("retryIgnorePreviousHosts", "leave it out"),
    ],
    unsupported: &[],
};

static MIRROR: Schema = Schema {
    name: "istio.HTTPMirrorPolicy",
    title: "",
    fields: &[
        read("destination", "", "Where copies go. Required."),
        read("percentage", "100", "Percentage of requests that are copied."),
    ],
    unsupported: &[],
};

static PERCENT: Schema =
    Schema { name: "istio.Percent", title: "", fields: &[read("value", "0", "0 to 100.")], unsupported: &[] };

static CORS: Schema = Schema {
    name: "istio.CorsPolicy",
    title: "",
    fields: &[
        read("allowOrigins", "[]", "Origins that are allowed: any of these matches."),
        read("allowMethods", "[]", "Methods."),
        read("allowHeaders", "[]", "Headers of requests."),
        read("exposeHeaders", "[]", "Headers of responses that scripts may see."),
        read("maxAge", "", "How long answers to preflight requests may be kept."),
        read("allowCredentials", "false", "Allow credentials."),
        read(
            "unmatchedPreflights",
            "FORWARD",
            "FORWARD or IGNORE: what of preflight requests of other origins.",
        ),
        refused("allowOrigin", "use allowOrigins"),
    ],
    unsupported: &[],
};

static SCHEME: Enumeration<&'static str> =
    Enumeration { values: &[("http", 0, Some("http")), ("https", 1, Some("https"))] };

static DERIVE_PORT: Enumeration<PortOfRedirect> = Enumeration {
    values: &[
        ("FROM_PROTOCOL_DEFAULT", 0, Some(PortOfRedirect::OfRequest)),
        ("FROM_REQUEST_PORT", 1, Some(PortOfRedirect::OfListener)),
    ],
};

static UNMATCHED_PREFLIGHTS: Enumeration<bool> = Enumeration {
    values: &[("UNSPECIFIED", 0, Some(true)), ("FORWARD", 1, Some(true)), ("IGNORE", 2, Some(false))],
};

pub(super) fn read_headers(value: &Value<'_>, filters: &mut Filters) {
    let Some(message) = value.message(&HEADERS) else { return };
    let changes =
        |name| message.message(name, &HEADER_OPERATIONS).map(|it| read_changes(&it)).unwrap_or_default();
    filters.request_headers = changes("request");
    filters.response_headers = changes("response");
}

fn read_changes(message: &Message<'_>) -> HeaderChanges {
    let pairs = |name| {
        let entries = message.map(name).into_iter();
        let entries = entries.filter_map(|(name, value)| {
            let name = header_name(&value, name)?;
            Some((name, value.header_text()?))
        });
        entries.collect()
    };
    let removed = message.list("remove");
    let removed = removed.iter().filter_map(|value| header_name(value, &value.non_empty_string()?));
    HeaderChanges { set: pairs("set"), add: pairs("add"), remove: removed.collect() }
}

fn header_name(value: &Value<'_>, text: &str) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        value.error(format!("\"{text}\" is not a header name"));
    }
    name
}

pub(super) fn read_redirect(value: &Value<'_>) -> Option<Redirect> {
    let message = value.message(&REDIRECT)?;
    let text = |name| Some(message.header_text(name)).filter(|text| !text.is_empty());
    let derived = message.enumeration("derivePort", &DERIVE_PORT, PortOfRedirect::OfRequest);
    let port = message.get("port").and_then(|port| port_number(&port));
    let status = message.get("redirectCode").and_then(|code| {
        let number = u16::try_from(code.integer(0..=999)?).ok()?;
        if ![301, 302, 303, 307, 308].contains(&number) {
            code.error_with_help(format!("unknown value {number}"), "supported: 301, 302, 303, 307, 308");
        }
        StatusCode::from_u16(number).ok()
    });
    Some(Redirect {
        scheme: message.get("scheme").and_then(|scheme| scheme.enumeration(&SCHEME)),
        hostname: text("authority"),
        path: text("uri").map(RedirectPath::Path),
        port: port.map_or(derived, PortOfRedirect::Always),
        status: status.unwrap_or(StatusCode::MOVED_PERMANENTLY),
    })
}

pub(super) fn read_direct_response(value: &Value<'_>) -> Option<(StatusCode, Bytes)> {
    let message = value.message(&DIRECT_RESPONSE)?;
    let status = u16::try_from(message.required("status")?.integer(200..=599)?).ok()?;
    let body = message.message("body", &BODY).and_then(|body| {
        let (kind, value) = body.one_of(&["string", "bytes"])?;
        if kind == "string" { value.string().map(Bytes::from) } else { value.bytes().map(Bytes::from) }
    });
    Some((StatusCode::from_u16(status).ok()?, body.unwrap_or_default()))
}

pub(super) fn read_rewrite(value: &Value<'_>, filters: &mut Filters) {
    let Some(message) = value.message(&REWRITE) else { return };
    let text = |name| Some(message.header_text(name)).filter(|text| !text.is_empty());
    filters.rewrite_host = text("authority");
    filters.rewrite_path = match message.one_of(&["uri", "uriRegexRewrite"]) {
        Some(("uri", _)) => text("uri").map(PathRewrite::Prefix),
        Some((_, regex)) => regex
            .message(&REGEX_REWRITE)
            .and_then(|regex| read_regex_rewrite(&regex.required("match")?, regex.get("rewrite"))),
        None => None,
    };
}

pub(super) fn read_retries(value: &Value<'_>) -> Option<Retry> {
    let message = value.message(&RETRIES)?;
    let duration = |name| message.get(name).and_then(|value| kubernetes_duration(&value));
    let attempts = message.u32("attempts").unwrap_or(0);
    let defaults = retries();
    let (retry_on, retriable_status_codes) = match message.get("retryOn") {
        Some(conditions) => read_retry_on(&conditions),
        None => (defaults.retry_on, defaults.retriable_status_codes.clone()),
    };
    let back_off = duration("backoff").filter(|interval| !interval.is_zero());
    let policy = RetryPolicy {
        retry_on: if attempts == 0 { RetryOn::default() } else { retry_on },
        num_retries: attempts,
        per_try_timeout: duration("perTryTimeout").filter(|timeout| !timeout.is_zero()),
        retriable_status_codes,
        back_off: back_off.map_or_else(RetryBackOff::default, |interval| RetryBackOff {
            base_interval: interval,
            max_interval: interval.saturating_mul(10),
        }),
        ..defaults
    };
    Some(Retry::Policy(Arc::new(policy)))
}

fn read_retry_on(value: &Value<'_>) -> (RetryOn, Vec<StatusCode>) {
    let (mut retry_on, mut codes) = (RetryOn::default(), Vec::new());
    let text = value.string().unwrap_or_default();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if let Some(condition) = RetryOn::from_name(name) {
            retry_on = retry_on.or(condition);
        } else if let Some(code) = name.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()) {
            retry_on = retry_on.or(RetryOn::RETRIABLE_STATUS_CODES);
            codes.push(code);
        } else {
            let known: Vec<_> = RetryOn::ALL.names().collect();
            value.error_with_help(
                format!("the condition \"{name}\" is not known"),
                format!("known: statuses, {}", known.join(", ")),
            );
        }
    }
    (retry_on, codes)
}

pub(super) fn read_mirrors(route: &Message<'_>, namespace: &str) -> Vec<Mirror> {
    let of_one = route.get("mirrorPercentage").map_or(Some(Fraction::ALL), |value| read_percent(&value));
    let one = route.get("mirror").and_then(|value| {
        Some(Mirror { reference: read_destination(&value, namespace)?, fraction: of_one? })
    });
    let several = route.list("mirrors");
    let several = several.iter().filter_map(|value| {
        let message = value.message(&MIRROR)?;
        let percentage = message.get("percentage");
        let fraction = percentage.map_or(Some(Fraction::ALL), |percentage| read_percent(&percentage))?;
        Some(Mirror { reference: read_destination(&message.required("destination")?, namespace)?, fraction })
    });
    one.into_iter().chain(several).collect()
}

/// Reads a percentage, of which four places behind the point count.
fn read_percent(value: &Value<'_>) -> Option<Fraction> {
    let message = value.message(&PERCENT)?;
    let Some(number) = message.get("value") else { return Some(Fraction { numerator: 0, denominator: 100 }) };
    let percent = match &number.node.content {
        Content::Plain(text) | Content::Quoted(text) => text.parse::<f64>().ok(),
        _ => None,
    };
    let Some(percent) = percent.filter(|percent| (0.0..=100.0).contains(percent)) else {
        number.error("expected a number from 0 to 100");
        return None;
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1000000")]
    let numerator = (percent * 10_000.0).round() as u32;
    Some(Fraction { numerator, denominator: 1_000_000 })
}

pub(super) fn read_cors(value: &Value<'_>) -> Option<Arc<CorsPolicy>> {
    let message = value.message(&CORS)?;
    let origins = message.list("allowOrigins");
    let origins = origins.iter().filter_map(|origin| {
        let matcher = read_string_match(origin)?;
        Some(match matcher {
            None => OriginMatcher::Any,
            Some(StringMatcher::Exact(text)) if text == "*" => OriginMatcher::Any,
            Some(matcher) => OriginMatcher::String(matcher),
        })
    });
    let list = |name| match message.strings(name) {
        texts if texts.is_empty() => AllowList::Unsaid,
        texts => AllowList::Value(texts.join(",")),
    };
    let max_age = message.get("maxAge").and_then(|age| kubernetes_duration(&age));
    Some(Arc::new(CorsPolicy {
        allow_origins: origins.collect(),
        allow_methods: list("allowMethods"),
        allow_headers: list("allowHeaders"),
        expose_headers: message.strings("exposeHeaders").join(","),
        max_age: max_age.map(|age| age.as_secs().to_string()),
        allow_credentials: Some(message.boolean("allowCredentials", false)),
        forward_not_matching_preflights: Some(message.enumeration(
            "unmatchedPreflights",
            &UNMATCHED_PREFLIGHTS,
            true,
        )),
        ..CorsPolicy::default()
    }))
}
