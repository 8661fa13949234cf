//! Fields that concern one connection only (RFC 9110, 7.6.1).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, TE, TRANSFER_ENCODING, UPGRADE},
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The comma-separated tokens of all `connection` fields.
pub(super) fn connection_tokens(fields: &HeaderMap) -> impl Iterator<Item = &str> {
    fields
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// Removes what concerns the client's connection from a request, and what `connection` names. An upgrade that is
/// allowed keeps the two fields that ask for it.
pub(super) fn strip_request(fields: &mut HeaderMap, upgrade: bool) {
    if fields.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = connection_tokens(fields)
            .filter(|token| !is_structural(token))
            .filter_map(|token| HeaderName::try_from(token).ok())
            .collect();
        remove_all(fields, &named);
    }
    keep_te_trailers(fields);
    strip(fields, upgrade);
}

/// Removes what concerns the upstream's connection from a response. What `connection` names stays, as in Envoy.
pub(super) fn strip_response(fields: &mut HeaderMap, upgrade: bool) {
    strip(fields, upgrade);
}

fn strip(fields: &mut HeaderMap, upgrade: bool) {
    if !upgrade {
        remove_all(fields, &[CONNECTION, UPGRADE]);
    }
    remove_all(fields, &[KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING]);
}

/// Of `te` only `trailers` may pass a proxy.
fn keep_te_trailers(fields: &mut HeaderMap) {
    let Some(value) = fields.get(TE) else {
        return;
    };
    let trailers = value.to_str().is_ok_and(|text| {
        text.split(',').any(|part| {
            part.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("trailers"))
        })
    });
    if trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        fields.remove(TE);
    }
}

/// Tokens of `connection` that name no field to remove.
fn is_structural(token: &str) -> bool {
    ["close", "keep-alive", "upgrade", "te", "http2-settings"]
        .iter()
        .any(|known| token.eq_ignore_ascii_case(known))
}

/// Removes fields. `HeaderMap` fills a hole with its last entry, so the order of the others, which processors see
/// (E-2), is restored by building the map again if something was really removed.
pub(super) fn remove_all(fields: &mut HeaderMap, names: &[HeaderName]) {
    if !names.iter().any(|name| fields.contains_key(name)) {
        return;
    }
    let mut kept = HeaderMap::with_capacity(fields.keys_len());
    let mut last = None;
    for (name, value) in fields.drain() {
        // A repeated name comes without it.
        if name.is_some() {
            last = name;
        }
        if let Some(name) = &last
            && !names.contains(name)
        {
            kept.append(name.clone(), value);
        }
    }
    *fields = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in entries {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        map.keys().map(HeaderName::as_str).collect()
    }

    /// As Envoy 1.39.3 forwards it.
    #[test]
    fn request() {
        let mut fields = map(&[
            ("connection", "keep-alive, x-hop, TE"),
            ("a", "1"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("proxy-connection", "x"),
            ("te", "gzip, trailers"),
            ("upgrade", "foo"),
            ("b", "2"),
            ("a", "3"),
        ]);
        strip_request(&mut fields, false);
        assert_eq!(names(&fields), ["a", "te", "b"]);
        assert_eq!(fields.get_all("a").iter().count(), 2);
        assert_eq!(fields["te"], "trailers");
    }

    #[test]
    fn upgrades_keep_what_asks_for_them() {
        let mut fields = map(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        strip_request(&mut fields, true);
        assert_eq!(names(&fields), ["connection", "upgrade"]);
    }

    /// Envoy leaves what `connection` names in a response.
    #[test]
    fn response() {
        let mut fields = map(&[("connection", "x-hop"), ("x-hop", "1"), ("transfer-encoding", "chunked")]);
        strip_response(&mut fields, false);
        assert_eq!(names(&fields), ["x-hop"]);
    }
}
