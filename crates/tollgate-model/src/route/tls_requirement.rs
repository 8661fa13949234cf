//! Virtual hosts that serve requests over TLS alone.

use std::sync::{Arc, LazyLock};

use extproc::RequestHeaders;
use http::StatusCode;
use serde::Serialize;

use super::{Action, RedirectAction, RedirectPort, Route, RouteMatch};

/// Which requests are sent to https instead of being served, by `x-forwarded-proto`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum TlsRequirement {
    /// None.
    #[default]
    None,
    /// Those that are not internal.
    ExternalOnly,
    /// All that did not come by https.
    All,
}

/// What they get: every path of a host to the same place by https.
static REDIRECT: LazyLock<Arc<Route>> = LazyLock::new(|| {
    let redirect = RedirectAction {
        scheme: Some("https".to_owned()),
        host: None,
        port: RedirectPort::Kept,
        path: None,
        response_code: StatusCode::MOVED_PERMANENTLY,
        strip_query: false,
    };
    let route = Route::new(RouteMatch::any(), Action::Redirect(Box::new(redirect)));
    Arc::new(Route { own: true, ..route })
});

impl TlsRequirement {
    /// Whether every request is served.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// The redirect that a request gets instead of its route.
    pub(super) fn redirect(self, request: &RequestHeaders) -> Option<&'static Arc<Route>> {
        if self == Self::None {
            return None;
        }
        let value = |name: &str| request.fields.get(name).map(http::HeaderValue::as_bytes);
        let proto = value("x-forwarded-proto").filter(|proto| !proto.is_empty())?;
        let is_internal = || value("x-envoy-internal") == Some(b"true".as_slice());
        let is_served = proto == b"https" || self == Self::ExternalOnly && is_internal();
        (!is_served).then_some(&REDIRECT)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    fn request(fields: &[(&'static str, &'static str)]) -> RequestHeaders {
        let fields = fields
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        RequestHeaders {
            method: Method::GET,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("a.example.com:80"),
            path: HeaderValue::from_static("/b?c"),
            fields: fields.collect::<HeaderMap>(),
        }
    }

    #[test]
    fn whom_it_concerns() {
        use TlsRequirement::{All, ExternalOnly, None};
        let plain = request(&[("x-forwarded-proto", "http")]);
        let internal = request(&[("x-forwarded-proto", "http"), ("x-envoy-internal", "true")]);
        let secure = request(&[("x-forwarded-proto", "https")]);
        let unknown = request(&[]);
        for (requirement, expected) in [
            (None, [false, false, false, false]),
            (ExternalOnly, [true, false, false, false]),
            (All, [true, true, false, false]),
        ] {
            let found = [&plain, &internal, &secure, &unknown].map(|one| requirement.redirect(one).is_some());
            assert_eq!(found, expected, "{requirement:?}");
        }
    }

    #[test]
    fn the_location_is_the_request_by_https() {
        let request = request(&[("x-forwarded-proto", "http")]);
        let Action::Redirect(redirect) = &REDIRECT.action else { panic!("a redirect") };
        assert_eq!(redirect.location(&request, b"http").unwrap(), "https://a.example.com:80/b?c");
    }
}
