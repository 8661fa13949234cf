//! The `date` header.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, SystemTime},
};

use http::HeaderValue;

/// Formats the `date` header once a second.
#[derive(Debug)]
pub(crate) struct DateCache {
    second: Cell<u64>,
    value: RefCell<HeaderValue>,
}

impl Default for DateCache {
    fn default() -> Self {
        Self { second: Cell::new(u64::MAX), value: RefCell::new(HeaderValue::from_static("")) }
    }
}

impl DateCache {
    /// The value for a moment (RFC 9110 section 5.6.7).
    pub(crate) fn value(&self, now: SystemTime) -> HeaderValue {
        let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if self.second.replace(second) != second {
            let text = imf_fixdate(second);
            *self.value.borrow_mut() =
                HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        }
        self.value.borrow().clone()
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(seconds: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let days = seconds / 86_400;
    // Years begin in March here, so that the leap day is their last; 719,468 days lie between 0000-03-01 and 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        WEEKDAYS[(days % 7) as usize],
        MONTHS[month as usize],
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_798_761_600, "Fri, 01 Jan 2027 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(imf_fixdate(seconds), text);
        }
    }

    #[test]
    fn a_second_has_one_value() {
        let cache = DateCache::default();
        let at = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        assert_eq!(cache.value(at(784_111_777_000)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.value(at(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.value(at(784_111_778_000)), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
