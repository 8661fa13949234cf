//! What each backend of a processor gets.

use tollgate_model::cluster::Endpoint;

/// A backend of a processor.
pub(super) struct Share {
    pub(super) endpoints: Vec<Endpoint>,
    /// Relative to the other backends.
    pub(super) weight: u32,
    /// For when the others are not healthy.
    pub(super) fallback: bool,
}

/// Largest common multiple of numbers of endpoints that shares are computed with.
const LARGEST_MULTIPLE: u64 = 1 << 32;

/// The endpoints of all backends: each backend has its share, however many endpoints it has, and fallbacks are for when
/// the others are not healthy (EG-33).
pub(super) fn combine(found: Vec<Share>) -> Vec<Endpoint> {
    let numbers = found.iter().map(|share| share.endpoints.len() as u64).filter(|number| *number > 0);
    // Beyond the bound shares are as exact as whole numbers allow.
    let common = numbers.fold(1_u64, |common, number| {
        let multiple = common / gcd(common, number) * number;
        if multiple <= LARGEST_MULTIPLE { multiple } else { common }
    });
    let only_fallbacks = found.iter().all(|share| share.fallback);
    let mut endpoints = Vec::new();
    for share in found {
        let number = share.endpoints.len().max(1) as u64;
        let weight = (u64::from(share.weight) * common / number).max(1);
        let priority = u32::from(share.fallback && !only_fallbacks);
        endpoints
            .extend(share.endpoints.into_iter().map(|endpoint| (weight, Endpoint { priority, ..endpoint })));
    }
    let divisor = endpoints.iter().fold(0, |divisor, (weight, _)| gcd(divisor, *weight)).max(1);
    let weighted = endpoints.into_iter().map(|(weight, endpoint)| Endpoint {
        weight: u32::try_from(weight / divisor).unwrap_or(u32::MAX),
        ..endpoint
    });
    weighted.collect()
}

fn gcd(left: u64, right: u64) -> u64 {
    if right == 0 { left } else { gcd(right, left % right) }
}

#[cfg(test)]
mod tests {
    use tollgate_model::cluster::EndpointAddress;

    use super::*;

    fn share(endpoints: usize, weight: u32, fallback: bool) -> Share {
        let address = EndpointAddress::Pipe("/run/processor".into());
        Share { endpoints: vec![Endpoint::new(address); endpoints], weight, fallback }
    }

    fn weights(shares: Vec<Share>) -> Vec<(u32, u32)> {
        combine(shares).iter().map(|endpoint| (endpoint.weight, endpoint.priority)).collect()
    }

    #[test]
    fn a_backend_has_its_share_however_many_endpoints_it_has() {
        // EG-33
        assert_eq!(weights(vec![share(1, 3, false), share(2, 1, false)]), [(6, 0), (1, 0), (1, 0)]);
        assert_eq!(weights(vec![share(3, 500, false)]), [(1, 0), (1, 0), (1, 0)]);
        assert_eq!(weights(vec![share(0, 1, false), share(1, 7, false)]), [(1, 0)]);
        assert_eq!(weights(vec![share(0, 1, false)]), []);
    }

    #[test]
    fn fallbacks_wait_unless_there_is_nothing_else() {
        assert_eq!(weights(vec![share(1, 1, true), share(1, 1, false)]), [(1, 1), (1, 0)]);
        assert_eq!(weights(vec![share(1, 1, true), share(1, 1, true)]), [(1, 0), (1, 0)]);
    }

    #[test]
    fn any_numbers_of_endpoints_can_be_combined() {
        let numbers = [251, 241, 239, 233, 229, 227, 223, 211, 199, 197, 193, 191, 181, 179, 173, 167];
        let shares = numbers.into_iter().map(|number| share(number, 1_000_000, false)).collect();
        let found = weights(shares);
        assert_eq!(found.len(), numbers.iter().sum::<usize>());
        assert!(found.iter().all(|(weight, _)| *weight > 0));
    }
}
