//! The choice of a cluster by a route.

use extproc::RequestHeaders;

use super::{ClusterSpecifier, WeightedAction, WeightedCluster};

/// The cluster a request goes to.
#[derive(Debug, Clone, Copy)]
pub struct ClusterChoice<'a> {
    /// Its name.
    pub name: &'a str,
    /// The share that was drawn, if there are several.
    pub weighted: Option<&'a WeightedCluster>,
}

impl ClusterSpecifier {
    /// The cluster of a request; `random` is drawn evenly from all numbers.
    ///
    /// `None` when the header that should name it is missing: then the cluster counts as not found. `None` also for a share
    /// that goes to no cluster.
    #[must_use]
    pub fn choose<'a>(&'a self, request: &'a RequestHeaders, random: u64) -> Option<ClusterChoice<'a>> {
        match self {
            Self::Cluster(name) => Some(ClusterChoice { name, weighted: None }),
            Self::ClusterHeader(header) => {
                let name = std::str::from_utf8(header.first_in_request(request)?).ok()?;
                Some(ClusterChoice { name, weighted: None })
            }
            Self::WeightedClusters(_) => {
                let share = self.share(random)?;
                let WeightedAction::Cluster(name) = &share.action else { return None };
                Some(ClusterChoice { name, weighted: Some(share) })
            }
        }
    }

    /// A number that draws the share at this place; `None` if none does.
    #[must_use]
    pub fn drawing(&self, index: usize) -> Option<u64> {
        let Self::WeightedClusters(shares) = self else { return None };
        let (before, rest) = shares.split_at_checked(index)?;
        rest.first().filter(|share| share.weight > 0)?;
        Some(before.iter().map(|share| u64::from(share.weight)).sum())
    }

    /// The share that `random` draws, if there are several.
    #[must_use]
    pub fn share(&self, random: u64) -> Option<&WeightedCluster> {
        let Self::WeightedClusters(shares) = self else { return None };
        shares.get(self.share_index(random)?)
    }

    /// The place of the share that `random` draws, if there are several.
    #[must_use]
    pub fn share_index(&self, random: u64) -> Option<usize> {
        let Self::WeightedClusters(shares) = self else { return None };
        let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
        let mut selected = random.checked_rem(total)?;
        shares.iter().position(|share| {
            let weight = u64::from(share.weight);
            let hit = selected < weight;
            selected = selected.saturating_sub(weight);
            hit
        })
    }
}
