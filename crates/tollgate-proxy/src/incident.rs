//! How often the log tells of what goes wrong.
//!
//! A failure that every request meets would fill the log, so each thing that can fail (a cluster, a processor, a
//! listener) says once per interval what fails, and how many lines were left out since. All workers share the count.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long the log is silent about the same thing.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same for what may be somebody's intention.
const LONG_INTERVAL: Duration = Duration::from_secs(300);

/// Kinds of failures, which have their silences each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incident {
    /// A connection to a host could not be made.
    Connect,
    /// A host broke the protocol of its connection.
    UpstreamProtocol,
    /// A host did not answer a PING.
    Keepalive,
    /// A host closed or reset what a request needed.
    UpstreamReset,
    /// A host failed its health check.
    HealthCheck,
    /// A host was ejected.
    Ejection,
    /// Requests found no host.
    NoHost,
    /// A limit of the cluster was reached.
    Overflow,
    /// A TLS handshake with a client failed.
    DownstreamTls,
    /// A connection does not begin with the PROXY protocol as it should.
    DownstreamProxyProtocol,
    /// No filter chain wanted a connection.
    NoFilterChain,
    /// A client broke the protocol of its connection.
    DownstreamProtocol,
    /// There are as many connections as there may be.
    ConnectionLimit,
    /// No route wants a request.
    NoRoute,
    /// A body is larger than what may be held of it.
    TooLarge,
    /// A processor did not answer in time.
    ProcessorTimeout,
    /// A processor sent what does not fit.
    ProcessorMessage,
    /// A processor cannot be reached, or ended its stream with an error.
    ProcessorStream,
    /// A processor asked for a header change that was refused.
    ProcessorMutation,
    /// A processor's body or response cannot be used.
    ProcessorBody,
    /// An authorization service gave no verdict.
    Authorization,
    /// A rate limit service gave no answer.
    RateLimit,
    /// A script failed.
    Script,
    /// A body could not be decompressed.
    Decompression,
    /// Part of what a processor asked for had no effect.
    ProcessorIgnored,
}

impl Incident {
    const COUNT: usize = Self::ProcessorIgnored as usize + 1;

    fn interval(self) -> Duration {
        match self {
            Self::ProcessorIgnored => LONG_INTERVAL,
            _ => INTERVAL,
        }
    }
}

/// The silences of one thing.
#[derive(Debug, Default)]
pub(crate) struct Incidents([Limit; Incident::COUNT]);

impl Incidents {
    /// Whether the log may tell of this one; if so, how many it did not tell of since the last.
    pub(crate) fn admit(&self, incident: Incident) -> Option<u64> {
        self.0[incident as usize].admit(incident.interval(), since_start())
    }
}

/// Lets one of many through for each interval.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    /// When the next one may pass, nanoseconds since the start.
    next: AtomicU64,
    left_out: AtomicU64,
}

impl Limit {
    /// Whether this one may pass now; if so, how many did not since the last.
    pub(crate) fn admit_now(&self) -> Option<u64> {
        self.admit(INTERVAL, since_start())
    }

    fn admit(&self, interval: Duration, now: Duration) -> Option<u64> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (now, interval) = (nanos(now), nanos(interval));
        let next = self.next.load(Relaxed);
        let is_due = next <= now;
        // Of several workers one wins.
        if is_due && self.next.compare_exchange(next, now.saturating_add(interval), Relaxed, Relaxed).is_ok()
        {
            return Some(self.left_out.swap(0, Relaxed));
        }
        self.left_out.fetch_add(1, Relaxed);
        None
    }
}

fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    Instant::now().saturating_duration_since(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_says_how_many_are_missing() {
        let limit = Limit::default();
        let admit = |seconds| limit.admit(INTERVAL, Duration::from_secs(seconds));
        assert_eq!(admit(0), Some(0));
        assert_eq!((admit(1), admit(9)), (None, None));
        assert_eq!(admit(10), Some(2));
        assert_eq!((admit(19), admit(40)), (None, Some(1)));
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let incidents = Incidents::default();
        assert_eq!(incidents.admit(Incident::Connect), Some(0));
        assert_eq!(incidents.admit(Incident::Connect), None);
        assert_eq!(incidents.admit(Incident::ProcessorIgnored), Some(0));
    }
}
