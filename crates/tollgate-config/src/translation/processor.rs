//! Processors, where they stand in the chain of filters, and what applies to a rule.

use std::{cmp::Reverse, collections::BTreeMap, rc::Rc, sync::Arc};

use tollgate_ir::ExtProc;

use crate::kubernetes::{ObjectRef, Place};

/// An external processing filter of a listener: off, unless a rule turns it on.
#[derive(Debug)]
pub(crate) struct Processor {
    /// Unique name of the filter.
    pub(crate) name: String,
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
pub(crate) enum Position {
    /// HTNN's `outerExtProc`.
    HtnnOuter,
    /// kgateway, stages before authorization.
    KgatewayEarly(Stage),
    /// Envoy Gateway, by the numbers of EG-34 and EG-35.
    EnvoyGateway(i64),
    /// kgateway, from the default stage on.
    KgatewayLate(Stage),
    /// HTNN's `innerExtProc`.
    HtnnInner,
    /// kgateway behind the router: once for each attempt (KG-32).
    KgatewayUpstream(Stage),
}

/// A place in kgateway's order (KG-30): stage, predicate, then the higher weight first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stage {
    pub(crate) stage: u8,
    pub(crate) predicate: u8,
    /// The weight of the extension's annotation, where policies are combined (KG-22), else 0.
    pub(crate) extension_weight: Reverse<i64>,
    pub(crate) weight: Reverse<i64>,
}

/// A processor as it applies to the requests of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) processor: Rc<Processor>,
    /// Everything folded.
    pub(crate) settings: Arc<ExtProc>,
    /// The object that turned it on here, and where.
    pub(crate) policy: ObjectRef,
    pub(crate) policy_place: Place,
    /// Where each setting comes from, by its name in Envoy's `ExternalProcessor` (`failure_mode_allow`,
    /// `processing_mode`, `message_timeout`, ...); those that are not named have the default of the dialect.
    pub(crate) sources: BTreeMap<&'static str, Place>,
}

impl Position {
    /// The place among the extensions of combined policies, the one with the higher weight first (KG-22).
    pub(crate) fn weighed(mut self, weight: i64) -> Self {
        if let Self::KgatewayEarly(stage) | Self::KgatewayLate(stage) | Self::KgatewayUpstream(stage) =
            &mut self
        {
            stage.extension_weight = Reverse(weight);
        }
        self
    }

    /// Whether the filter runs behind the router, once for each attempt.
    pub(crate) fn is_upstream(self) -> bool {
        matches!(self, Self::KgatewayUpstream(_))
    }
}
