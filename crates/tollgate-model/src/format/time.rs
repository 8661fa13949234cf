//! Points in time as text: the `strftime` specifiers of `START_TIME` and its kin, in English.

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt::{self, Write},
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::tz::TimeZone;

/// A compiled time pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimePattern {
    zone: Zone,
    parts: Box<[Part]>,
}

/// Where a time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// In UTC.
    Utc,
    /// In the time zone of this machine: the one that the variable `TZ` names, else that of `/etc/localtime`, else UTC. It
    /// is looked up once.
    Local,
}

/// The time zone of this machine.
static LOCAL: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::try_system().unwrap_or(TimeZone::UTC));

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A `strftime` letter.
    Specifier(u8),
    /// Digits of the fraction of a second.
    Fraction(u8),
    /// Microseconds without trailing zeros; nothing but `0` for none.
    ShortFraction,
    /// Seconds with that many digits of fraction.
    Seconds(u8),
    /// Seconds with as many digits of fraction as needed.
    ShortSeconds,
    /// The offset from UTC with a colon.
    Offset,
}

/// Letters that [`write_specifier`] knows. `%n` is refused: a line break would end the log line.
const SPECIFIERS: &[u8] = b"aAbBcCdDeFgGhHIjklmMpPrRsStTuUVwWxXyYzZ";

impl Default for TimePattern {
    /// `%Y-%m-%dT%H:%M:%E3SZ`, the format of access logs: `2026-11-21T00:10:43.128Z`.
    fn default() -> Self {
        Self::default_in(Zone::Utc)
    }
}

impl TimePattern {
    /// The pattern of operators without one: `2026-11-21T00:10:43.128Z`, `2026-11-21T01:10:43.128+0100`.
    pub(super) fn default_in(zone: Zone) -> Self {
        let text = |text: &str| Part::Text(text.to_owned());
        let end = match zone {
            Zone::Utc => text("Z"),
            Zone::Local => Part::Specifier(b'z'),
        };
        let parts =
            [Part::Specifier(b'F'), text("T"), Part::Specifier(b'R'), text(":"), Part::Seconds(3), end];
        Self { zone, parts: parts.into() }
    }

    /// Compiles a pattern of `strftime` letters and, beyond them: `%f` (9 digits of fraction), `%1f` to `%9f`,
    /// `%E*f`, `%E3f`, `%E*S`, `%E3S`, `%Ez`, `%:z`, `%E4Y`, `%ET`. Unknown letters stay as they are.
    ///
    /// # Errors
    /// The specifier that is not supported: flags, widths, other `E` and `O` modifiers, `%n`.
    pub(super) fn parse(pattern: &str, zone: Zone) -> Result<Self, &str> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = pattern;
        while let Some(percent) = rest.find('%') {
            text.push_str(&rest[..percent]);
            rest = &rest[percent..];
            let (part, length) = specifier(rest).ok_or_else(|| &rest[..rest.floor_char_boundary(3)])?;
            match part {
                Part::Text(fixed) => text.push_str(&fixed),
                part => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(part);
                }
            }
            rest = &rest[length..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { zone, parts: parts.into() })
    }

    /// Writes `time` into `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, time: SystemTime, out: &mut impl Write) -> fmt::Result {
        let time = match self.zone {
            Zone::Utc => Timestamp::utc(time),
            Zone::Local => Timestamp::in_zone(time, &LOCAL),
        };
        for part in &*self.parts {
            match part {
                Part::Text(text) => out.write_str(text)?,
                Part::Specifier(letter) => write_specifier(*letter, &time, out)?,
                Part::Fraction(digits) => time.write_fraction(*digits, out)?,
                Part::ShortFraction => write_short(&time, "0", out)?,
                Part::Offset => time.write_offset(":", out)?,
                Part::Seconds(digits) => {
                    write!(out, "{:02}", time.second)?;
                    if *digits > 0 {
                        out.write_char('.')?;
                        time.write_fraction(*digits, out)?;
                    }
                }
                Part::ShortSeconds => {
                    write!(out, "{:02}", time.second)?;
                    if time.nanosecond != 0 {
                        out.write_char('.')?;
                        write_short(&time, "", out)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Reads the specifier at the start of `pattern` (a `%`); gives its length too.
fn specifier(pattern: &str) -> Option<(Part, usize)> {
    let bytes = pattern.as_bytes();
    let text = |text: &str| Part::Text(text.to_owned());
    Some(match bytes {
        [b'%'] => (text("%"), 1),
        [_, b'%', ..] => (text("%"), 2),
        [_, b't', ..] => (text("\t"), 2),
        [_, b'n', ..] => return None,
        [_, b'f', ..] => (Part::Fraction(9), 2),
        [_, digit @ b'1'..=b'9', b'f', ..] => (Part::Fraction(digit - b'0'), 3),
        [_, b'E', b'*', b'S', ..] => (Part::ShortSeconds, 4),
        [_, b'E', b'*', b'f', ..] => (Part::ShortFraction, 4),
        [_, b'E', digit @ b'0'..=b'9', b'S', ..] => (Part::Seconds(digit - b'0'), 4),
        [_, b'E', digit @ b'1'..=b'9', b'f', ..] => (Part::Fraction(digit - b'0'), 4),
        [_, b'E', b'4', b'Y', ..] => (Part::Specifier(b'Y'), 4),
        [_, b'E', b'T', ..] => (text("T"), 3),
        [_, b'E', b'z', ..] | [_, b':', b'z', ..] => (Part::Offset, 3),
        [_, letter, ..] if SPECIFIERS.contains(letter) => (Part::Specifier(*letter), 2),
        [_, b'E' | b'O', ..] => return None,
        [_, letter, ..] if letter.is_ascii_alphabetic() => (text(&pattern[..2]), 2),
        _ => return None,
    })
}

/// A moment as the calendar and the clock of a time zone have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Timestamp {
    since_epoch: Duration,
    /// Seconds that the zone is ahead of UTC.
    offset: i32,
    /// What the zone calls its time.
    zone: Cow<'static, str>,
    year: u32,
    /// 1 to 12.
    month: u32,
    /// 1 to 31.
    day: u32,
    /// 0 to 365.
    day_of_year: u32,
    /// 0 (Sunday) to 6.
    weekday: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Timestamp {
    fn utc(time: SystemTime) -> Self {
        Self::at(time, 0, Cow::Borrowed("UTC"))
    }

    fn in_zone(time: SystemTime, zone: &TimeZone) -> Self {
        let Ok(moment) = jiff::Timestamp::try_from(time) else { return Self::utc(time) };
        let info = zone.to_offset_info(moment);
        Self::at(time, info.offset().seconds(), Cow::Owned(info.abbreviation().to_owned()))
    }

    /// Times before 1970 become the start of 1970.
    fn at(time: SystemTime, offset: i32, zone: Cow<'static, str>) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since_epoch.as_secs().saturating_add_signed(offset.into());
        let days = u32::try_from(seconds / 86_400).unwrap_or(u32::MAX / 2);
        let of_day = u32::try_from(seconds % 86_400).unwrap_or_default();
        // Years are counted from March, so that the leap day is the last one; 719,468 days from 0000-03-01 to 1970.
        let from_march_0 = days + 719_468;
        let era = from_march_0 / 146_097;
        let of_era = from_march_0 % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_march_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_march_year + 2) / 153;
        let day = of_march_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + u32::from(month <= 2);
        let leap = u32::from(is_leap(year));
        let day_of_year = if month <= 2 { of_march_year - 306 } else { of_march_year + 59 + leap };
        Self {
            since_epoch,
            offset,
            zone,
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4) % 7,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            nanosecond: since_epoch.subsec_nanos(),
        }
    }
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl Timestamp {
    fn write_offset(&self, between: &str, out: &mut impl Write) -> fmt::Result {
        let minutes = self.offset / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(out, "{sign}{:02}{between}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }

    fn write_fraction(&self, digits: u8, out: &mut impl Write) -> fmt::Result {
        // Envoy's clock has microseconds; the digits behind them are zero.
        let micros = self.nanosecond / 1000 * 1000;
        let digits = usize::from(digits.min(9));
        write!(out, "{:0digits$}", micros / 10_u32.pow(9 - digits as u32))
    }

    /// Year and number of the ISO week.
    fn iso_week(&self) -> (u32, u32) {
        let monday_based = (self.weekday + 6) % 7;
        let week = (self.day_of_year + 10 - monday_based) / 7;
        let weeks_in = |year: u32| {
            let first = |year: u32| (year + year / 4 - year / 100 + year / 400) % 7;
            if first(year) == 4 || first(year - 1) == 3 { 53 } else { 52 }
        };
        match week {
            0 => (self.year - 1, weeks_in(self.year - 1)),
            week if week > weeks_in(self.year) => (self.year + 1, 1),
            week => (self.year, week),
        }
    }

    const fn hour12(&self) -> u32 {
        match self.hour % 12 {
            0 => 12,
            hour => hour,
        }
    }
}

fn write_short(time: &Timestamp, none: &str, out: &mut impl Write) -> fmt::Result {
    let digits = format!("{:06}", time.nanosecond / 1000);
    let digits = digits.trim_end_matches('0');
    out.write_str(if digits.is_empty() { none } else { digits })
}

fn write_specifier(letter: u8, time: &Timestamp, out: &mut impl Write) -> fmt::Result {
    let month = MONTHS[(time.month as usize - 1) % 12];
    let weekday = WEEKDAYS[time.weekday as usize % 7];
    let Timestamp { year, day, hour, minute, second, .. } = *time;
    match letter {
        b'a' => out.write_str(&weekday[..3]),
        b'A' => out.write_str(weekday),
        b'b' | b'h' => out.write_str(&month[..3]),
        b'B' => out.write_str(month),
        b'c' => {
            write!(out, "{} {} {day:2} {hour:02}:{minute:02}:{second:02} {year}", &weekday[..3], &month[..3])
        }
        b'C' => write!(out, "{:02}", year / 100),
        b'd' => write!(out, "{day:02}"),
        b'D' | b'x' => write!(out, "{:02}/{day:02}/{:02}", time.month, year % 100),
        b'e' => write!(out, "{day:2}"),
        b'F' => write!(out, "{year}-{:02}-{day:02}", time.month),
        b'g' => write!(out, "{:02}", time.iso_week().0 % 100),
        b'G' => write!(out, "{}", time.iso_week().0),
        b'H' => write!(out, "{hour:02}"),
        b'I' => write!(out, "{:02}", time.hour12()),
        b'j' => write!(out, "{:03}", time.day_of_year + 1),
        b'k' => write!(out, "{hour:2}"),
        b'l' => write!(out, "{:2}", time.hour12()),
        b'm' => write!(out, "{:02}", time.month),
        b'M' => write!(out, "{minute:02}"),
        b'p' => out.write_str(if hour < 12 { "AM" } else { "PM" }),
        b'P' => out.write_str(if hour < 12 { "am" } else { "pm" }),
        b'r' => {
            let half = if hour < 12 { "AM" } else { "PM" };
            write!(out, "{:02}:{minute:02}:{second:02} {half}", time.hour12())
        }
        b'R' => write!(out, "{hour:02}:{minute:02}"),
        b's' => write!(out, "{}", time.since_epoch.as_secs()),
        b'S' => write!(out, "{second:02}"),
        b'T' | b'X' => write!(out, "{hour:02}:{minute:02}:{second:02}"),
        b'u' => write!(out, "{}", (time.weekday + 6) % 7 + 1),
        b'U' => write!(out, "{:02}", (time.day_of_year + 7 - time.weekday) / 7),
        b'V' => write!(out, "{:02}", time.iso_week().1),
        b'w' => write!(out, "{}", time.weekday),
        b'W' => write!(out, "{:02}", (time.day_of_year + 7 - (time.weekday + 6) % 7) / 7),
        b'y' => write!(out, "{:02}", year % 100),
        b'Y' => write!(out, "{year}"),
        b'z' => time.write_offset("", out),
        b'Z' => out.write_str(&time.zone),
        _ => Ok(()),
    }
}
