//! Just enough of DER to read the fields that every X.509 certificate begins with.

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

/// One value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// Without tag and length.
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(super) fn is_at_end(self) -> bool {
        self.0.is_empty()
    }

    /// The next value; `None` where there is none, or none that DER allows.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        // Tags of several bytes occur in no certificate.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, head) = match usize::from(*first) {
            short @ 0..=0x7f => (short, 2),
            long => {
                let bytes = long & 0x7f;
                let digits = rest.get(..bytes).filter(|digits| (1..=3).contains(&digits.len()))?;
                let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
                let shortest = digits[0] != 0 && length > 0x7f;
                (Some(length).filter(|_| shortest)?, 2 + bytes)
            }
        };
        let whole = self.0.get(..head.checked_add(length)?)?;
        self.0 = &self.0[whole.len()..];
        Some(Element { tag: *tag, content: &whole[head..], whole })
    }

    /// The next value, which has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next value if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.0.first() == Some(&tag) { self.next() } else { None }
    }
}

/// Seconds since 1970 of a `UTCTime` or `GeneralizedTime`, as certificates write them: in UTC, with seconds.
pub(super) fn seconds(time: Element<'_>) -> Option<u64> {
    let text = std::str::from_utf8(time.content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (time.tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: u64 = text[..2].parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, &text[2..])
        }
        (GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<u64>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970, with years that begin in March: then the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_der_allows_them() {
        let mut reader = Reader::new(&[0x30, 0x03, 0x02, 0x01, 0x07, 0x05, 0x00]);
        let sequence = reader.expect(SEQUENCE).unwrap();
        assert_eq!((sequence.content, sequence.whole.len()), (&[0x02, 0x01, 0x07][..], 5));
        assert!(!reader.is_at_end());
        assert!(reader.optional(SEQUENCE).is_none());
        assert_eq!(reader.next().map(|element| element.tag), Some(5));
        assert!(reader.is_at_end());
        for wrong in [
            // Too short, a length without end, lengths that could be shorter, a tag of several bytes.
            &[0x30][..],
            &[0x30, 0x05, 0x00],
            &[0x30, 0x80, 0x00, 0x00],
            &[0x30, 0x81, 0x01, 0x00],
            &[0x30, 0x82, 0x00, 0x80, 0x00],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x1f, 0x01, 0x00],
        ] {
            assert!(Reader::new(wrong).next().is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn times_are_seconds_since_1970() {
        let read = |tag, text: &'static str| {
            seconds(Element { tag, content: text.as_bytes(), whole: text.as_bytes() })
        };
        for (text, expected) in [
            ("19700101000000Z", Some(0)),
            ("20000229235959Z", Some(951_868_799)),
            ("20240301000000Z", Some(1_709_251_200)),
            ("21000301000000Z", Some(4_107_542_400)),
            ("20241301000000Z", None),
            ("20240301000000", None),
            ("20240301000000+0100", None),
            ("2024030100000Z", None),
        ] {
            assert_eq!(read(GENERALIZED_TIME, text), expected, "{text}");
        }
        assert_eq!(read(UTC_TIME, "240301000000Z"), Some(1_709_251_200));
        assert_eq!(read(UTC_TIME, "991231235959Z"), Some(946_684_799));
        assert_eq!(read(UTC_TIME, "20240301000000Z"), None);
    }
}
