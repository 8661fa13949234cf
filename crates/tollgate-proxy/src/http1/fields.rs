//! Field lines: from parsed slices to a `HeaderMap`, and what framing needs to know of them.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE},
};

use super::CodecError;

/// What the fields of a head say about framing and the connection.
#[derive(Debug, Default)]
pub(super) struct FieldFacts {
    pub(super) host: Option<HeaderValue>,
    pub(super) content_length: Option<u64>,
    pub(super) transfer_encoding: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    pub(super) expect_continue: bool,
}

/// Copies parsed fields into a map; of a request without `host`, which becomes the authority.
///
/// Values are slices of `head`, so nothing is copied but names that are not well known.
pub(super) fn collect(
    head: &Bytes,
    parsed: &[httparse::Header<'_>],
    is_request: bool,
) -> Result<(HeaderMap, FieldFacts), CodecError> {
    let mut fields = HeaderMap::with_capacity(parsed.len());
    let mut facts = FieldFacts::default();
    let mut has_upgrade_field = false;
    let mut has_upgrade_token = false;
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| CodecError::Malformed)?;
        let value = value(head, field.value)?;
        match name {
            HOST if is_request => {
                if facts.host.replace(value).is_some() {
                    return Err(CodecError::Malformed);
                }
                continue;
            }
            CONTENT_LENGTH => {
                let length = content_length(value.as_bytes()).ok_or(CodecError::Malformed)?;
                if facts.content_length.replace(length).is_some() {
                    return Err(CodecError::Malformed);
                }
            }
            TRANSFER_ENCODING => {
                if facts.transfer_encoding || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(CodecError::InvalidTransferEncoding);
                }
                facts.transfer_encoding = true;
            }
            CONNECTION => {
                for token in tokens(value.as_bytes()) {
                    facts.close |= token.eq_ignore_ascii_case(b"close");
                    facts.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    has_upgrade_token |= token.eq_ignore_ascii_case(b"upgrade");
                }
            }
            UPGRADE => has_upgrade_field = true,
            EXPECT => {
                facts.expect_continue |=
                    tokens(value.as_bytes()).any(|token| token.eq_ignore_ascii_case(b"100-continue"));
            }
            _ if name == "proxy-connection" => {
                facts.close |= tokens(value.as_bytes()).any(|token| token.eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
        fields.try_append(name, value).map_err(|_| CodecError::TooManyHeaders)?;
    }
    facts.upgrade = has_upgrade_field && has_upgrade_token;
    if facts.upgrade && fields.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"h2c"))
    {
        facts.upgrade = false;
        remove_h2c_upgrade(&mut fields);
    }
    Ok((fields, facts))
}

/// The comma-separated tokens of a field value.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether one of the fields of that name has the token, without regard to case.
pub(crate) fn has_token(fields: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let mut values = fields.get_all(name).iter();
    values.any(|value| tokens(value.as_bytes()).any(|found| found.eq_ignore_ascii_case(token)))
}

/// Whether a head asks for an upgrade, or agrees to one: the field alone does not.
pub(crate) fn is_upgrade(fields: &HeaderMap) -> bool {
    fields.contains_key(UPGRADE) && has_token(fields, &CONNECTION, b"upgrade")
}

/// A field value; a folded one (responses only) becomes one line.
fn value(head: &Bytes, raw: &[u8]) -> Result<HeaderValue, CodecError> {
    let value = if raw.contains(&b'\n') {
        let mut line = Vec::with_capacity(raw.len());
        for part in raw.split(|byte| *byte == b'\n') {
            let part = part.trim_ascii();
            if !line.is_empty() && !part.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(part);
        }
        HeaderValue::from_maybe_shared(Bytes::from(line))
    } else {
        HeaderValue::from_maybe_shared(head.slice_ref(raw))
    };
    value.map_err(|_| CodecError::InvalidCharacters)
}

fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// An upgrade to `h2c` is not offered: the request goes on as HTTP/1.1, as in Envoy.
fn remove_h2c_upgrade(fields: &mut HeaderMap) {
    fields.remove(UPGRADE);
    fields.remove("http2-settings");
    let kept: Vec<HeaderValue> = fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| tokens(value.as_bytes()))
        .filter(|token| {
            !token.eq_ignore_ascii_case(b"upgrade") && !token.eq_ignore_ascii_case(b"http2-settings")
        })
        .filter_map(|token| HeaderValue::from_bytes(token).ok())
        .collect();
    fields.remove(CONNECTION);
    for token in kept {
        fields.append(CONNECTION, token);
    }
}
