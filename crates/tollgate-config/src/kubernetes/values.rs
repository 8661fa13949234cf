//! Value types of Kubernetes APIs (1.3).

use std::time::Duration;

use crate::schema::{Json, Value};

/// A Duration of Gateway API: `1h30m`, `500ms`, `0s`. No fractions, no bare numbers.
pub(crate) fn gateway_duration(value: &Value<'_>) -> Option<Duration> {
    let text = value.string()?;
    let found = parse_gateway_duration(&text);
    if found.is_none() {
        value.error_with_help(
            format!("\"{text}\" is not a duration"),
            "up to four whole numbers with a unit of h, m, s or ms, such as 1h30m or 500ms",
        );
    }
    found
}

/// `^([0-9]{1,5}(h|m|s|ms)){1,4}$`.
pub(crate) fn parse_gateway_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=5).contains(&digits) {
            return None;
        }
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, length) = match rest.as_bytes() {
            [b'm', b's', ..] => (Duration::from_millis(number), 2),
            [b'h', ..] => (Duration::from_secs(number * 3600), 1),
            [b'm', ..] => (Duration::from_secs(number * 60), 1),
            [b's', ..] => (Duration::from_secs(number), 1),
            _ => return None,
        };
        total += unit;
        rest = &rest[length..];
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

/// A Duration of Kubernetes, in Go's notation: `100ms`, `1.5s`, `1h`, `0`. Negative ones have no use here.
pub(crate) fn kubernetes_duration(value: &Value<'_>) -> Option<Duration> {
    let text = value.string()?;
    let found = parse_go_duration(&text);
    if found.is_none() {
        value.error_with_help(
            format!("\"{text}\" is not a duration"),
            "numbers with a unit of h, m, s, ms, us or ns, such as 1m30s or 1.5s",
        );
    }
    found
}

pub(crate) fn parse_go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (seconds, unit) =
            [(1e-9, "ns"), (1e-6, "us"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "m"), (3600.0, "h")]
                .into_iter()
                .find(|(_, unit)| rest.starts_with(unit))?;
        total += number * seconds;
        rest = &rest[unit.len()..];
    }
    // Go counts nanoseconds in 63 bits, about 292 years.
    Duration::try_from_secs_f64(total)
        .ok()
        .filter(|duration| *duration <= Duration::from_nanos(i64::MAX as u64))
}

/// A port number, 1 to 65535.
pub(crate) fn port_number(value: &Value<'_>) -> Option<u16> {
    value.port(1)
}

/// A Quantity of bytes: `32768`, `32Ki`, `1.5M`.
pub(crate) fn quantity(value: &Value<'_>) -> Option<u64> {
    let text = match value.json() {
        Json::String(text) => text,
        Json::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let found = parse_quantity(&text);
    if found.is_none() {
        value.error_with_help(
            "this is not a quantity",
            "a number, optionally with a unit of k, M, G, Ki, Mi or Gi, such as 32Ki",
        );
    }
    found
}

fn parse_quantity(text: &str) -> Option<u64> {
    let (number, unit) =
        text.split_at(text.find(|unit: char| unit.is_ascii_alphabetic()).unwrap_or(text.len()));
    let unit: u64 = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.len() <= 9 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if number.is_empty() || whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digits: u64 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    // A part of a byte is rounded up, as Kubernetes does.
    u64::try_from((u128::from(digits) * u128::from(unit)).div_ceil(divisor)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units_of_both_systems() {
        for (text, bytes) in [
            ("32768", 32768),
            ("32Ki", 32768),
            ("1Mi", 1 << 20),
            ("1M", 1_000_000),
            ("1.5k", 1500),
            ("0.3", 1),
        ] {
            assert_eq!(parse_quantity(text), Some(bytes), "{text}");
        }
        for wrong in ["", "Ki", "1kb", "-1", "1 Ki", "1..5", ".5", "1e3", "9999999999Gi"] {
            assert_eq!(parse_quantity(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn gateway_durations_have_whole_numbers_and_four_units() {
        assert_eq!(parse_gateway_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_gateway_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_gateway_duration("0s"), Some(Duration::ZERO));
        for wrong in ["", "5", "1.5s", "10us", "-1s", "123456s", "1s1s1s1s1s", "1 s", "s"] {
            assert_eq!(parse_gateway_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn kubernetes_durations_are_those_of_go() {
        assert_eq!(parse_go_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_go_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_go_duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(parse_go_duration("0"), Some(Duration::ZERO));
        assert!(parse_go_duration("2562047h").is_some());
        for wrong in ["", "5", "1x", "s", "-1s", "1.2.3s", "2562048h", "1000000000000000h"] {
            assert_eq!(parse_go_duration(wrong), None, "{wrong}");
        }
    }
}
