//! Conversions between numbers and text.

use crate::value::Value;

/// `int(value)`
pub(crate) fn int(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        Value::Double(number) => {
            let whole = number.trunc();
            // 2^63 is the first that does not fit, and a double.
            (i64::MIN as f64..-(i64::MIN as f64)).contains(&whole).then_some(whole as i64)
        }
        Value::String(text) => text.parse().ok(),
        Value::Timestamp(time) => Some(time.as_second()),
        _ => None,
    }
}

/// `uint(value)`
pub(crate) fn uint(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Uint(number) => Some(*number),
        Value::Double(number) => {
            let whole = number.trunc();
            (0.0..u64::MAX as f64).contains(&whole).then_some(whole as u64)
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// `double(value)`
pub(crate) fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// `bool(value)`
pub(crate) fn boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A number with six digits, as `%g` of C writes it.
pub(crate) fn six_digits(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    let scientific = format!("{number:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or_default();
        return without_zeros(&format!("{number:.places$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(digits), exponent.abs())
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (number, text) in [
            (2.0, "2"),
            (1.5, "1.5"),
            (0.1 + 0.2, "0.3"),
            (1e10, "1e+10"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.25, "-0.25"),
            (0.0, "0"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(six_digits(number), text);
        }
    }
}
