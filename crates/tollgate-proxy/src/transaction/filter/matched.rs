//! Filters that a matcher chooses by the request.

use tollgate_model::filter::{FilterOverride, MatchAction, Matched};

use super::{FilterPlace, Slot, registry};
use crate::{stats::CompositeMetric, transaction::core::Core};

/// The filter that works on this request, if any. A response that comes before the filter has seen its request has no part in this:
/// then nothing is chosen, as in Envoy.
pub(super) fn begin(matched: &Matched<FilterOverride>, place: FilterPlace, core: &Core) -> Option<Slot> {
    let is_request = core.messages.response.is_none();
    let action = is_request.then(|| matched.matcher.find(core.match_facts())).flatten();
    match (action, &matched.filter) {
        (Some(MatchAction::Execute { sample, filter }), _) if sample.includes(fastrand::u64(..)) => {
            core.configuration.stats.count_filter("", CompositeMetric::FilterDelegationSuccess, 1);
            registry::begin(filter, place, core)
        }
        (None, Some(filter)) => registry::begin(filter, place, core),
        (Some(_), _) | (None, None) => None,
    }
}
