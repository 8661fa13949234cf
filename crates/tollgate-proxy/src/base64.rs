//! Base64 (RFC 4648, section 4).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes, with or without padding.
pub(crate) fn encode(bytes: &[u8], padding: bool) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number =
            (0..3).fold(0, |number, index| number << 8 | group.get(index).map_or(0, |byte| u32::from(*byte)));
        for index in 0..4_usize {
            if index <= group.len() {
                let digit = number >> (18 - 6 * index) & 0x3f;
                text.push(char::from(ALPHABET[digit as usize]));
            } else if padding {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648, section 10.
    #[test]
    fn vectors() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes(), true), coded);
            assert_eq!(encode(plain.as_bytes(), false), coded.trim_end_matches('='));
        }
        assert_eq!(encode(&[0xfb, 0xff, 0xbf], true), "+/+/");
    }
}
