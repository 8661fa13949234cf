//! What scalars mean: the rules of Envoy's YAML reader (YAML 1.1 booleans, C integers) and of its JSON reader.

use crate::yaml::Content;

/// What a scalar without quotes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Bool(bool),
    /// A whole number that survives in JSON.
    Integer(i64),
    /// Anything else, fractions too: they become numbers where a number is read.
    Text,
}

/// Whole numbers beyond this are kept as text, so that they lose nothing.
const LARGEST_EXACT: i64 = 1 << 53;

pub(super) fn resolve(text: &str) -> Plain {
    if let Some(value) = yaml_boolean(text) {
        return Plain::Bool(value);
    }
    match c_integer(text) {
        Some(number) if (-LARGEST_EXACT..=LARGEST_EXACT).contains(&number) => Plain::Integer(number),
        _ => Plain::Text,
    }
}

/// Whether a scalar without quotes is no text.
pub(crate) fn is_number_or_boolean(text: &str) -> bool {
    resolve(text) != Plain::Text
}

/// A scalar without quotes as JSON.
pub(crate) fn plain_value(text: &str) -> serde_json::Value {
    match resolve(text) {
        Plain::Bool(value) => value.into(),
        Plain::Integer(number) => number.into(),
        Plain::Text => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => number.into(),
            _ => text.into(),
        },
    }
}

/// The booleans of YAML 1.1 (CF-2): all lower case, all upper case, or capitalized.
fn yaml_boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let mut capitalized = lower.clone();
    if let Some(first) = capitalized.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if text != lower && text != capitalized && text != lower.to_ascii_uppercase() {
        return None;
    }
    match lower.as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Decimal, `0x` hexadecimal, or octal with a leading zero.
fn c_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

/// A boolean, written as such or as a string.
pub(super) fn boolean(content: &Content) -> Option<bool> {
    match content {
        Content::Plain(text) => match resolve(text) {
            Plain::Bool(value) => Some(value),
            Plain::Integer(_) => None,
            Plain::Text => boolean_from_string(text),
        },
        Content::Quoted(text) => boolean_from_string(text),
        _ => None,
    }
}

/// A whole number, written as such or as a string.
pub(super) fn integer(content: &Content) -> Option<i128> {
    match content {
        Content::Plain(text) => match resolve(text) {
            Plain::Integer(number) => Some(i128::from(number)),
            Plain::Bool(_) => None,
            Plain::Text => integer_from_string(text),
        },
        Content::Quoted(text) => integer_from_string(text),
        _ => None,
    }
}

/// A boolean written as a string.
fn boolean_from_string(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number written as a string: `12`, `1e2`, `12.0`.
fn integer_from_string(text: &str) -> Option<i128> {
    if let Ok(number) = text.parse::<i128>() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    // The bound keeps the conversion exact.
    #[expect(clippy::cast_possible_truncation, reason = "checked: whole and small")]
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_they_are_for_envoy() {
        // CF-2
        for text in ["y", "Yes", "ON", "true", "True"] {
            assert_eq!(resolve(text), Plain::Bool(true), "{text}");
        }
        for text in ["n", "No", "OFF", "false"] {
            assert_eq!(resolve(text), Plain::Bool(false), "{text}");
        }
        assert_eq!(resolve("tRUE"), Plain::Text);
        assert_eq!(resolve("0x10"), Plain::Integer(16));
        assert_eq!(resolve("010"), Plain::Integer(8));
        assert_eq!(resolve("-5"), Plain::Integer(-5));
        assert_eq!(resolve("0"), Plain::Integer(0));
        for text in ["1.5", "1e2", "5s", "12345678901234567", "--1", "+-1", "0x", "", "é"] {
            assert_eq!(resolve(text), Plain::Text, "{text}");
        }
    }

    #[test]
    fn numbers_may_be_strings() {
        assert_eq!(integer_from_string("1024"), Some(1024));
        assert_eq!(integer_from_string("1e2"), Some(100));
        assert_eq!(integer_from_string("12.0"), Some(12));
        assert_eq!(integer_from_string("12.5"), None);
        assert_eq!(integer_from_string("NaN"), None);
        assert_eq!(integer_from_string("x"), None);
    }
}
