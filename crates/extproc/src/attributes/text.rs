//! Times and durations as text.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const SECONDS_A_DAY: i64 = 86_400;

/// RFC 3339 in UTC with as many digits of the second as are not zero: `2026-11-20T22:17:07.719154+00:00`.
pub(super) fn timestamp(time: SystemTime) -> String {
    // Seconds since the epoch, rounded down, and the rest in nanoseconds.
    let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            let seconds = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanos => (seconds - 1, 1_000_000_000 - nanos),
            }
        }
    };
    let (year, month, day) = date(seconds.div_euclid(SECONDS_A_DAY));
    let second = seconds.rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    push_fraction(&mut text, nanos, 9);
    text.push_str("+00:00");
    text
}

/// Year, month and day in the Gregorian calendar, from days since 1970-01-01.
fn date(days: i64) -> (i64, u8, u8) {
    // Days since 0000-03-01: a year that begins in March ends with the leap day.
    const EPOCH: i64 = 719_468;
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let days = days + EPOCH;
    let cycle = days.div_euclid(DAYS_IN_400_YEARS);
    let day = days.rem_euclid(DAYS_IN_400_YEARS);
    // Whole years passed: take the leap days so far out, then all years are alike.
    let leap_days = day / 1_460 - day / 36_524 + day / (DAYS_IN_400_YEARS - 1);
    let year = (day - leap_days) / 365;
    let mut day = day - (365 * year + year / 4 - year / 100);
    let mut month = 2;
    for length in [31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let year = cycle * 400 + year + month / 12;
    // Both are small: at most 12 and 31.
    (year, (month % 12 + 1) as u8, (day + 1) as u8)
}

/// Hours, minutes and seconds, or one smaller unit if it is less than a second: `25h1m1.001s`, `1.5ms`; none is `0`
///
pub(super) fn duration(duration: Duration) -> String {
    let mut text = String::new();
    let nanos = duration.subsec_nanos();
    let seconds = duration.as_secs();
    if seconds == 0 {
        let (unit, digits, name) = match nanos {
            0 => return "0".to_owned(),
            1..1_000 => (1, 0, "ns"),
            1_000..1_000_000 => (1_000, 3, "us"),
            _ => (1_000_000, 6, "ms"),
        };
        push(&mut text, u64::from(nanos / unit));
        push_fraction(&mut text, nanos % unit, digits);
        text.push_str(name);
        return text;
    }
    for (value, name) in [(seconds / 3_600, 'h'), (seconds / 60 % 60, 'm')] {
        if value != 0 {
            push(&mut text, value);
            text.push(name);
        }
    }
    if !seconds.is_multiple_of(60) || nanos != 0 {
        push(&mut text, seconds % 60);
        push_fraction(&mut text, nanos, 9);
        text.push('s');
    }
    text
}

fn push(text: &mut String, number: u64) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{number}");
}

/// Appends `.` and `fraction`, `digits` long, without zeros at the end; nothing if it is zero.
fn push_fraction(text: &mut String, fraction: u32, digits: usize) {
    if fraction != 0 {
        let fraction = format!("{fraction:0digits$}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are what Envoy 1.39.3 sends.
    #[test]
    fn durations() {
        for (nanos, text) in [
            (0, "0"),
            (1, "1ns"),
            (1_500, "1.5us"),
            (245_089, "245.089us"),
            (1_500_000, "1.5ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m"),
            (3_600_000_000_000, "1h"),
            (90_061_001_000_000, "25h1m1.001s"),
            (3_600_500_000_000, "1h0.5s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn timestamps() {
        let at = |seconds: u64, nanos: u32| timestamp(UNIX_EPOCH + Duration::new(seconds, nanos));
        assert_eq!(at(1_767_323_045, 0), "2026-01-02T03:04:05+00:00");
        assert_eq!(at(1_767_323_045, 123_456_789), "2026-01-02T03:04:05.123456789+00:00");
        assert_eq!(at(1_767_323_045, 100_000_000), "2026-01-02T03:04:05.1+00:00");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00+00:00");
        assert_eq!(at(4_107_542_399, 0), "2100-02-28T23:59:59+00:00");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00+00:00");
        assert_eq!(timestamp(UNIX_EPOCH - Duration::new(0, 500_000_000)), "1969-12-31T23:59:59.5+00:00");
    }

    /// Every day of 800 years follows the one before.
    #[test]
    fn days_follow_each_other() {
        let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let mut last = date(-200_000);
        for days in -199_999..92_194 {
            let next = date(days);
            let length = match last.1 {
                2 if leap(last.0) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match last {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == length => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!(next, expected);
            last = next;
        }
    }
}
