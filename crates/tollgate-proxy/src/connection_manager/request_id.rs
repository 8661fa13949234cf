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
            _ => {
                let digit = random as u8 & 15;
                // Only where a digit is taken: 30 of them, and two bits of another, are fewer than 128 bits.
                random >>= 4;
                // The two upper bits are the variant: 10.
                HEX[usize::from(if index == 19 { 8 | (digit & 3) } else { digit })]
            }
        };
        text.push(char::from(digit));
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
        // Every digit but that of the version takes more than one value, the last one, too.
        let ids: Vec<String> = (0..100).map(|_| unique_id()).collect();
        for index in (0..36).filter(|index| ![8, 13, 14, 18, 23].contains(index)) {
            let values: std::collections::HashSet<u8> = ids.iter().map(|id| id.as_bytes()[index]).collect();
            assert!(values.len() > 1, "{index}");
        }
    }
}
