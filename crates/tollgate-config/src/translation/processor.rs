//! Processors, where they stand in the chain of filters, and what applies to a rule.

use std::{collections::BTreeMap, sync::Arc};

use tollgate_ir::{ExtProc, FilterConfig, Override};

use crate::kubernetes::{ObjectRef, Place};

/// An external processing filter of a listener: off, unless a rule turns it on.
#[derive(Debug)]
pub(crate) struct Processor {
    /// Unique name of the filter.
    pub(crate) name: String,
    /// The system that it was written for, as people call it.
    pub(crate) system: &'static str,
    /// Where it stands among the others.
    pub(crate) position: Position,
    /// Added to the names of its counters; empty = nothing.
    pub(crate) stat_prefix: String,
    /// The object that defines it, and where.
    pub(crate) object: ObjectRef,
    pub(crate) place: Place,
}

/// Where a filter stands: less is earlier on requests and later on responses (CF-31). Equal ones are ordered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) zone: Zone,
    /// The place within the zone, by numbers of the system's own.
    pub(crate) order: [i64; 4],
}

/// The parts of a chain of filters, in the order of requests. What is written for different systems meets here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Zone {
    /// Before everything else.
    Outermost,
    /// Before what may be done to a request is decided.
    Early,
    Middle,
    /// When it has been decided what may be done.
    Late,
    /// Right before the router.
    Innermost,
    /// Behind the router: once for each try.
    Upstream,
}

impl Position {
    /// A place that is the only one in its zone.
    pub(crate) const fn in_zone(zone: Zone) -> Self {
        Self { zone, order: [0; 4] }
    }

    /// Whether the filter runs behind the router, once for each try.
    pub(crate) fn is_upstream(self) -> bool {
        self.zone == Zone::Upstream
    }
}

/// A processor as it applies to the requests of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) processor: Arc<Processor>,
    /// Everything folded.
    pub(crate) settings: Arc<ExtProc>,
    /// The object that turned it on here, and where.
    pub(crate) policy: ObjectRef,
    pub(crate) policy_place: Place,
    /// Where each setting comes from, by its name in Envoy's `ExternalProcessor` (`failure_mode_allow`,
    /// `processing_mode`, `message_timeout`, ...); those that are not named have the default of the dialect.
    pub(crate) sources: BTreeMap<&'static str, Place>,
}

/// A filter of another kind as it applies to the requests of a rule: off elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct AppliedFilter {
    /// Unique name of the filter.
    pub(crate) name: Arc<str>,
    /// Where it stands among the others.
    pub(crate) position: Position,
    /// What it is configured with in the chain. Filters of one name have the same.
    pub(crate) settings: FilterConfig,
    /// What is said about it here.
    pub(crate) said: Override,
    /// The object that asks for it, and where.
    pub(crate) object: ObjectRef,
    pub(crate) place: Place,
}
