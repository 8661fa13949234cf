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
    /// Bytes of names and values.
    pub(super) size: usize,
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
    let mut has_expect_field = false;
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| CodecError::Malformed)?;
        facts.size += field.name.len() + field.value.len();
        let mut value = value(head, field.value)?;
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
                value = canonical(value, length);
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
                // Alone, as Envoy has it; every other expectation is for the upstream.
                facts.expect_continue =
                    !has_expect_field && value.as_bytes().eq_ignore_ascii_case(b"100-continue");
                has_expect_field = true;
            }
            _ if name == "proxy-connection" => {
                facts.close |= tokens(value.as_bytes()).any(|token| token.eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
        fields.try_append(name, value).map_err(|_| CodecError::TooManyHeaders)?;
    }
    facts.upgrade = has_upgrade_field && has_upgrade_token;
    if facts.upgrade && offers_only_h2c(&fields) {
        facts.upgrade = false;
        remove_upgrade(&mut fields);
    }
    Ok((fields, facts))
}

fn offers_only_h2c(fields: &HeaderMap) -> bool {
    let mut offers = fields.get_all(UPGRADE).iter();
    offers.next().is_some_and(|offer| offer.as_bytes().eq_ignore_ascii_case(b"h2c"))
        && offers.next().is_none()
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

/// Makes sure that a head says its length at most once, as a number that everybody reads alike. `false`: it does not.
pub(crate) fn has_one_content_length(fields: &mut HeaderMap) -> bool {
    let Some(value) = fields.get(CONTENT_LENGTH) else { return true };
    let Some(length) = content_length(value.as_bytes()) else { return false };
    if fields.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return false;
    }
    if let Some(value) = fields.get_mut(CONTENT_LENGTH) {
        *value = canonical(value.clone(), length);
    }
    true
}

/// Without leading zeros, which some take for octal.
fn canonical(value: HeaderValue, length: u64) -> HeaderValue {
    if value.len() > 1 && value.as_bytes().starts_with(b"0") { HeaderValue::from(length) } else { value }
}

fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// An upgrade that cannot be had (`h2c`, or by HTTP/1.0): the request goes on without it. What else `connection` lists
/// stays in one field: a field for each would be more than the limit that the head was read with.
pub(super) fn remove_upgrade(fields: &mut HeaderMap) {
    fields.remove(UPGRADE);
    fields.remove("http2-settings");
    let mut kept = Vec::new();
    for token in fields.get_all(CONNECTION).iter().flat_map(|value| tokens(value.as_bytes())) {
        if token.eq_ignore_ascii_case(b"upgrade") || token.eq_ignore_ascii_case(b"http2-settings") {
            continue;
        }
        if !kept.is_empty() {
            kept.push(b',');
        }
        kept.extend_from_slice(token);
    }
    fields.remove(CONNECTION);
    if let (false, Ok(kept)) = (kept.is_empty(), HeaderValue::from_maybe_shared(Bytes::from(kept))) {
        fields.insert(CONNECTION, kept);
    }
}
