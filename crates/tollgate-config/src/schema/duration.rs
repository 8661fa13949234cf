//! Durations: `<seconds>[.<fraction>]s`.

use std::time::Duration;

use super::{Schema, Value, read};

/// Longest duration of protobuf, about 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// Why a text is no duration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

static DURATION: Schema = Schema {
    name: "google.protobuf.Duration",
    title: "",
    fields: &[read("seconds", "0", "Whole seconds."), read("nanos", "0", "Nanoseconds, 0 to 999999999.")],
    unsupported: &[],
};

pub(super) fn parse(text: &str) -> Result<Duration, Problem> {
    let problem = |message: &str| Problem {
        message: format!("\"{text}\" is not a duration: {message}"),
        help: in_seconds(text).map(|seconds| format!("write it in seconds: \"{seconds}\"")),
    };
    let number = text.strip_suffix('s').ok_or_else(|| problem("it must be seconds that end with \"s\""))?;
    let (seconds, fraction) = number.split_once('.').map_or((number, None), |(a, b)| (a, Some(b)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(positive) = seconds.strip_prefix('-')
        && digits(positive)
    {
        return Err(Problem { message: format!("\"{text}\" is negative"), help: None });
    }
    if !digits(seconds) {
        return Err(problem("it must be seconds that end with \"s\""));
    }
    let nanos = match fraction {
        None => 0,
        Some(fraction) if digits(fraction) && fraction.len() <= 9 => {
            format!("{fraction:0<9}").parse().unwrap_or_default()
        }
        Some(_) => return Err(problem("the fraction must have one to nine digits")),
    };
    match seconds.parse() {
        Ok(seconds) if seconds <= MAX_SECONDS => Ok(Duration::new(seconds, nanos)),
        _ => Err(Problem { message: format!("\"{text}\" is too long a time"), help: None }),
    }
}

/// What was meant by a duration in another notation: `200ms`, `1m30s`, `5`.
fn in_seconds(text: &str) -> Option<String> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let units = [("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        let unit = units.iter().find(|(unit, _)| rest.starts_with(unit));
        let (unit, seconds) = unit.copied().or_else(|| rest.is_empty().then_some(("", 1.0)))?;
        rest = &rest[unit.len()..];
        total += Duration::try_from_secs_f64(number * seconds).ok()?;
    }
    (!text.is_empty()).then(|| format!("{}s", total.as_secs_f64()))
}

/// The object form, which Envoy accepts too.
pub(super) fn from_message(value: &Value<'_>) -> Option<Duration> {
    let message = value.message(&DURATION)?;
    let seconds =
        message.get("seconds").map_or(Some(0), |seconds| seconds.integer(0..=MAX_SECONDS as i64))?;
    let nanos = message.get("nanos").map_or(Some(0), |nanos| nanos.integer(0..=999_999_999))?;
    Some(Duration::new(seconds.unsigned_abs(), u32::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read() {
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("0.2s"), Ok(Duration::from_millis(200)));
        assert_eq!(parse("0.250s"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1.000000001s"), Ok(Duration::new(1, 1)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn other_forms_are_refused_with_the_right_one() {
        let help = |text: &str| parse(text).unwrap_err().help;
        let right = |text: &str| Some(format!("write it in seconds: \"{text}\""));
        assert_eq!(help("200ms"), right("0.2s"));
        assert_eq!(help("1m30s"), right("90s"));
        assert_eq!(help("1h"), right("3600s"));
        assert_eq!(help("5"), right("5s"));
        assert_eq!(help(".5s"), right("0.5s"));
        assert_eq!(help("soon"), None);
        assert_eq!(help(""), None);
        assert_eq!(help("é"), None);
    }

    #[test]
    fn bounds_are_kept() {
        assert!(parse("-1s").unwrap_err().message.contains("negative"));
        assert!(parse("1.1234567891s").is_err());
        assert!(parse("5.s").is_err());
        assert!(parse("315576000000s").is_ok());
        assert!(parse("315576000001s").is_err());
        assert!(parse("99999999999999999999999s").is_err());
    }
}
