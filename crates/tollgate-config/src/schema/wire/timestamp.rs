//! Points in time, as JSON has them: `2026-11-30T13:35:00.5Z`.

const SECONDS_OF_A_DAY: i64 = 86_400;

/// The text of a point in time; `None` outside of the years 1 to 9999.
pub(super) fn to_text(seconds: i64, nanoseconds: u32) -> Option<String> {
    let (days, rest) = (seconds.div_euclid(SECONDS_OF_A_DAY), seconds.rem_euclid(SECONDS_OF_A_DAY));
    // Years that begin in March: the odd day is the last one.
    let days = days.checked_add(719_468)?;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era.checked_mul(400)? + i64::from(month <= 2);
    if !(1..=9999).contains(&year) || nanoseconds > 999_999_999 {
        return None;
    }
    let fraction = match nanoseconds {
        0 => String::new(),
        nanoseconds => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
    };
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Seconds since 1970 and nanoseconds of a point in time in UTC.
pub(super) fn from_text(text: &str) -> Option<(i64, u32)> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str, width: usize, most: i64| {
        let is_number = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| is_number && *number <= most)
    };
    let mut date = date.splitn(3, '-');
    let (year, month, day) =
        (number(date.next()?, 4, 9999)?, number(date.next()?, 2, 12)?, number(date.next()?, 2, 31)?);
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, rest)| (time, Some(rest)));
    let mut time = time.splitn(3, ':');
    let (hour, minute, second) =
        (number(time.next()?, 2, 23)?, number(time.next()?, 2, 59)?, number(time.next()?, 2, 59)?);
    let nanoseconds = match fraction {
        None => 0,
        Some(fraction) if (1..=9).contains(&fraction.len()) => {
            u32::try_from(number(&format!("{fraction:0<9}"), 9, 999_999_999)?).ok()?
        }
        Some(_) => return None,
    };
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let seconds = days * SECONDS_OF_A_DAY + hour * 3600 + minute * 60 + second;
    // A 30th of February is none.
    (to_text(seconds, nanoseconds)?.get(..10) == text.get(..10)).then_some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_written_and_read() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_796_045_700, 1, "2026-11-30T13:35:00.000000001Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(to_text(seconds, nanoseconds).as_deref(), Some(text));
            assert_eq!(from_text(text), Some((seconds, nanoseconds)));
        }
    }

    #[test]
    fn what_is_no_point_in_time() {
        for text in [
            "",
            "2026-02-30T00:00:00Z",
            "2026-11-30",
            "2026-11-30T00:00Z",
            "2026-11-30T00:00:00+01:00",
            "2026-00-10T00:00:00Z",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(to_text(i64::MAX, 0), None);
        assert_eq!(to_text(i64::MIN, 0), None);
        assert_eq!(to_text(0, 1_000_000_000), None);
    }
}
