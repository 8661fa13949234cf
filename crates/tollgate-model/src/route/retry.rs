//! What is tried again when an upstream fails.

use std::time::Duration;

use extproc::messages::{Struct, Value, value::Kind};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Serialize, Serializer};

use crate::matching::HeaderMatcher;

/// What is tried again, how often, and how long one try may take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetryPolicy {
    /// What is tried again. Nothing by default, so that a policy may only limit the time of the one try.
    pub retry_on: RetryOn,
    /// Tries after the first. Default 1.
    pub num_retries: u32,
    /// Time for one try, from the end of the request to the head of the response. Default none: only the route's timeout.
    pub per_try_timeout: Option<Duration>,
    /// One try may not stand still for longer. Default none.
    pub per_try_idle_timeout: Option<Duration>,
    /// Statuses of responses that are tried again with [`RetryOn::RETRIABLE_STATUS_CODES`].
    #[serde(serialize_with = "statuses")]
    pub retriable_status_codes: Vec<StatusCode>,
    /// Responses that are tried again with [`RetryOn::RETRIABLE_HEADERS`]: any of these holds.
    pub retriable_headers: Vec<HeaderMatcher>,
    /// Requests that may be tried again: any of these holds. Empty = all.
    pub retriable_request_headers: Vec<HeaderMatcher>,
    /// How long it is waited before a retry.
    pub back_off: RetryBackOff,
    /// How often an endpoint that was tried before is passed over in favour of another one. Default 0: not at all.
    pub avoid_previous_hosts: u32,
    /// After every so many tries the priorities of the endpoints that were tried are left out. Default: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avoid_previous_priorities: Option<std::num::NonZeroU32>,
    /// Endpoints that retries pass over. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omitted_hosts: Option<OmittedHosts>,
    /// Responses that say how long to wait. Default none do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limited_back_off: Option<RateLimitedBackOff>,
}

/// Endpoints that retries pass over, as far as there are others.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OmittedHosts {
    /// How often another one is looked for.
    pub most: u32,
    /// Those that call themselves `canary` in the namespace `envoy.lb` of their metadata.
    pub canaries: bool,
    /// Those that have all values of one of these in that namespace, or among the elements of a list there.
    #[serde(serialize_with = "structs")]
    pub metadata: Vec<Struct>,
}

impl OmittedHosts {
    /// Whether an endpoint with these values in the namespace is one of them.
    #[must_use]
    pub fn contain(&self, labels: &Struct) -> bool {
        let is_canary =
            || labels.fields.get("canary").is_some_and(|canary| canary.kind == Some(Kind::BoolValue(true)));
        let has = |key: &String, value: &Value| {
            labels.fields.get(key).is_some_and(|own| match &own.kind {
                Some(Kind::ListValue(list)) => own == value || list.values.contains(value),
                _ => own == value,
            })
        };
        self.canaries && is_canary()
            || self.metadata.iter().any(|all| all.fields.iter().all(|(key, value)| has(key, value)))
    }
}

fn structs<S: Serializer>(structs: &[Struct], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(structs.iter().map(crate::metadata::Fields))
}

/// Responses that say how long to wait before the next try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateLimitedBackOff {
    /// The first of these headers that names a time counts.
    pub reset_headers: Vec<ResetHeader>,
    /// More than this does not count. Default 300 s.
    pub max_interval: Duration,
}

/// A header that says how long to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResetHeader {
    /// Its name.
    #[serde(serialize_with = "header_name")]
    pub name: HeaderName,
    /// What it holds.
    pub format: ResetFormat,
}

/// What a header says about the time to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResetFormat {
    /// So many seconds.
    Seconds,
    /// Until so many seconds after the beginning of 1970.
    UnixTimestamp,
}

impl RateLimitedBackOff {
    /// How long a response with these headers says to wait; `now` is the time since the beginning of 1970. `None`: it says
    /// nothing that counts.
    #[must_use]
    pub fn interval(&self, fields: &HeaderMap, now: Duration) -> Option<Duration> {
        self.reset_headers.iter().find_map(|header| {
            let seconds = fields.get(&header.name)?.to_str().ok()?.trim().parse().ok()?;
            let time = Duration::from_secs(seconds);
            let interval = match header.format {
                ResetFormat::Seconds => time,
                ResetFormat::UnixTimestamp => time.saturating_sub(now),
            };
            (!interval.is_zero() && interval <= self.max_interval).then_some(interval)
        })
    }
}

fn header_name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retry_on: RetryOn::default(),
            num_retries: 1,
            per_try_timeout: None,
            per_try_idle_timeout: None,
            retriable_status_codes: Vec::new(),
            retriable_headers: Vec::new(),
            retriable_request_headers: Vec::new(),
            back_off: RetryBackOff::default(),
            avoid_previous_hosts: 0,
            avoid_previous_priorities: None,
            omitted_hosts: None,
            rate_limited_back_off: None,
        }
    }
}

/// How long it is waited before a retry: a random time below `base_interval`, which doubles with each retry, but never
/// longer than `max_interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetryBackOff {
    /// Default 25 ms.
    pub base_interval: Duration,
    /// Default ten times the base interval.
    pub max_interval: Duration,
}

impl Default for RetryBackOff {
    fn default() -> Self {
        Self { base_interval: Duration::from_millis(25), max_interval: Duration::from_millis(250) }
    }
}

impl RetryBackOff {
    /// The time before the n-th retry (from 1); `random` is drawn evenly from all numbers.
    #[must_use]
    pub fn interval(&self, retry: u32, random: u64) -> Duration {
        let factor = 2_u32.saturating_pow(retry.saturating_sub(1));
        let below = self.base_interval.saturating_mul(factor).min(self.max_interval);
        let milliseconds = u64::try_from(below.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random.checked_rem(milliseconds).unwrap_or(0))
    }
}

/// A set of things that are tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryOn(u32);

/// The names of a set's members; the place in the list is the bit.
const NAMES: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

impl RetryOn {
    /// `5xx`: any 5xx response, or no response at all.
    pub const SERVER_ERROR: Self = Self(1);
    /// `gateway-error`: 502, 503 or 504, or no response at all.
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    /// `reset`: no response.
    pub const RESET: Self = Self(1 << 2);
    /// `reset-before-request`: no response, and the request head was not sent.
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 3);
    /// `connect-failure`: no connection.
    pub const CONNECT_FAILURE: Self = Self(1 << 4);
    /// `envoy-ratelimited`: responses with `x-envoy-ratelimited` too, which are never tried again otherwise.
    pub const ENVOY_RATE_LIMITED: Self = Self(1 << 5);
    /// `retriable-4xx`: 409.
    pub const RETRIABLE_4XX: Self = Self(1 << 6);
    /// `refused-stream`: the upstream refused the stream unseen.
    pub const REFUSED_STREAM: Self = Self(1 << 7);
    /// `retriable-status-codes`: the policy's statuses.
    pub const RETRIABLE_STATUS_CODES: Self = Self(1 << 8);
    /// `retriable-headers`: the policy's response headers.
    pub const RETRIABLE_HEADERS: Self = Self(1 << 9);
    /// `http3-post-connect-failure`: has no meaning here, where no HTTP/3 is spoken.
    pub const HTTP3_POST_CONNECT_FAILURE: Self = Self(1 << 10);
    /// `cancelled`: gRPC status 1 in the response head.
    pub const CANCELLED: Self = Self(1 << 11);
    /// `deadline-exceeded`: gRPC status 4 in the response head.
    pub const DEADLINE_EXCEEDED: Self = Self(1 << 12);
    /// `internal`: gRPC status 13 in the response head.
    pub const INTERNAL: Self = Self(1 << 13);
    /// `resource-exhausted`: gRPC status 8 in the response head.
    pub const RESOURCE_EXHAUSTED: Self = Self(1 << 14);
    /// `unavailable`: gRPC status 14 in the response head.
    pub const UNAVAILABLE: Self = Self(1 << 15);

    /// Everything there is.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);
    /// All conditions on gRPC statuses.
    pub const GRPC: Self = Self(0b11111 << 11);

    /// The members of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Reads one name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let place = NAMES.iter().position(|known| *known == name)?;
        Some(Self(1 << place))
    }

    /// The names of all members.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(place, _)| self.0 & (1 << place) != 0).map(|(_, name)| *name)
    }

    /// Whether it has any of the members.
    #[must_use]
    pub fn contains(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// Whether nothing is tried again.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Serialize for RetryOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

fn statuses<S: Serializer>(statuses: &[StatusCode], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(statuses.iter().map(StatusCode::as_u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in NAMES {
            let member = RetryOn::from_name(name).unwrap();
            assert_eq!(member.names().collect::<Vec<_>>(), [name]);
            let grpc = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];
            assert_eq!(RetryOn::GRPC.contains(member), grpc.contains(&name), "{name}");
        }
        assert_eq!(RetryOn::from_name("unavailable"), Some(RetryOn::UNAVAILABLE));
        assert_eq!(RetryOn::from_name("5XX"), None);
        let both = RetryOn::RESET.or(RetryOn::SERVER_ERROR);
        assert!(both.contains(RetryOn::RESET) && !both.contains(RetryOn::GATEWAY_ERROR));
        assert!(RetryOn::default().is_empty());
    }

    #[test]
    fn a_response_says_how_long_to_wait() {
        let header = |name, format| ResetHeader { name: HeaderName::from_static(name), format };
        let back_off = RateLimitedBackOff {
            reset_headers: vec![
                header("x-at", ResetFormat::UnixTimestamp),
                header("retry-after", ResetFormat::Seconds),
            ],
            max_interval: Duration::from_secs(300),
        };
        let after = |fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)));
            back_off.interval(&fields.collect(), Duration::from_secs(1000)).map(|interval| interval.as_secs())
        };
        assert_eq!(after(&[("retry-after", "7")]), Some(7));
        assert_eq!(after(&[("x-at", "1060"), ("retry-after", "7")]), Some(60));
        assert_eq!(after(&[("x-at", "1000"), ("retry-after", "7")]), Some(7));
        for nothing in ["0", "301", "-1", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(after(&[("retry-after", nothing)]), None, "{nothing}");
        }
    }

    #[test]
    fn omitted_hosts_have_all_of_the_metadata() {
        let value = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let list = |values: Vec<Value>| Value {
            kind: Some(Kind::ListValue(extproc::messages::ListValue { values })),
        };
        let of = |fields: Vec<(&str, Value)>| Struct {
            fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        };
        let wanted = of(vec![("stage", value("dev")), ("zone", value("a"))]);
        let omitted = OmittedHosts { most: 1, canaries: false, metadata: vec![wanted] };
        let both = list(vec![value("test"), value("dev")]);
        assert!(omitted.contain(&of(vec![("stage", both), ("zone", value("a"))])));
        assert!(!omitted.contain(&of(vec![("stage", value("dev"))])));
        let canary = of(vec![("canary", Value { kind: Some(Kind::BoolValue(true)) })]);
        assert!(!omitted.contain(&canary));
        assert!(OmittedHosts { canaries: true, ..omitted }.contain(&canary));
    }

    #[test]
    fn back_off_doubles_up_to_its_ceiling() {
        let longest = |retry| {
            let back_off = RetryBackOff::default();
            (0..1000).map(|random| back_off.interval(retry, random).as_millis()).max()
        };
        let ceilings: Vec<_> = (1..7).filter_map(longest).collect();
        assert_eq!(ceilings, [24, 49, 99, 199, 249, 249]);
        let none = RetryBackOff { base_interval: Duration::ZERO, max_interval: Duration::ZERO };
        assert_eq!(none.interval(u32::MAX, 7), Duration::ZERO);
    }
}
