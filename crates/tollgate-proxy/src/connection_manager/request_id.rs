//! `x-request-id`.

use http::HeaderValue;

/// A random UUID (RFC 9562, version 4) as header value.
pub(super) fn new_request_id() -> HeaderValue {
    // Hexadecimal digits and dashes are always a valid value.
    HeaderValue::from_str(&unique_id()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn unique_id() -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut random = fastrand::u128(..);
    let mut text = String::with_capacity(36);
    for index in 0..36 {
        let digit = match index {
            8 | 13 | 18 | 23 => b'-',
            14 => b'4',
            // The two upper bits are the variant: 10.
            19 => HEX[usize::from(8 | (random as u8 & 3))],
            _ => HEX[usize::from(random as u8 & 15)],
        };
        text.push(char::from(digit));
        random >>= 4;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_random_uuid() {
        let (one, two) = (new_request_id(), new_request_id());
        assert_ne!(one, two);
        let text = one.to_str().expect("ASCII");
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
        assert!(["8", "9", "a", "b"].contains(&&text[19..20]), "{text}");
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
