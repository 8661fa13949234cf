//! The CORS filter: it answers preflight requests and marks responses to other ones.

use std::sync::Arc;

use extproc::{Direction, RequestHeaders};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};
use tollgate_model::cors::{AllowList, CorsPolicy};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    local_reply::LocalReply,
    stats::CorsMetric as Metric,
    transaction::{chain::Part, core::Core},
};

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// What the filter does for one request.
#[derive(Debug)]
pub(in crate::transaction) struct Cors {
    policy: Arc<CorsPolicy>,
    /// Where the request comes from, if that is allowed.
    origin: Option<HeaderValue>,
}

impl Cors {
    pub(super) fn begin(policy: &Arc<CorsPolicy>, _place: FilterPlace, _core: &Core) -> Self {
        Self::new(policy.clone())
    }

    fn new(policy: Arc<CorsPolicy>) -> Self {
        Self { policy, origin: None }
    }

    /// Looks at the head of the request; gives the answer to a preflight request.
    fn request(&mut self, request: &RequestHeaders, count: impl Fn(Metric)) -> Option<LocalReply> {
        let counts = self.policy.enabled.includes(fastrand::u64(..));
        if !counts && !self.policy.shadow.includes(fastrand::u64(..)) {
            return None;
        }
        let origin = request.fields.get(ORIGIN).filter(|origin| !origin.is_empty())?;
        let preflight =
            request.method == Method::OPTIONS && request.fields.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !self.policy.allows(origin.as_bytes()) {
            count(Metric::OriginInvalid);
            let forwards = self.policy.forward_not_matching_preflights.unwrap_or(true);
            let answered = counts && preflight && !forwards;
            return answered.then(|| LocalReply::preflight(HeaderMap::new()));
        }
        count(Metric::OriginValid);
        if !counts {
            return None;
        }
        self.origin = Some(origin.clone());
        preflight.then(|| LocalReply::preflight(self.permissions(&request.fields)))
    }

    /// Marks the response to a request from an allowed origin.
    fn response(&self, fields: &mut HeaderMap) {
        let Some(origin) = &self.origin else { return };
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.policy.allow_credentials == Some(true) {
            fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        insert_text(fields, ACCESS_CONTROL_EXPOSE_HEADERS, &self.policy.expose_headers);
    }

    /// What a preflight request is told; the origin itself is added to every response.
    fn permissions(&self, request: &HeaderMap) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let lists = [
            (ACCESS_CONTROL_ALLOW_METHODS, &self.policy.allow_methods, ACCESS_CONTROL_REQUEST_METHOD),
            (ACCESS_CONTROL_ALLOW_HEADERS, &self.policy.allow_headers, ACCESS_CONTROL_REQUEST_HEADERS),
        ];
        for (name, list, asked) in lists {
            match list {
                AllowList::Unsaid => {}
                AllowList::Value(value) => insert_text(&mut fields, name, value),
                AllowList::AsRequested => {
                    fields.extend(request.get(asked).map(|asked| (name, asked.clone())));
                }
            }
        }
        if let Some(max_age) = &self.policy.max_age {
            insert_text(&mut fields, ACCESS_CONTROL_MAX_AGE, max_age);
        }
        let asks = request.get(REQUEST_PRIVATE_NETWORK).is_some_and(|asked| asked == "true");
        if asks && self.policy.allow_private_network == Some(true) {
            fields.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        fields
    }
}

impl Filter for Cors {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request => {
                let stats = &cx.core.configuration.stats;
                let count = |metric| stats.count_filter("", metric, 1);
                if let Some(reply) = self.request(&cx.core.messages.request, count) {
                    return Some(Action::Reply(Box::new(reply)));
                }
            }
            Direction::Response => {
                if let Some(response) = &mut cx.core.messages.response {
                    self.response(&mut response.fields);
                }
            }
        }
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }
}

/// Sets a field, unless its value is empty.
fn insert_text(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        fields.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tollgate_model::cors::OriginMatcher;

    use super::*;

    fn request(method: Method, fields: &[(HeaderName, &'static str)]) -> RequestHeaders {
        RequestHeaders {
            method,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("a.test"),
            path: HeaderValue::from_static("/"),
            fields: fields
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
                .collect(),
        }
    }

    fn preflight(origin: &'static str) -> RequestHeaders {
        let asks = [
            (ORIGIN, origin),
            (ACCESS_CONTROL_REQUEST_METHOD, "PUT"),
            (ACCESS_CONTROL_REQUEST_HEADERS, "x-a"),
        ];
        request(Method::OPTIONS, &asks)
    }

    fn cors(policy: CorsPolicy) -> Cors {
        let wildcard = OriginMatcher::Wildcard { start: "https://".into(), end: ".a.test".into() };
        Cors::new(Arc::new(CorsPolicy { allow_origins: vec![wildcard], ..policy }))
    }

    fn text(fields: &HeaderMap, name: HeaderName) -> Option<&str> {
        fields.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_preflight_request_is_told_what_is_allowed() {
        let mut cors = cors(CorsPolicy {
            allow_methods: AllowList::Value("GET, PUT".into()),
            allow_headers: AllowList::AsRequested,
            expose_headers: "x-b".into(),
            max_age: Some("5".into()),
            allow_credentials: Some(true),
            ..CorsPolicy::default()
        });
        let reply = cors.request(&preflight("https://b.a.test"), |_| {}).unwrap();
        assert_eq!((reply.status, &*reply.details), (StatusCode::OK, "cors_response"));
        let mut fields = reply.fields;
        cors.response(&mut fields);
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_METHODS), Some("GET, PUT"));
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_HEADERS), Some("x-a"));
        assert_eq!(text(&fields, ACCESS_CONTROL_MAX_AGE), Some("5"));
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_ORIGIN), Some("https://b.a.test"));
        assert_eq!(text(&fields, ACCESS_CONTROL_ALLOW_CREDENTIALS), Some("true"));
        assert_eq!(text(&fields, ACCESS_CONTROL_EXPOSE_HEADERS), Some("x-b"));
    }

    #[test]
    fn other_origins_are_told_nothing() {
        // The request goes on in Envoy's way, or is answered in that of the Gateway API.
        let mut forwarding = cors(CorsPolicy::default());
        assert_eq!(forwarding.request(&preflight("https://b.test"), |_| {}), None);
        let mut answering =
            cors(CorsPolicy { forward_not_matching_preflights: Some(false), ..CorsPolicy::default() });
        assert!(answering.request(&preflight("https://b.test"), |_| {}).unwrap().fields.is_empty());
        let mut fields = HeaderMap::new();
        answering.response(&mut fields);
        forwarding.response(&mut fields);
        assert!(fields.is_empty());
    }

    #[test]
    fn what_is_no_preflight_request_goes_on() {
        for request in [
            request(Method::GET, &[(ORIGIN, "https://b.a.test")]),
            request(Method::OPTIONS, &[(ORIGIN, "https://b.a.test")]),
            request(Method::GET, &[]),
        ] {
            let mut cors = cors(CorsPolicy::default());
            assert_eq!(cors.request(&request, |_| {}), None);
            let mut fields = HeaderMap::new();
            cors.response(&mut fields);
            assert_eq!(fields.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), request.fields.contains_key(ORIGIN));
        }
    }
}
