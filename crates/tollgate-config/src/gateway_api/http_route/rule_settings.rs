//! Timeouts, retries and sessions of rules (9.6).

use std::time::Duration;

use http::StatusCode;
use tollgate_model::route::SessionPersistence;

use super::super::names::optional;
use crate::{
    kubernetes::values::gateway_duration,
    routing::{Retry, Timeouts},
    schema::{Enumeration, Message, Schema, Value, read, refused},
};

static TIMEOUTS: Schema = Schema {
    name: "HTTPRouteTimeouts",
    title: "",
    fields: &[
        read("request", "15s, none under Istio", "The whole transaction; 0s = no limit."),
        read("backendRequest", "", "One attempt; 0s = no limit."),
    ],
    unsupported: &[],
};

static RETRY: Schema = Schema {
    name: "HTTPRouteRetry",
    title: "",
    fields: &[
        read("codes", "[]; 503 under Envoy Gateway", "Statuses of responses, 400 to 599."),
        read("attempts", "1; 2 under Envoy Gateway", "Tries after the first."),
        read("backoff", "25ms", "Shortest time between tries."),
    ],
    unsupported: &[],
};

static SESSION_PERSISTENCE: Schema = Schema {
    name: "SessionPersistence",
    title: "",
    fields: &[
        read("sessionName", "tollgate-session", "Name of the cookie or header."),
        read("type", "Cookie", "Cookie or Header."),
        read("absoluteTimeout", "", "How long the client keeps a permanent cookie."),
        read("cookie", "{}", "How the cookie is made."),
        read("cookieConfig", "{}", "The same, as it was called up to Gateway API 1.5."),
        read("header", "{}", "The header."),
        refused("idleTimeout", "sessions have no memory here; use absoluteTimeout"),
    ],
    unsupported: &[],
};

static COOKIE: Schema = Schema {
    name: "CookieConfig",
    title: "",
    fields: &[
        read("name", "sessionName", "Name."),
        read("path", "/", "Path."),
        read("lifetimeType", "Session", "Session, or Permanent, which needs absoluteTimeout."),
    ],
    unsupported: &[],
};

static HEADER: Schema = Schema {
    name: "HeaderConfig",
    title: "",
    fields: &[read("name", "sessionName", "Name.")],
    unsupported: &[],
};

static PERSISTENCE_TYPE: Enumeration<bool> =
    Enumeration { values: &[("Cookie", 0, Some(true)), ("Header", 1, Some(false))] };

static LIFETIME: Enumeration<bool> =
    Enumeration { values: &[("Session", 0, Some(false)), ("Permanent", 1, Some(true))] };

pub(super) fn read_timeouts(rule: &Message<'_>) -> Timeouts {
    let Some(message) = rule.message("timeouts", &TIMEOUTS) else { return Timeouts::default() };
    let timeout = |name| {
        let duration = gateway_duration(&message.get(name)?)?;
        Some(Some(duration).filter(|duration| !duration.is_zero()))
    };
    let timeouts = Timeouts { request: timeout("request"), backend_request: timeout("backendRequest") };
    if let (Some(Some(request)), Some(Some(backend))) = (timeouts.request, timeouts.backend_request)
        && backend > request
    {
        message.value().error("backendRequest timeout cannot be longer than request timeout");
    }
    timeouts
}

pub(super) fn read_retry(value: &Value<'_>) -> Option<Retry> {
    let message = value.message(&RETRY)?;
    let codes = message.list("codes");
    let codes = codes.iter().filter_map(|code| {
        let code = u16::try_from(code.integer(400..=599)?).ok()?;
        StatusCode::from_u16(code).ok()
    });
    let attempts = message.get("attempts").and_then(|attempts| attempts.integer(0..=i64::from(i32::MAX)));
    Some(Retry::Statuses {
        codes: codes.collect(),
        attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
        backoff: message.get("backoff").and_then(|backoff| gateway_duration(&backoff)),
    })
}

pub(super) fn read_session_persistence(value: &Value<'_>) -> Option<SessionPersistence> {
    let message = value.message(&SESSION_PERSISTENCE)?;
    let absolute: Option<Duration> =
        message.get("absoluteTimeout").and_then(|timeout| gateway_duration(&timeout));
    let default_name = optional(&message, "sessionName").unwrap_or_else(|| "tollgate-session".to_owned());
    let name = |of: Option<&Message<'_>>| {
        of.and_then(|of| optional(of, "name")).unwrap_or_else(|| default_name.clone())
    };
    let cookie = message.one_of(&["cookie", "cookieConfig"]).and_then(|(_, cookie)| cookie.message(&COOKIE));
    let header = message.message("header", &HEADER);
    if message.enumeration("type", &PERSISTENCE_TYPE, true) {
        let lifetime = cookie.as_ref().and_then(|cookie| cookie.get("lifetimeType"));
        let permanent = lifetime.and_then(|lifetime| lifetime.enumeration(&LIFETIME)).unwrap_or(false);
        match (permanent, absolute) {
            (true, None) => {
                value.error("AbsoluteTimeout must be specified when cookie lifetimeType is Permanent");
            }
            (false, Some(_)) => value.warning(
                "\"absoluteTimeout\" has no effect on a cookie that ends with the client's session",
                "set cookie.lifetimeType to Permanent",
            ),
            _ => {}
        }
        let path = cookie.as_ref().and_then(|cookie| optional(cookie, "path"));
        return Some(SessionPersistence::Cookie {
            name: name(cookie.as_ref()),
            path: path.unwrap_or_else(|| "/".to_owned()),
            ttl: absolute.filter(|_| permanent),
        });
    }
    if absolute.is_some() {
        let help = "the client decides how long it sends a header; use a permanent cookie";
        value.warning("\"absoluteTimeout\" has no effect on a header", help);
    }
    let name = name(header.as_ref());
    let Ok(name) = http::HeaderName::from_bytes(name.as_bytes()) else {
        value.error(format!("\"{name}\" is not a header name"));
        return None;
    };
    Some(SessionPersistence::Header { name })
}
