//! Dynamic metadata that the configuration gives to requests.

use std::sync::Arc;

use extproc::Direction;
use tollgate_model::filter::{MetadataEntry, SetMetadata as Settings};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    stats::SetMetadataMetric,
    transaction::{chain::Part, core::Core},
};

/// What the filter does for one request.
#[derive(Debug)]
pub(in crate::transaction) struct SetMetadata {
    settings: Arc<Settings>,
}

impl SetMetadata {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings) }
    }
}

impl Filter for SetMetadata {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        if direction == Direction::Request {
            set(&self.settings.metadata, SetMetadataMetric::OF_FILTER, cx.core);
            set(&self.settings.by_route, SetMetadataMetric::OF_ROUTE, cx.core);
        }
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }
}

fn set(entries: &[MetadataEntry], counted_under: &str, core: &mut Core) {
    for entry in entries {
        let metadata = &mut core.info.metadata;
        if entry.allow_overwrite || metadata.namespace(&entry.namespace).is_none() {
            // It is no more than the configuration has.
            let _ = metadata.update(&entry.namespace, &entry.value);
        } else {
            core.configuration.stats.count_filter(counted_under, SetMetadataMetric::OverwriteDenied, 1);
        }
    }
}
