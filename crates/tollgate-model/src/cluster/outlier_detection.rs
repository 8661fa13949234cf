//! Endpoints that are left out because of what requests to them met.

use std::time::Duration;

use serde::Serialize;

/// When endpoints are ejected, and for how long. A failure is a response of a 5xx status, or one that did not come:
/// connections that could not be made, broke or timed out count as 502, 503 or 504.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlierDetection {
    /// Failures in a row that eject. Default 5.
    pub consecutive_5xx: u32,
    /// In how many of 100 cases they really do. Default 100.
    pub enforcing_consecutive_5xx: u32,
    /// Failures with status 502, 503 or 504 in a row that eject. Default 5.
    pub consecutive_gateway_failure: u32,
    /// In how many of 100 cases they really do. Default 0.
    pub enforcing_consecutive_gateway_failure: u32,
    /// Failures on our side of the upstream (connecting, resets, timeouts) count for themselves and not with responses.
    /// Default false.
    pub split_external_local_origin_errors: bool,
    /// Failures on our side in a row that eject, if they are split. Default 5.
    pub consecutive_local_origin_failure: u32,
    /// In how many of 100 cases they really do. Default 100.
    pub enforcing_consecutive_local_origin_failure: u32,
    /// How often ejected endpoints are looked at, and rates are compared. Default 10 s.
    pub interval: Duration,
    /// How long the first ejection takes; each further one takes that much longer. Default 30 s.
    pub base_ejection_time: Duration,
    /// The longest ejection. Default 300 s, or the base if that is longer.
    pub max_ejection_time: Duration,
    /// Added to an ejection at random, up to this. Default 0.
    pub max_ejection_time_jitter: Duration,
    /// Most endpoints that may be ejected, in percent. Default 10.
    pub max_ejection_percent: u32,
    /// Eject one endpoint whatever the percentage says. Default false.
    pub always_eject_one_host: bool,
    /// An endpoint whose active check succeeds is let in again at once. Default true.
    pub successful_active_health_check_uneject_host: bool,
    /// Endpoints whose success rate is far below the others'.
    pub success_rate: SuccessRate,
    /// Endpoints of which a percentage of requests fails.
    pub failure_percentage: FailurePercentage,
}

/// Ejects endpoints whose success rate in an interval is below the mean minus some standard deviations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuccessRate {
    /// In how many of 100 cases it really does. Default 100.
    pub enforcing: u32,
    /// The same for failures on our side, if they are split. Default 100.
    pub enforcing_local_origin: u32,
    /// Fewest endpoints with enough requests for rates to be compared. Default 5.
    pub minimum_hosts: u32,
    /// Enough requests in an interval. Default 100.
    pub request_volume: u32,
    /// Standard deviations, in thousandths. Default 1900.
    pub stdev_factor: u32,
}

/// Ejects endpoints of which a percentage of requests failed in an interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailurePercentage {
    /// In how many of 100 cases it really does. Default 0.
    pub enforcing: u32,
    /// The same for failures on our side, if they are split. Default 0.
    pub enforcing_local_origin: u32,
    /// The percentage. Default 85.
    pub threshold: u32,
    /// Fewest endpoints with enough requests. Default 5.
    pub minimum_hosts: u32,
    /// Enough requests in an interval. Default 50.
    pub request_volume: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            enforcing_consecutive_5xx: 100,
            consecutive_gateway_failure: 5,
            enforcing_consecutive_gateway_failure: 0,
            split_external_local_origin_errors: false,
            consecutive_local_origin_failure: 5,
            enforcing_consecutive_local_origin_failure: 100,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            successful_active_health_check_uneject_host: true,
            success_rate: SuccessRate::default(),
            failure_percentage: FailurePercentage::default(),
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self {
            enforcing: 100,
            enforcing_local_origin: 100,
            minimum_hosts: 5,
            request_volume: 100,
            stdev_factor: 1900,
        }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self { enforcing: 0, enforcing_local_origin: 0, threshold: 85, minimum_hosts: 5, request_volume: 50 }
    }
}
