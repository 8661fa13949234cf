//! Times and durations.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

const NANOS_A_SECOND: i128 = 1_000_000_000;

/// `duration(text)`: `1h30m`, `-1.5s`, `20ms`; a number alone only if it is 0.
pub(crate) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut sum: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (whole, after) = rest.split_at(digits);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(after.find(|letter: char| !letter.is_ascii_digit())?),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let nanos = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOS_A_SECOND,
            "m" => 60 * NANOS_A_SECOND,
            "h" => 3_600 * NANOS_A_SECOND,
            _ => return None,
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(nanos)?)?;
        let mut place = nanos;
        for digit in fraction.bytes() {
            place /= 10;
            sum = sum.checked_add(i128::from(digit - b'0') * place)?;
        }
        rest = after;
    }
    of_nanos(sign * sum)
}

fn of_nanos(nanos: i128) -> Option<SignedDuration> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS_A_SECOND)).ok()?;
    // What CEL allows: some ten thousand years.
    if seconds.abs() > 315_576_000_000 {
        return None;
    }
    let rest = i32::try_from(nanos.rem_euclid(NANOS_A_SECOND)).ok()?;
    SignedDuration::from_secs(seconds).checked_add(SignedDuration::new(0, rest))
}

/// `timestamp(text)`, RFC 3339.
pub(crate) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A duration for people: `1h30m`, `2.76045ms`, `0`.
pub(crate) fn duration_text(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let mut text = String::new();
    if nanos < 0 {
        text.push('-');
    }
    let mut rest = nanos.abs();
    if rest == 0 {
        return "0".to_owned();
    }
    if rest < NANOS_A_SECOND {
        let (unit, name) = match rest {
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "us"),
            _ => (1_000_000, "ms"),
        };
        push_number(&mut text, rest, unit);
        return text + name;
    }
    for (unit, name) in [(3_600 * NANOS_A_SECOND, 'h'), (60 * NANOS_A_SECOND, 'm')] {
        if rest >= unit {
            let _ = write!(text, "{}{name}", rest / unit);
            rest %= unit;
        }
    }
    if rest > 0 {
        push_number(&mut text, rest, NANOS_A_SECOND);
        text.push('s');
    }
    text
}

/// `number / unit` with as many digits as it takes.
fn push_number(text: &mut String, number: i128, unit: i128) {
    let _ = write!(text, "{}", number / unit);
    let mut rest = number % unit;
    let mut place = unit;
    if rest > 0 {
        text.push('.');
    }
    while rest > 0 {
        place /= 10;
        let _ = write!(text, "{}", rest / place);
        rest %= place;
    }
}

/// A duration as JSON has it: seconds with 0, 3, 6 or 9 digits behind the point.
pub(crate) fn duration_json(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.abs();
    format!("{sign}{}{}s", nanos / NANOS_A_SECOND, fraction(nanos % NANOS_A_SECOND))
}

fn fraction(nanos: i128) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    }
}

/// A moment as logs show it: `2023-08-26T19:39:01.5+00:00`.
pub(crate) fn timestamp_text(time: Timestamp) -> String {
    let mut text = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let nanos = i128::from(time.subsec_nanosecond()).rem_euclid(NANOS_A_SECOND);
    if nanos > 0 {
        text.push('.');
        text.push_str(format!("{nanos:09}").trim_end_matches('0'));
    }
    text + "+00:00"
}

/// A moment as JSON has it: `2023-08-26T19:39:01.500Z`.
pub(crate) fn timestamp_json(time: Timestamp) -> String {
    let nanos = i128::from(time.subsec_nanosecond()).rem_euclid(NANOS_A_SECOND);
    format!("{}{}Z", time.strftime("%Y-%m-%dT%H:%M:%S"), fraction(nanos))
}

/// A part of a moment or of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    FullYear,
    Month,
    DayOfYear,
    /// Counted from 0.
    DayOfMonth,
    /// Counted from 1.
    Date,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// A part of a moment in a time zone: a name such as `Europe/Berlin`, or an offset such as `-07:00`. `None` = UTC.
pub(crate) fn part_of_timestamp(part: Part, time: Timestamp, zone: Option<&str>) -> Option<i64> {
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => zone_named(name)?,
    };
    let local = zone.to_datetime(time);
    Some(match part {
        Part::FullYear => local.year().into(),
        Part::Month => i64::from(local.month()) - 1,
        Part::DayOfYear => i64::from(local.day_of_year()) - 1,
        Part::DayOfMonth => i64::from(local.day()) - 1,
        Part::Date => local.day().into(),
        Part::DayOfWeek => local.weekday().to_sunday_zero_offset().into(),
        Part::Hours => local.hour().into(),
        Part::Minutes => local.minute().into(),
        Part::Seconds => local.second().into(),
        Part::Milliseconds => local.millisecond().into(),
    })
}

fn zone_named(name: &str) -> Option<TimeZone> {
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let (sign, digits) = match name.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str| text.parse::<i32>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let seconds = sign * (number(hours)? * 3_600 + number(minutes)? * 60);
    Some(TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?))
}

/// A duration as a whole in one unit; the milliseconds are those of its last second.
pub(crate) fn part_of_duration(part: Part, duration: SignedDuration) -> Option<i64> {
    Some(match part {
        Part::Hours => duration.as_secs() / 3_600,
        Part::Minutes => duration.as_secs() / 60,
        Part::Seconds => duration.as_secs(),
        Part::Milliseconds => (duration.subsec_nanos() / 1_000_000).into(),
        _ => return None,
    })
}
