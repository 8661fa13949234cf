//! How long a stream may live.

use std::time::Duration;

use serde::Serialize;

/// How long a stream may live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MaxStreamDuration {
    /// So long; zero = no limit. `None` = as the connection manager says.
    pub max: Option<Duration>,
    /// What `grpc-timeout` of a request asks for counts, up to this; zero = whatever it asks for. `None` = it does not count.
    pub grpc_timeout_header_max: Option<Duration>,
    /// So much less than `grpc-timeout` asks for.
    pub grpc_timeout_header_offset: Option<Duration>,
}

/// How long a stream may live, and what the upstream is told about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamLimit {
    /// For ever.
    None,
    /// So long.
    Of(Duration),
    /// So long, because of what the request asks for: the upstream is told in `grpc-timeout`.
    Told(Duration),
}

impl MaxStreamDuration {
    /// What holds for a request that asks for `grpc_timeout`, where the connection manager has a limit of its own or not.
    #[must_use]
    pub fn limit(&self, grpc_timeout: Option<Duration>, of_manager: Option<Duration>) -> StreamLimit {
        let (Some(most), Some(asked)) = (self.grpc_timeout_header_max, grpc_timeout) else {
            let limit = self.max.or(of_manager).filter(|limit| !limit.is_zero());
            return limit.map_or(StreamLimit::None, StreamLimit::Of);
        };
        let capped = if most.is_zero() { asked } else { asked.min(most) };
        StreamLimit::Told(capped.saturating_sub(self.grpc_timeout_header_offset.unwrap_or_default()))
    }
}

/// What a `grpc-timeout` says, in whole milliseconds, rounded up. `None` = nothing that can be read.
#[must_use]
pub fn read_grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_millis(count.div_ceil(1000)),
        b'n' => Duration::from_millis(count.div_ceil(1_000_000)),
        _ => return None,
    })
}

/// A `grpc-timeout`: milliseconds while they have eight digits, else a larger unit.
#[must_use]
pub fn write_grpc_timeout(timeout: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let mut count = timeout.as_millis();
    for (unit, of_next) in [('m', 1000), ('S', 60), ('M', 60)] {
        if count <= MOST {
            return format!("{count}{unit}");
        }
        count /= of_next;
    }
    format!("{}H", count.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn limits() {
        let plain = MaxStreamDuration { max: Some(seconds(5)), ..MaxStreamDuration::default() };
        assert_eq!(plain.limit(Some(seconds(1)), Some(seconds(2))), StreamLimit::Of(seconds(5)));
        let none = MaxStreamDuration { max: Some(seconds(0)), ..MaxStreamDuration::default() };
        assert_eq!(none.limit(None, Some(seconds(2))), StreamLimit::None);
        let of_manager = MaxStreamDuration::default();
        assert_eq!(of_manager.limit(None, Some(seconds(2))), StreamLimit::Of(seconds(2)));
        let grpc = MaxStreamDuration {
            grpc_timeout_header_max: Some(seconds(10)),
            grpc_timeout_header_offset: Some(seconds(1)),
            ..plain
        };
        assert_eq!(grpc.limit(Some(seconds(60)), None), StreamLimit::Told(seconds(9)));
        assert_eq!(grpc.limit(Some(seconds(1)), None), StreamLimit::Told(seconds(0)));
        assert_eq!(grpc.limit(None, None), StreamLimit::Of(seconds(5)));
        let any = MaxStreamDuration { grpc_timeout_header_max: Some(seconds(0)), ..plain };
        assert_eq!(any.limit(Some(seconds(60)), None), StreamLimit::Told(seconds(60)));
    }

    #[test]
    fn grpc_timeouts() {
        assert_eq!(read_grpc_timeout(b"1S"), Some(seconds(1)));
        assert_eq!(read_grpc_timeout(b"1u"), Some(Duration::from_millis(1)));
        assert_eq!(read_grpc_timeout(b"2H"), Some(seconds(7200)));
        for wrong in [&b""[..], b"S", b"123456789S", b"1x", b"-1S"] {
            assert_eq!(read_grpc_timeout(wrong), None);
        }
        assert_eq!(write_grpc_timeout(seconds(2)), "2000m");
        assert_eq!(write_grpc_timeout(seconds(100_000)), "100000S");
        assert_eq!(write_grpc_timeout(Duration::from_secs(u64::MAX)), "99999999H");
    }
}
