//! Fields that concern one connection only (RFC 9110, 7.6.1).

use extproc::remove_fields;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};

use crate::header_names::{KEEP_ALIVE, PROXY_CONNECTION};
use crate::http1::tokens;

/// A request whose `connection` has this many tokens is refused.
const TOO_MANY_TOKENS: usize = 10;
/// A request with a `te` of this many bytes, named by `connection`, is refused.
const TOO_LONG_TE: usize = 256;

/// Why `connection` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionProblem {
    /// It names a field whose loss would hide where the request comes from, or too many fields.
    Rejected,
    /// It names `host`.
    NamesHost,
}

/// The comma-separated tokens of all `connection` fields; one that is no text names nothing.
fn connection_tokens(fields: &HeaderMap) -> impl Iterator<Item = &str> {
    fields
        .get_all(CONNECTION)
        .into_iter()
        .flat_map(|value| tokens(value.as_bytes()))
        .filter_map(|token| std::str::from_utf8(token).ok())
}

/// Removes what the client's `connection` names.
pub(super) fn remove_nominated(fields: &mut HeaderMap) -> Result<(), ConnectionProblem> {
    if !fields.contains_key(CONNECTION) {
        return Ok(());
    }
    if connection_tokens(fields).count() >= TOO_MANY_TOKENS {
        return Err(ConnectionProblem::Rejected);
    }
    let mut named = Vec::new();
    for token in connection_tokens(fields).filter(|token| !is_option(token)) {
        if is_protected(token) {
            return Err(ConnectionProblem::Rejected);
        }
        // A token that cannot be a name names nothing.
        let Ok(name) = HeaderName::try_from(token) else { continue };
        if name == HOST {
            return Err(ConnectionProblem::NamesHost);
        }
        if name == TE {
            // What remains of `te` may pass whether it is named or not.
            if fields.get(TE).is_some_and(|value| value.len() >= TOO_LONG_TE) {
                return Err(ConnectionProblem::Rejected);
            }
            continue;
        }
        named.push(name);
    }
    remove_fields(fields, &named);
    Ok(())
}

/// Tokens that are options of the connection and name no field.
fn is_option(token: &str) -> bool {
    ["close", "keep-alive", "upgrade"].iter().any(|option| token.eq_ignore_ascii_case(option))
}

/// Fields that `connection` must not name: removing them would hide the origin of a request.
fn is_protected(token: &str) -> bool {
    let names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    token.starts_with(':') || names.iter().any(|name| token.eq_ignore_ascii_case(name))
}

/// Removes what concerns the client's connection from a request. An upgrade keeps the fields that ask for it.
pub(super) fn strip_request(fields: &mut HeaderMap, upgrade: bool) {
    keep_te_trailers(fields);
    strip(fields, upgrade);
    if upgrade {
        only_upgrade(fields);
    }
    remove_fields(fields, &[KEEP_ALIVE]);
}

/// Of what `connection` says only the upgrade goes on: the next proxy would remove every other field that it names, one
/// that a processor has set, too.
fn only_upgrade(fields: &mut HeaderMap) {
    let is_alone = fields.get_all(CONNECTION).iter().count() == 1
        && fields.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"upgrade"));
    if !is_alone {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Removes what concerns the upstream's connection from a response. What `connection` names stays, as in Envoy, and so does
/// `keep-alive`: that of an upstream is removed by the router, so this one is a processor's.
pub(super) fn strip_response(fields: &mut HeaderMap, upgrade: bool) {
    strip(fields, upgrade);
}

fn strip(fields: &mut HeaderMap, upgrade: bool) {
    let first = if upgrade { 2 } else { 0 };
    remove_fields(fields, &[CONNECTION, UPGRADE, PROXY_CONNECTION, TRANSFER_ENCODING][first..]);
}

/// Of `te` only `trailers` may pass a proxy.
fn keep_te_trailers(fields: &mut HeaderMap) {
    let Some(value) = fields.get(TE) else {
        return;
    };
    let trailers = value
        .to_str()
        .is_ok_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case("trailers")));
    if trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        remove_fields(fields, &[TE]);
    }
}
