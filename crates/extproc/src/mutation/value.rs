//! Values that some headers refuse although they are valid header values (M-16, decision 2).

use http::{Method, StatusCode};

use super::name::{Name, Pseudo};

/// Whether the rules let `value` be the value of `name` (M-16).
pub(super) fn is_allowed(name: &Name<'_>, value: &[u8]) -> bool {
    match name {
        Name::Pseudo(Pseudo::Authority, _) => is_authority(value),
        Name::Pseudo(Pseudo::Scheme, _) => {
            value.eq_ignore_ascii_case(b"http") || value.eq_ignore_ascii_case(b"https")
        }
        Name::Pseudo(Pseudo::Status, _) => number(value).is_some_and(|status| status >= 200),
        Name::Pseudo(..) => true,
        Name::Field(_) => !name.is_host() || is_authority(value),
    }
}

/// The characters of an authority, user information included; it may be empty.
fn is_authority(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(byte))
}

/// An integer with an optional sign and white space around it.
fn number(value: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    text.parse().ok()
}

/// The status a response can carry: three digits.
pub(super) fn status(value: &[u8]) -> Option<StatusCode> {
    let number = number(value)?;
    u16::try_from(number)
        .ok()
        .filter(|status| *status >= 200)
        .and_then(|status| StatusCode::from_u16(status).ok())
}

/// The method a request line can carry: a token.
pub(super) fn method(value: &[u8]) -> Option<Method> {
    Method::from_bytes(value).ok()
}

/// Whether a request line can carry the path: not empty, and nothing in it ends it.
pub(super) fn is_path(value: &[u8]) -> bool {
    !value.is_empty() && !value.iter().any(|byte| matches!(byte, b' ' | b'\t'))
}

/// Whether a message can be framed by the length: digits only, not too many.
pub(super) fn is_content_length(value: &[u8]) -> bool {
    std::str::from_utf8(value)
        .is_ok_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(name: &str, value: &str) -> bool {
        is_allowed(&Name::parse(name).expect("valid name"), value.as_bytes())
    }

    /// M-16; the lists are what Envoy does.
    #[test]
    fn values_are_checked() {
        for yes in ["", "a:80", "[::1]:80", "a:b:c", "user@h", "a_b~", "a%20"] {
            assert!(allowed(":authority", yes) && allowed("host", yes), "{yes:?}");
        }
        for no in [" a", "h/", "a?b", "a#b", "é", "a\"", "<", "a\\b", "a^b", "a|b", "{}"] {
            assert!(!allowed(":authority", no) && !allowed("host", no), "{no:?}");
        }
        assert!(allowed(":scheme", "HtTpS") && !allowed(":scheme", "ftp") && !allowed(":scheme", ""));
        for yes in ["200", " 200", "200 ", "+200", "0200", "999", "1000"] {
            assert!(allowed(":status", yes), "{yes:?}");
        }
        for no in ["", "199", "200.0", "2e2", "-200", "0x200", "4294967496", "99999999999999999999"] {
            assert!(!allowed(":status", no), "{no:?}");
        }
    }

    /// Decision 2: values no message can carry.
    #[test]
    fn malformed_values_are_found() {
        assert!(is_path(b"/a?b") && is_path(b"a") && is_path(b"*"));
        assert!(!is_path(b"") && !is_path(b"/ HTTP/1.1") && !is_path(b"/\t"));
        assert_eq!(status(b"0204 "), Some(StatusCode::NO_CONTENT));
        assert_eq!(status(b"1000"), None);
        assert!(method(b"PURGE").is_some() && method(b"").is_none() && method(b"A B").is_none());
        assert!(is_content_length(b"0") && is_content_length(b"12"));
        for no in ["", "-1", "+1", "1 ", "1,1", "a", "99999999999999999999"] {
            assert!(!is_content_length(no.as_bytes()), "{no:?}");
        }
    }
}
