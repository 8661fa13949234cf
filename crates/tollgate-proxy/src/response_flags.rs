//! Response flags: what went wrong with a request, in Envoy's short and long names.

/// A set of response flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ResponseFlags(u32);

/// Short and long names and the place in the bit set of attributes; a flag's bit here is its place in this list. The order
/// is that of Envoy's logs: what forbids another try is known before the failure that stands then.
const NAMES: [(&str, &str, u32); 24] = [
    ("URX", "UpstreamRetryLimitExceeded", 15),
    ("UO", "UpstreamOverflow", 7),
    ("UH", "NoHealthyUpstream", 1),
    ("UF", "UpstreamConnectionFailure", 5),
    ("NR", "NoRouteFound", 8),
    ("NC", "NoClusterFound", 24),
    ("DT", "DurationTimeout", 22),
    ("DC", "DownstreamConnectionTermination", 14),
    ("UT", "UpstreamRequestTimeout", 2),
    ("LR", "LocalReset", 3),
    ("UR", "UpstreamRemoteReset", 4),
    ("UC", "UpstreamConnectionTermination", 6),
    ("SI", "StreamIdleTimeout", 16),
    ("DPE", "DownstreamProtocolError", 18),
    ("UPE", "UpstreamProtocolError", 23),
    ("OM", "OverloadManagerTerminated", 25),
    ("DR", "DownstreamRemoteReset", 28),
    ("LH", "FailedLocalHealthCheck", 0),
    ("UAEX", "UnauthorizedExternalService", 12),
    ("RL", "RateLimited", 11),
    ("RLSE", "RateLimitServiceError", 13),
    ("DF", "DnsResolutionFailed", 26),
    ("DI", "DelayInjected", 9),
    ("FI", "FaultInjected", 10),
];

impl ResponseFlags {
    /// The host of the request has no address.
    pub(crate) const DNS_RESOLUTION_FAILED: Self = Self(1 << 21);
    const FIRST_FAULT: usize = 22;
    /// A filter let the request wait on purpose.
    pub(crate) const DELAY_INJECTED: Self = Self(1 << Self::FIRST_FAULT);
    /// A filter answered the request on purpose.
    pub(crate) const FAULT_INJECTED: Self = Self(1 << (Self::FIRST_FAULT + 1));
    /// No route applies.
    pub(crate) const NO_ROUTE_FOUND: Self = Self(1 << 4);
    /// The route's cluster does not exist.
    pub(crate) const NO_CLUSTER_FOUND: Self = Self(1 << 5);
    /// A circuit breaker is open.
    pub(crate) const UPSTREAM_OVERFLOW: Self = Self(1 << 1);
    /// There were enough tries.
    pub(crate) const UPSTREAM_RETRY_LIMIT_EXCEEDED: Self = Self(1);
    /// The client has gone.
    pub(crate) const DOWNSTREAM_CONNECTION_TERMINATION: Self = Self(1 << 7);
    /// The route's timeout has passed.
    pub(crate) const UPSTREAM_REQUEST_TIMEOUT: Self = Self(1 << 8);
    /// Nothing has moved for too long.
    pub(crate) const STREAM_IDLE_TIMEOUT: Self = Self(1 << 12);
    /// The client has reset its stream.
    pub(crate) const DOWNSTREAM_REMOTE_RESET: Self = Self(1 << 16);
    /// A health check of the gateway itself failed.
    pub(crate) const FAILED_LOCAL_HEALTH_CHECK: Self = Self(1 << 17);
    /// An authorization service refused the request, or failed.
    pub(crate) const UNAUTHORIZED_EXTERNAL_SERVICE: Self = Self(1 << 18);
    /// There were too many requests.
    pub(crate) const RATE_LIMITED: Self = Self(1 << 19);
    /// A rate limit service failed.
    pub(crate) const RATE_LIMIT_SERVICE_ERROR: Self = Self(1 << 20);
    /// There was too much to do, or to hold.
    pub(crate) const OVERLOAD_MANAGER: Self = Self(1 << 15);
    /// The client broke the protocol.
    pub(crate) const DOWNSTREAM_PROTOCOL_ERROR: Self = Self(1 << 13);

    /// The flag of a short name; the empty set if there is none.
    pub(crate) fn from_short_name(name: &str) -> Self {
        NAMES.iter().position(|(short, ..)| *short == name).map_or_else(Self::default, |bit| Self(1 << bit))
    }

    /// Adds flags.
    pub(crate) fn insert(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    /// Whether one of `flags` is set.
    pub(crate) fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// Short names, joined with commas; empty if nothing went wrong.
    pub(crate) fn short_names(self) -> String {
        self.names(|(short, ..)| short)
    }

    /// Long names, joined with commas; empty if nothing went wrong.
    pub(crate) fn long_names(self) -> String {
        self.names(|(_, long, _)| long)
    }

    /// Names of what happened to a connection that is passed on: there an attempt fails before there were enough of them.
    pub(crate) fn names_of_connection(self, long: bool) -> String {
        let order = (1..NAMES.len()).chain([0]).filter(|bit| self.0 & (1 << bit) != 0);
        let name = |bit: usize| if long { NAMES[bit].1 } else { NAMES[bit].0 };
        order.map(name).collect::<Vec<_>>().join(",")
    }

    /// The set as attributes show it: Envoy's numbering.
    pub(crate) fn bits(self) -> u64 {
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        set.map(|(_, (.., place))| 1 << place).sum()
    }

    fn names(self, pick: impl Fn((&'static str, &'static str, u32)) -> &'static str) -> String {
        // Faults come before what comes of them.
        let order = (Self::FIRST_FAULT..NAMES.len()).chain(0..Self::FIRST_FAULT);
        let set = order.filter(|bit| self.0 & (1 << bit) != 0);
        set.map(|bit| pick(NAMES[bit])).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those Envoy 1.39.3 sends.
    #[test]
    fn bits_are_envoys() {
        for (short, bits) in [("UT", 4), ("UF", 32), ("UC", 64), ("NR", 256)] {
            assert_eq!(ResponseFlags::from_short_name(short).bits(), bits);
        }
        let mut both = ResponseFlags::from_short_name("UF");
        both.insert(ResponseFlags::from_short_name("URX"));
        assert_eq!(both.bits(), 32 + 32_768);
    }

    #[test]
    fn names_and_bits_agree() {
        for (flag, short) in [
            (ResponseFlags::UPSTREAM_OVERFLOW, "UO"),
            (ResponseFlags::NO_ROUTE_FOUND, "NR"),
            (ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED, "URX"),
            (ResponseFlags::NO_CLUSTER_FOUND, "NC"),
            (ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION, "DC"),
            (ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "UT"),
            (ResponseFlags::STREAM_IDLE_TIMEOUT, "SI"),
            (ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR, "DPE"),
            (ResponseFlags::DOWNSTREAM_REMOTE_RESET, "DR"),
            (ResponseFlags::OVERLOAD_MANAGER, "OM"),
            (ResponseFlags::DELAY_INJECTED, "DI"),
            (ResponseFlags::FAULT_INJECTED, "FI"),
        ] {
            assert_eq!(flag.short_names(), short);
            assert_eq!(ResponseFlags::from_short_name(short), flag);
        }
        let mut both = ResponseFlags::from_short_name("UF");
        both.insert(ResponseFlags::from_short_name("URX"));
        assert_eq!(
            (both.short_names(), both.long_names()),
            ("URX,UF".into(), "UpstreamRetryLimitExceeded,UpstreamConnectionFailure".into())
        );
    }
}
