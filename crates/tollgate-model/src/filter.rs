//! The HTTP filters of a chain, by kind.
//!
//! A kind of filter has its settings in a module of its own ([`processor`](crate::processor), [`cors`](crate::cors)) and
//! one variant of [`FilterOverride`] here.

use std::sync::Arc;

use serde::Serialize;

use crate::{cors::CorsPolicy, processor::ExtProc};

/// One HTTP filter of a chain.
#[derive(Debug, PartialEq, Serialize)]
pub struct HttpFilter {
    /// Unique name in the chain; per-route configuration refers to it (EN-7).
    pub name: String,
    /// `http.<connection manager prefix>.ext_proc.[<filter stat_prefix>.]`: where the counters of an external processing
    /// filter are kept (Z-1). Empty for other filters.
    pub stat_prefix: String,
    /// What applies where no route says otherwise.
    pub default: FilterOverride,
}

/// What a filter does on a route, everything folded (section 19 of the protocol rules).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum FilterOverride {
    /// It is not there.
    Disabled,
    /// It is there, but talks to nobody: only logs know it.
    Idle,
    /// Talks to a processor.
    ExtProc(Arc<ExtProc>),
    /// Answers preflight requests and gives responses their `access-control-*` headers.
    Cors(Arc<CorsPolicy>),
}
