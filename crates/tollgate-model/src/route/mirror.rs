//! Copies of requests for other clusters.

use serde::Serialize;

use crate::{filter::Mutation, header::FieldName};

/// Sends a copy of some requests to another cluster, whose response is thrown away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestMirrorPolicy {
    /// Where to.
    pub cluster: MirrorCluster,
    /// Which part of the requests. Default all.
    pub fraction: Fraction,
    /// Leave the authority of the copy as it is instead of appending `-shadow` to the host. Default false.
    pub disable_shadow_host_suffix_append: bool,
    /// The authority of the copy; nothing is appended to it. Default the request's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_rewrite_literal: Option<String>,
    /// Changes of the head of the copy, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mutations: Vec<Mutation>,
}

/// Where a copy goes. A cluster that does not exist gets nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum MirrorCluster {
    /// To the one that the first value of this header names.
    Header(FieldName),
    /// To the cluster of this name.
    #[serde(untagged)]
    Named(String),
}

impl RequestMirrorPolicy {
    /// Copies of all requests go to a cluster, with nothing but defaults.
    #[must_use]
    pub fn new(cluster: String) -> Self {
        Self {
            cluster: MirrorCluster::Named(cluster),
            fraction: Fraction::ALL,
            disable_shadow_host_suffix_append: false,
            host_rewrite_literal: None,
            mutations: Vec::new(),
        }
    }
}

/// A part of a whole, drawn anew for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fraction {
    /// How many.
    pub numerator: u32,
    /// Of how many; not 0.
    pub denominator: u32,
}

impl Fraction {
    /// All of it.
    pub const ALL: Self = Self { numerator: 100, denominator: 100 };

    /// Nothing of it.
    pub const NONE: Self = Self { numerator: 0, denominator: 100 };

    /// Whether a draw belongs to the part; `random` is drawn evenly from all numbers.
    #[must_use]
    pub fn includes(self, random: u64) -> bool {
        random.checked_rem(u64::from(self.denominator)).is_some_and(|drawn| drawn < u64::from(self.numerator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions() {
        let drawn = |numerator, denominator| {
            (0..1000).filter(|random| Fraction { numerator, denominator }.includes(*random)).count()
        };
        assert_eq!(drawn(0, 100), 0);
        assert_eq!(drawn(25, 100), 250);
        assert_eq!(drawn(1, 10), 100);
        assert_eq!(drawn(200, 100), 1000);
        assert_eq!(drawn(1, 0), 0);
        assert!(Fraction::ALL.includes(u64::MAX));
    }
}
