//! Redirects.

use extproc::RequestHeaders;
use http::HeaderValue;

use super::{
    PathMatch, PathRewrite, RedirectAction, RedirectPath, RedirectPort, host_without_port, split_path,
};

impl RedirectAction {
    /// The path that the request gets before the redirect is made of it, and that logs show. Only a prefix rewrite
    /// changes it.
    #[must_use]
    pub fn rewritten_path(&self, route_match: &PathMatch, request: &RequestHeaders) -> Option<HeaderValue> {
        match &self.path {
            Some(RedirectPath::Prefix(prefix)) => {
                PathRewrite::Prefix(prefix.clone()).rewrite(route_match, &request.path)
            }
            Some(RedirectPath::PathElements(prefix)) => {
                PathRewrite::PathElements(prefix.clone()).rewrite(route_match, &request.path)
            }
            Some(RedirectPath::Path(_) | RedirectPath::Regex(_) | RedirectPath::Format(_)) | None => None,
        }
    }

    /// The `location` of the response. The request has its [rewritten path](Self::rewritten_path);
    /// `forwarded_proto` is its `x-forwarded-proto`.
    #[must_use]
    pub fn location(&self, request: &RequestHeaders, forwarded_proto: &[u8]) -> Option<HeaderValue> {
        let scheme = self.scheme.as_ref().map_or(request.scheme.as_bytes(), |scheme| scheme.as_bytes());
        let mut location = Vec::with_capacity(64 + request.path.len());
        location.extend_from_slice(scheme);
        location.extend_from_slice(b"://");
        location.extend_from_slice(match &self.host {
            Some(host) => host.as_bytes(),
            None => self.host_of_request(request, scheme, forwarded_proto),
        });
        if let Some(port) = self.shown_port(scheme) {
            location.push(b':');
            location.extend_from_slice(port.to_string().as_bytes());
        }
        self.push_path(request.path.as_bytes(), &mut location);
        HeaderValue::from_bytes(&location).ok()
    }

    /// The request's authority, without a port that is replaced, or that is the default one of a scheme left behind.
    fn host_of_request<'a>(
        &self,
        request: &'a RequestHeaders,
        scheme: &[u8],
        forwarded_proto: &[u8],
    ) -> &'a [u8] {
        let authority = request.authority.as_bytes();
        let host = host_without_port(authority);
        let default_port: &[u8] = match forwarded_proto {
            b"http" => b":80",
            b"https" => b":443",
            _ => b"",
        };
        let port = &authority[host.len()..];
        if self.port == RedirectPort::Kept {
            return authority;
        }
        let left_behind = scheme != forwarded_proto && port == default_port;
        if self.port != RedirectPort::OfRequest || left_behind { host } else { authority }
    }

    fn shown_port(&self, scheme: &[u8]) -> Option<u16> {
        match self.port {
            RedirectPort::OfRequest | RedirectPort::Kept => None,
            RedirectPort::Always(port) => Some(port),
            RedirectPort::UnlessDefault(port) => {
                let is_default = matches!((scheme, port), (b"http", 80) | (b"https", 443));
                (!is_default).then_some(port)
            }
        }
    }

    fn push_path(&self, path: &[u8], location: &mut Vec<u8>) {
        let (before_query, query) = split_path(path);
        let mut keep_query = !self.strip_query && path.len() > before_query.len();
        let replaced;
        let path = match &self.path {
            Some(RedirectPath::Path(path)) => {
                keep_query &= !path.contains('?');
                path.as_bytes()
            }
            Some(RedirectPath::Regex(substitution)) => {
                replaced = substitution.replace_all(before_query);
                &*replaced
            }
            Some(RedirectPath::Prefix(_) | RedirectPath::PathElements(_) | RedirectPath::Format(_))
            | None => before_query,
        };
        if !path.starts_with(b"/") {
            location.push(b'/');
        }
        location.extend_from_slice(path);
        if keep_query {
            location.push(b'?');
            location.extend_from_slice(query);
        }
    }
}
