//! How the process stops, what it may hold, and who may ask it things.

use std::time::Duration;

use clap::Args;

/// How the process stops, what it may hold, and who may ask it things.
#[derive(Debug, Clone, Args)]
pub(crate) struct Lifecycle {
    /// How long requests under way may go on after the first signal.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub(crate) drain_time: Duration,
    /// How long connections are still accepted after SIGTERM, while /ready says DRAINING already.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub(crate) lame_duck: Duration,
    /// Seconds that connections may go on when a change of the configuration has removed what they belong to.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) drain_time_s: u64,
    /// Another name that the admin server is asked by, beside IP addresses and localhost.
    #[arg(long, value_name = "NAME")]
    pub(crate) admin_host: Vec<String>,
    /// Most bytes of bodies that all requests together hold; those that hold most are given up there.
    #[arg(long, value_name = "SIZE", default_value = "96Mi", value_parser = size)]
    pub(crate) buffer_limit: usize,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            drain_time: Duration::from_secs(20),
            lame_duck: Duration::ZERO,
            drain_time_s: 600,
            admin_host: Vec::new(),
            buffer_limit: 96 * 1024 * 1024,
        }
    }
}

/// Longest time that can be asked for.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// `20s`, `500ms`, `5m`, `1h`, or a number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "a time such as 20s, 500ms or 2m, up to a week";
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| EXPECTED)?;
    let milliseconds = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXPECTED),
    };
    let duration = number.checked_mul(milliseconds).map(Duration::from_millis).ok_or(EXPECTED)?;
    if duration > LONGEST { Err(EXPECTED) } else { Ok(duration) }
}

/// Least memory with which requests can be served at all, bytes.
const LEAST: usize = 1024 * 1024;

/// `64Mi`, `1Gi`, `512Ki`, or a number of bytes; 1Mi or more.
fn size(text: &str) -> Result<usize, &'static str> {
    const EXPECTED: &str = "a size such as 64Mi or 1Gi, 1Mi or more";
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| EXPECTED)?;
    let unit = match &text[digits..] {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(EXPECTED),
    };
    number.checked_mul(unit).filter(|size| *size >= LEAST).ok_or(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, milliseconds) in
            [("20s", 20_000), ("7", 7000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "2d", "1h30m", "99999999999999999999s", "200h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("128Mi", 128 << 20), ("1Gi", 1 << 30), ("2048Ki", 2 << 20), ("1048576", 1 << 20)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "Mi", "-1", "0", "1Ki", "1M", "1.5Mi", "99999999999999999999Gi", "99999999999999999Gi"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
